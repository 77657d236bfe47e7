import type { CallEvent } from '../graphql/services.ts';
import type { Signal } from '../signals/signal.ts';
import {
  type CallLog,
  CLIENT_SEQ_WINDOW,
  type Entry,
  type Head,
  LOG_LENGTH,
  LogUnavailable,
  type Position,
  type SeatHolder,
  type SignalDraft,
  type SignalOutcome,
  type SignalRecord,
  type StateRecord,
  sessionOf,
  traceOf,
} from './call-log.ts';
import { encodeCursor } from './cursor.ts';

/**
 * One call on this instance: the entries of its log that a stream here has not taken yet, in order and without a gap.
 * Entries come from Pub/Sub and, sooner, from this instance's own appends; whichever comes second is dropped by its
 * number, and a number that is missing is read from the log. What all streams have taken the log alone has: kept here
 * it would be most of what the garbage collector has to copy.
 *
 * While the log is out of reach the feed goes on by itself, with places of an epoch of its own: signals
 * between seats that are connected here, and changes of state as the database tells them.
 */

/** What a stream finds in a feed. */
export type FeedItem =
  | {
      readonly kind: 'entry';
      readonly entry: Entry;
      /** The entry's own, but for one of the log that is told within a local epoch. */
      readonly place: Position;
      /** Made once for all streams; null of a signal, which is for one of them as a rule. */
      readonly events: readonly CallEvent[] | null;
      /** Milliseconds since the epoch; 0 for an entry that is part of no trace. */
      readonly cameAt: number;
    }
  /** `place`: the first of the local epoch. */
  | { readonly kind: 'degraded'; readonly place: Position }
  /** `place`: from which the log goes on; all that the feed has told lies before it. */
  | { readonly kind: 'restored'; readonly place: Position; readonly recovered: boolean }
  | { readonly kind: 'hole'; readonly place: Position };

/** A stream, as its feed knows it. */
export interface FeedReader {
  readonly userId: string;
  readonly joinSeq: number;
  /** The index of the item that it takes next; infinite while it reads the log instead. */
  readonly index: number;
  /** There is a new item, the one that follows the newest. */
  wake(item: FeedItem): void;
  /** It fell behind by more than the feed keeps. */
  fellBehind(): void;
}

/** What a feed keeps for a stream to come. `index`: of the first item. */
export interface Hold {
  readonly index: number;
}

/** Items kept for streams that are behind; a stream further behind is closed and resumes. */
export const FEED_LENGTH = 256;
/** How long an entry may wait for the one before it until the log is read, milliseconds. */
const GAP_PATIENCE = 100;
/** Entries read from the log at once. */
export const READ_PAGE = 64;
/** Marks the places of the feed's own epoch; the log's tokens never begin with it. */
const LOCAL_MARK = '~';

/** Whether a place is of a feed's own epoch, and not of the log. */
export function isLocal(place: Position): boolean {
  return place.token.startsWith(LOCAL_MARK);
}

type Mode = 'starting' | 'live' | 'local' | 'closed';

const NOBODY: ReadonlyMap<string, SeatHolder> = new Map();

export class CallFeed {
  readonly callId: string;
  readonly #log: CallLog;
  readonly #readers = new Set<FeedReader>();
  readonly #holds = new Set<Hold>();
  #mode: Mode = 'starting';
  /** The newest entry of the log that is in the feed, or that it started after. */
  #logPosition: Position = { seq: 0, token: '' };
  /** The newest place given out: the log's, or the local epoch's. */
  #lastPlace: Position = { seq: 0, token: '' };
  #items: FeedItem[] = [];
  /** Index of the item that told of the newest local epoch. */
  #degradedAt = -1;
  /** Index of the first of `#items`. */
  #first = 0;
  /** Entries that came before the one that precedes them. */
  readonly #early = new Map<number, Entry>();
  #gapTimer: NodeJS.Timeout | undefined;
  #trimming: NodeJS.Immediate | undefined;
  #seats = new Map<string, SeatHolder>();
  /** As the log had them when it was lost. */
  #seatsAtLoss: ReadonlyMap<string, SeatHolder> = NOBODY;
  #version = 0;
  /** From which the log goes on, where it does not continue what the feed has; until the streams are told. */
  #newHead: Head | 'unknown' | null = null;
  /**
   * By sender and session, the clientSeqs that were taken in local epochs, of which the log never learns, and
   * those of the log that the feed had when the log was lost.
   */
  readonly #takenLocally = new Map<string, number[]>();
  /** By session, the clientSeqs of signals that were in the feed and are not any more, oldest first. */
  readonly #seen = new Map<string, number[]>();
  /** By session, the highest clientSeq that is behind it, as far as the feed has seen. */
  readonly #lastSeq = new Map<string, number>();
  /** Signals of which nobody knows whether the log has them: not to be taken locally too, nor overtaken. */
  readonly #inDoubt = new Map<string, SignalDraft>();
  /** Refused in the local epoch since their recipient is not here; each may come again. */
  readonly #refusedForNow = new Set<string>();
  #appending = 0;
  /** Taken in the local epoch, oldest first: for the log, once it is back. */
  #owed: SignalDraft[] = [];
  #work: Promise<void> = Promise.resolve();

  readonly #onError: (error: unknown) => void;

  constructor(callId: string, log: CallLog, onError: (error: unknown) => void) {
    this.callId = callId;
    this.#log = log;
    this.#onError = onError;
  }

  get mode(): Mode {
    return this.#mode;
  }
  get version(): number {
    return this.#version;
  }
  /** The newest place of the log that the feed has, for a replay to read up to. */
  get logPosition(): Position {
    return this.#logPosition;
  }
  /** The joinSeq of the seat that was taken first of those of now: the same on every instance. */
  get firstJoinSeq(): number | undefined {
    let first: number | undefined;
    for (const { joinSeq } of this.#seats.values()) if (joinSeq < (first ?? Infinity)) first = joinSeq;
    return first;
  }
  get lastPlace(): Position {
    return this.#lastPlace;
  }
  /** Index of the item that comes next. */
  get end(): number {
    return this.#first + this.#items.length;
  }

  /** From the log's head on. Whatever was offered before waits for it. */
  startAt(head: Position & { version: number; seats: ReadonlyMap<string, SeatHolder> }): void {
    this.#logPosition = { seq: head.seq, token: head.token };
    this.#lastPlace = this.#logPosition;
    this.#version = head.version;
    this.#seats = new Map(head.seats);
    this.#mode = 'live';
    this.#drain();
  }

  /** With the log out of reach from the start: from what the database knows. */
  startLocally(version: number, seats: ReadonlyMap<string, SeatHolder>): void {
    this.#version = version;
    this.#seats = new Map(seats);
    this.#lastPlace = { seq: 0, token: LOCAL_MARK };
    this.#mode = 'local';
  }

  addReader(reader: FeedReader): void {
    this.#readers.add(reader);
  }
  removeReader(reader: FeedReader): void {
    this.#readers.delete(reader);
  }
  /** Keeps the newest item and whatever comes, for a stream that can't be a reader yet. Given back with `letGo`. */
  hold(): Hold {
    const hold = { index: this.end - 1 };
    this.#holds.add(hold);
    return hold;
  }
  letGo(hold: Hold): void {
    this.#holds.delete(hold);
  }

  /** Undefined where the item is not there yet, null where it is there no more. */
  item(index: number): FeedItem | undefined | null {
    return index < this.#first ? null : this.#items[index - this.#first];
  }

  /**
   * The index after the item with this place; -1 where the feed does not have it. The newest one: where nothing came
   * in between, what tells that the log is back has the place of the entry before the outage.
   */
  indexAfter(place: Position): number {
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const { seq, token } = (this.#items[i] as FeedItem).place;
      if (seq === place.seq && token === place.token) return this.#first + i + 1;
    }
    return -1;
  }

  /** An entry of the log, from Pub/Sub or from an append of this instance. */
  offer(entry: Entry): void {
    if (this.#mode === 'closed' || entry.seq <= this.#logPosition.seq) return;
    if (this.#mode === 'live' && entry.seq === this.#logPosition.seq + 1) {
      this.#take(entry);
      if (this.#early.size > 0) this.#drain();
      return;
    }
    if (this.#early.size < FEED_LENGTH) this.#early.set(entry.seq, entry);
    if (this.#mode === 'live') this.#waitForGap();
  }

  #drain(): void {
    for (;;) {
      const entry = this.#early.get(this.#logPosition.seq + 1);
      if (!entry) break;
      this.#early.delete(entry.seq);
      this.#take(entry);
    }
    for (const seq of this.#early.keys()) if (seq <= this.#logPosition.seq) this.#early.delete(seq);
    if (this.#early.size > 0) this.#waitForGap();
    else {
      clearTimeout(this.#gapTimer);
      this.#gapTimer = undefined;
    }
  }

  #take(entry: Entry): void {
    this.#logPosition = { seq: entry.seq, token: entry.token };
    if (entry.kind === 'signal' && this.#inDoubt.size > 0) this.#inDoubt.delete(nameOf(entry.signal));
    // Told here while the log was away, which has it now from this instance, or from another one's stuck append.
    if (entry.kind === 'signal' && this.tookLocally(entry.signal)) return;
    this.#push(entry);
  }

  #push(entry: Entry): void {
    // Read from the log before the epoch's own signals are in it: whoever came back elsewhere with its place there
    // would get those a second time.
    const place = this.#mode === 'local' && !isLocal(entry) ? this.#localPlace() : entry;
    // First what may fail: an entry that can't be told has not been taken.
    const events = entry.kind === 'signal' ? null : eventsOf(this.callId, entry, place);
    this.#lastPlace = { seq: place.seq, token: place.token };
    if (entry.kind === 'state') this.#learn(entry.state);
    const cameAt = traceOf(entry) === undefined ? 0 : Date.now();
    this.#add({ kind: 'entry', entry, place, events, cameAt });
  }

  #learn(state: StateRecord): void {
    if (state.version <= this.#version) return;
    this.#version = state.version;
    for (const [userId, holder] of Object.entries(state.seats)) {
      if (holder) this.#seats.set(userId, holder);
      else this.#seats.delete(userId);
    }
  }

  #add(item: FeedItem): void {
    this.#items.push(item);
    for (const reader of this.#readers) reader.wake(item);
    if (this.#mode === 'live') this.#dropTaken();
    if (this.#items.length > FEED_LENGTH) this.#trimming ??= setImmediate(() => this.#trim());
  }

  /**
   * The newest stays: whoever has it can go on in an outage. So do places of an epoch, which the log does not know, and
   * all that came after them.
   */
  #dropTaken(): void {
    let taken = this.end - 1;
    for (const { index } of this.#readers) if (index < taken) taken = index;
    for (const { index } of this.#holds) if (index < taken) taken = index;
    while (this.#first < taken && !isLocal((this.#items[0] as FeedItem).place)) {
      this.#note(this.#items.shift() as FeedItem);
      this.#first++;
    }
  }

  /** After the turn of the event loop: a burst that came in one turn makes nobody slow who reads at once. */
  #trim(): void {
    this.#trimming = undefined;
    const surplus = this.#items.length - FEED_LENGTH;
    // Taken within the turn.
    if (surplus <= 0) return;
    for (const item of this.#items.splice(0, surplus)) this.#note(item);
    this.#first += surplus;
    for (const reader of this.#readers) if (reader.index < this.#first) reader.fellBehind();
  }

  // --- gaps ---

  /**
   * Somebody comes who has seen the entry with this number: the feed has to have it before the stream goes on. Were it
   * behind, a signal that its sender repeats in an outage would be new to it, and told a second time.
   */
  async reach(seq: number): Promise<void> {
    if (this.#mode === 'live' && seq > this.#logPosition.seq) await this.#later(() => this.#catchUp());
  }

  /** The missing entry is on its way, or was lost with a connection: then the log has it. */
  #waitForGap(): void {
    this.#gapTimer ??= setTimeout(() => {
      this.#gapTimer = undefined;
      if (this.#mode === 'live') void this.#later(() => this.#catchUp());
    }, GAP_PATIENCE);
  }

  /** One after another; never rejects. */
  #later(work: () => Promise<unknown>): Promise<void> {
    this.#work = this.#work.then(async () => {
      if (this.#mode === 'closed') return;
      try {
        await work();
      } catch (error) {
        // That the log is out of reach its health says, and mends.
        if (!(error instanceof LogUnavailable)) this.#onError(error);
        if (this.#mode === 'live' && this.#early.size > 0) this.#waitForGap();
      }
    });
    return this.#work;
  }

  /** Reads what is missing, or where the log does not continue what the feed has, starts over: a hole. */
  async #catchUp(): Promise<void> {
    for (;;) {
      // A head that nobody was told of goes out of date.
      if (this.#newHead) return this.#startOver();
      const from = this.#logPosition;
      const page = await this.#log.read(this.callId, from.seq, READ_PAGE);
      if (this.isClosed()) return;
      const own = page[0];
      if (own?.seq !== from.seq || own.token !== from.token) return this.#startOver();
      for (const entry of page.slice(1)) {
        if (entry.seq === this.#logPosition.seq + 1) this.#take(entry);
      }
      if (this.#mode === 'live') this.#drain();
      if (page.length < READ_PAGE) return;
    }
  }

  /**
   * The log is another one now, or no longer reaches back: from its head on, and every stream is told. In a local
   * epoch only when the epoch is over: until then the feed knows what it has told, and not what the head has.
   */
  async #startOver(): Promise<void> {
    // Of the log that was. What comes from now on is in the head that is asked for, or after it.
    this.#early.clear();
    this.#newHead = 'unknown';
    const head = await this.#log.head(this.callId);
    if (this.isClosed()) return;
    if (head) this.#newHead = head;
    if (this.#mode !== 'live') {
      // Lost once more: there is nothing yet to go back to.
      if (!head) throw new LogUnavailable('The log is not there any more');
      return;
    }
    this.#takeNewHead();
    this.#add({ kind: 'hole', place: this.#lastPlace });
    this.#drain();
  }

  /** Whether there was one to go on from. */
  #takeNewHead(): boolean {
    const head = this.#newHead;
    this.#newHead = null;
    if (head === null || head === 'unknown') return false;
    this.#logPosition = { seq: head.seq, token: head.token };
    this.#lastPlace = this.#logPosition;
    this.#version = Math.max(this.#version, head.version);
    this.#seats = new Map(head.seats);
    return true;
  }

  isClosed(): boolean {
    return this.#mode === 'closed';
  }

  // --- while the log is out of reach ---

  degrade(): void {
    if (this.#mode !== 'live') return;
    this.#mode = 'local';
    this.#seatsAtLoss = new Map(this.#seats);
    for (const item of this.#items) this.#note(item);
    for (const [session, seen] of this.#seen) {
      // Of an outage before this one: a second time it would push an older one out of what is remembered.
      const known = new Set([...(this.#takenLocally.get(session) ?? []), ...seen]);
      this.#takenLocally.set(session, [...known].slice(-CLIENT_SEQ_WINDOW));
    }
    this.#seen.clear();
    // A place of the epoch: whoever comes back with the log's would be taken for one who has all of the epoch.
    this.#lastPlace = this.#localPlace();
    this.#degradedAt = this.end;
    this.#add({ kind: 'degraded', place: this.#lastPlace });
  }

  /** The log is back. `createLog`: makes it anew where it was lost; false where the call is over. */
  restore(createLog: () => Promise<boolean>): Promise<void> {
    return this.#later(async () => {
      if (this.#mode !== 'local') return;
      const head = await this.#log.head(this.callId);
      if (!head && !(await createLog())) {
        this.#owed = [];
        return;
      }
      await this.#catchUp();
      // Read again, so that the place from which the log goes on lies behind what this instance has told already.
      while (this.#owed.length > 0 && this.#mode === 'local') {
        await this.#appendOwed();
        await this.#catchUp();
      }
      if (this.#mode !== 'local') return;
      this.#mode = 'live';
      // From here on the log itself is asked.
      this.#inDoubt.clear();
      this.#refusedForNow.clear();
      const recovered = !this.#takeNewHead();
      this.#lastPlace = this.#logPosition;
      this.#add({ kind: 'restored', place: this.#logPosition, recovered });
      this.#drain();
    });
  }

  /** Somebody may come back elsewhere who did not get it here: there the log has it for them. */
  async #appendOwed(): Promise<void> {
    while (this.#owed.length > 0) {
      // Refused where the sender or the recipient has no seat any more: nobody waits for it then.
      await this.#log.appendSignal(this.callId, this.#owed[0] as SignalDraft);
      this.#owed.shift();
    }
  }

  #owe(draft: SignalDraft): void {
    this.#owed.push(draft);
    if (this.#owed.length > LOG_LENGTH) this.#owed.shift();
  }

  /** Whether there are signals of the session that the log does not have yet: another one would overtake them. */
  owesOf(draft: SignalDraft): boolean {
    if (this.#owed.length === 0) return false;
    const session = sessionOf(draft);
    return this.#owed.some((owed) => sessionOf(owed) === session);
  }

  /** Whether it has taken signals that the log does not have yet. */
  get owes(): boolean {
    return this.#owed.length > 0;
  }

  /** Whether the seat was taken while the log is out of reach: what the feed reads of it first is older then. */
  isNewToLog(userId: string, joinSeq: number): boolean {
    return this.#mode === 'local' && this.#seatsAtLoss.get(userId)?.joinSeq !== joinSeq;
  }

  /** A change of state as the database tells it, while the log does not. */
  applyState(state: StateRecord): void {
    if (this.#mode !== 'local' || state.version <= this.#version) return;
    this.#push({ ...this.#localPlace(), at: state.at, kind: 'state', state });
  }

  /** As the log does it, and only for seats that are connected here; null where one of them is not. */
  appendLocally(draft: SignalDraft, now: number): SignalOutcome | null {
    if (this.#mode !== 'local') return null;
    const sender = this.#seats.get(draft.from);
    if (!sender) return { outcome: 'refused', why: 'NO_SEAT' };
    if (sender.sessionId !== draft.sessionId) return { outcome: 'refused', why: 'STALE_SESSION' };
    const others = [...this.#seats].filter(([userId]) => userId !== draft.from);
    const recipient = draft.to === null ? null : this.#seats.get(draft.to);
    const wrongTenure = draft.toJoinSeq !== null && recipient?.joinSeq !== draft.toJoinSeq;
    if (others.length === 0 || recipient === undefined || (recipient && wrongTenure)) {
      return { outcome: 'refused', why: 'NO_RECIPIENT' };
    }
    if (draft.to === null && others.length > 1 && draft.signal.__typename !== 'Renegotiate') {
      return { outcome: 'refused', why: 'AMBIGUOUS' };
    }
    const wanted = draft.to === null ? others : others.filter(([userId]) => userId === draft.to);
    if (this.tookLocally(draft)) return { outcome: 'duplicate', at: now };
    if (this.#inDoubt.has(nameOf(draft)) || this.#isOvertaking(draft)) return null;
    // One before it was sent by way of another instance; and an older one the log may have, which nobody can say now.
    if (!this.#isNext(draft)) return null;
    if (!wanted.every(([userId, { joinSeq }]) => this.#isConnectedHere(userId, joinSeq))) {
      // It holds up none of those to others.
      this.#refusedForNow.add(nameOf(draft));
      this.#account(draft);
      return null;
    }
    this.#refusedForNow.delete(nameOf(draft));
    this.#rememberTaken(draft);
    this.#account(draft);
    // To the seat of now: one that is taken later may not get it. To several goes `renegotiate` alone, which is no
    // use to those who come back: their links start over anyway.
    const [only, ...more] = wanted;
    if (only && more.length === 0) this.#owe({ ...draft, to: only[0], toJoinSeq: only[1].joinSeq });
    const entry = {
      ...this.#localPlace(),
      at: now,
      kind: 'signal' as const,
      signal: {
        from: draft.from,
        fromJoinSeq: sender.joinSeq,
        to: draft.to,
        toJoinSeq: recipient?.joinSeq ?? null,
        sessionId: draft.sessionId,
        clientSeq: draft.clientSeq,
        kind: draft.signal.__typename,
        json: JSON.stringify(draft.signal),
      },
    };
    this.#push(entry);
    return { outcome: 'appended', entry };
  }

  /** What the log took, or may have taken, of the session before, and what can't be told yet. */
  #isOvertaking(draft: SignalDraft): boolean {
    if (this.#appending > 0) return true;
    for (const other of this.#inDoubt.values()) {
      const meet = other.to === draft.to || other.to === null || draft.to === null;
      if (meet && sessionOf(other) === sessionOf(draft)) return true;
    }
    for (const entry of this.#early.values()) {
      if (entry.kind === 'signal' && sessionOf(entry.signal) === sessionOf(draft)) return true;
    }
    return false;
  }

  #isNext(draft: SignalDraft): boolean {
    const last = this.#lastSeq.get(sessionOf(draft));
    // Where the feed has nothing of the log, its streams have been told of a hole, and nothing older will come.
    if (last === undefined && this.#logPosition.token === '') return true;
    return draft.clientSeq === (last ?? 0) + 1 || this.#refusedForNow.has(nameOf(draft));
  }

  #account(signal: Pick<SignalDraft, 'from' | 'sessionId' | 'clientSeq'>): void {
    this.#accountFor(sessionOf(signal), signal.clientSeq);
  }

  #accountFor(session: string, clientSeq: number): void {
    this.#lastSeq.set(session, Math.max(this.#lastSeq.get(session) ?? 0, clientSeq));
  }

  /** What an outage needs to know of an item that goes. */
  #note(item: FeedItem): void {
    if (item.kind !== 'entry' || item.entry.kind !== 'signal') return;
    const { signal } = item.entry;
    const session = sessionOf(signal);
    this.#accountFor(session, signal.clientSeq);
    const seen = this.#seen.get(session);
    if (seen === undefined) this.#seen.set(session, [signal.clientSeq]);
    else if (seen.push(signal.clientSeq) > 2 * CLIENT_SEQ_WINDOW) seen.splice(0, CLIENT_SEQ_WINDOW);
  }

  /** It was refused for good: its sender goes on with the next one. */
  refused(draft: SignalDraft): void {
    // Others make up sessions as they like, and none of theirs is ever taken.
    if (this.#seats.get(draft.from)?.sessionId === draft.sessionId) this.#account(draft);
  }

  #rememberTaken(signal: Pick<SignalDraft, 'from' | 'sessionId' | 'clientSeq'>): void {
    const taken = this.#takenLocally.get(sessionOf(signal)) ?? [];
    this.#takenLocally.set(sessionOf(signal), [...taken.slice(1 - CLIENT_SEQ_WINDOW), signal.clientSeq]);
  }

  /** Whether an outage's epoch took it: a repeat is a duplicate, though the log does not know. */
  tookLocally(signal: Pick<SignalDraft, 'from' | 'sessionId' | 'clientSeq'>): boolean {
    if (this.#takenLocally.size === 0) return false;
    return this.#takenLocally.get(sessionOf(signal))?.includes(signal.clientSeq) ?? false;
  }

  /** An append of this instance is on its way, until `appendEnds`. */
  appendBegins(): void {
    this.#appending++;
  }
  appendEnds(): void {
    this.#appending--;
  }

  /** The log did not answer for it. */
  doubt(draft: SignalDraft): void {
    this.#inDoubt.set(nameOf(draft), draft);
    this.#account(draft);
  }

  /** One who does not know of the epoch yet would not miss what it lost of it. */
  #isConnectedHere(userId: string, joinSeq: number): boolean {
    for (const { userId: user, joinSeq: tenure, index } of this.#readers) {
      const knows = index > this.#degradedAt && index !== Number.POSITIVE_INFINITY;
      if (user === userId && tenure === joinSeq && knows) return true;
    }
    return false;
  }

  #localPlace(): Position {
    return { seq: this.#lastPlace.seq + 1, token: `${LOCAL_MARK}${crypto.randomUUID().slice(0, 8)}` };
  }

  close(): void {
    this.#mode = 'closed';
    clearTimeout(this.#gapTimer);
    clearImmediate(this.#trimming);
    this.#early.clear();
    this.#owed = [];
  }
}

function nameOf(draft: Pick<SignalDraft, 'from' | 'sessionId' | 'clientSeq'>): string {
  return `${draft.clientSeq}:${sessionOf(draft)}`;
}

/** A signal as its recipient sees it. Few ask for more of it than its JSON. */
class ReceivedSignal implements Extract<CallEvent, { __typename: 'SignalReceived' }> {
  readonly __typename = 'SignalReceived';
  readonly cursor: string;
  readonly callId: string;
  readonly at: number;
  readonly from: string;
  readonly fromJoinSeq: number;
  readonly to: string | null;
  readonly signalJson: string;

  constructor(callId: string, entry: Entry, place: Position, { from, fromJoinSeq, to, json }: SignalRecord) {
    this.cursor = encodeCursor(place);
    this.callId = callId;
    this.at = entry.at;
    this.from = from;
    this.fromJoinSeq = fromJoinSeq;
    this.to = to;
    this.signalJson = json;
  }

  get signal(): Signal {
    return JSON.parse(this.signalJson) as Signal;
  }
}

/** An entry as participants see it, at this place. */
export function eventsOf(callId: string, entry: Entry, place: Position): readonly CallEvent[] {
  if (entry.kind === 'origin') return [];
  if (entry.kind === 'signal') return [new ReceivedSignal(callId, entry, place, entry.signal)];
  const common = { cursor: encodeCursor(place), callId, at: entry.at };
  return entry.state.events.map((event) => ({ ...event, ...common }));
}
