import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LeasedRateLimiter, type PointStore } from '../../src/rate-limits/leased-rate-limiter.ts';
import type { Allowed, Take } from '../../src/rate-limits/rate-limiter.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const WINDOW = 1_000;
const now = () => Date.now();

/** An exact count for all instances, as Redis has it: windows begin with a key's first payment. */
class Store {
  readonly #limit: number;
  readonly #windows = new Map<string, Window>();
  /** The delays of payments, from the question to the count and from there to the answer. */
  readonly #delays: readonly (readonly [number, number])[];
  payments = 0;

  constructor(limit: number, delays: readonly (readonly [number, number])[] = [[0, 0]]) {
    this.#limit = limit;
    this.#delays = delays;
  }

  window(key: string): Window | null {
    const window = this.#windows.get(key);
    return window !== undefined && now() < window.ends ? window : null;
  }

  /** As one instance has it. */
  instance(): PointStore & { readonly shares: Map<string, Share> } {
    /** Of the windows of its last payments. */
    const shares = new Map<string, Share>();
    const pay: PointStore['pay'] = async (key, points) => {
      const [there, back] = this.#delays[this.payments++ % this.#delays.length]!;
      await pause(there);
      const window = this.window(key) ?? { ends: now() + WINDOW, paid: 0 };
      this.#windows.set(key, window);
      const granted = Math.min(points, this.#limit - window.paid);
      window.paid += granted;
      const leftMs = window.ends - now();
      await pause(back);
      const share = shares.get(key);
      if (share?.window === window) share.paid += granted;
      else shares.set(key, { window, paid: granted, allowed: 0 });
      return { granted, leftMs };
    };
    return { pay, shares };
  }
}

interface Window {
  readonly ends: number;
  paid: number;
}

/** What one instance has of a window. */
interface Share {
  readonly window: Window;
  paid: number;
  /** Takes that were allowed and not given back. */
  allowed: number;
}

async function pause(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}

const limiterOf = (limit: number, store = new Store(limit).instance()) =>
  new LeasedRateLimiter(store, { limit, now });

describe('a limiter that pays in portions', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('take' as const),
        by: fc.nat(1),

        times: fc.oneof(fc.nat(8), fc.nat(90)),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(600) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('give back' as const), most: fc.nat(20) }) },
  );

  it('never allows more than the limit in a window, over all instances, and uses what it pays for', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 120, max: 600 })),
        fc.array(fc.tuple(fc.nat(200), fc.nat(200)), { minLength: 1, maxLength: 5 }),
        fc.array(step, { maxLength: 50, size: 'max' }),
        async (limit, delays, steps) => {
          const store = new Store(limit, delays);
          const instances = Array.from({ length: 2 }, () => {
            const part = store.instance();
            return { shares: part.shares, limiter: limiterOf(limit, part) };
          });
          const kept: { limiter: LeasedRateLimiter; key: string; take: Allowed; share: Share }[] = [];
          const asked: Promise<void>[] = [];
          for (const one of steps) {
            if (one.do === 'wait') await vi.advanceTimersByTimeAsync(one.ms);
            else if (one.do === 'give back') {
              for (const given of kept.splice(0, one.most)) {
                given.limiter.giveBack(given.key, given.take);
                given.share.allowed--;
              }
            } else {
              const { limiter, shares } = instances[one.by]!;
              const key = 'ada';
              const judge = (take: Take) => {
                const share = shares.get(key)!;
                if (take.allowed) {
                  share.allowed++;
                  if (share.allowed > share.paid) throw new Error('More were allowed than were paid for');
                  kept.push({ limiter, key, take, share });
                } else {
                  if (share.window.paid < limit) throw new Error('Refused below the limit');
                  if (take.retryAfterMs > WINDOW) throw new Error('Told to wait for too long');
                }
              };
              for (let i = 0; i < one.times; i++) {
                const take = limiter.take(key);
                if (take instanceof Promise) asked.push(take.then(judge));
                else {
                  judge(take);
                  // What was paid in a window is no good after it.
                  if (take.allowed && shares.get(key)!.window.ends <= now())
                    throw new Error('Paid for in another window');
                }
              }
            }
          }
          await vi.runAllTimersAsync();
          await Promise.all(asked);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('asks the store once a portion, and answers at once and with the same object in between', async () => {
    const store = new Store(600);
    const limiter = limiterOf(600, store.instance());
    const first = await limiter.take('ada');
    for (let i = 0; i < 9; i++) expect(limiter.take('ada')).toBe(first);
    expect(store.payments).toBe(1);
    expect(limiter.take('ada')).toBeInstanceOf(Promise);
  });

  it('asks once for all who wait, and answers them in their order', async () => {
    const store = new Store(5, [[10, 10]]);
    const limiter = limiterOf(5, store.instance());
    const order: string[] = [];
    for (let i = 0; i < 8; i++) {
      void Promise.resolve(limiter.take('ada')).then(({ allowed }) => order.push(`${i} ${allowed}`));
    }
    await vi.advanceTimersByTimeAsync(100);
    expect(order).toEqual(Array.from({ length: 8 }, (_, i) => `${i} ${i < 5}`));
    expect(store.payments).toBe(2);
  });

  it('refuses without asking until the window is over', async () => {
    const store = new Store(1);
    const limiter = limiterOf(1, store.instance());
    await limiter.take('ada');
    expect(limiter.refusal('ada')).toBeNull();
    expect(await limiter.take('ada')).toEqual({ allowed: false, retryAfterMs: WINDOW });
    await vi.advanceTimersByTimeAsync(200);
    expect(limiter.take('ada')).toEqual({ allowed: false, retryAfterMs: 800 });
    expect(limiter.refusal('ada')).toEqual({ allowed: false, retryAfterMs: 800 });
    expect(store.payments).toBe(2);
    await vi.advanceTimersByTimeAsync(800);
    expect(limiter.refusal('ada')).toBeNull();
    expect(await limiter.take('ada')).toEqual({ allowed: true });
  });

  it('takes a repeat back, but no more of them than the limit has', async () => {
    const limiter = limiterOf(3);
    let allowed = 0;
    for (let i = 0; i < 20; i++) {
      const take = await limiter.take('ada');
      if (!take.allowed) break;
      allowed++;
      limiter.giveBack('ada', take);
    }
    expect(allowed).toBe(6);
  });

  it('forgets a key whose window is over, while others come', async () => {
    const limiter = limiterOf(10);
    for (let i = 0; i < 1_000; i++) await limiter.take(`early-${i}`);
    expect(limiter.size).toBe(1_000);
    await vi.advanceTimersByTimeAsync(WINDOW);
    for (let i = 0; i < 1_000; i++) await limiter.take(`late-${i}`);
    expect(limiter.size).toBeLessThanOrEqual(1_001);
  });
});
