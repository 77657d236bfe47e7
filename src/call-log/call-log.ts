import type { StateEvent } from '../calls/call-view.ts';
import type { Signal } from '../signals/signal.ts';

/**
 * The port of the call log: one totally ordered, bounded log for each call, in which changes of state and
 * signals stand as participants see them. `memory.ts` and `redis.ts` implement it; one contract test
 * holds both to it.
 *
 * Entries are numbered without a gap, so whoever reads knows when one is missing. A log's first number is
 * taken from the clock (microseconds), so that a log made anew after a loss of data continues in another
 * range. Each entry has a random token of its own: number and token together prove that an entry is the
 * one that was seen, and not another that took its number after a failover.
 */

/** A place in a call's log: the entry's number and its random token. */
export interface Position {
  readonly seq: number;
  readonly token: string;
}

/** Who holds a user's seat. */
export interface SeatHolder {
  readonly joinSeq: number;
  readonly sessionId: string;
}

/** A change of state, written in the database's transaction under the call's `version`. */
export interface StateRecord {
  readonly version: number;
  /** Milliseconds since the epoch, the database's time. */
  readonly at: number;
  readonly events: readonly StateEvent[];
  /** By user: the new holder of a seat, or null where the seat is given up. Users not named keep theirs. */
  readonly seats: Readonly<Record<string, SeatHolder | null>>;
  /** Last of its log: the log is kept for a while and then goes. */
  readonly ended: boolean;
  /** The span that appended it, as `traceparent` (W3C Trace Context), where it is part of a trace. */
  readonly trace?: string;
}

/** A signal as the log keeps it. */
export interface SignalRecord {
  readonly from: string;
  readonly fromJoinSeq: number;
  readonly to: string | null;
  /** The tenure that `to` had when the log took it; null where `to` is. */
  readonly toJoinSeq: number | null;
  /** The sender's session and its count, by which a repeat is known. */
  readonly sessionId: string;
  readonly clientSeq: number;
  readonly kind: Signal['__typename'];
  /** The signal. It is passed on as it is, and takes less room so. */
  readonly json: string;
  /** As in StateRecord. */
  readonly trace?: string;
}

export type Entry = Position & { /** Milliseconds since the epoch. */ readonly at: number } & (
    | { readonly kind: 'state'; readonly state: StateRecord }
    | { readonly kind: 'signal'; readonly signal: SignalRecord }
    /** First entry of a log that was made anew in mid-call: what went before it is lost. */
    | { readonly kind: 'origin' }
  );

/** The span that appended an entry. */
export function traceOf(entry: Entry): string | undefined {
  if (entry.kind === 'signal') return entry.signal.trace;
  return entry.kind === 'state' ? entry.state.trace : undefined;
}

/** A log made from what the database knows, after a loss of data. */
export interface Origin {
  readonly version: number;
  readonly seats: Readonly<Record<string, SeatHolder>>;
}

export interface Head extends Position {
  /** Version of the newest change of state in the log. */
  readonly version: number;
  /** The seats of now, each with the place of the entry that gave it. */
  readonly seats: ReadonlyMap<string, SeatHolder & { readonly since: Position }>;
}

export type StateOutcome =
  | { readonly outcome: 'appended'; readonly position: Position }
  /** The log has this version already. */
  | { readonly outcome: 'known' }
  /** The log's newest version is `version`; those in between have to come first. */
  | { readonly outcome: 'gap'; readonly version: number }
  /** There is no log and this is not version 1: `create` it first. */
  | { readonly outcome: 'absent' };

export interface SignalDraft {
  readonly from: string;
  readonly sessionId: string;
  /** Null: to every other seat. */
  readonly to: string | null;
  /** The tenure of `to` as the sender knows it; null: whichever it is. */
  readonly toJoinSeq: number | null;
  /** The session's own count, from 1. */
  readonly clientSeq: number;
  readonly signal: Signal;
  /** As in StateRecord. */
  readonly trace?: string;
}

/**
 * Names the session whose `clientSeq`s are counted. The user is part of it: everyone in a call sees the others'
 * session ids, and nobody may count on another's behalf. The length tells where the user ends.
 */
export function sessionOf({ from, sessionId }: Pick<SignalDraft, 'from' | 'sessionId'>): string {
  return `${from.length}:${from}:${sessionId}`;
}

export type SignalRefusal =
  /** `from` has no seat. */
  | 'NO_SEAT'
  /** Another session holds the seat of `from`. */
  | 'STALE_SESSION'
  /** `to` has no seat, or another joinSeq than `toJoinSeq`; or there is nobody else in the call. */
  | 'NO_RECIPIENT'
  /** No `to` on anything but `renegotiate`, and more than one other seat. */
  | 'AMBIGUOUS'
  /** `clientSeq` is below the window of those remembered. */
  | 'TOO_OLD'
  /** There is no log. */
  | 'ABSENT';

export type SignalOutcome =
  | { readonly outcome: 'appended'; readonly entry: Entry & { readonly kind: 'signal' } }
  | { readonly outcome: 'duplicate'; readonly at: number }
  | { readonly outcome: 'refused'; readonly why: SignalRefusal };

/** The log can't be reached, or did not answer in time: whether it took the entry is unknown. */
export class LogUnavailable extends Error {
  override readonly name = 'LogUnavailable';
}

export interface CallLog {
  /** Appends and publishes in one atomic step. `expiresAt`: when an abandoned log may go (epoch ms). */
  appendState(callId: string, record: StateRecord, expiresAt: number): Promise<StateOutcome>;
  /**
   * Checks the sender's and the recipient's seat and the `clientSeq`, appends and publishes in one atomic
   * step. Issued before it returns: two calls in a row append in that order.
   */
  appendSignal(callId: string, draft: SignalDraft): Promise<SignalOutcome>;
  /** Makes a log with an 'origin' entry where there is none; where there is one, changes nothing. */
  create(callId: string, origin: Origin, expiresAt: number): Promise<void>;
  /** Null where there is no log. */
  head(callId: string): Promise<Head | null>;
  /** The entries with a number of `fromSeq` or more, oldest first, at most `limit`. */
  read(callId: string, fromSeq: number, limit: number): Promise<Entry[]>;
  /**
   * Hears every entry appended from now on, in order; resolves once that is certain. Of a signal that is appended
   * through this very log it need not hear: the append tells of it. After a loss of connection entries may be
   * missing: `onHealth` says so. `undo` never rejects.
   */
  subscribe(callId: string, listener: (entry: Entry) => void): Promise<() => Promise<void>>;
  /** 'down' as soon as the log is known to be out of reach, 'up' when it and all subscriptions are back. */
  onHealth(listener: (health: 'up' | 'down') => void): () => void;
  health(): 'up' | 'down';
  close(): Promise<void>;
}

/** Signals of a session whose `clientSeq` is remembered. */
export const CLIENT_SEQ_WINDOW = 256;
/** Entries a log keeps at most. */
export const LOG_LENGTH = 500;
/** Milliseconds that a log is kept after its call's end. */
export const LOG_KEPT_AFTER_END = 60_000;
/** Milliseconds past `expiresAt` after which a log goes that nobody ended. */
export const LOG_KEPT_PAST_EXPIRY = 3_600_000;
