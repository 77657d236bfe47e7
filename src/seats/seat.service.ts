import { v4 as uuid } from 'uuid';
import type { Viewer } from '../auth/viewer.ts';
import { type CallLog, type Entry, LogUnavailable, type Position } from '../call-log/call-log.ts';
import type { Channels } from '../call-log/channels.ts';
import { decodeCursor, encodeCursor, NO_PLACE } from '../call-log/cursor.ts';
import type { Feeds } from '../call-log/feeds.ts';
import { CallStream } from '../call-log/stream.ts';
import { type Db, readCall } from '../calls/call.repository.ts';
import { find } from '../calls/call.ts';
import { actorFor, type CallUnit } from '../calls/call-unit.ts';
import { viewOf } from '../calls/changes.ts';
import { CodedError, isRejection } from '../errors.ts';
import type { CallEvent, SocketLink } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import type { Logger } from '../observability/logger.ts';
import type { CallOnThisInstance, Metrics } from '../observability/metrics.ts';
import { type StreamRef, streamLost, streamOpened, streamReclaimed } from './seat-rules.ts';

/** Seats and the streams that hold them, on this instance. */

export interface SeatServiceDeps {
  readonly db: Db;
  readonly unit: CallUnit;
  readonly log: CallLog;
  readonly channels: Channels;
  readonly feeds: Feeds;
  readonly metrics: Metrics;
  readonly logger: Pick<Logger, 'debug'>;
  /** Of each entry that a stream hands over. */
  readonly onDelivered: (callId: string, userId: string, entry: Entry, cameAt: number) => void;
  readonly instanceId: string;
  /** Brings about, in the background, what could not be done at once. */
  readonly untilDone: (what: string, work: () => Promise<void>, onFailure?: () => void) => void;
}

/** Seats that are reclaimed at once: it has to be over within the grace, and must not fill the pool. */
const RECLAIM_SIDE_BY_SIDE = 4;

/** A stream that runs here. */
interface Held {
  readonly callId: string;
  readonly viewer: Viewer;
  readonly sessionId: string;
  readonly stream: CallStream;
  readonly socket: SocketLink;
}

export class SeatService {
  readonly #deps: SeatServiceDeps;
  readonly #held = new Map<string, Held>();
  /** Streams that are on their way to #held, and were not overtaken by a newer one of their session. */
  readonly #opening = new Set<string>();

  constructor(deps: SeatServiceDeps) {
    this.#deps = deps;
  }

  /** Hears from the other instances of streams whose session has a newer one there. */
  async listen(): Promise<void> {
    const { channels, instanceId } = this.#deps;
    let heard = false;
    const subscribe = async () => {
      if (heard) return;
      heard = true;
      try {
        await channels.subscribe(channelOf(instanceId), (streamId) => this.#end(streamId));
      } catch (error) {
        heard = false;
        if (!(error instanceof LogUnavailable)) throw error;
      }
    };
    channels.onHealth((health) => {
      if (health === 'up') void subscribe();
    });
    await subscribe();
  }

  /** The calls that have a stream here, for the metrics. */
  *calls(): Generator<CallOnThisInstance> {
    const byCall = new Map<string, { joinSeqs: Set<number>; sockets: Set<SocketLink> }>();
    for (const { callId, stream, socket } of this.#held.values()) {
      const call = byCall.get(callId) ?? { joinSeqs: new Set(), sockets: new Set() };
      call.joinSeqs.add(stream.joinSeq);
      call.sockets.add(socket);
      byCall.set(callId, call);
    }
    for (const [callId, { joinSeqs, sockets }] of byCall) {
      const first = this.#deps.feeds.get(callId)?.firstJoinSeq;
      const counted = first !== undefined && joinSeqs.has(first);
      yield { callId, seats: joinSeqs.size, sockets: sockets.size, counted };
    }
  }

  async open(
    viewer: Viewer,
    args: { callId: string; sessionId: string; after: string | null },
    socket: SocketLink | null,
  ): Promise<AsyncIterableIterator<CallEvent>> {
    const { callId, sessionId } = args;
    if (!socket) {
      throw new CodedError(
        'BAD_USER_INPUT',
        'callEvents holds a seat, and needs a WebSocket (graphql-transport-ws); incomingCalls works over both.',
      );
    }
    const after = args.after === null ? null : decodeCursor(args.after);
    if (args.after !== null && !after) {
      throw new CodedError('BAD_USER_INPUT', 'after: is not a cursor of this call.', 'after');
    }
    if (!isCallId(callId)) throw new CodedError('CALL_NOT_FOUND', 'There is no such call for you.');
    const streamId = uuid();
    this.#opening.add(streamId);
    try {
      return await this.#open(viewer, { callId, sessionId, streamId, after }, socket);
    } finally {
      this.#opening.delete(streamId);
    }
  }

  async #open(
    viewer: Viewer,
    args: { callId: string; sessionId: string; streamId: string; after: Position | null },
    socket: SocketLink,
  ): Promise<AsyncIterableIterator<CallEvent>> {
    const { callId, sessionId, streamId } = args;
    let refused = true;
    try {
      const joinSeq = await this.#takeSeat(callId, viewer, sessionId, streamId);
      if (joinSeq === null) return this.#lastWord(callId);
      refused = false;
      return await this.#start(viewer, { ...args, joinSeq }, socket);
    } catch (error) {
      // Unless a rule said no, the seat may have been given to a stream that is not there.
      if (!refused || !(error instanceof CodedError)) this.#lost(callId, viewer.userId, streamId);
      throw error;
    }
  }

  #end(streamId: string): void {
    if (!this.#opening.delete(streamId)) void this.#held.get(streamId)?.stream.return();
  }

  /** Null for a call that is over, for one who was in it; otherwise the seat's joinSeq. */
  async #takeSeat(
    callId: string,
    viewer: Viewer,
    sessionId: string,
    streamId: string,
  ): Promise<number | null> {
    const { unit, instanceId } = this.#deps;
    let older: StreamRef | null = null;
    const done = await unit.change(callId, async (draft, tx) => {
      const me = find(draft.call, viewer.userId);
      const seat = me?.seat;
      older =
        seat?.streamId && seat.instanceId ? { streamId: seat.streamId, instanceId: seat.instanceId } : null;
      if (draft.call.status === 'ENDED' && me?.joinedAt != null) return null;
      const actor = await actorFor(tx, draft.call, viewer.userId);
      const refused = streamOpened(draft, actor, sessionId, { streamId, instanceId });
      return refused ?? (find(draft.call, viewer.userId)?.seat?.joinSeq as number);
    });
    if (isRejection(done)) throw new CodedError(done.code, done.message);
    if (older) this.#endOlder(older, streamId);
    return done.value;
  }

  /** The session's newest stream wins; an older one has nothing to wait for, wherever it is. */
  #endOlder(older: StreamRef, newer: string): void {
    const { channels, instanceId } = this.#deps;
    if (older.streamId === newer) return;
    if (older.instanceId === instanceId) this.#end(older.streamId);
    // It is fenced off already: one that is not told goes on until its socket does, and changes nothing.
    else channels.publish(channelOf(older.instanceId), older.streamId).catch(() => {});
  }

  async #start(
    viewer: Viewer,
    seat: { callId: string; sessionId: string; streamId: string; joinSeq: number; after: Position | null },
    socket: SocketLink,
  ): Promise<CallStream> {
    const { feeds, log, logger, onDelivered } = this.#deps;
    const { callId, sessionId, streamId, joinSeq } = seat;
    const { userId } = viewer;
    const feed = await feeds.acquire(callId);
    try {
      const since = feed.mode === 'live' ? await seatedSince(log, callId, viewer.userId, joinSeq) : null;
      const stream = await CallStream.open({ userId: viewer.userId, sessionId, joinSeq }, since, seat.after, {
        log,
        feed,
        socket,
        snapshot: () => this.#snapshot(callId),
        onDelivered: (entry, cameAt) => onDelivered(callId, userId, entry, cameAt),
        onClose: (seatGone) => {
          logger.debug({ callId, userId, sessionId, streamId, seatGone }, 'A stream of a call ended');
          this.#held.delete(streamId);
          feeds.release(feed);
          if (!seatGone) this.#lost(callId, viewer.userId, streamId);
        },
      });
      logger.debug({ callId, userId, sessionId, streamId, joinSeq }, 'A stream of a call opened');
      this.#held.set(streamId, { callId, viewer, sessionId, stream, socket });
      if (!this.#opening.has(streamId)) await stream.return();
      return stream;
    } catch (error) {
      feeds.release(feed);
      throw error;
    }
  }

  async *#lastWord(callId: string): AsyncGenerator<CallEvent> {
    const { call, now } = await this.#snapshot(callId);
    // Nothing follows it, so nothing is resumed from it.
    const cursor = encodeCursor(NO_PLACE);
    yield { __typename: 'CallEnded', cursor, callId, at: call.endedAt ?? now, call };
  }

  async #snapshot(callId: string) {
    const read = await readCall(this.#deps.db, callId);
    if (!read) throw new CodedError('CALL_NOT_FOUND', 'There is no such call for you.');
    return { call: viewOf(read.call), now: read.now };
  }

  /** M1: a lost connection becomes a leave once the grace is over; the deadline stands in the database. */
  #lost(callId: string, userId: string, streamId: string): void {
    const { unit, metrics, untilDone } = this.#deps;
    untilDone(
      'the loss of a stream',
      async () => {
        await unit.change(callId, (draft) => {
          streamLost(draft, userId, streamId);
          return null;
        });
      },
      () => metrics.cleanupFailed(),
    );
  }

  /** This instance was taken for dead: the seats of streams that still run are theirs again. */
  async reclaim(): Promise<void> {
    const queue = [...this.#held];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) await this.#reclaimOne(...next);
    };
    const done = await Promise.allSettled(Array.from({ length: RECLAIM_SIDE_BY_SIDE }, worker));
    for (const result of done) if (result.status === 'rejected') throw result.reason;
  }

  async #reclaimOne(streamId: string, { callId, viewer, sessionId, stream }: Held): Promise<void> {
    const { unit, instanceId } = this.#deps;
    if (!this.#held.has(streamId)) return;
    const done = await unit.change(callId, async (draft, tx) => {
      const actor = await actorFor(tx, draft.call, viewer.userId);
      const refused = streamReclaimed(draft, actor, sessionId, { streamId, instanceId });
      return refused ?? find(draft.call, viewer.userId)?.seat?.joinSeq;
    });
    // Given away meanwhile: the stream ends, and its client hears why when it asks.
    if (isRejection(done) || done.value !== stream.joinSeq) await stream.return();
    // Closed while this was under way: what it did about its loss may have come before.
    else if (!this.#held.has(streamId)) this.#lost(callId, viewer.userId, streamId);
  }
}

/** Where the tenure began, by the log. */
async function seatedSince(
  log: CallLog,
  callId: string,
  userId: string,
  joinSeq: number,
): Promise<Position | null> {
  try {
    const seat = (await log.head(callId))?.seats.get(userId);
    return seat?.joinSeq === joinSeq ? seat.since : null;
  } catch (error) {
    if (error instanceof LogUnavailable) return null;
    throw error;
  }
}

function channelOf(instanceId: string): string {
  return `ringdown:instance:${instanceId}`;
}
