import type { Allowed, RateLimiter, Refusal, Take } from './rate-limiter.ts';

/**
 * A rate limiter that pays for takes in portions: what it has paid for it gives out without asking anyone.
 * Points are paid before they are used, so that all instances together never allow more than the limit; what
 * one has paid for and not used when the window ends is lost to the others, a portion at most.
 */

/** What keeps the count, for all instances. */
export interface PointStore {
  /** Takes as many points of the key's window as there still are, up to `points`. Never rejects. */
  pay(key: string, points: number): Promise<Paid>;
}

export interface Paid {
  readonly granted: number;
  /** Until the end of the window in which they were paid, milliseconds. */
  readonly leftMs: number;
}

export interface LeaseOptions {
  readonly limit: number;
  /** Milliseconds, and never back. */
  readonly now?: (() => number) | undefined;
}

/** How many portions a limit has: the store is asked once a second where a limit a minute is used up evenly. */
const PORTIONS = 60;
/** Keys remembered. One that is forgotten is asked for again: it loses what was paid, and allows no more for it. */
const MOST_KEYS = 100_000;

interface Lease {
  /** Paid and not used. */
  points: number;
  /** What is answered from the last payment, so that it can be told from those of others. */
  take: Allowed;
  /** Its end: never later than it is in the store. */
  until: number;
  /** The store has no more of them. */
  exhausted: boolean;
  /** How many were given back in this window. */
  returned: number;
  /** Who waits for the store's answer, in their order; null while it is not asked. */
  waiting: ((take: Take) => void)[] | null;
}

export class LeasedRateLimiter implements RateLimiter {
  readonly #store: PointStore;
  readonly #limit: number;
  readonly #portion: number;
  readonly #now: () => number;
  /** Those asked for longest ago are first. */
  readonly #leases = new Map<string, Lease>();

  constructor(store: PointStore, { limit, now = () => performance.now() }: LeaseOptions) {
    this.#store = store;
    this.#limit = limit;
    this.#portion = Math.max(1, Math.floor(limit / PORTIONS));
    this.#now = now;
  }

  /** Keys that take memory. */
  get size(): number {
    return this.#leases.size;
  }

  take(key: string): Take | Promise<Take> {
    const lease = this.#leases.get(key);
    if (lease === undefined) return this.#ask(key, NEW_LEASE());
    if (lease.waiting !== null) return waitIn(lease.waiting);
    const left = lease.until - this.#now();
    if (left > 0) {
      if (lease.points > 0) {
        lease.points--;
        return lease.take;
      }
      if (lease.exhausted) return refusedFor(left);
    }
    return this.#ask(key, lease);
  }

  /** As many as the limit has, in a window: repeats that cost nothing would be a way around it. */
  giveBack(key: string, taken: Allowed): void {
    const lease = this.#leases.get(key);
    if (lease?.take !== taken || lease.waiting !== null || lease.returned >= this.#limit) return;
    lease.returned++;
    lease.points++;
  }

  refusal(key: string): Refusal | null {
    const lease = this.#leases.get(key);
    if (lease === undefined || !lease.exhausted || lease.points > 0) return null;
    const left = lease.until - this.#now();
    return left > 0 ? refusedFor(left) : null;
  }

  #ask(key: string, lease: Lease): Promise<Take> {
    const waiting: NonNullable<Lease['waiting']> = [];
    lease.waiting = waiting;
    const answer = waitIn(waiting);
    this.#leases.delete(key);
    this.#leases.set(key, lease);
    this.#forget();
    void this.#pay(key, lease, waiting);
    return answer;
  }

  async #pay(key: string, lease: Lease, waiting: NonNullable<Lease['waiting']>): Promise<void> {
    while (waiting.length > 0) {
      const wanted = Math.max(this.#portion, waiting.length);
      const from = this.#now();
      const { granted, leftMs } = await this.#store.pay(key, wanted);
      if (from >= lease.until) lease.returned = 0;
      // Of each payment: the window may have turned over while it was on its way, and what was allowed in one must
      // not come back in the next.
      lease.take = { allowed: true };
      // Counted from the question on: so the lease ends before the window does. What it had before is dropped:
      // nothing, or of a window that is over.
      lease.until = from + leftMs;
      lease.exhausted = granted < wanted;
      const served = Math.min(granted, waiting.length);
      lease.points = granted - served;
      for (const resolve of waiting.splice(0, served)) resolve(lease.take);
      if (!lease.exhausted) continue;
      const refused = refusedFor(lease.until - this.#now());
      for (const resolve of waiting.splice(0)) resolve(refused);
    }
    lease.waiting = null;
  }

  /** Two for each that comes, so that in the end those whose window is over are gone. */
  #forget(): void {
    let tries = 2;
    for (const [key, lease] of this.#leases) {
      if (lease.waiting !== null || tries-- === 0) return;
      if (lease.until > this.#now() && this.#leases.size <= MOST_KEYS) return;
      this.#leases.delete(key);
    }
  }
}

const NEW_LEASE = (): Lease => ({
  points: 0,
  take: { allowed: true },
  until: 0,
  exhausted: false,
  returned: 0,
  waiting: null,
});

function waitIn(waiting: NonNullable<Lease['waiting']>): Promise<Take> {
  return new Promise((resolve) => waiting.push(resolve));
}

function refusedFor(leftMs: number): Refusal {
  return { allowed: false, retryAfterMs: Math.max(1, Math.ceil(leftMs)) };
}
