import { isDeepStrictEqual } from 'node:util';
import type { SeatHolder } from '../call-log/call-log.ts';
import { type Call, type Fact, type Participant, rung } from './call.ts';
import type { CallView, ParticipantStatus, ParticipantView, StateEvent } from './call-view.ts';

/** From a call's state to what is told of it: its view, and the events between two states. Pure. */

/** What one version changed, as it stands in the outbox. */
export interface StateChange {
  readonly events: readonly StateEvent[];
  readonly seats: Readonly<Record<string, SeatHolder | null>>;
  /** Users who hear a ring that started or stopped; with the call, for their incomingCalls. Null where nobody's did. */
  readonly rings: { readonly userIds: readonly string[]; readonly call: CallView } | null;
  readonly ended: boolean;
}

export function viewOf(call: Call): CallView {
  return {
    id: call.id,
    conversationId: call.conversationId,
    type: call.type,
    status: call.status,
    version: call.version,
    callerId: call.callerId,
    participants: call.participants.map((participant) => participantView(call, participant)),
    createdAt: call.createdAt,
    answeredAt: call.answeredAt,
    expiresAt: call.expiresAt,
    endedAt: call.endedAt,
    endReason: call.endReason,
    endedBy: call.endedBy,
    durationSeconds: durationSeconds(call),
  };
}

/** As those who are rung are told of it: it says too who is not to hear it. */
export function ringViewOf(call: Call): CallView {
  const silent = new Set(call.participants.filter((p) => p.silence !== null).map(({ userId }) => userId));
  const view = viewOf(call);
  const participants = view.participants.map((p) =>
    silent.has(p.userId) ? { ...p, silenced: true as const } : p,
  );
  return { ...view, participants };
}

/** From answer to end, whole seconds; null for a call that nobody answered or that is not over. */
export function durationSeconds(call: Pick<Call, 'answeredAt' | 'endedAt'>): number | null {
  if (call.answeredAt === null || call.endedAt === null) return null;
  return Math.floor((call.endedAt - call.answeredAt) / 1000);
}

function participantView(call: Call, participant: Participant): ParticipantView {
  const { seat } = participant;
  return {
    id: `${call.id}:${participant.userId}`,
    userId: participant.userId,
    role: participant.role,
    status: statusOf(participant),
    sessionId: seat?.sessionId ?? null,
    joinSeq: seat?.joinSeq ?? null,
    media: participant.media,
    invitedAt: participant.invitedAt,
    ringDeadline: participant.ringDeadline,
    declinedBusy: participant.declinedBusy,
    joinedAt: participant.joinedAt,
    leftAt: participant.leftAt,
    leaveReason: participant.leaveReason,
  };
}

export function statusOf({ seat, invitation }: Participant): ParticipantStatus {
  if (seat) return seat.state;
  return invitation === 'ANSWERED' || invitation === 'REMOVED' ? 'LEFT' : invitation;
}

/**
 * The events from one state to the next: one for each participant who changed, and one for the call where
 * it did. What an end did to everyone at once stands in CallEnded alone.
 */
export function changeBetween(before: Call | null, after: Call, facts: readonly Fact[]): StateChange {
  const old = before ? viewOf(before) : null;
  const view = viewOf(after);
  const ended = view.status === 'ENDED' && old?.status !== 'ENDED';
  const events: StateEvent[] = [];
  for (const participant of view.participants) {
    const was = old?.participants.find((p) => p.userId === participant.userId);
    if (old && isDeepStrictEqual(was, participant)) continue;
    if (!old || (ended && endedWithTheCall(was, participant))) continue;
    events.push({ __typename: 'ParticipantChanged', participant, version: view.version });
  }
  if (facts.some((fact) => fact.kind === 'EXPIRING')) {
    events.push({ __typename: 'CallExpiring', expiresAt: view.expiresAt });
  }
  if (ended) events.push({ __typename: 'CallEnded', call: view });
  else if (old?.status !== view.status) events.push({ __typename: 'CallChanged', call: view });
  return { events, seats: seatChanges(before, after), rings: ringChanges(before, after), ended };
}

function endedWithTheCall(was: ParticipantView | undefined, now: ParticipantView): boolean {
  return now.leaveReason === 'CALL_ENDED' || (was?.status === 'RINGING' && now.status === 'MISSED');
}

function seatChanges(before: Call | null, after: Call): StateChange['seats'] {
  const changes: [string, SeatHolder | null][] = [];
  for (const { userId, seat } of after.participants) {
    const was = before?.participants.find((p) => p.userId === userId)?.seat;
    if (seat?.joinSeq === was?.joinSeq) continue;
    changes.push([userId, seat ? { joinSeq: seat.joinSeq, sessionId: seat.sessionId } : null]);
  }
  // fromEntries makes own properties even of a user called __proto__.
  return Object.fromEntries(changes);
}

function ringChanges(before: Call | null, after: Call): StateChange['rings'] {
  const heard = new Set(before ? rung(before).map(({ userId }) => userId) : []);
  const hear = new Set(rung(after).map(({ userId }) => userId));
  const userIds = [...new Set([...heard, ...hear])].filter(
    (userId) => heard.has(userId) !== hear.has(userId),
  );
  return userIds.length > 0 ? { userIds, call: ringViewOf(after) } : null;
}
