import type { Logger } from '../observability/logger.ts';
import type { Call, Fact } from './call.ts';
import { durationSeconds } from './changes.ts';

/** The life of a call in the log: its beginning and its end. What lies between stands in its timeline. */
export function logLife(logger: Pick<Logger, 'info'>, call: Call, facts: readonly Fact[]): void {
  for (const { kind } of facts) {
    const { id: callId, conversationId, type, callerId } = call;
    if (kind === 'INITIATED') {
      const invited = call.participants.length - 1;
      logger.info({ callId, conversationId, type, callerId, invited }, 'A call was created');
    } else if (kind === 'ENDED') {
      const { endReason: reason, endedBy } = call;
      logger.info(
        { callId, conversationId, type, reason, endedBy, seconds: durationSeconds(call) },
        'A call ended',
      );
    }
  }
}
