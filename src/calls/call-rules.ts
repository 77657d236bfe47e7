import { isRejection, type Rejection, reject } from '../errors.ts';
import {
  addParticipant,
  type Call,
  type Draft,
  end,
  find,
  giveUpSeat,
  note,
  type Participant,
  ring,
  type Silence,
  seated,
  stopRing,
  takeSeat,
} from './call.ts';
import type { MediaState } from './call-view.ts';

/**
 * Who may do what: each function decides one command on a draft. It changes the draft, or leaves it as it
 * is (harmless repeats), or says no. The rules' names (C1, H1 …) are those of the audit.
 */

/** Who commands: a user, and whether they are a member of the call's conversation now. */
export interface Actor {
  readonly userId: string;
  readonly isMember: boolean;
}

type Decided = Rejection | null;

/** The part of the order of refusals that every command shares: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED. */
export function participantOf(call: Call, actor: Actor): Participant | Rejection {
  const participant = find(call, actor.userId);
  if (!participant) return reject(actor.isMember ? 'NOT_INVITED' : 'CALL_NOT_FOUND');
  if (!participant.member) return reject('NOT_A_MEMBER');
  if (participant.invitation === 'REMOVED') return reject('NOT_INVITED');
  if (participant.silence === 'BLOCKED') return reject('NOT_INVITED');
  return participant;
}

/** M2: a call that rang too long says so also after it was ended for it. */
export function over(call: Call): Rejection {
  return reject(call.endReason === 'NO_ANSWER' ? 'CALL_EXPIRED' : 'CALL_ENDED');
}

/** H3, M2, C1, H1, in the order in which they refuse. */
export function join(
  draft: Draft,
  actor: Actor,
  given: { readonly sessionId: string; readonly takeOver: boolean },
): Rejection | { readonly rejoined: boolean } {
  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  const { call, limits } = draft;
  if (call.status === 'ENDED') return over(call);
  const ringOver = participant.invitation === 'MISSED' || participant.invitation === 'DECLINED';
  if (call.status === 'RINGING' && ringOver) return reject('CALL_EXPIRED');
  const { seat } = participant;
  if (seat?.sessionId === given.sessionId) return { rejoined: true };
  if (seat && seat.state !== 'RECONNECTING' && !given.takeOver) return reject('ALREADY_IN_CALL');
  if (!seat && seated(call).length >= limits.maxParticipants) return reject('CALL_FULL');
  takeSeat(draft, participant, given.sessionId);
  return { rejoined: false };
}

/** A second call of the same people is the first one: its initiator joins it, whatever his ring came to. */
export function joinOwnPeople(
  draft: Draft,
  actor: Actor,
  sessionId: string,
): Rejection | { readonly joinedExisting: boolean } {
  const own = find(draft.call, actor.userId);
  // Who calls somebody whom they have blocked answers them: it is their own call.
  if (own?.silence === 'BLOCKED') own.silence = null;
  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  const { seat } = participant;
  if (seat) {
    return seat.sessionId === sessionId ? { joinedExisting: false } : reject('ALREADY_IN_CALL');
  }
  if (seated(draft.call).length >= draft.limits.maxParticipants) return reject('CALL_FULL');
  takeSeat(draft, participant, sessionId);
  return { joinedExisting: true };
}

/** Ends the viewer's ring. After an accept on another device it is ignored. */
export function decline(draft: Draft, actor: Actor, busy: boolean): Decided {
  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  if (participant.invitation === 'DECLINED') return null;
  if (draft.call.status === 'ENDED') return reject('CALL_ENDED');
  if (participant.invitation !== 'RINGING') return null;
  participant.declinedBusy = busy;
  stopRing(draft, participant, 'DECLINED');
  return null;
}

/** The session that holds the seat leaves; the session that had it last repeats itself harmlessly. */
export function leave(draft: Draft, actor: Actor, sessionId: string): Decided {
  const participant = find(draft.call, actor.userId);
  if (participant?.seat) {
    if (participant.seat.sessionId !== sessionId) return reject('STALE_SESSION');
    giveUpSeat(draft, participant, 'HANGUP', actor.userId);
    return null;
  }
  const allowed = participantOf(draft.call, actor);
  if (isRejection(allowed)) return allowed;
  if (allowed.lastSessionId === sessionId) return null;
  return reject(draft.call.status === 'ENDED' ? 'CALL_ENDED' : 'NOT_IN_CALL');
}

/** The host for all; in a pair either. Ending twice is the same as once. */
export function endCall(draft: Draft, actor: Actor): Decided {
  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  const { call } = draft;
  if (call.status === 'ENDED') return null;
  if (!participant.seat) return reject('NOT_IN_CALL');
  if (call.isGroup && participant.role !== 'HOST') return reject('NOT_THE_HOST');
  end(
    draft,
    call.status === 'RINGING' ? 'CANCELLED' : call.isGroup ? 'ENDED_BY_HOST' : 'HANGUP',
    actor.userId,
  );
  return null;
}

/** Anyone with a seat invites members of the conversation. A third person makes the call a group for good. */
export function invite(
  draft: Draft,
  actor: Actor,
  userIds: readonly string[],
  members: ReadonlySet<string>,
  silences: ReadonlyMap<string, Silence>,
): Decided {
  const inviter = participantOf(draft.call, actor);
  if (isRejection(inviter)) return inviter;
  const { call, limits } = draft;
  if (call.status === 'ENDED') return reject('CALL_ENDED');
  if (!inviter.seat) return reject('NOT_IN_CALL');
  const wanted = new Set(userIds);
  wanted.delete(actor.userId);
  if (wanted.size === 0) return reject('NO_CALLEES');
  for (const userId of wanted) if (!members.has(userId)) return reject('INVALID_CALLEE');
  const strangers = [...wanted].filter((userId) => !find(call, userId));
  if (call.participants.length - 1 + strangers.length > limits.maxInvitees) {
    return reject('TOO_MANY_CALLEES', `A call may invite ${limits.maxInvitees} people at most.`);
  }
  for (const userId of wanted) {
    const known = find(call, userId);
    const silence = silences.get(userId) ?? null;
    if (known?.seat) continue;
    if (known?.invitation === 'RINGING') {
      // A ring that a blocked person began is heard from now on. All else stays, or he would see that it was not.
      if (known.silence === 'BLOCKED') known.silence = silence;
      continue;
    }
    const invited = known ?? addParticipant(draft, userId, actor.userId, 'GUEST');
    invited.silence = silence;
    ring(draft, invited, actor.userId, limits.ringTimeoutMs);
    call.peopleKey = null;
  }
  if (call.participants.length > 2) call.isGroup = true;
  call.aloneDeadline = null;
  return null;
}

/** The host takes away a seat or an invitation, and with it the right to join until invited again. */
export function remove(draft: Draft, actor: Actor, userId: string): Decided {
  const target = hostsTarget(draft, actor, userId);
  if (isRejection(target)) return target;
  if (userId === actor.userId) return reject('INVALID_INPUT', 'userId: use leaveCall to leave yourself.');
  if (target.invitation === 'REMOVED') return null;
  draft.call.peopleKey = null;
  const wasRinging = target.invitation === 'RINGING';
  target.invitation = 'REMOVED';
  if (target.seat) {
    giveUpSeat(draft, target, 'REMOVED', actor.userId);
    return null;
  }
  note(draft, 'UNINVITED', actor.userId, userId);
  target.leftAt ??= draft.now;
  target.leaveReason ??= 'REMOVED';
  if (wasRinging) stopRing(draft, target, 'REMOVED', actor.userId);
  return null;
}

/** The host mutes; only they themselves unmute. */
export function mute(draft: Draft, actor: Actor, userId: string): Decided {
  const target = hostsTarget(draft, actor, userId);
  if (isRejection(target)) return target;
  if (!target.seat) return reject('RECIPIENT_NOT_IN_CALL', 'userId: is not in the call.');
  if (target.media.muted) return null;
  target.media = { ...target.media, muted: true };
  note(draft, 'MUTED', actor.userId, userId);
  return null;
}

function hostsTarget(draft: Draft, actor: Actor, userId: string): Participant | Rejection {
  const host = participantOf(draft.call, actor);
  if (isRejection(host)) return host;
  if (draft.call.status === 'ENDED') return reject('CALL_ENDED');
  if (!host.seat) return reject('NOT_IN_CALL');
  if (host.role !== 'HOST') return reject('NOT_THE_HOST');
  return find(draft.call, userId) ?? reject('INVALID_INPUT', 'userId: was not invited to this call.');
}

/** The session that holds the seat says what it sends. */
export function setMedia(
  draft: Draft,
  actor: Actor,
  sessionId: string,
  change: { readonly [K in keyof MediaState]: boolean | null },
): Decided {
  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  if (draft.call.status === 'ENDED') return reject('CALL_ENDED');
  if (!participant.seat) return reject('NOT_IN_CALL');
  if (participant.seat.sessionId !== sessionId) return reject('STALE_SESSION');
  const before = participant.media;
  const after: MediaState = {
    muted: change.muted ?? before.muted,
    videoOn: change.videoOn ?? before.videoOn,
    screenOn: change.screenOn ?? before.screenOn,
  };
  const changed = (['muted', 'videoOn', 'screenOn'] as const).filter((key) => before[key] !== after[key]);
  if (changed.length === 0) return null;
  participant.media = after;
  note(
    draft,
    'MEDIA_CHANGED',
    actor.userId,
    actor.userId,
    changed.map((key) => `${key}=${after[key]}`).join(' '),
  );
  return null;
}

/** An administrator ends a call, seat or not. */
export function terminate(draft: Draft, adminId: string): Decided {
  if (draft.call.status !== 'ENDED') end(draft, 'TERMINATED', adminId);
  return null;
}
