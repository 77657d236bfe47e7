import { membersAmong, readCall } from '../calls/call.repository.ts';
import { find } from '../calls/call.ts';
import { participantOf } from '../calls/call-rules.ts';
import { TIMINGS } from '../config.ts';
import type { Database } from '../database/open.ts';
import { DatabaseTimeout, DatabaseUnavailable, transact } from '../database/transaction.ts';
import { type Rejection, reject } from '../errors.ts';
import type { QualityService } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Rate } from '../rate-limits/rates.ts';
import { saveReport } from './quality.repository.ts';
import { isRelayed, MOST_REPORTS, type QualityReport, reportProblem } from './quality-report.ts';

/** Takes what participants measured: for the call's timeline, and for histograms that name nobody. */

export interface QualityServiceDeps {
  readonly database: Database;
  readonly rate: Rate;
  readonly metrics: Pick<Metrics, 'linkReported' | 'callRated'>;
}

/** What a client is told to wait after a time-out of the database, milliseconds. */
const RETRY_AFTER_TIMEOUT = 1_000;

export function createQualityService({ database, rate, metrics }: QualityServiceDeps): QualityService {
  async function report(userId: string, given: QualityReport) {
    const { callId, links } = given;
    const read = isCallId(callId) ? await readCall(database.db, callId) : null;
    if (!read) return reject('CALL_NOT_FOUND');
    const { call, now } = read;
    const isMember = (await membersAmong(database.db, call.conversationId, [userId])).has(userId);
    const participant = participantOf(call, { userId, isMember });
    if ('code' in participant) return participant;
    if (participant.joinedAt === null) return reject('NOT_IN_CALL', 'You were never in this call.');
    if (call.endedAt !== null && now - call.endedAt > TIMINGS.reportsTakenMs) return reject('CALL_ENDED');
    // Nobody's words get into the timeline: whom a link is to, the call knows.
    const stranger = links.findIndex((link) => link.userId === userId || !find(call, link.userId));
    if (stranger >= 0) {
      return reject('INVALID_INPUT', `input.links.${stranger}.userId: is no other participant of the call.`);
    }
    return transact(database, (tx) => saveReport(tx, userId, given, MOST_REPORTS));
  }

  return {
    async reportCallQuality(viewer, given) {
      const taken = await rate.take(viewer);
      if (!taken.allowed) return refused(reject('RATE_LIMITED', undefined, taken.retryAfterMs));
      const problem = reportProblem(given);
      if (problem !== null) return refused(reject('INVALID_INPUT', problem));
      try {
        const saved = await report(viewer.userId, given);
        if (saved === null) {
          return refused(reject('RATE_LIMITED', `A call takes ${MOST_REPORTS} reports of a participant.`));
        }
        if ('code' in saved) return refused(saved);
        if (saved.duplicate) rate.giveBack(viewer, taken);
        else {
          for (const link of given.links) metrics.linkReported(link, isRelayed(link));
          if (given.rating !== null) metrics.callRated(given.rating);
        }
        return saved;
      } catch (error) {
        const isOutOfReach = error instanceof DatabaseTimeout || error instanceof DatabaseUnavailable;
        if (isOutOfReach) return refused(reject('TIMEOUT', undefined, RETRY_AFTER_TIMEOUT));
        throw error;
      }
    },
  };
}

function refused(rejection: Rejection): { readonly rejection: Rejection } {
  return { rejection };
}
