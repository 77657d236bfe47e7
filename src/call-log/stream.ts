import type { CallView } from '../calls/call-view.ts';
import { CLOSE, CodedError } from '../errors.ts';
import type { CallEvent, SocketLink } from '../graphql/services.ts';
import { type CallLog, type Entry, LogUnavailable, type Position, type SignalRecord } from './call-log.ts';
import { encodeCursor } from './cursor.ts';
import { type CallFeed, eventsOf, type FeedItem, type FeedReader, isLocal, READ_PAGE } from './feed.ts';

/**
 * One participant's callEvents: a snapshot, what followed the cursor, then live. It is pulled: nothing is
 * queued for it but the feed's own items, which all streams of the call share. It reads the log in pages
 * as the socket drains, and goes live in the moment in which it has all that the feed has.
 */

/** Unsent bytes on a socket at which its stream counts as too slow. */
export const UNSENT_LIMIT = 1_048_576;

export interface StreamSeat {
  readonly userId: string;
  readonly sessionId: string;
  readonly joinSeq: number;
}

export interface StreamDeps {
  readonly log: CallLog;
  readonly feed: CallFeed;
  readonly socket: SocketLink;
  /** The call as the database has it now, and the database's time. */
  snapshot(): Promise<{ call: CallView; now: number }>;
  /** Of each entry that is handed over. `cameAt`: when this instance had it, milliseconds; 0 of no trace. */
  onDelivered?(entry: Entry, cameAt: number): void;
  /** Once, whichever way the stream ended. `seatGone`: the seat was lost before the stream was. */
  onClose(seatGone: boolean): void;
}

/** How often a snapshot that could not be read is tried again, milliseconds. */
const SNAPSHOT_RETRY = 500;

export class CallStream implements AsyncIterableIterator<CallEvent>, FeedReader {
  readonly userId: string;
  readonly joinSeq: number;
  readonly #sessionId: string;
  readonly #deps: StreamDeps;
  /** Events that are ready to be taken; of one item, or of one page of the log. */
  #ready: CallEvent[] = [];
  #taken = 0;
  /** The place up to which the log has been replayed; null once the stream is live. */
  #replayed: Position | null = null;
  #next = 0;
  /** Whether entries of the log may be of the time before the seat. */
  #beforeSeat = false;
  /** Changes of state up to this version are known to the client. */
  #version = 0;
  /** Of the newest event that was taken. */
  #cursor = '';
  #finished = false;
  #closed = false;
  #seatGone = false;
  #wake: (() => void) | null = null;

  private constructor(seat: StreamSeat, deps: StreamDeps) {
    this.userId = seat.userId;
    this.joinSeq = seat.joinSeq;
    this.#sessionId = seat.sessionId;
    this.#deps = deps;
  }

  /**
   * `since`: where the seat began, null where the log does not know. `after`: the client's cursor. From
   * the later of the two where the log still has that very entry, else from now with `recovered: false`.
   */
  static async open(
    seat: StreamSeat,
    since: Position | null,
    after: Position | null,
    deps: StreamDeps,
  ): Promise<CallStream> {
    const stream = new CallStream(seat, deps);
    const { feed, log } = deps;
    // A place of a local epoch is numbered by itself: it tells nothing of before and after in the log.
    const isEarlier = since && after && !isLocal(after) && after.seq < since.seq;
    const from = isEarlier ? since : (after ?? since);
    if (from !== null && !isLocal(from)) await feed.reach(from.seq);
    const proven = from !== null && (await isThere(feed, log, from, from === after));
    // Looked up before the snapshot is read: what comes while its answer is on its way is told after it.
    const { end, lastPlace } = feed;
    const hold = feed.hold();
    try {
      const { call, now } = await deps.snapshot();
      // No await from here on: the feed does not move between the look at it and the start from it.
      const goesOn = proven && stream.#continueFrom(from);
      if (!goesOn) stream.#goLive(end);
      const place = goesOn ? from : lastPlace;
      stream.#tell(call, now, encodeCursor(place), goesOn);
      if (feed.mode === 'local') stream.#ready.push(degraded(feed.callId, place, now));
      stream.#beforeSeat = feed.isNewToLog(seat.userId, seat.joinSeq);
      feed.addReader(stream);
      return stream;
    } finally {
      feed.letGo(hold);
    }
  }

  get index(): number {
    return this.#replayed ? Number.POSITIVE_INFINITY : this.#next;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<CallEvent, undefined>> {
    for (;;) {
      const event = this.#take();
      if (event !== null) return { value: event, done: false };
      if (this.#closed) return { value: undefined, done: true };
      await this.#fill();
    }
  }

  /** All of them, as they come: what is here already without a wait between. Resolves at the end. */
  async pushTo(sink: (event: CallEvent) => Promise<void> | undefined): Promise<void> {
    for (;;) {
      for (let event = this.#take(); event !== null; event = this.#take()) {
        const full = sink(event);
        if (full !== undefined) await full;
      }
      if (this.#closed) return;
      await this.#fill();
    }
  }

  /** The next event where it is here already; null where it is not, or the stream is closed. */
  #take(): CallEvent | null {
    while (!this.#closed) {
      const event = this.#ready[this.#taken];
      if (event !== undefined) {
        this.#taken++;
        this.#cursor = event.cursor;
        if (this.#deps.socket.unsentBytes() > UNSENT_LIMIT) this.fellBehind();
        return event;
      }
      if (this.#finished) this.#close();
      else {
        if (this.#taken > 0) {
          this.#ready = [];
          this.#taken = 0;
        }
        if (!this.#fillAtOnce()) return null;
      }
    }
    return null;
  }

  async return(): Promise<IteratorResult<CallEvent, undefined>> {
    this.#close();
    return { value: undefined, done: true };
  }

  async throw(error: unknown): Promise<IteratorResult<CallEvent, undefined>> {
    this.#close();
    throw error;
  }

  wake(item: FeedItem): void {
    if (this.#wake === null) return;
    const isForOthers =
      item.kind === 'entry' && item.entry.kind === 'signal' && !this.#isMine(item.entry.signal);
    // It waits for what comes after that: no need to look at it.
    if (isForOthers) this.#next++;
    else this.#goOn();
  }

  #goOn(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  /** The socket is told to come back with its cursor; nobody waits for it. */
  fellBehind(): void {
    if (this.#closed) return;
    this.#deps.socket.close(CLOSE.TOO_SLOW);
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.feed.removeReader(this);
    this.#goOn();
    this.#deps.onClose(this.#seatGone);
  }

  // --- where events come from ---

  /** Whether there was something in the feed that needs no wait. */
  #fillAtOnce(): boolean {
    if (this.#replayed) return false;
    const { feed } = this.#deps;
    const item = feed.item(this.#next);
    if (item === null) this.fellBehind();
    if (item === null || item === undefined) return false;
    if (item.kind === 'entry') this.#takeEntry(item.entry, item.place, item.events, item.cameAt);
    else if (item.kind === 'degraded') this.#ready.push(degraded(feed.callId, item.place, Date.now()));
    else return false;
    this.#next++;
    return true;
  }

  /** Without a frame of its own: most streams wait here nearly always, and there are thousands. */
  #fill(): Promise<void> {
    if (this.#replayed) return this.#replay(this.#replayed);
    const item = this.#deps.feed.item(this.#next);
    if (item === undefined) {
      return new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (item === null) this.fellBehind();
    else if (!this.#fillAtOnce()) {
      this.#next++;
      return this.#startAnew(item as Exclude<FeedItem, { kind: 'entry' | 'degraded' }>);
    }
    return Promise.resolve();
  }

  #isMine({ from, to, toJoinSeq }: SignalRecord): boolean {
    return from !== this.userId && (to === null || (to === this.userId && toJoinSeq === this.joinSeq));
  }

  /** The feed keeps what the page may not have yet: else it could be ahead of the page each time. */
  async #replay(from: Position): Promise<void> {
    const { feed } = this.#deps;
    const hold = feed.hold();
    try {
      await this.#readPage(from);
    } finally {
      feed.letGo(hold);
    }
  }

  async #readPage(from: Position): Promise<void> {
    const { feed, log } = this.#deps;
    let page: Entry[];
    try {
      page = await log.read(feed.callId, from.seq, READ_PAGE);
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
      return this.#startOver();
    }
    const own = page[0];
    const goesOn = own?.seq === from.seq && own.token === from.token && page.length > 1;
    if (!goesOn) return this.#startOver();
    const cameAt = Date.now();
    let last: Position = from;
    for (const entry of page.slice(1)) {
      // What the log has and the feed not yet comes through the feed.
      if (entry.seq > feed.logPosition.seq) break;
      this.#takeEntry(entry, entry, null, cameAt);
      last = entry;
    }
    if (!this.#continueFrom(last)) await this.#startOver();
  }

  /** Live as soon as the feed has what follows; until then from the log. False for a place that neither has. */
  #continueFrom({ seq, token }: Position): boolean {
    const { feed } = this.#deps;
    const { logPosition } = feed;
    const index = feed.indexAfter({ seq, token });
    if (index >= 0) this.#goLive(index);
    // Of an epoch, and by now too old for the feed; or of a log that the feed could not follow so far.
    else if (isLocal({ seq, token }) || seq > logPosition.seq) return false;
    else if (seq < logPosition.seq) this.#replayed = { seq, token };
    else if (token === logPosition.token && feed.mode === 'live') this.#goLive(feed.end);
    else return false;
    return true;
  }

  #goLive(index: number): void {
    this.#next = index;
    this.#replayed = null;
  }

  async #startAnew(item: Exclude<FeedItem, { kind: 'entry' | 'degraded' }>): Promise<void> {
    const { feed } = this.#deps;
    const cursor = encodeCursor(item.place);
    this.#beforeSeat = false;
    if (item.kind === 'restored') {
      // Only the snapshot says whether there is a hole: who comes back without having seen it gets both again.
      const at = Date.now();
      this.#ready.push({ __typename: 'SignalingRestored', cursor: this.#cursor, callId: feed.callId, at });
    }
    const { call, now } = await this.#snapshot();
    this.#tell(call, now, cursor, item.kind === 'restored' && item.recovered);
  }

  #takeEntry(entry: Entry, place: Position, known: readonly CallEvent[] | null, cameAt: number): void {
    if (this.#finished) return;
    if (entry.kind === 'signal') {
      if (!this.#isMine(entry.signal)) return;
      if (entry.signal.to === null && this.#beforeSeat && !isLocal(entry)) return;
      this.#ready.push(...(known ?? eventsOf(this.#deps.feed.callId, entry, place)));
      this.#deps.onDelivered?.(entry, cameAt);
      return;
    }
    if (entry.kind === 'origin') return;
    const { seats } = entry.state;
    // Users may be called `constructor` and the like.
    const holder = Object.hasOwn(seats, this.userId) ? seats[this.userId] : undefined;
    if (holder?.joinSeq === this.joinSeq && !isLocal(entry)) this.#beforeSeat = false;
    if (entry.state.version <= this.#version) return;
    this.#version = entry.state.version;
    this.#ready.push(...(known ?? eventsOf(this.#deps.feed.callId, entry, place)));
    this.#deps.onDelivered?.(entry, cameAt);
    const mine = holder === undefined || holder?.joinSeq === this.joinSeq;
    if (!mine) this.#finish();
    else if (entry.state.ended) this.#finish();
  }

  /** The seat is lost, or the call is over: what is ready is the last. */
  #finish(): void {
    this.#finished = true;
    this.#seatGone = true;
  }

  /** The log no longer has what follows: from now on, with a word that says so. */
  async #startOver(): Promise<void> {
    const { feed } = this.#deps;
    const { end, lastPlace } = feed;
    // Before the snapshot is read: the feed keeps what comes meanwhile.
    this.#goLive(end);
    const { call, now } = await this.#snapshot();
    this.#tell(call, now, encodeCursor(lastPlace), false);
    if (feed.mode === 'local') this.#ready.push(degraded(feed.callId, lastPlace, now));
  }

  /** A stream outlives a database that is away. */
  async #snapshot(): Promise<{ call: CallView; now: number }> {
    for (;;) {
      try {
        return await this.#deps.snapshot();
      } catch (error) {
        if (this.#closed || error instanceof CodedError) throw error;
        await new Promise((resolve) => setTimeout(resolve, SNAPSHOT_RETRY));
        if (this.#closed) throw error;
      }
    }
  }

  #tell(call: CallView, at: number, cursor: string, recovered: boolean): void {
    const place = { cursor, callId: call.id, at };
    this.#version = call.version;
    this.#ready.push({ __typename: 'CallSnapshot', ...place, call, recovered });
    if (call.status === 'ENDED') {
      this.#ready.push({ __typename: 'CallEnded', ...place, call });
      this.#finish();
      return;
    }
    const me = call.participants.find((p) => p.userId === this.userId);
    if (me?.joinSeq === this.joinSeq && me.sessionId === this.#sessionId) return;
    if (me) {
      this.#ready.push({
        __typename: 'ParticipantChanged',
        ...place,
        participant: me,
        version: call.version,
      });
    }
    this.#finish();
  }
}

/** `seen`: by the client. An origin that it has not seen proves nothing: what was before it is lost. */
async function isThere(feed: CallFeed, log: CallLog, place: Position, seen: boolean): Promise<boolean> {
  if (seen && feed.indexAfter(place) >= 0) return true;
  if (feed.mode !== 'live') return false;
  try {
    const [entry] = await log.read(feed.callId, place.seq, 1);
    if (entry?.seq !== place.seq || entry.token !== place.token) return false;
    return seen || entry.kind !== 'origin';
  } catch (error) {
    if (error instanceof LogUnavailable) return false;
    throw error;
  }
}

function degraded(callId: string, place: Position, at: number): CallEvent {
  return {
    __typename: 'SignalingDegraded',
    cursor: encodeCursor(place),
    callId,
    at,
    reason: 'Signals reach only participants on this instance until SignalingRestored.',
  };
}
