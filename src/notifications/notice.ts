import type { Call, Participant } from '../calls/call.ts';
import type {
  CallEndReason,
  CallStatus,
  CallType,
  ParticipantRole,
  ParticipantStatus,
} from '../calls/call-view.ts';
import { durationSeconds, statusOf } from '../calls/changes.ts';

/**
 * What people who are not looking are told of a call: the difference of two states, so that no rule can
 * forget one. Pure.
 */

/** In the order in which they are told where one change makes several. */
export const NOTICE_KINDS = [
  /** A ring began. */
  'incoming',
  /** The ring of a user stopped: one of his devices answered. */
  'answered_elsewhere',
  /** The ring of a user stopped: one of his devices declined. */
  'declined',
  /** A ring stopped before its deadline, and its user did not do it: the call ended, or he was taken out. */
  'cancelled',
  /** A ring ran out. */
  'missed',
  /** The call is over. The last one of its call. */
  'ended',
] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

/** Instants are milliseconds since the epoch, the database's. */
export interface Notice {
  /** The same however often it is delivered. */
  readonly id: string;
  readonly callId: string;
  /** Grows from one notice of a call to the next; it leaves numbers out. */
  readonly seq: number;
  readonly kind: NoticeKind;
  /** Whom it concerns: of a ring or its end those who are rung, of `ended` those who were in the call. */
  readonly userIds: readonly string[];
  readonly at: number;
  /** When the last of the rings runs out, past which nobody is told of them; null for all other kinds. */
  readonly expiresAt: number | null;
  /** As of this notice. */
  readonly call: NoticeCall;
}

/** Of a call what an app needs to show it; no sessions. */
export interface NoticeCall {
  readonly id: string;
  readonly conversationId: string;
  readonly type: CallType;
  readonly status: CallStatus;
  readonly callerId: string;
  readonly participants: readonly {
    readonly userId: string;
    readonly role: ParticipantRole;
    readonly status: ParticipantStatus;
    readonly ringDeadline: number | null;
  }[];
  readonly createdAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  readonly endReason: CallEndReason | null;
  readonly endedBy: string | null;
  /** From answer to end; null for a call that nobody answered or that is not over. */
  readonly durationSeconds: number | null;
}

/** What is to be told of a change; `after` has the new version. */
export function noticesBetween(before: Call | null, after: Call, at: number): Notice[] {
  const told = new Map<NoticeKind, string[]>();
  const tell = (kind: NoticeKind, userId: string) => told.set(kind, [...(told.get(kind) ?? []), userId]);
  for (const participant of after.participants) {
    const was = before?.participants.find((p) => p.userId === participant.userId);
    const kind = ringChange(was, participant, after);
    if (kind) tell(kind, participant.userId);
  }
  if (after.status === 'ENDED' && before?.status !== 'ENDED') {
    told.set('ended', []);
    for (const { userId, joinedAt } of after.participants) if (joinedAt !== null) tell('ended', userId);
  }
  const call = noticeCall(after);
  return NOTICE_KINDS.flatMap((kind, place) => {
    const userIds = told.get(kind);
    if (!userIds) return [];
    const seq = after.version * NOTICE_KINDS.length + place;
    const expiresAt = kind === 'incoming' ? lastDeadline(after, userIds) : null;
    return [{ id: `${after.id}-${seq}`, callId: after.id, seq, kind, userIds, at, expiresAt, call }];
  });
}

/** For these of its users alone, and with no more of the others than the caller. */
export function narrowed(notice: Notice, userIds: readonly string[]): Notice {
  const { call } = notice;
  const shown = new Set([call.callerId, ...userIds]);
  return {
    ...notice,
    userIds,
    call: { ...call, participants: call.participants.filter(({ userId }) => shown.has(userId)) },
  };
}

/**
 * The notice as it may be delivered now: a ring goes to those alone who are still rung. Null where nobody is.
 * `call`: as it is now; null where there is none any more.
 */
export function stillTrue(notice: Notice, call: Call | null, now: number): Notice | null {
  if (notice.kind !== 'incoming') return notice;
  const rung = notice.userIds.filter((userId) => {
    const participant = call?.participants.find((p) => p.userId === userId);
    if (participant?.invitation !== 'RINGING' || participant.silence !== null) return false;
    return (participant.ringDeadline ?? 0) > now;
  });
  if (rung.length === 0) return null;
  return rung.length === notice.userIds.length ? notice : { ...notice, userIds: rung };
}

function ringChange(was: Participant | undefined, is: Participant, call: Call): NoticeKind | null {
  // Who does not hear it is told neither of a ring nor of its end.
  const rang = was?.invitation === 'RINGING' && was.silence === null;
  const rings = is.invitation === 'RINGING' && is.silence === null;
  // A ring that ran out and was begun again in one change is a new one, with a new deadline.
  if (rings) return rang && was.invitedAt === is.invitedAt ? null : 'incoming';
  if (!rang) return null;
  if (is.invitation === 'ANSWERED') return 'answered_elsewhere';
  if (is.invitation === 'DECLINED') return 'declined';
  const ranOut = is.invitation === 'MISSED' && (call.endReason === null || call.endReason === 'NO_ANSWER');
  return ranOut ? 'missed' : 'cancelled';
}

function lastDeadline(call: Call, userIds: readonly string[]): number {
  const deadlines = call.participants.filter((p) => userIds.includes(p.userId)).map((p) => p.ringDeadline);
  return Math.max(...deadlines.map((deadline) => deadline ?? 0));
}

function noticeCall(call: Call): NoticeCall {
  return {
    id: call.id,
    conversationId: call.conversationId,
    type: call.type,
    status: call.status,
    callerId: call.callerId,
    participants: call.participants.map((participant) => ({
      userId: participant.userId,
      role: participant.role,
      status: statusOf(participant),
      ringDeadline: participant.ringDeadline,
    })),
    createdAt: call.createdAt,
    answeredAt: call.answeredAt,
    endedAt: call.endedAt,
    endReason: call.endReason,
    endedBy: call.endedBy,
    durationSeconds: durationSeconds(call),
  };
}
