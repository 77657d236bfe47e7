import { type Kysely, sql } from 'kysely';

/** Devices that are rung by web push, and rings that reach none: of muted conversations, of blocked people. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table devices (
      id uuid primary key default gen_random_uuid(),
      user_id text not null,
      name text,
      endpoint text not null,
      p256dh text not null,
      auth text not null,
      vapid_key text not null,
      created_at timestamptz not null default now(),
      registered_at timestamptz not null default now()
    )`,
    // A browser rings for who signed in to it last, and for nobody before them.
    sql`create unique index devices_endpoint on devices (endpoint)`,
    sql`create index devices_of_user on devices (user_id)`,

    sql`create table blocked_users (
      user_id text not null,
      blocked_id text not null,
      blocked_at timestamptz not null default now(),
      primary key (user_id, blocked_id)
    )`,
    sql`alter table conversation_members add column muted boolean not null default false`,
    sql`create index conversation_members_muted on conversation_members (user_id) where muted`,
    // Why the last ring of a participant is heard by nobody; null for a loud one.
    sql`alter table call_participants add column silence text check (silence in ('MUTED', 'BLOCKED'))`,
  ];
  for (const statement of statements) await statement.execute(db);
}
