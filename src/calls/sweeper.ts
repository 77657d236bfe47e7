import { sql } from 'kysely';
import { repeat } from '../background.ts';
import { TIMINGS } from '../config.ts';
import type { Instances } from '../seats/instances.ts';
import { type Db, dueCalls, forgetEvents } from './call.repository.ts';
import type { CallUnit } from './call-unit.ts';
import type { Outbox } from './outbox.ts';

/**
 * The one sweeper, on every instance, each second: seats of dead instances, calls in which something is due,
 * changes that a crash left unpublished, counts of signals, events that are old; and, beside it, the heartbeat. Calls that another instance is at are
 * skipped.
 */

export interface SweeperDeps {
  readonly db: Db;
  readonly unit: CallUnit;
  readonly outbox: Outbox;
  readonly instances: Instances;
  /** How long the events of an ended call are kept, milliseconds. */
  readonly eventsKeptMs: number;
  /** Counts of signals that are due. */
  readonly writeCounts: () => Promise<void>;
  /** This instance had been taken for dead. */
  readonly reclaim: () => Promise<void>;
  /** Seconds between a deadline and the sweep that found it. */
  readonly onLag: (seconds: number) => void;
  readonly onError: (what: string, error: unknown) => void;
}

/** Due calls of one look; a full look is followed by another at once, so many times a turn. */
const BATCH = 100;
const LOOKS = 50;
/** Calls that are brought up to now side by side. */
const SIDE_BY_SIDE = 4;
/** Turns between two deletions of old idempotency keys. */
const CLEAN_EVERY = 60;

export class Sweeper {
  readonly #deps: SweeperDeps;
  #loops: { stop(): Promise<void> }[] = [];
  #turns = 0;
  /** Until it is done: a reclaim that failed half-way is made again. */
  #mustReclaim = false;
  #reclaiming: Promise<void> | null = null;
  #stopped = false;

  constructor(deps: SweeperDeps) {
    this.#deps = deps;
  }

  /** Registers the instance, then sweeps each second. */
  async start(): Promise<void> {
    await this.#deps.instances.beat();
    this.#loops = [
      // By itself: a long sweep must not make the others take this instance for dead.
      repeat(TIMINGS.heartbeatMs, () => this.#beat()),
      repeat(TIMINGS.sweepMs, () => this.#sweep()),
    ];
  }

  #beat(): Promise<void> {
    const { instances, reclaim } = this.#deps;
    return this.#try('heartbeat', async () => {
      if (await instances.beat()) this.#mustReclaim = true;
      if (this.#mustReclaim) this.#reclaim(reclaim);
    });
  }

  /** Beside the heartbeat, which must not wait for it. */
  #reclaim(reclaim: () => Promise<void>): void {
    if (this.#reclaiming) return;
    this.#mustReclaim = false;
    this.#reclaiming = reclaim()
      .catch((error) => {
        this.#mustReclaim = true;
        this.#deps.onError('reclaim', error);
      })
      .finally(() => {
        this.#reclaiming = null;
      });
  }

  async #sweep(): Promise<void> {
    const { instances, outbox } = this.#deps;
    await this.#try('dead instances', () => instances.releaseSeatsOfTheDead());
    await this.#try('deadlines', () => this.sweepDue());
    await this.#try('outbox', () => outbox.sweep());
    await this.#try('counts of signals', () => this.#deps.writeCounts());
    await this.#try('old events', () => this.#forget());
    if (this.#turns++ % CLEAN_EVERY === 0) await this.#try('idempotency keys', () => this.#clean());
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.onError(what, error);
    }
  }

  /** Brings every call that is due up to now. */
  async sweepDue(): Promise<void> {
    let before = '';
    for (let look = 0; look < LOOKS; look++) {
      const due = await dueCalls(this.#deps.db, BATCH);
      // The same ones again: others hold them, or they fail. The next turn is soon enough.
      const ids = due.map(({ id }) => id).join();
      if (ids === before) return;
      before = ids;
      for (const { dueAt, now } of due) this.#deps.onLag((now - dueAt) / 1000);
      const queue = due.map(({ id }) => id);
      const worker = async () => {
        for (let id = queue.shift(); id !== undefined; id = queue.shift()) await this.#advance(id);
      };
      await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
      if (due.length < BATCH || this.#stopped) return;
    }
  }

  /** One call that fails must not hold up the others. */
  #advance(callId: string): Promise<void> {
    // Every change brings the call up to now first: there is nothing to add to that.
    return this.#try('a call that is due', () => this.#deps.unit.change(callId, () => null, true));
  }

  async #forget(): Promise<void> {
    const { db, eventsKeptMs } = this.#deps;
    for (let look = 0; look < LOOKS && !this.#stopped; look++) {
      if ((await forgetEvents(db, eventsKeptMs, BATCH)) < BATCH) return;
    }
  }

  async #clean(): Promise<void> {
    await this.#deps.db
      .deleteFrom('initiations')
      .where(
        'created_at',
        '<',
        sql<Date>`now() - ${TIMINGS.idempotencyKeptMs}::int8 * interval '1 millisecond'`,
      )
      .execute();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    await this.#reclaiming;
  }
}
