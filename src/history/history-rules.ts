import { type Call, find, type Participant } from '../calls/call.ts';

/** What a call is to those who were asked to it, afterwards. Pure. */

/** How a call went for one of them. */
export type CallOutcome =
  | 'RINGING'
  | 'ONGOING'
  | 'ANSWERED'
  | 'UNANSWERED'
  | 'MISSED'
  | 'DECLINED'
  | 'REMOVED';

/** A row of somebody's history that is to be written. */
export interface HistoryChange {
  readonly userId: string;
  readonly outgoing: boolean;
  /** Null: not missed, or not any more. */
  readonly missedAt: number | null;
}

/** The one place that says which calls somebody has missed: their ring stopped, and nobody had answered or declined. */
function hasMissed({ invitation }: Participant): boolean {
  return invitation === 'MISSED';
}

/** To somebody who blocked who asked them there was no call. */
function isHidden({ silence }: Participant): boolean {
  return silence === 'BLOCKED';
}

/** Who gets a row, and whose row changes: for all others nothing is written. */
export function historyChanges(before: Call | null, after: Call, at: number): HistoryChange[] {
  return after.participants.flatMap((participant) => {
    const was = before && find(before, participant.userId);
    const missed = hasMissed(participant);
    if (isHidden(participant) || (was && !isHidden(was) && hasMissed(was) === missed)) return [];
    const { userId } = participant;
    return [{ userId, outgoing: userId === after.callerId, missedAt: missed ? at : null }];
  });
}

/** `missed`: as it stands in the user's history. */
export function outcomeOf(call: Call, userId: string, missed: boolean): CallOutcome {
  const participant = find(call, userId);
  if (participant?.seat) return 'ONGOING';
  if (participant?.invitation === 'RINGING') return 'RINGING';
  if (missed) return 'MISSED';
  if (participant && participant.joinedAt !== null) {
    return call.answeredAt === null ? 'UNANSWERED' : 'ANSWERED';
  }
  return participant?.invitation === 'DECLINED' ? 'DECLINED' : 'REMOVED';
}
