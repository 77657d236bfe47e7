import { TIMINGS } from '../config.ts';
import { inParts } from '../in-parts.ts';
import { type CallLog, LogUnavailable, type SeatHolder, type StateRecord } from './call-log.ts';
import { CallFeed } from './feed.ts';

/** The calls that have a stream on this instance, each with one subscription of its channel. */

export interface FeedSources {
  /** Makes the call's log from the database; false where the call is over. */
  createLog(callId: string): Promise<boolean>;
  /** The seats of now and their version, from the database. */
  seats(callId: string): Promise<{ version: number; seats: ReadonlyMap<string, SeatHolder> }>;
  /** Changes of state after the version that is known of each call, from the database; a call's in their order. */
  statesAfter(known: ReadonlyMap<string, number>): AsyncIterable<{ callId: string; state: StateRecord }>;
  onError(error: unknown): void;
}

/** Calls that one query asks for: it holds its connection for some milliseconds, and others go in between. */
const POLLED_AT_ONCE = 1_000;
/** Feeds that go back to the log at once; each may need the database, and all of them would fill the pool. */
const RESTORED_AT_ONCE = 16;

interface Held {
  readonly feed: CallFeed;
  started: Promise<void> | null;
  undo: (() => Promise<void>) | null;
  holders: number;
}

export class Feeds {
  readonly #log: CallLog;
  readonly #sources: FeedSources;
  readonly #held = new Map<string, Held>();
  readonly #stopListening: () => void;
  #clock: NodeJS.Timeout | undefined;
  #polling: Promise<void> | null = null;

  constructor(log: CallLog, sources: FeedSources) {
    this.#log = log;
    this.#sources = sources;
    this.#stopListening = log.onHealth((health) => {
      if (health === 'down') this.#degrade();
      else this.#restore();
    });
  }

  get(callId: string): CallFeed | undefined {
    return this.#held.get(callId)?.feed;
  }

  all(): Iterable<CallFeed> {
    return [...this.#held.values()].map((held) => held.feed);
  }

  /** The call's feed, started; give it back with `release`, also where this rejects it is given back. */
  async acquire(callId: string): Promise<CallFeed> {
    let held = this.#held.get(callId);
    if (!held) {
      const feed = new CallFeed(callId, this.#log, this.#sources.onError);
      held = { feed, started: null, undo: null, holders: 0 };
      this.#held.set(callId, held);
      held.started = this.#start(held);
    }
    held.holders++;
    try {
      await held.started;
      return held.feed;
    } catch (error) {
      this.release(held.feed);
      throw error;
    }
  }

  release(feed: CallFeed): void {
    const held = this.#held.get(feed.callId);
    if (held?.feed !== feed || --held.holders > 0) return;
    // What it took is for the log first.
    if (!feed.owes) this.#drop(feed, held);
  }

  #drop(feed: CallFeed, held: Held): void {
    this.#held.delete(feed.callId);
    feed.close();
    // `undo` never rejects; where the start is still under way, it undoes itself when it sees the close.
    void held.undo?.();
  }

  /** Subscribe, wait for the confirmation, then read the head: nothing can fall between the two. */
  async #start(held: Held): Promise<void> {
    const { feed } = held;
    if (this.#log.health() === 'down') return this.#startLocally(feed);
    try {
      const undo = await this.#log.subscribe(feed.callId, (entry) => feed.offer(entry));
      held.undo = undo;
      if (feed.isClosed()) return void undo();
      let head = await this.#log.head(feed.callId);
      if (!head && (await this.#sources.createLog(feed.callId))) head = await this.#log.head(feed.callId);
      if (feed.isClosed()) return;
      if (head) feed.startAt(head);
      else return this.#startLocally(feed);
      if ((this.#log.health() as string) === 'down') this.#degrade();
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
      await this.#startLocally(feed);
    }
  }

  async #startLocally(feed: CallFeed): Promise<void> {
    const { version, seats } = await this.#sources.seats(feed.callId);
    if (feed.mode !== 'starting') return;
    feed.startLocally(version, seats);
    if (this.#log.health() === 'up') void this.#restoreOne(feed);
    else this.#degrade();
  }

  #degrade(): void {
    for (const { feed } of this.#held.values()) feed.degrade();
    this.#clock ??= setInterval(() => {
      this.#polling ??= this.#pollAll().finally(() => {
        this.#polling = null;
      });
    }, TIMINGS.statePollMs);
  }

  #restore(): void {
    clearInterval(this.#clock);
    this.#clock = undefined;
    const queue = [...this.all()];
    const worker = async () => {
      for (let feed = queue.shift(); feed; feed = queue.shift()) await this.#restoreOne(feed);
    };
    for (let i = 0; i < RESTORED_AT_ONCE; i++) void worker();
  }

  async #restoreOne(feed: CallFeed): Promise<void> {
    const held = this.#held.get(feed.callId);
    if (held?.feed !== feed) return;
    try {
      if (!held.undo) {
        const undo = await this.#log.subscribe(feed.callId, (entry) => feed.offer(entry));
        // Another attempt may have been quicker.
        if (held.undo || feed.isClosed()) void undo();
        else held.undo = undo;
        if (feed.isClosed()) return;
      }
      await feed.restore(() => this.#sources.createLog(feed.callId));
    } catch (error) {
      if (!(error instanceof LogUnavailable)) this.#sources.onError(error);
    }
    if (this.#held.get(feed.callId) !== held) return;
    // Lost again in the moment in which it was back: the feed had no word of that, as it was out of reach then.
    if (this.#log.health() === 'down') feed.degrade();
    if (held.holders === 0 && !feed.owes) return this.#drop(feed, held);
    // Out of reach again before it was done, or the database was: the next turn of the clock.
    if (feed.mode === 'local' && this.#log.health() === 'up') {
      setTimeout(async () => {
        // A call that ended meanwhile has no log to come back to: the database tells its end.
        await this.pollState(feed.callId);
        await this.#restoreOne(feed);
      }, TIMINGS.statePollMs).unref();
    }
  }

  /** While the log is out of reach, changes of state come through the database. */
  async #pollAll(): Promise<void> {
    const local = [...this.all()].filter((feed) => feed.mode === 'local');
    for (const feeds of inParts(local, POLLED_AT_ONCE)) await this.#pollThese(feeds);
  }

  /** Brings a call's feed up to now, where the log does not. */
  async pollState(callId: string): Promise<void> {
    const feed = this.get(callId);
    if (feed?.mode === 'local') await this.#pollThese([feed]);
  }

  /** Never rejects. Two of these side by side do no harm: a feed takes each version once. */
  async #pollThese(feeds: readonly CallFeed[]): Promise<void> {
    const known = new Map(feeds.map((feed) => [feed.callId, feed.version]));
    const failed = new Set<string>();
    try {
      for await (const { callId, state } of this.#sources.statesAfter(known)) {
        // What follows a version that could not be taken would make a hole.
        if (failed.has(callId)) continue;
        try {
          this.get(callId)?.applyState(state);
        } catch (error) {
          failed.add(callId);
          this.#sources.onError(error);
        }
      }
    } catch (error) {
      this.#sources.onError(error);
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    clearInterval(this.#clock);
    const all = [...this.#held.values()];
    this.#held.clear();
    for (const { feed } of all) feed.close();
    await Promise.all([this.#polling, ...all.map((held) => held.undo?.())]);
  }
}
