import { type Kysely, sql } from 'kysely';

/** A user's calls as their history lists them, what they have seen of it, and what explains a call afterwards. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // Narrow, and written once for each invitation: call_participants changes with every coming and going of a
    // seat, and each of its indexes costs at every change.
    sql`create table call_history (
      call_id uuid not null references calls on delete cascade,
      user_id text not null,
      conversation_id text not null,
      outgoing boolean not null,
      missed_at timestamptz,
      missed boolean not null generated always as (missed_at is not null) stored,
      primary key (call_id, user_id)
    )`,
    sql`insert into call_history (call_id, user_id, conversation_id, outgoing, missed_at)
      select p.call_id, p.user_id, c.conversation_id, p.user_id = c.caller_id,
        case when p.invitation = 'MISSED' then coalesce(c.ended_at, p.invited_at) end
      from call_participants p join calls c on c.id = p.call_id`,
    // Newest first: a call's id is a UUIDv7, so it sorts by creation. Every filter begins with all columns before
    // the id, so a page is read where it stands, however much there is around it.
    sql`create index call_history_by_user on call_history (user_id, missed, outgoing, call_id)`,
    sql`create index call_history_by_conversation
      on call_history (user_id, conversation_id, missed, outgoing, call_id)`,
    sql`create index call_history_missed on call_history (user_id, missed_at) where missed_at is not null`,
    sql`drop index call_participants_history`,

    // Up to when a user has seen what they missed.
    sql`create table missed_calls_seen (
      user_id text primary key,
      through timestamptz not null
    )`,

    // How many signals of which kind went from whom to whom: one row for each stretch without a long silence, of
    // each instance that took some.
    sql`create table call_signal_counts (
      call_id uuid not null references calls on delete cascade,
      stretch uuid not null,
      started_at timestamptz not null,
      counts jsonb not null,
      primary key (call_id, stretch)
    )`,

    // What participants measured of their links, and what they thought of the call.
    sql`create table call_quality_reports (
      call_id uuid not null references calls on delete cascade,
      user_id text not null,
      report_id text not null,
      at timestamptz not null,
      links jsonb not null,
      rating int2 check (rating between 1 and 5),
      primary key (call_id, user_id, report_id)
    )`,
  ];
  for (const statement of statements) await statement.execute(db);
}
