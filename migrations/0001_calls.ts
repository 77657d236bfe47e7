import { type Kysely, sql } from 'kysely';

/** Conversations, calls, who was invited and who has a seat, the log's outbox, instances. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    // The app's own conversations: who may call whom.
    sql`create table conversations (
      id text primary key,
      version int8 not null,
      updated_at timestamptz not null default now()
    )`,
    sql`create table conversation_members (
      conversation_id text not null references conversations on delete cascade,
      user_id text not null,
      primary key (conversation_id, user_id)
    )`,

    sql`create table calls (
      id uuid primary key,
      conversation_id text not null,
      type text not null check (type in ('AUDIO', 'VIDEO')),
      status text not null check (status in ('RINGING', 'ACTIVE', 'ENDED')),
      version int4 not null,
      caller_id text not null,
      is_group boolean not null,
      next_join_seq int4 not null,
      people_key text,
      created_at timestamptz not null,
      answered_at timestamptz,
      expires_at timestamptz not null,
      warn_at timestamptz,
      alone_deadline timestamptz,
      ended_at timestamptz,
      end_reason text,
      ended_by text,
      due_at timestamptz,
      check ((status = 'ENDED') = (ended_at is not null and end_reason is not null))
    ) with (fillfactor = 80)`,
    // Two people who call each other at once are in one call: the second insert fails here.
    sql`create unique index calls_people on calls (people_key) where people_key is not null`,
    // The sweeper's one question. due_at is the earliest deadline of the call and its participants.
    sql`create index calls_due on calls (due_at) where due_at is not null`,
    sql`create index calls_live_by_conversation on calls (conversation_id) where status <> 'ENDED'`,

    // Being invited (invitation, ring_deadline) and being in the call (seat, join_seq) are two facts.
    sql`create table call_participants (
      call_id uuid not null references calls on delete cascade,
      user_id text not null,
      role text not null check (role in ('HOST', 'GUEST')),
      invitation text not null check (invitation in ('RINGING', 'ANSWERED', 'DECLINED', 'MISSED', 'REMOVED')),
      invited_by text not null,
      invited_at timestamptz not null,
      ring_deadline timestamptz,
      declined_busy boolean not null,
      session_id text,
      joined_at timestamptz,
      left_at timestamptz,
      leave_reason text,
      seat text check (seat in ('CONNECTING', 'CONNECTED', 'RECONNECTING')),
      join_seq int4,
      seat_deadline timestamptz,
      stream_id text,
      instance_id uuid,
      orphaned boolean not null default false,
      muted boolean not null,
      video_on boolean not null,
      screen_on boolean not null,
      primary key (call_id, user_id),
      check ((invitation = 'RINGING') = (ring_deadline is not null)),
      check ((seat is null) = (join_seq is null)),
      check (seat is null or session_id is not null),
      check ((seat in ('CONNECTING', 'RECONNECTING')) = (seat_deadline is not null) or seat is null)
    ) with (fillfactor = 80)`,
    // A user's calls, newest first: a call's id is a UUIDv7, so it sorts by creation.
    sql`create index call_participants_history on call_participants (user_id, call_id desc)`,
    sql`create index call_participants_ringing on call_participants (user_id) where invitation = 'RINGING'`,
    sql`create index call_participants_seated on call_participants (user_id) where seat is not null`,
    sql`create index call_participants_by_instance on call_participants (instance_id) where instance_id is not null`,

    // Outbox and timeline in one: what a version changed, written in the transaction that made it.
    sql`create table call_events (
      call_id uuid not null references calls on delete cascade,
      version int4 not null,
      at timestamptz not null,
      change jsonb not null,
      facts jsonb not null,
      published boolean not null default false,
      primary key (call_id, version)
    )`,
    sql`create index call_events_unpublished on call_events (at) where not published`,

    // Idempotency keys of initiateCall.
    sql`create table initiations (
      caller_id text not null,
      key text not null,
      input_hash text not null,
      call_id uuid not null references calls on delete cascade,
      joined_existing boolean not null,
      created_at timestamptz not null,
      primary key (caller_id, key)
    )`,
    sql`create index initiations_age on initiations (created_at)`,

    sql`create table instances (
      id uuid primary key,
      started_at timestamptz not null default clock_timestamp(),
      heartbeat_at timestamptz not null default clock_timestamp(),
      awake_since timestamptz not null default clock_timestamp(),
      has_redis boolean not null
    )`,
  ];
  for (const statement of statements) await statement.execute(db);
}
