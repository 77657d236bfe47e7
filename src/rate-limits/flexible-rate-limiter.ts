import type { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
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
 *
 * The library's own insurance knows refusals alone. A Redis that holds the connection and does not answer
 * would hang the caller, so the switch is made here, for every kind of failure, and once a take.
 */
export function createRateLimiter(options: RateLimiterOptions, redis: Redis | null): RateLimiter {
  const shared = {
    keyPrefix: `ringdown:rate:${options.name}`,
    points: options.limit,
    duration: options.windowMs / 1_000,
  };
  const memory = new RateLimiterMemory(shared);
  const limiter =
    redis && new RateLimiterRedis({ ...shared, storeClient: redis, rejectIfRedisNotReady: true });

  return {
    async take(key) {
      let refused = limiter
        ? await refusalOf(within(limiter.consume(key), options.answerMs))
        : await refusalOf(memory.consume(key));
      if (refused === 'failed') refused = await refusalOf(memory.consume(key));
      if (refused === null || refused === 'failed') return { allowed: true };
      return { allowed: false, retryAfterMs: Math.max(1, refused.msBeforeNext) };
    },
  };
}

/** The library refuses by rejecting with a result, and fails by rejecting with an error. */
function refusalOf(consumed: Promise<RateLimiterRes>): Promise<RateLimiterRes | 'failed' | null> {
  return consumed.then(
    () => null,
    (reason: unknown) => (reason instanceof RateLimiterRes ? reason : 'failed'),
  );
}

/** Rejects after `ms`. An answer that comes later is dropped, a late failure too. */
function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
