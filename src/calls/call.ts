import type {
  CallEndReason,
  CallStatus,
  CallType,
  LeaveReason,
  MediaState,
  ParticipantRole,
} from './call-view.ts';

/**
 * A call's state, and the few moves that everything else is made of: take a seat, give it up, stop a ring,
 * end. Rules about who may make which move are in call-rules.ts, those about time in deadlines.ts. Pure:
 * time and limits come in. Instants are milliseconds since the epoch, the database's.
 *
 * The moves change the draft they are given; whoever loads a call drafts from a copy.
 */

/** Whether and how a participant is asked for; apart from having a seat. */
export type Invitation = 'RINGING' | 'ANSWERED' | 'DECLINED' | 'MISSED' | 'REMOVED';
export type SeatState = 'CONNECTING' | 'CONNECTED' | 'RECONNECTING';
/**
 * Why a ring reaches none of its user's devices: they muted the conversation, or they blocked who rings. It rings
 * on, is missed and may be seen by all as any other; nobody is told the difference.
 */
export type Silence = 'MUTED' | 'BLOCKED';

/** One tenure of one session. */
export interface Seat {
  state: SeatState;
  joinSeq: number;
  sessionId: string;
  /** When the seat is left unless a stream opens; null while CONNECTED. */
  deadline: number | null;
  /** The stream that holds the seat, and the fence against the late end of an older one. */
  streamId: string | null;
  instanceId: string | null;
  /** Its instance died or stalled, rather than its stream ended: left so, the seat counts as a ghost. */
  orphaned: boolean;
}

export interface Participant {
  readonly userId: string;
  role: ParticipantRole;
  /** Of the conversation, now. Read with the call, never written with it. */
  readonly member: boolean;
  invitation: Invitation;
  /** Of the last ring; null where it was a loud one. To who blocked the inviter there is no invitation at all. */
  silence: Silence | null;
  invitedBy: string;
  invitedAt: number;
  ringDeadline: number | null;
  declinedBusy: boolean;
  seat: Seat | null;
  /** The session that had the seat last; kept after it was left, so that a repeated leave is harmless. */
  lastSessionId: string | null;
  joinedAt: number | null;
  leftAt: number | null;
  leaveReason: LeaveReason | null;
  media: MediaState;
}

export interface Call {
  readonly id: string;
  readonly conversationId: string;
  readonly type: CallType;
  status: CallStatus;
  version: number;
  readonly callerId: string;
  /** More than two people were invited at some time, the caller counted. */
  isGroup: boolean;
  readonly createdAt: number;
  answeredAt: number | null;
  readonly expiresAt: number;
  /** When to warn of expiresAt; null once it was done. */
  warnAt: number | null;
  aloneDeadline: number | null;
  endedAt: number | null;
  endReason: CallEndReason | null;
  endedBy: string | null;
  /** Names the conversation and the people at initiation; null once they changed or the call ended. */
  peopleKey: string | null;
  nextJoinSeq: number;
  readonly participants: Participant[];
}

export interface CallLimits {
  readonly maxParticipants: number;
  readonly maxInvitees: number;
  readonly maxCallDurationMs: number;
  readonly callDurationWarningMs: number;
  readonly ringTimeoutMs: number;
  readonly disconnectGraceMs: number;
  readonly aloneTimeoutMs: number;
}

export type FactKind =
  | 'INITIATED'
  | 'INVITED'
  | 'JOINED'
  | 'ANSWERED'
  | 'TAKEN_OVER'
  | 'CONNECTED'
  | 'CONNECTION_LOST'
  | 'RECONNECTED'
  | 'DECLINED'
  | 'MISSED'
  | 'LEFT'
  | 'UNINVITED'
  | 'HOST_CHANGED'
  | 'MUTED'
  | 'MEDIA_CHANGED'
  | 'ALONE'
  | 'EXPIRING'
  | 'ENDED';

/** What happened, for the timeline and the metrics. `detail` never holds content or addresses. */
export interface Fact {
  readonly kind: FactKind;
  readonly actorId: string | null;
  readonly subjectId: string | null;
  readonly detail: string;
}

/** A time in which nobody could reach the database. */
export interface Outage {
  readonly from: number;
  readonly to: number;
}

/** A call while a decision is made on it. */
export interface Draft {
  readonly call: Call;
  readonly now: number;
  readonly limits: CallLimits;
  /** The latest one that is known of. */
  readonly outage: Outage | null;
  readonly facts: Fact[];
}

export function draftOf(call: Call, now: number, limits: CallLimits, outage: Outage | null = null): Draft {
  return { call: structuredClone(call), now, limits, outage, facts: [] };
}

export function find(call: Call, userId: string): Participant | undefined {
  return call.participants.find((p) => p.userId === userId);
}

export function seated(call: Call): Participant[] {
  return call.participants.filter((p) => p.seat !== null);
}

export function ringing(call: Call): Participant[] {
  return call.participants.filter((p) => p.invitation === 'RINGING');
}

/** Who hears it ring. */
export function rung(call: Call): Participant[] {
  return ringing(call).filter((p) => p.silence === null);
}

export function note(
  draft: Draft,
  kind: FactKind,
  actorId: string | null,
  subjectId: string | null = actorId,
  detail = '',
): void {
  draft.facts.push({ kind, actorId, subjectId, detail });
}

/** A new call with its caller seated as HOST and everyone else ringing. */
export function newCall(
  given: {
    id: string;
    conversationId: string;
    type: CallType;
    callerId: string;
    calleeIds: readonly string[];
    sessionId: string;
    peopleKey: string;
    ringTimeoutMs: number;
    silences: ReadonlyMap<string, Silence>;
  },
  now: number,
  limits: CallLimits,
): Draft {
  const expiresAt = now + limits.maxCallDurationMs;
  const call: Call = {
    id: given.id,
    conversationId: given.conversationId,
    type: given.type,
    status: 'RINGING',
    version: 0,
    callerId: given.callerId,
    isGroup: given.calleeIds.length > 1,
    createdAt: now,
    answeredAt: null,
    expiresAt,
    warnAt: expiresAt - limits.callDurationWarningMs,
    aloneDeadline: null,
    endedAt: null,
    endReason: null,
    endedBy: null,
    peopleKey: given.peopleKey,
    nextJoinSeq: 1,
    participants: [],
  };
  const draft: Draft = { call, now, limits, outage: null, facts: [] };
  note(draft, 'INITIATED', given.callerId);
  const caller = addParticipant(draft, given.callerId, given.callerId, 'HOST');
  caller.invitation = 'ANSWERED';
  takeSeat(draft, caller, given.sessionId);
  for (const userId of given.calleeIds) {
    const invited = addParticipant(draft, userId, given.callerId, 'GUEST');
    invited.silence = given.silences.get(userId) ?? null;
    ring(draft, invited, given.callerId, given.ringTimeoutMs);
  }
  return draft;
}

export function addParticipant(
  draft: Draft,
  userId: string,
  invitedBy: string,
  role: ParticipantRole,
): Participant {
  const participant: Participant = {
    userId,
    role,
    member: true,
    invitation: 'MISSED',
    silence: null,
    invitedBy,
    invitedAt: draft.now,
    ringDeadline: null,
    declinedBusy: false,
    seat: null,
    lastSessionId: null,
    joinedAt: null,
    leftAt: null,
    leaveReason: null,
    media: { muted: false, videoOn: draft.call.type === 'VIDEO', screenOn: false },
  };
  draft.call.participants.push(participant);
  return participant;
}

export function ring(draft: Draft, participant: Participant, by: string, timeoutMs: number): void {
  participant.invitation = 'RINGING';
  participant.invitedBy = by;
  participant.invitedAt = draft.now;
  participant.ringDeadline = draft.now + timeoutMs;
  participant.declinedBusy = false;
  participant.leftAt = null;
  participant.leaveReason = null;
  note(draft, 'INVITED', by, participant.userId);
}

/** Starts a new tenure: a new joinSeq, so that peers drop their link to an older one. */
export function takeSeat(draft: Draft, participant: Participant, sessionId: string): void {
  const { call, now, limits } = draft;
  const before = participant.seat;
  participant.seat = {
    state: 'CONNECTING',
    joinSeq: call.nextJoinSeq++,
    sessionId,
    deadline: now + limits.disconnectGraceMs,
    streamId: null,
    instanceId: null,
    orphaned: false,
  };
  participant.lastSessionId = sessionId;
  participant.leftAt = null;
  participant.leaveReason = null;
  if (before) {
    // The person has been in the call all along: joinedAt decides who is host next.
    note(draft, 'TAKEN_OVER', participant.userId);
    return;
  }
  participant.joinedAt = now;
  participant.invitation = 'ANSWERED';
  participant.silence = null;
  participant.ringDeadline = null;
  note(draft, 'JOINED', participant.userId);
  if (call.status === 'RINGING' && participant.userId !== call.callerId) {
    call.status = 'ACTIVE';
    call.answeredAt = now;
    note(draft, 'ANSWERED', participant.userId);
  }
  settleAlone(draft);
}

/**
 * Gives up a seat, and whatever follows from it: the end of a pair, a new host, being alone. `by`: who did
 * it; null where nobody did.
 */
export function giveUpSeat(
  draft: Draft,
  participant: Participant,
  reason: LeaveReason,
  by: string | null = null,
): void {
  const { call } = draft;
  vacate(draft, participant, reason, by);
  const lost = reason === 'DISCONNECTED' || reason === 'NEVER_CONNECTED';
  if (call.status === 'RINGING') {
    // Only the caller has a seat while it rings.
    end(draft, lost ? 'CONNECTION_LOST' : 'CANCELLED', by);
  } else if (!call.isGroup || seated(call).length === 0) {
    end(draft, lost ? 'CONNECTION_LOST' : 'HANGUP', by);
  } else {
    if (participant.role === 'HOST') handOver(draft, participant);
    settleAlone(draft);
  }
}

/**
 * Stops a participant's ring, and ends a call that nobody is rung for any more. `by`: who took the
 * invitation back.
 */
export function stopRing(
  draft: Draft,
  participant: Participant,
  outcome: 'DECLINED' | 'MISSED' | 'REMOVED',
  by: string | null = null,
): void {
  const { call } = draft;
  participant.invitation = outcome;
  participant.ringDeadline = null;
  if (outcome === 'DECLINED') {
    note(draft, outcome, participant.userId, participant.userId, participant.declinedBusy ? 'BUSY' : '');
  } else if (outcome === 'MISSED') note(draft, outcome, null, participant.userId, 'RING_TIMEOUT');
  if (call.status === 'RINGING' && ringing(call).length === 0) {
    const some = (invitation: Invitation) => call.participants.some((p) => p.invitation === invitation);
    end(draft, some('MISSED') ? 'NO_ANSWER' : some('DECLINED') ? 'DECLINED' : 'CANCELLED', by);
  } else {
    settleAlone(draft);
  }
}

/** Final. Everyone in it leaves with CALL_ENDED; who was still being rung has missed it. */
export function end(draft: Draft, reason: CallEndReason, by: string | null): void {
  const { call, now } = draft;
  for (const participant of call.participants) {
    if (participant.seat) vacate(draft, participant, 'CALL_ENDED', null);
    if (participant.invitation === 'RINGING') {
      participant.invitation = 'MISSED';
      participant.ringDeadline = null;
      note(draft, 'MISSED', null, participant.userId, 'CALL_ENDED');
    }
  }
  call.status = 'ENDED';
  call.endedAt = now;
  call.endReason = reason;
  call.endedBy = by;
  call.warnAt = null;
  call.aloneDeadline = null;
  call.peopleKey = null;
  note(draft, 'ENDED', by, null, reason);
}

function vacate(draft: Draft, participant: Participant, reason: LeaveReason, by: string | null): void {
  const ghost = participant.seat?.orphaned && (reason === 'DISCONNECTED' || reason === 'NEVER_CONNECTED');
  participant.seat = null;
  participant.leftAt = draft.now;
  participant.leaveReason = reason;
  note(draft, 'LEFT', by, participant.userId, ghost ? `${reason} GHOST` : reason);
}

/** The one who has been in the call longest becomes host. */
function handOver(draft: Draft, from: Participant): void {
  const next = seated(draft.call).reduce((a, b) =>
    (a.joinedAt ?? 0) < (b.joinedAt ?? 0) ||
    (a.joinedAt === b.joinedAt && (a.seat?.joinSeq ?? 0) < (b.seat?.joinSeq ?? 0))
      ? a
      : b,
  );
  from.role = 'GUEST';
  next.role = 'HOST';
  note(draft, 'HOST_CHANGED', null, next.userId);
}

/** One seat left in a group and no invitation ringing starts the time alone; anything else stops it. */
export function settleAlone(draft: Draft): void {
  const { call, now, limits } = draft;
  const alone =
    call.status === 'ACTIVE' && call.isGroup && seated(call).length === 1 && ringing(call).length === 0;
  if (!alone) call.aloneDeadline = null;
  else if (call.aloneDeadline === null) {
    call.aloneDeadline = now + limits.aloneTimeoutMs;
    note(draft, 'ALONE', null, seated(call)[0]?.userId ?? null);
  }
}
