import type { RejectionCode } from '../errors.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Call, Fact } from './call.ts';
import { durationSeconds } from './changes.ts';

/** What happened to a call, counted. */
export function countFacts(metrics: Metrics, call: Call, facts: readonly Fact[]): void {
  for (const { kind, detail } of facts) {
    if (kind === 'INITIATED') metrics.callCreated(call.type);
    else if (kind === 'JOINED') metrics.callJoined();
    else if (kind === 'LEFT') {
      metrics.callLeft();
      if (/^(DISCONNECTED|NEVER_CONNECTED)/.test(detail)) metrics.cleanedUpOnDisconnect();
      if (detail.endsWith(' GHOST')) metrics.ghostParticipant();
    } else if (kind === 'ANSWERED') metrics.rang(((call.answeredAt ?? 0) - call.createdAt) / 1000);
    else if (kind === 'ENDED') {
      metrics.callEnded(call.type, durationSeconds(call));
      if (detail === 'MAX_DURATION') metrics.autoTerminated();
      if (call.answeredAt === null) metrics.rang(((call.endedAt ?? 0) - call.createdAt) / 1000);
    }
  }
}

/** A join that a rule refused, counted under the rule's name. */
export function countRefusedJoin(metrics: Metrics, code: RejectionCode): void {
  if (code === 'CALL_NOT_FOUND' || code === 'NOT_INVITED' || code === 'NOT_A_MEMBER') {
    metrics.unauthorizedJoin();
  } else if (code === 'CALL_EXPIRED') metrics.expiredJoin();
  else if (code === 'ALREADY_IN_CALL') metrics.duplicateJoin();
  else if (code === 'CALL_FULL') metrics.participantLimitExceeded();
}
