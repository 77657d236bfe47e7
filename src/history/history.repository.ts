import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { CallStatus } from '../calls/call-view.ts';

/** The SQL of histories: pages that are read where they stand, however many calls there are before and after. */

export interface HistoryQuery {
  readonly userId: string;
  readonly conversationId: string | null;
  readonly missed: boolean | null;
  readonly outgoing: boolean | null;
  readonly statuses: readonly CallStatus[] | null;
  /** A call's id sorts by its creation: from this one on, and before that one. */
  readonly fromId: string | null;
  readonly beforeId: string | null;
  /** Oldest first. */
  readonly backwards: boolean;
  /** Beyond this one, in the order that is asked for. */
  readonly beyondId: string | null;
  readonly limit: number;
}

export interface HistoryRow {
  readonly callId: string;
  readonly outgoing: boolean;
  readonly missedAt: Date | null;
  /** False: missed, and the user has not marked it as seen. */
  readonly seen: boolean;
}

/**
 * Of a row `h` whether its call may be shown. As for `call`: whoever was taken out of the conversation, or of the call,
 * sees it no more while it is live. `offset 0` keeps it one look by the call's id for each row: by its statistics, live
 * calls being so few, the planner may otherwise begin with all of those.
 */
const shown = (statuses: readonly CallStatus[] | null) => sql`lateral (
  select from calls c
  where c.id = h.call_id ${statuses === null ? sql`` : sql`and c.status = any(${[...statuses]})`}
    and (c.status = 'ENDED' or exists (
      select from call_participants p, conversation_members m
      where p.call_id = c.id and p.user_id = h.user_id and p.invitation <> 'REMOVED'
        and m.conversation_id = c.conversation_id and m.user_id = h.user_id))
  offset 0) as shown`;

export async function historyPage(db: Db, query: HistoryQuery): Promise<HistoryRow[]> {
  const { rows } = await historyStatement(query).execute(db);
  return rows;
}

/**
 * One look into the index for each kind of call (missed or not, outgoing or not) that is asked for, merged by id. A
 * filter on a kind, rather than a place in the index, would read past all the others to find a few. Each look has an
 * order and a limit of its own: without them the planner reads all that there is of a kind, and sorts it.
 */
export function historyStatement(query: HistoryQuery): RawBuilder<HistoryRow> {
  const { userId, backwards, limit } = query;
  const both = (wanted: boolean | null) => (wanted === null ? [false, true] : [wanted]);
  const kinds = both(query.missed).flatMap((missed) =>
    both(query.outgoing).map((outgoing) => kindOf(query, missed, outgoing)),
  );
  return sql<HistoryRow>`
    select h.call_id as "callId", h.outgoing, h.missed_at as "missedAt",
      h.missed_at is null or h.missed_at <= coalesce(
        (select through from missed_calls_seen where user_id = ${userId}), '-infinity') as seen
    from (${sql.join(kinds, sql` union all `)}) as h
    order by h.call_id ${order(backwards)} limit ${limit}`;
}

function kindOf(query: HistoryQuery, missed: boolean, outgoing: boolean): RawBuilder<unknown> {
  const { userId, conversationId, statuses, fromId, beforeId, beyondId, backwards, limit } = query;
  const conditions = [
    sql`user_id = ${userId}`,
    sql`missed = ${sql.lit(missed)}`,
    sql`outgoing = ${sql.lit(outgoing)}`,
    ...(conversationId === null ? [] : [sql`conversation_id = ${conversationId}`]),
    ...(fromId === null ? [] : [sql`call_id >= ${fromId}::uuid`]),
    ...(beforeId === null ? [] : [sql`call_id < ${beforeId}::uuid`]),
    ...(beyondId === null ? [] : [sql`call_id ${backwards ? sql`>` : sql`<`} ${beyondId}::uuid`]),
  ];
  return sql`(select call_id, outgoing, missed_at from call_history h cross join ${shown(statuses)}
    where ${sql.join(conditions, sql` and `)}
    order by call_id ${order(backwards)} limit ${limit})`;
}

const order = (backwards: boolean) => (backwards ? sql`asc` : sql`desc`);

/**
 * Missed calls that the user has not marked as seen, counted up to `most`. The mark is read first: inside the statement
 * the planner would not know it, take a third of all that was ever missed for unseen, and read all of that.
 */
export async function unseenMissed(db: Db, userId: string, most: number): Promise<number> {
  const mark = await db
    .selectFrom('missed_calls_seen')
    .select('through')
    .where('user_id', '=', userId)
    .executeTakeFirst();
  const { rows } = await unseenStatement(userId, mark?.through ?? null, most).execute(db);
  return rows[0]?.count ?? 0;
}

export function unseenStatement(
  userId: string,
  seenThrough: Date | null,
  most: number,
): RawBuilder<{ count: number }> {
  return sql<{ count: number }>`
    select count(*)::int4 as count from (
      select call_id, user_id from call_history
      where user_id = ${userId} and missed_at is not null
        ${seenThrough === null ? sql`` : sql`and missed_at > ${seenThrough}`}
      order by missed_at limit ${most}) as h cross join ${shown(null)}`;
}

/** Moves the mark forward, never back, and never past now: what is missed later is to be seen. */
export async function markSeen(db: Db, userId: string, through: Date | null): Promise<void> {
  await sql`
    insert into missed_calls_seen as known (user_id, through)
    values (${userId}, least(clock_timestamp(), coalesce(${through}::timestamptz, 'infinity')))
    on conflict (user_id) do update set through = greatest(known.through, excluded.through)`.execute(db);
}
