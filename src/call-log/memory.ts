import {
  type CallLog,
  CLIENT_SEQ_WINDOW,
  type Entry,
  type Head,
  LOG_KEPT_AFTER_END,
  LOG_KEPT_PAST_EXPIRY,
  LOG_LENGTH,
  type Origin,
  type Position,
  type SeatHolder,
  type SignalDraft,
  type SignalOutcome,
  type SignalRecord,
  type StateOutcome,
  type StateRecord,
  sessionOf,
} from './call-log.ts';
import { randomTokens } from './tokens.ts';
import { Topics } from './topics.ts';

/** The signals of a session that were taken. */
interface Seen {
  max: number;
  /** When each was taken, by clientSeq. */
  readonly at: Map<number, number>;
}

interface Log {
  seq: number;
  version: number;
  readonly entries: Entry[];
  readonly seats: Map<string, SeatHolder & { readonly since: Position }>;
  readonly seen: Map<string, Seen>;
  /** Milliseconds since the epoch. */
  keptUntil: number;
}

/** When the log may go, milliseconds since the epoch. */
function keptUntil(now: number, expiresAt: number, ended: boolean): number {
  const soonest = now + LOG_KEPT_AFTER_END;
  return ended ? soonest : Math.max(soonest, expiresAt + LOG_KEPT_PAST_EXPIRY);
}

/**
 * The call log of a deployment of one instance, without Redis; and the model that the Redis one is held to.
 * Each operation is done when it returns: there is no await in it.
 */
export class MemoryCallLog implements CallLog {
  readonly #now: () => number;
  readonly #token = randomTokens();
  readonly #logs = new Map<string, Log>();
  readonly #topics = new Topics<Entry>();
  #sweptAt: number;

  /** `now`: milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
    this.#sweptAt = now();
  }

  async appendState(callId: string, record: StateRecord, expiresAt: number): Promise<StateOutcome> {
    let log = this.#find(callId);
    if (log === null) {
      if (record.version !== 1) return { outcome: 'absent' };
      log = this.#open(callId);
    } else {
      if (record.version <= log.version) return { outcome: 'known' };
      if (record.version > log.version + 1) return { outcome: 'gap', version: log.version };
    }
    const position = this.#next(log);
    log.version = record.version;
    this.#seat(log, position, record.seats);
    log.keptUntil = keptUntil(this.#now(), expiresAt, record.ended);
    this.#add(callId, log, { ...position, at: record.at, kind: 'state', state: record });
    return { outcome: 'appended', position };
  }

  async appendSignal(callId: string, draft: SignalDraft): Promise<SignalOutcome> {
    const log = this.#find(callId);
    if (log === null) return { outcome: 'refused', why: 'ABSENT' };
    const sender = log.seats.get(draft.from);
    if (sender === undefined) return { outcome: 'refused', why: 'NO_SEAT' };
    if (sender.sessionId !== draft.sessionId) return { outcome: 'refused', why: 'STALE_SESSION' };

    const session = sessionOf(draft);
    const seen = log.seen.get(session) ?? { max: 0, at: new Map<number, number>() };
    if (draft.clientSeq <= seen.max - CLIENT_SEQ_WINDOW) return { outcome: 'refused', why: 'TOO_OLD' };
    const takenAt = seen.at.get(draft.clientSeq);
    if (takenAt !== undefined) return { outcome: 'duplicate', at: takenAt };

    let toJoinSeq: number | null = null;
    if (draft.to === null) {
      const others = log.seats.size - 1;
      if (others === 0) return { outcome: 'refused', why: 'NO_RECIPIENT' };
      if (others > 1 && draft.signal.__typename !== 'Renegotiate') {
        return { outcome: 'refused', why: 'AMBIGUOUS' };
      }
    } else {
      const recipient = draft.to === draft.from ? undefined : log.seats.get(draft.to);
      if (recipient === undefined || (draft.toJoinSeq ?? recipient.joinSeq) !== recipient.joinSeq) {
        return { outcome: 'refused', why: 'NO_RECIPIENT' };
      }
      toJoinSeq = recipient.joinSeq;
    }

    const at = this.#now();
    seen.max = Math.max(seen.max, draft.clientSeq);
    seen.at.set(draft.clientSeq, at);
    if (seen.at.size > CLIENT_SEQ_WINDOW) {
      for (const clientSeq of seen.at.keys()) {
        if (clientSeq <= seen.max - CLIENT_SEQ_WINDOW) seen.at.delete(clientSeq);
      }
    }
    log.seen.set(session, seen);
    const signal: SignalRecord = {
      from: draft.from,
      fromJoinSeq: sender.joinSeq,
      to: draft.to,
      toJoinSeq,
      sessionId: draft.sessionId,
      clientSeq: draft.clientSeq,
      kind: draft.signal.__typename,
      json: JSON.stringify(draft.signal),
      ...(draft.trace !== undefined && { trace: draft.trace }),
    };
    const entry = { ...this.#next(log), at, kind: 'signal' as const, signal };
    this.#add(callId, log, entry);
    return { outcome: 'appended', entry };
  }

  async create(callId: string, origin: Origin, expiresAt: number): Promise<void> {
    if (this.#find(callId) !== null) return;
    const log = this.#open(callId);
    const position = this.#next(log);
    log.version = origin.version;
    this.#seat(log, position, origin.seats);
    log.keptUntil = keptUntil(this.#now(), expiresAt, false);
    this.#add(callId, log, { ...position, at: this.#now(), kind: 'origin' });
  }

  async head(callId: string): Promise<Head | null> {
    const log = this.#find(callId);
    if (log === null) return null;
    const { seq, token } = log.entries.at(-1)!;
    return { seq, token, version: log.version, seats: new Map(log.seats) };
  }

  async read(callId: string, fromSeq: number, limit: number): Promise<Entry[]> {
    const log = this.#find(callId);
    if (log === null) return [];
    const start = Math.max(0, fromSeq - log.entries[0]!.seq);
    return log.entries.slice(start, start + limit);
  }

  async subscribe(callId: string, listener: (entry: Entry) => void): Promise<() => Promise<void>> {
    return this.#topics.subscribe(callId, listener);
  }

  onHealth(): () => void {
    return () => {};
  }

  health(): 'up' {
    return 'up';
  }

  async close(): Promise<void> {
    this.#topics.clear();
    this.#logs.clear();
  }

  #find(callId: string): Log | null {
    const log = this.#logs.get(callId);
    return log === undefined || log.keptUntil <= this.#now() ? null : log;
  }

  #open(callId: string): Log {
    const now = this.#now();
    // Logs of ended calls go while new calls come: no timer of its own, and none is kept for ever.
    if (now - this.#sweptAt >= LOG_KEPT_AFTER_END) {
      for (const [id, log] of this.#logs) if (log.keptUntil <= now) this.#logs.delete(id);
      this.#sweptAt = now;
    }
    const log = {
      seq: now * 1000 - 1,
      version: 0,
      entries: [],
      seats: new Map(),
      seen: new Map(),
      keptUntil: Infinity,
    };
    this.#logs.set(callId, log);
    return log;
  }

  #next(log: Log): Position {
    log.seq++;
    return { seq: log.seq, token: this.#token() };
  }

  #seat(log: Log, since: Position, seats: StateRecord['seats']): void {
    for (const [userId, holder] of Object.entries(seats)) {
      if (holder === null) log.seats.delete(userId);
      else log.seats.set(userId, { joinSeq: holder.joinSeq, sessionId: holder.sessionId, since });
    }
  }

  #add(callId: string, log: Log, entry: Entry): void {
    log.entries.push(entry);
    if (log.entries.length > LOG_LENGTH) log.entries.shift();
    this.#topics.publish(callId, entry);
  }
}
