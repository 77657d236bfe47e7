import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SignalOutbox } from '../../client/src/signal-outbox.ts';
import { createRateLimiter } from '../../src/rate-limits/flexible-rate-limiter.ts';
import type { RateLimiter, Take } from '../../src/rate-limits/rate-limiter.ts';
import { startRedis } from '../support/redis.ts';

const OPTIONS = { name: 'initiate', limit: 10, windowMs: 60_000, answerMs: 200 };

let redis: Awaited<ReturnType<typeof startRedis>>;
const connections: Redis[] = [];
beforeAll(async () => {
  redis = await startRedis();
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.disconnect();
});
afterAll(() => redis.stop());

async function connect(): Promise<Redis> {
  const connection = new Redis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
  connections.push(connection);
  connection.on('error', () => {});
  await ready(connection);
  return connection;
}

function ready(connection: Redis): Promise<void> {
  return expect.poll(() => connection.status, { timeout: 10_000 }).toBe('ready');
}

function takes(limiters: readonly RateLimiter[], key: string, count: number): Promise<Take[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => limiters[n % limiters.length]!.take(key)));
}

const allowed = (taken: readonly Take[]) => taken.filter((take) => take.allowed).length;

describe('a rate limit in Redis', () => {
  it('is exact over two instances that take at once', async () => {
    const limiters = [
      createRateLimiter(OPTIONS, await connect()),
      createRateLimiter(OPTIONS, await connect()),
    ];
    const taken = await takes(limiters, 'race', 30);
    expect(allowed(taken)).toBe(10);
    for (const take of taken) {
      if (take.allowed) continue;
      expect(take.retryAfterMs).toBeGreaterThan(50_000);
      expect(take.retryAfterMs).toBeLessThanOrEqual(60_000);
    }
  });

  it('is for each key by itself, under the documented name, and runs out', async () => {
    const connection = await connect();
    const limiter = createRateLimiter(OPTIONS, connection);
    expect(allowed(await takes([limiter], 'ada', 11))).toBe(10);
    expect(await limiter.take('ben')).toEqual({ allowed: true });
    expect(await connection.get('ringdown:rate:initiate:ada')).toBe('11');
    expect(await connection.pttl('ringdown:rate:initiate:ada')).toBeGreaterThan(50_000);
  });

  it('allows again once the window is over', async () => {
    const limiter = createRateLimiter({ ...OPTIONS, limit: 1, windowMs: 1_000 }, await connect());
    expect(await limiter.take('window')).toEqual({ allowed: true });
    const refused = await limiter.take('window');
    expect(refused).toMatchObject({ allowed: false });
    await expect.poll(async () => (await limiter.take('window')).allowed, { timeout: 5_000 }).toBe(true);
  });

  it('goes on by instance while Redis hangs, and is shared again afterwards', async () => {
    const limiter = createRateLimiter(OPTIONS, await connect());
    redis.pause();
    try {
      const from = performance.now();
      expect(allowed(await takes([limiter], 'hang', 30))).toBe(10);
      expect(performance.now() - from).toBeLessThan(2_000);
    } finally {
      redis.resume();
    }
    await expect.poll(async () => (await limiter.take('hang-after')).allowed).toBe(true);
    const other = createRateLimiter(OPTIONS, await connect());
    await expect.poll(() => takes([limiter, other], `healed-${Math.random()}`, 30).then(allowed)).toBe(10);
  });

  it('goes on by instance while Redis is gone, and is shared again afterwards', async () => {
    const [one, two] = [await connect(), await connect()];
    const limiters = [createRateLimiter(OPTIONS, one), createRateLimiter(OPTIONS, two)];
    // The takes that are under way when the server dies must come to an end too.
    const underWay = takes(limiters, 'dying', 30);
    await redis.kill();
    expect(allowed(await underWay)).toBeGreaterThanOrEqual(10);
    expect(allowed(await takes([limiters[0]!], 'gone', 30))).toBe(10);
    expect(allowed(await takes([limiters[1]!], 'gone', 30))).toBe(10);
    await redis.restart();
    await Promise.all([ready(one), ready(two)]);
    expect(allowed(await takes(limiters, 'back', 30))).toBe(10);
  });
});

describe('the signals of a page that is over its limit', () => {
  it('all get through on two instances in the end, each once', async () => {
    const options = { ...OPTIONS, name: 'signal', limit: 40, windowMs: 1_000 };
    const limiters = [
      createRateLimiter(options, await connect()),
      createRateLimiter(options, await connect()),
    ];
    const got: number[] = [];
    const failures: Error[] = [];
    let refused = 0;
    const outbox = new SignalOutbox({
      callId: 'call',
      sessionId: 'session',
      async send({ clientSeq }) {
        // Its socket is lost now and then, and the next one is on the other instance.
        const limiter = limiters[Math.floor(clientSeq / 30) % 2] as RateLimiter;
        const take = await limiter.take('ada');
        if (take.allowed) {
          got.push(clientSeq);
          return { __typename: 'SendSignalSuccess', at: '2026-01-01T00:00:00.000Z', duplicate: false };
        }
        refused++;
        const { retryAfterMs } = take;
        return { __typename: 'Rejection', code: 'RATE_LIMITED', message: 'Too many', retryAfterMs };
      },
      failed: (error) => failures.push(error),
    });
    for (let i = 0; i < 60; i++) outbox.push('ben', 2, { renegotiate: { iceRestart: false } });
    await expect.poll(() => got.length, { timeout: 10_000 }).toBe(60);
    expect(new Set(got).size).toBe(60);
    expect(refused).toBeGreaterThan(0);
    expect(failures).toEqual([]);
    outbox.close();
  });
});

describe('a rate limit without Redis', () => {
  it('counts in the process', async () => {
    const taken = await takes([createRateLimiter(OPTIONS, null)], 'ada', 30);
    expect(allowed(taken)).toBe(10);
    expect(taken.at(-1)).toMatchObject({ allowed: false, retryAfterMs: expect.any(Number) });
  });
});
