import { readCalls } from '../calls/call.repository.ts';
import { viewOf } from '../calls/changes.ts';
import { CALLS_PAGE, connection, pageOf } from '../calls/pages.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import type { HistoryService } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import { historyPage, markSeen, unseenMissed } from './history.repository.ts';
import { outcomeOf } from './history-rules.ts';

/** The calls that a user was ever asked to, and which of those they missed. */

/** Missed calls are counted up to here: whoever has more wants to know no more than that. */
export const MOST_MISSED = 100;
/** No call can be older than the longest MAX_CALL_DURATION and live; an hour for clocks that differ. Milliseconds. */
const LIVE_AT_MOST = (30 * 24 + 1) * 3_600_000;

export function createHistoryService(database: Database, now: () => number): HistoryService {
  const { db } = database;
  return {
    async calls(viewer, args, filter) {
      const page = pageOf(args, cursorToCallId, CALLS_PAGE);
      const statuses = filter?.statuses ?? null;
      const liveOnly = statuses !== null && !statuses.includes('ENDED');
      const from = [filter?.createdFrom ?? null, liveOnly ? now() - LIVE_AT_MOST : null];
      const earliest = from.filter((instant) => instant !== null);
      const rows = await historyPage(db, {
        userId: viewer.userId,
        conversationId: filter?.conversationId ?? null,
        missed: filter?.missed ?? null,
        outgoing: filter?.outgoing ?? null,
        statuses,
        fromId: earliest.length === 0 ? null : firstCallId(Math.max(...earliest)),
        beforeId: filter?.createdBefore == null ? null : firstCallId(filter.createdBefore),
        backwards: page.backwards,
        beyondId: page.from,
        limit: page.size + 1,
      });
      if (page.backwards) rows.reverse();
      const calls = await readCalls(
        db,
        rows.map(({ callId }) => callId),
      );
      const byId = new Map(calls.map(({ call }) => [call.id, call]));
      const found = rows.flatMap(({ callId, outgoing, missedAt, seen }) => {
        const call = byId.get(callId);
        if (call === undefined) return [];
        const outcome = outcomeOf(call, viewer.userId, missedAt !== null);
        return [{ node: viewOf(call), outcome, outgoing, missedAt: missedAt?.getTime() ?? null, seen }];
      });
      return connection(page, found, ({ id }) => callIdToCursor(id));
    },

    missedCallCount: (viewer) => unseenMissed(db, viewer.userId, MOST_MISSED),

    async markMissedCallsSeen(viewer, through) {
      await transact(database, (tx) =>
        markSeen(tx, viewer.userId, through === null ? null : new Date(through)),
      );
    },
  };
}

/** The lowest id that a call of this instant may have (UUIDv7, RFC 9562 section 5.7). */
export function firstCallId(instant: number): string {
  const hex = Math.min(Math.max(0, instant), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

function callIdToCursor(callId: string): string {
  return Buffer.from(callId.replaceAll('-', ''), 'hex').toString('base64url');
}

function cursorToCallId(cursor: string): string | null {
  const hex = Buffer.from(cursor, 'base64url').toString('hex');
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return isCallId(id) ? id : null;
}
