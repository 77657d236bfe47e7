import { sql } from 'kysely';
import type { Db } from '../../src/calls/call.repository.ts';

/** Past calls by the million, made by the database itself: what histories look like after some years. */

/** Whose history has what: `heavy` calls and is called a lot, `desk` misses nearly all that comes. */
export const HEAVY = 'heavy';
export const DESK = 'desk';
/** A conversation in which `heavy` had a few calls, all of them long ago. */
export const RARE = 'rare';

export interface Past {
  readonly calls: number;
  readonly users: number;
  /** Of the last call's creation; a call a second until then. */
  readonly until: Date;
}

/** Calls `from` to `to` of them, so that many can be made in parts. */
export async function makePast(db: Db, { calls, users, until }: Past, from = 1, to = calls): Promise<void> {
  const end = until.getTime();
  await sql`
    create temporary table past on commit drop as
    select n, at, to_timestamp(at / 1000.0) as created_at,
      (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-7' || substr(noise, 1, 3) || '-8' || substr(noise, 4, 3)
        || '-' || substr(noise, 7, 12))::uuid as id,
      case when n % 20 = 0 then ${HEAVY} else 'user-' || (n * 7919) % ${users}::int8 end as caller,
      case when n % 20 = 1 then ${HEAVY} when n % 20 = 2 then ${DESK}
        else 'user-' || (n * 104729 + 1) % ${users}::int8 end as callee,
      case when n % 20 = 0 and n <= 600 then ${RARE} else 'room-' || n % 1000 end as conversation,
      case when n % 20 = 2 then n > 500 else n % 9 = 0 end as missed
    from (
      select n, ${end}::int8 - (${calls}::int8 - n) * 1000 as at, md5(n::text) as noise,
        lpad(to_hex(${end}::int8 - (${calls}::int8 - n) * 1000), 12, '0') as hex
      from generate_series(${from}::int8, ${to}::int8) as n
    ) as numbered`.execute(db);
  await sql`
    insert into calls (id, conversation_id, type, status, version, caller_id, is_group, next_join_seq, created_at,
      answered_at, expires_at, ended_at, end_reason, ended_by, events_kept)
    select id, conversation, 'VIDEO', 'ENDED', 4, caller, false, 3, created_at,
      case when not missed then created_at + interval '5 seconds' end, created_at + interval '1 day',
      created_at + interval '90 seconds', case when missed then 'NO_ANSWER' else 'HANGUP' end,
      case when not missed then callee end, false
    from past`.execute(db);
  await sql`
    insert into call_participants (call_id, user_id, role, invitation, invited_by, invited_at, declined_busy,
      joined_at, left_at, leave_reason, muted, video_on, screen_on)
    select id, caller, 'HOST', 'ANSWERED', caller, created_at, false, created_at, created_at, 'HANGUP', false, true, false
      from past
    union all
    select id, callee, 'GUEST', case when missed then 'MISSED' else 'ANSWERED' end, caller, created_at, false,
      case when not missed then created_at end, case when not missed then created_at end,
      case when not missed then 'HANGUP' end, false, true, false
      from past where callee <> caller`.execute(db);
  await sql`
    insert into call_history (call_id, user_id, conversation_id, outgoing, missed_at)
    select id, caller, conversation, true, null from past
    union all
    select id, callee, conversation, false, case when missed then created_at + interval '90 seconds' end
      from past where callee <> caller`.execute(db);
}
