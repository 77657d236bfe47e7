import { type Kysely, sql } from 'kysely';

/** What happened in a call is forgotten some time after its end; the call itself stays. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table calls add column events_kept boolean not null default true`.execute(db);
  // The sweeper's other question: it has as many entries as there are ended calls with their events.
  await sql`create index calls_forgettable on calls (ended_at) where events_kept and ended_at is not null`.execute(
    db,
  );
}
