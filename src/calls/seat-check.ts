import { type Rejection, reject } from '../errors.ts';
import { isCallId } from '../ids.ts';
import { type Db, membersAmong, readCall } from './call.repository.ts';
import { participantOf } from './call-rules.ts';

/** Why a user has no seat in a call, in the order of refusals; null where they have one. */
export async function whyNoSeat(db: Db, callId: string, userId: string): Promise<Rejection | null> {
  const read = isCallId(callId) ? await readCall(db, callId) : null;
  if (!read) return reject('CALL_NOT_FOUND');
  const { call } = read;
  const isMember = (await membersAmong(db, call.conversationId, [userId])).has(userId);
  const participant = participantOf(call, { userId, isMember });
  if ('code' in participant) return participant;
  if (call.status === 'ENDED') return reject('CALL_ENDED');
  return participant.seat ? null : reject('NOT_IN_CALL');
}
