import type pg from 'pg';

/** Calls by the hundred thousand and by the million, as rows: no server could live them in the time. */

/** Live calls in which nothing is due for hours: two people each, both connected to the instance given. */
export async function liveCalls(sql: pg.Client, count: number, instanceId: string | null): Promise<void> {
  await sql.query(
    `insert into calls (id, conversation_id, type, status, version, caller_id, is_group, next_join_seq, people_key,
        created_at, answered_at, expires_at, warn_at, due_at)
      select ${idOf('live')}, 'live-' || n, 'VIDEO', 'ACTIVE', 2, 'live-' || n || '-a', false, 3, 'live-' || n,
        now(), now(), now() + interval '24 hours', now() + interval '23 hours', now() + interval '23 hours'
      from generate_series(1, $1::int) n`,
    [count],
  );
  await sql.query(
    `insert into call_participants (call_id, user_id, role, invitation, invited_by, invited_at, declined_busy,
        session_id, joined_at, seat, join_seq, stream_id, instance_id, muted, video_on, screen_on)
      select ${idOf('live')}, 'live-' || n || '-' || who, case who when 'a' then 'HOST' else 'GUEST' end, 'ANSWERED',
        'live-' || n || '-a', now(), false, 'session-' || n, now(), 'CONNECTED', case who when 'a' then 1 else 2 end,
        'stream', $2, false, true, false
      from generate_series(1, $1::int) n, unnest(array['a', 'b']) who`,
    [count, instanceId],
  );
  await sql.query(
    `insert into call_events (call_id, version, at, change, facts, published)
      select ${idOf('live')}, version, now(), '{"events":[],"seats":{},"rings":null,"ended":false}', '[]', true
      from generate_series(1, $1::int) n, generate_series(1, 2) version`,
    [count],
  );
  await sql.query('vacuum analyze');
}

/** Calls that ended long ago, whose events are forgotten; `people` users had them, in turn. */
export async function pastCalls(sql: pg.Client, count: number, people = 200_000): Promise<void> {
  const step = 1_000_000;
  for (let from = 1; from <= count; from += step) {
    const range = [from, Math.min(count, from + step - 1)];
    await sql.query(
      `insert into calls (id, conversation_id, type, status, version, caller_id, is_group, next_join_seq, created_at,
          answered_at, expires_at, ended_at, end_reason, ended_by, events_kept)
        select ${idOf('past')}, 'room-' || n % ${people}, 'VIDEO', 'ENDED', 3, 'past-' || n % ${people}, false, 3,
          ${AGO}, ${AGO}, ${AGO} + interval '24 hours', ${AGO} + interval '5 minutes', 'HANGUP', 'past-' || n % ${people}, false
        from generate_series($1::int, $2::int) n`,
      range,
    );
    await sql.query(
      `insert into call_participants (call_id, user_id, role, invitation, invited_by, invited_at, declined_busy,
          session_id, joined_at, left_at, leave_reason, muted, video_on, screen_on)
        select ${idOf('past')}, 'past-' || (n + who * 7919) % ${people}, case who when 0 then 'HOST' else 'GUEST' end,
          'ANSWERED', 'past-' || n % ${people}, ${AGO}, false, 'session-' || n, ${AGO}, ${AGO} + interval '5 minutes',
          'CALL_ENDED', false, true, false
        from generate_series($1::int, $2::int) n, generate_series(0, 1) who`,
      range,
    );
  }
  await sql.query('vacuum analyze');
}

/** As UUIDv7 does, these sort by creation, the past before the living. */
function idOf(kind: 'live' | 'past'): string {
  const head = kind === 'live' ? '019f0000-0000-7000-8' : '018f0000-0000-7000-8';
  return `('${head}000-' || lpad(n::text, 12, '0'))::uuid`;
}

const AGO = `(now() - interval '400 days' + n * interval '3 seconds')`;
