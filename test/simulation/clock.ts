import { AsyncLocalStorage } from 'node:async_hooks';
import type { Dice } from './dice.ts';

/**
 * Time that passes only when the simulation says so. In place of the global timers, clocks and random
 * numbers while a seed runs; each timer belongs to the instance whose code set it, so that it can stand still
 * or die with it.
 */

/** Somebody who can stall or die: an instance. */
export interface Owner {
  readonly name: string;
  stalled: boolean;
  dead: boolean;
  /** By how much its clock is off, milliseconds. */
  skewMs: number;
}

/** Whose code runs; nobody's is the clients' and the simulation's own. */
export const running = new AsyncLocalStorage<Owner>();

interface Timer {
  readonly id: number;
  readonly owner: Owner | undefined;
  readonly run: () => void;
  readonly everyMs: number | null;
  /** It keeps the process going. */
  isRef: boolean;
  at: number;
}

const EPOCH = Date.UTC(2026, 0, 1);
const real = {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  dateNow: Date.now,
  performanceNow: performance.now,
  random: Math.random,
  randomUUID: crypto.randomUUID,
  getRandomValues: crypto.getRandomValues,
};

export class Clock {
  now = EPOCH;
  readonly #timers = new Map<number, Timer>();
  #ids = 0;

  /** Seconds since the beginning, for people. */
  get label(): string {
    return ((this.now - EPOCH) / 1000).toFixed(3);
  }

  get elapsed(): number {
    return this.now - EPOCH;
  }

  /** Replaces what the code under test takes time and chance from; gives the way back. */
  install(random: Dice): () => void {
    const add = (run: () => void, ms: number, everyMs: number | null) => {
      const id = ++this.#ids;
      const wait = Math.max(1, Math.ceil(ms) || 0);
      const timer: Timer = { id, owner: running.getStore(), run, everyMs, isRef: true, at: this.now + wait };
      this.#timers.set(id, timer);
      const unref = () => {
        timer.isRef = false;
        return handle;
      };
      const handle = { id, unref };
      return handle;
    };
    const remove = (handle: { id: number } | undefined) => {
      if (handle) this.#timers.delete(handle.id);
    };
    const timers = {
      setTimeout: (run: () => void, ms = 0) => add(run, ms, null),
      setInterval: (run: () => void, ms = 0) => add(run, ms, Math.max(1, ms)),
      clearTimeout: remove,
      clearInterval: remove,
    };
    Object.assign(globalThis, timers);
    Date.now = () => this.now + (running.getStore()?.skewMs ?? 0);
    performance.now = () => this.now - EPOCH;
    Math.random = () => random.next();
    crypto.randomUUID = () => random.uuid();
    crypto.getRandomValues = ((array: Uint8Array) => random.bytes(array)) as typeof crypto.getRandomValues;
    return () => {
      const { setTimeout, clearTimeout, setInterval, clearInterval } = real;
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Date.now = real.dateNow;
      performance.now = real.performanceNow;
      Math.random = real.random;
      crypto.randomUUID = real.randomUUID;
      crypto.getRandomValues = real.getRandomValues;
    };
  }

  /** When the next timer is due that does not stand still; null where there is none. */
  next(): number | null {
    let next: number | null = null;
    for (const { at, owner } of this.#timers.values()) {
      if (!owner?.stalled && (next === null || at < next)) next = at;
    }
    return next;
  }

  /** Runs the timer that is due first, if one is. */
  fire(): Timer | null {
    let due: Timer | null = null;
    for (const timer of this.#timers.values()) {
      if (timer.owner?.stalled || timer.at > this.now) continue;
      if (due === null || timer.at < due.at) due = timer;
    }
    if (due === null) return null;
    if (due.everyMs === null) this.#timers.delete(due.id);
    else due.at = this.now + due.everyMs;
    const { owner, run } = due;
    if (owner) running.run(owner, run);
    else running.exit(run);
    return due;
  }

  /** Those that would keep its process going. */
  timersOf(owner: Owner): number {
    let count = 0;
    for (const timer of this.#timers.values()) if (timer.owner === owner && timer.isRef) count++;
    return count;
  }

  /** Its process is gone, and its timers with it. */
  drop(owner: Owner): void {
    for (const timer of this.#timers.values()) if (timer.owner === owner) this.#timers.delete(timer.id);
  }
}

/** Resolves so many milliseconds later on the run's own clock: nobody waits for it in real time. */
export function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
