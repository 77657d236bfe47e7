import type { Viewer } from '../auth/viewer.ts';
import { type CallLog, LogUnavailable, type Position } from '../call-log/call-log.ts';
import { encodeCursor, NO_PLACE } from '../call-log/cursor.ts';
import type { Database } from '../database/open.ts';
import { DatabaseTimeout, DatabaseUnavailable } from '../database/transaction.ts';
import { isRejection, type Rejection, reject } from '../errors.ts';
import type {
  CallService,
  InitiateCallInput,
  JoinCallInput,
  MediaChange,
  Result,
} from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Rates } from '../rate-limits/rates.ts';
import { membersAmong, silencesOf } from './call.repository.ts';
import type { CallLimits } from './call.ts';
import { countRefusedJoin } from './call-metrics.ts';
import { type CallReads, readsOf } from './call-reads.ts';
import * as rules from './call-rules.ts';
import { actorFor, type CallUnit, type Changed, type Decide } from './call-unit.ts';
import type { CallView } from './call-view.ts';
import { viewOf } from './changes.ts';
import { findInitiation, type Initiated, initiate } from './initiate.ts';

/** The commands of a call's life. Each is: who asks, the rule (pure), and what the answer carries. */

export interface CallServiceDeps {
  readonly database: Database;
  readonly unit: CallUnit;
  readonly log: CallLog;
  readonly limits: CallLimits;
  readonly rates: Pick<Rates, 'initiate' | 'join'>;
  readonly metrics: Metrics;
  /** Brings about, in the background, what ran out of time. */
  readonly untilDone: (what: string, work: () => Promise<void>) => void;
}

/** What a client is told to wait after a time-out of the database, milliseconds. */
const RETRY_AFTER_TIMEOUT = 1_000;

type Answer = Promise<Result<{ call: CallView }>>;

export function createCallService(deps: CallServiceDeps): CallService {
  const { database, unit, log, limits, rates, metrics, untilDone } = deps;
  const reads: CallReads = readsOf(database.db);

  async function change<T>(callId: string, decide: Decide<T>): Promise<Changed<T> | Rejection> {
    if (!isCallId(callId)) return reject('CALL_NOT_FOUND');
    try {
      return await unit.change(callId, decide);
    } catch (error) {
      if (isOutOfReach(error)) return reject('TIMEOUT', undefined, RETRY_AFTER_TIMEOUT);
      throw error;
    }
  }

  /** A command that answers with the call alone. */
  async function command(
    viewer: Viewer,
    callId: string,
    rule: (draft: Parameters<Decide<null>>[0], actor: rules.Actor) => Rejection | null,
  ): Answer {
    const done = await change(callId, async (draft, tx) =>
      rule(draft, await actorFor(tx, draft.call, viewer.userId)),
    );
    return isRejection(done) ? { rejection: done } : { call: viewOf(done.call) };
  }

  /** M4: an end or a leave that ran out of time is brought about all the same. */
  async function departure(
    viewer: Viewer,
    callId: string,
    rule: (draft: Parameters<Decide<null>>[0], actor: rules.Actor) => Rejection | null,
  ): Answer {
    const startedAt = performance.now();
    const answer = await command(viewer, callId, rule);
    metrics.endTook((performance.now() - startedAt) / 1000);
    if ('rejection' in answer && answer.rejection.code === 'TIMEOUT') {
      metrics.endTimedOut();
      untilDone('a leave or an end that ran out of time', async () => {
        await unit.change(callId, async (draft, tx) =>
          rule(draft, await actorFor(tx, draft.call, viewer.userId)),
        );
      });
    }
    return answer;
  }

  /** The place from which the viewer's seat hears the log. */
  async function cursorOf(viewer: Viewer, changed: Changed<unknown>): Promise<string> {
    // A repeat may have changed something else, what was due; the seat is older then.
    const isNew = Object.hasOwn(changed.seats, viewer.userId);
    const known = isNew ? changed.position : null;
    return encodeCursor(known ?? (await seatedSince(changed.call.id, viewer.userId)));
  }

  async function seatedSince(callId: string, userId: string): Promise<Position> {
    try {
      const head = await log.head(callId);
      const since = head?.seats.get(userId)?.since ?? head;
      if (since) return since;
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
    }
    // No log knows this place: the stream starts with a snapshot that says so.
    return NO_PLACE;
  }

  return {
    ...reads,

    async initiateCall(viewer: Viewer, input: InitiateCallInput) {
      metrics.initiateAttempted();
      const done = await start(viewer, input);
      if (isRejection(done)) return { rejection: done };
      const cursor = await cursorOf(viewer, done);
      return { call: viewOf(done.call), cursor, joinedExisting: done.value.joinedExisting };
    },

    async joinCall(viewer: Viewer, input: JoinCallInput) {
      const taken = await rates.join.take(viewer);
      if (!taken.allowed) return { rejection: reject('RATE_LIMITED', undefined, taken.retryAfterMs) };
      const done = await change(input.callId, async (draft, tx) =>
        rules.join(draft, await actorFor(tx, draft.call, viewer.userId), input),
      );
      if (isRejection(done)) {
        countRefusedJoin(metrics, done.code);
        return { rejection: done };
      }
      if (done.value.rejoined) rates.join.giveBack(viewer, taken);
      const cursor = await cursorOf(viewer, done);
      return { call: viewOf(done.call), cursor, rejoined: done.value.rejoined };
    },

    declineCall: (viewer, callId, busy) =>
      command(viewer, callId, (draft, actor) => rules.decline(draft, actor, busy)),

    leaveCall: (viewer, callId, sessionId) =>
      departure(viewer, callId, (draft, actor) => rules.leave(draft, actor, sessionId)),

    endCall: (viewer, callId) => departure(viewer, callId, rules.endCall),

    async inviteToCall(viewer, callId, userIds) {
      const done = await change(callId, async (draft, tx) => {
        const members = await membersAmong(tx, draft.call.conversationId, userIds);
        const silences = await silencesOf(tx, draft.call.conversationId, viewer.userId, userIds);
        return rules.invite(draft, await actorFor(tx, draft.call, viewer.userId), userIds, members, silences);
      });
      return isRejection(done) ? { rejection: done } : { call: viewOf(done.call) };
    },

    removeParticipant: (viewer, callId, userId) =>
      command(viewer, callId, (draft, actor) => rules.remove(draft, actor, userId)),

    muteParticipant: (viewer, callId, userId) =>
      command(viewer, callId, (draft, actor) => rules.mute(draft, actor, userId)),

    setMediaState: (viewer, callId, sessionId, media: MediaChange) =>
      command(viewer, callId, (draft, actor) => rules.setMedia(draft, actor, sessionId, media)),

    terminateCall: (viewer, callId) =>
      departure(viewer, callId, (draft) => rules.terminate(draft, viewer.userId)),
  };

  async function start(viewer: Viewer, input: InitiateCallInput): Promise<Initiated | Rejection> {
    try {
      const repeated = await findInitiation(database.db, viewer.userId, input);
      if (repeated) return repeated;
      const taken = await rates.initiate.take(viewer);
      if (!taken.allowed) return reject('RATE_LIMITED', undefined, taken.retryAfterMs);
      return await initiate(database, unit, limits, viewer.userId, input);
    } catch (error) {
      if (isOutOfReach(error)) return reject('TIMEOUT', undefined, RETRY_AFTER_TIMEOUT);
      throw error;
    }
  }
}

/** The database did not answer in time, or the connection to it was lost: whether it was done is unknown. */
function isOutOfReach(error: unknown): boolean {
  return error instanceof DatabaseTimeout || error instanceof DatabaseUnavailable;
}
