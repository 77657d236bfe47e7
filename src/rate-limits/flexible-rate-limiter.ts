import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { LeasedRateLimiter, type Paid, type PointStore } from './leased-rate-limiter.ts';
import type { RateLimiter } from './rate-limiter.ts';

export interface RateLimiterOptions {
  /** What is limited; part of the keys in Redis, `ringdown:rate:<name>:<key>`. */
  readonly name: string;
  /** Takes allowed in a window, which begins with a key's first take. */
  readonly limit: number;
  /** Whole seconds, in milliseconds. */
  readonly windowMs: number;
  /** Longest wait for Redis, in milliseconds. */
  readonly answerMs: number;
}

/**
 * A rate limiter that is exact over all instances on one Redis. Without Redis (null), and while Redis is
 * gone, slow or refuses, each instance counts by itself: a limit that is too generous for a while is better
 * than calls that nobody can start.
 */
export function createRateLimiter(options: RateLimiterOptions, redis: Redis | null): RateLimiter {
  return new LeasedRateLimiter(createStore(options, redis), options);
}

/**
 * The library's own insurance knows refusals alone. A Redis that holds the connection and does not answer
 * would hang the caller, so the switch is made here, for every kind of failure, and once a payment.
 */
function createStore(options: RateLimiterOptions, redis: Redis | null): PointStore {
  const shared = {
    keyPrefix: `ringdown:rate:${options.name}`,
    points: options.limit,
    duration: options.windowMs / 1_000,
  };
  const memory = new RateLimiterMemory(shared);
  const limiter =
    redis && new RateLimiterRedis({ ...shared, storeClient: redis, rejectIfRedisNotReady: true });

  async function paidFrom(consumed: Promise<RateLimiterRes>, points: number): Promise<Paid | null> {
    const result = await consumed.catch(
      // The library refuses by rejecting with a result, and fails by rejecting with an error.
      (reason: unknown) => (reason instanceof RateLimiterRes ? reason : null),
    );
    if (result === null) return null;
    // A refusal counts too; what was still there before it is had all the same.
    const before = result.consumedPoints - points;
    const granted = Math.min(points, Math.max(0, options.limit - before));
    return { granted, leftMs: result.msBeforeNext };
  }

  return {
    async pay(key, points) {
      const shares =
        limiter && (await paidFrom(within(limiter.consume(key, points), options.answerMs), points));
      return shares ?? (await paidFrom(memory.consume(key, points), points)) ?? UNCOUNTED(points);
    },
  };
}

/** Memory does not fail. Were it to, nobody should be kept out by it. */
const UNCOUNTED = (points: number): Paid => ({ granted: points, leftMs: 1 });

/** Rejects after `ms`. An answer that comes later is dropped, a late failure too. */
function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
