import {
  type Call,
  type Draft,
  end,
  giveUpSeat,
  note,
  type Participant,
  ringing,
  type Seat,
  seated,
  stopRing,
} from './call.ts';

/**
 * The one mechanism for time. `advance` brings a call up to now, in the order in which its deadlines
 * passed; the sweeper does it for calls that are due, and every command does it before it decides, so
 * that a rule of time holds whether the sweeper was there in time or not.
 */

interface Due {
  readonly at: number;
  readonly apply: (draft: Draft) => void;
}

export function advance(draft: Draft): void {
  dropNonMembers(draft);
  for (;;) {
    const next = earliest(draft.call);
    if (!next || next.at > draft.now) return;
    next.apply(draft);
  }
}

/** When `advance` has something to do again; null once the call is over. */
export function nextDeadline(call: Call): number | null {
  return earliest(call)?.at ?? null;
}

function earliest(call: Call): Due | null {
  if (call.status === 'ENDED') return null;
  let next: Due = { at: call.expiresAt, apply: (draft) => end(draft, 'MAX_DURATION', null) };
  const consider = (at: number | null, apply: Due['apply']) => {
    if (at !== null && at < next.at) next = { at, apply };
  };
  consider(call.warnAt, warn);
  consider(call.aloneDeadline, (draft) => end(draft, 'ALONE', null));
  for (const { userId, ringDeadline, seat } of call.participants) {
    consider(ringDeadline, (draft) => stopRing(draft, of(draft, userId), 'MISSED'));
    if (seat) {
      consider(seat.deadline, (draft) => runOut(draft, of(draft, userId)));
    }
  }
  return next;
}

/** A seat whose deadline passed while nobody could have taken it back gets one more grace. */
function runOut(draft: Draft, participant: Participant): void {
  const { outage, now, limits } = draft;
  const seat = participant.seat as Seat;
  const at = seat.deadline as number;
  if (outage && at >= outage.from && at <= outage.to) {
    participant.seat = { ...seat, deadline: now + limits.disconnectGraceMs, orphaned: true };
  } else {
    giveUpSeat(draft, participant, seat.state === 'CONNECTING' ? 'NEVER_CONNECTED' : 'DISCONNECTED');
  }
}

function warn(draft: Draft): void {
  draft.call.warnAt = null;
  note(draft, 'EXPIRING', null);
}

/** Whoever was removed from the conversation is out of its live calls, and rung no more. */
function dropNonMembers(draft: Draft): void {
  const { call } = draft;
  for (const participant of [...seated(call), ...ringing(call)]) {
    if (participant.member || call.status === 'ENDED') continue;
    if (participant.seat) giveUpSeat(draft, participant, 'MEMBERSHIP_LOST');
    else if (participant.invitation === 'RINGING') {
      participant.leftAt = draft.now;
      participant.leaveReason = 'MEMBERSHIP_LOST';
      stopRing(draft, participant, 'REMOVED');
    }
  }
}

function of(draft: Draft, userId: string): Participant {
  return draft.call.participants.find((p) => p.userId === userId) as Participant;
}
