import type { CallLimits } from '../../src/calls/call.ts';
import type { Version } from './history.ts';

/**
 * No call, seat or ring outlives its deadline by more than `slack`, as its history tells it. `slack`: of
 * a deadline that ran from a time until it was kept; more where nobody could reach the database meanwhile.
 */
export function checkDeadlines(
  history: readonly Version[],
  limits: CallLimits,
  slack: (from: number, to: number) => number,
  violation: (what: string) => void,
): void {
  const last = history.at(-1);
  if (!last) return;
  const { call } = last;
  const kept = (what: string, from: number, deadline: number, until: number) => {
    const late = until - deadline;
    if (late > slack(from, until)) violation(`${what} of ${call.id} outlived its deadline by ${late} ms`);
  };
  if (call.endedAt !== null) kept('the longest duration', call.createdAt, call.expiresAt, call.endedAt);

  // Since when each participant has been as they are, and until when they may.
  const since = new Map<string, { status: string; from: number; deadline: number }>();
  let alone: number | null = null;
  for (const { call: now, at, facts } of history) {
    for (const { userId, status, joinSeq, ringDeadline } of now.participants) {
      const key = `${status} ${joinSeq} ${ringDeadline}`;
      const was = since.get(userId);
      if (was?.status === key) continue;
      if (was) kept(`${userId}, ${was.status},`, was.from, was.deadline, at);
      const temporary = status === 'CONNECTING' || status === 'RECONNECTING';
      const deadline = ringDeadline ?? (temporary ? at + limits.disconnectGraceMs : Number.POSITIVE_INFINITY);
      since.set(userId, { status: key, from: at, deadline });
    }
    const seats = now.participants.filter(({ joinSeq }) => joinSeq !== null).length;
    const rings = now.participants.some(({ status }) => status === 'RINGING');
    if (alone !== null) kept('being alone', alone, alone + limits.aloneTimeoutMs, at);
    if (now.status === 'ENDED' || seats !== 1 || rings) alone = null;
    else if (facts.some(({ kind }) => kind === 'ALONE')) alone = at;
  }
}
