import type { Signal } from '../signals/signal.ts';

/**
 * How many signals of which kind went from whom to whom, of the calls whose signals this instance takes. Kept in
 * memory, so that the way of a signal has no await and no SQL for it; written in batches by whoever asks for what
 * is due. A stretch of signals without a long silence is one row, so that a restart of ICE in the tenth minute
 * stands in the tenth minute. Pure: clock and ids come in.
 */

/** Signals of one kind on one way, within a stretch. Milliseconds from the stretch's start. */
export interface SignalCount {
  readonly kind: Signal['__typename'];
  readonly from: string;
  /** Null: to everyone else. */
  readonly to: string | null;
  count: number;
  readonly firstMs: number;
  lastMs: number;
}

/** A stretch as it is to be written: whole, so that writing it twice is the same as once. */
export interface Stretch {
  readonly callId: string;
  readonly id: string;
  /** How long ago it began. */
  readonly ageMs: number;
  readonly counts: readonly SignalCount[];
}

export interface TallyTimes {
  /** A stretch that goes on is written this often. */
  readonly writeEveryMs: number;
  /** A silence that ends a stretch. */
  readonly silenceMs: number;
}

/** What is lost with an instance is `writeEveryMs` and a sweep; a usual call's negotiation is one row. */
export const TALLY_TIMES: TallyTimes = { writeEveryMs: 5_000, silenceMs: 30_000 };

/** Lines of a stretch; another one begins then. Ten people in a call have 360 at most. */
const MOST_LINES = 1_000;
/** Stretches that wait for a database that is away; the oldest go first. */
const MOST_STRETCHES = 20_000;

interface Open {
  readonly callId: string;
  readonly id: string;
  /** By this instance's clock, and by that of the log's entries. */
  readonly startedAt: number;
  readonly firstAt: number;
  readonly counts: Map<string, SignalCount>;
  lastSignalAt: number;
  /** Since when there is something to write; null where there is not. */
  unwrittenSince: number | null;
}

export class SignalTally {
  readonly #now: () => number;
  readonly #newId: () => string;
  readonly #times: TallyTimes;
  /** The one that signals of a call are counted in. */
  readonly #current = new Map<string, Open>();
  /** All that are not written and silent yet, oldest first. */
  readonly #open = new Map<string, Open>();
  /** Calls that are over: what there is of them is due at once. */
  readonly #over = new Set<string>();

  constructor(now: () => number, newId: () => string, times = TALLY_TIMES) {
    this.#now = now;
    this.#newId = newId;
    this.#times = times;
  }

  /** A signal that the log took. `at`: by the log's clock. */
  count(callId: string, kind: Signal['__typename'], from: string, to: string | null, at: number): void {
    const now = this.#now();
    let stretch = this.#current.get(callId);
    if (
      stretch === undefined ||
      now - stretch.lastSignalAt > this.#times.silenceMs ||
      stretch.counts.size >= MOST_LINES
    ) {
      stretch = this.#begin(callId, now, at);
    }
    stretch.lastSignalAt = now;
    stretch.unwrittenSince ??= now;
    const sinceStart = Math.max(0, at - stretch.firstAt);
    // The length tells where the sender ends.
    const line = `${kind}:${from.length}:${from}:${to ?? ''}`;
    const known = stretch.counts.get(line);
    if (known === undefined) {
      stretch.counts.set(line, { kind, from, to, count: 1, firstMs: sinceStart, lastMs: sinceStart });
    } else {
      known.count++;
      known.lastMs = Math.max(known.lastMs, sinceStart);
    }
  }

  #begin(callId: string, now: number, at: number): Open {
    const stretch: Open = {
      callId,
      id: this.#newId(),
      startedAt: now,
      firstAt: at,
      counts: new Map(),
      lastSignalAt: now,
      unwrittenSince: null,
    };
    this.#current.set(callId, stretch);
    this.#open.set(stretch.id, stretch);
    if (this.#open.size > MOST_STRETCHES) {
      const [oldest] = this.#open.values();
      if (oldest) this.#forget(oldest);
    }
    return stretch;
  }

  /** The call is over: whoever looks at its timeline now wants all of it. */
  callEnded(callId: string): void {
    if (this.#current.has(callId)) this.#over.add(callId);
  }

  /** What is to be written now, the oldest first; `all`: whatever there is. */
  due(limit: number, all = false): Stretch[] {
    const now = this.#now();
    const due: Stretch[] = [];
    for (const stretch of this.#open.values()) {
      const { callId, id, startedAt, unwrittenSince, counts } = stretch;
      if (unwrittenSince === null) continue;
      const isLate = now - unwrittenSince >= this.#times.writeEveryMs;
      if (!all && !isLate && !this.#over.has(callId)) continue;
      // A copy: signals come in while it is written.
      const copied = [...counts.values()].map((count) => ({ ...count }));
      due.push({ callId, id, ageMs: Math.max(0, Math.round(now - startedAt)), counts: copied });
      if (due.length === limit) break;
    }
    return due;
  }

  /** These were on their way; `ids` of them have arrived. The others stay due. */
  written(sent: readonly Stretch[], ids: ReadonlySet<string>): void {
    const now = this.#now();
    for (const { id, counts } of sent) {
      const stretch = this.#open.get(id);
      if (stretch === undefined) continue;
      const isSilent = now - stretch.lastSignalAt > this.#times.silenceMs;
      if (!ids.has(id)) {
        // Its call is not there any more, or somebody has been at it for all that time.
        if (isSilent) this.#forget(stretch);
        continue;
      }
      const total = (of: Iterable<SignalCount>) => [...of].reduce((sum, { count }) => sum + count, 0);
      const isWhole = total(stretch.counts.values()) === total(counts);
      stretch.unwrittenSince = isWhole ? null : now;
      if (isWhole && this.#over.has(stretch.callId)) this.#forget(stretch);
    }
  }

  /** Drops what is written and silent. */
  tidy(): void {
    const now = this.#now();
    for (const stretch of this.#open.values()) {
      const isSilent = now - stretch.lastSignalAt > this.#times.silenceMs;
      if (isSilent && stretch.unwrittenSince === null) this.#forget(stretch);
    }
  }

  #forget(stretch: Open): void {
    this.#open.delete(stretch.id);
    if (this.#current.get(stretch.callId) !== stretch) return;
    this.#current.delete(stretch.callId);
    this.#over.delete(stretch.callId);
  }

  /** Stretches in memory, for tests. */
  get size(): number {
    return this.#open.size;
  }
}
