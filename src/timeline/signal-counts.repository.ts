import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { SignalTally, Stretch } from './signal-tally.ts';

/** Counts of signals on their way into the database. */

/** Stretches of one statement. */
const BATCH = 200;

/** Writes what is due. `all`: at the end of an instance, whatever there is. */
export async function writeCounts(db: Db, tally: SignalTally, all = false): Promise<void> {
  for (;;) {
    const due = tally.due(BATCH, all);
    if (due.length > 0) tally.written(due, await write(db, due));
    // What could not be written now is not tried again at once.
    if (due.length < BATCH) break;
  }
  tally.tidy();
}

/**
 * The ids of those that are written. Those of a call that somebody else is changing are not: a batch that waited for
 * one call would hold up the commands of all its others meanwhile. Ages become instants of the database's clock; the
 * way there makes them later than they are, but no signal was taken after its call's end.
 */
async function write(db: Db, stretches: readonly Stretch[]): Promise<Set<string>> {
  const callIds = stretches.map(({ callId }) => callId);
  const { rows } = await sql<{ stretch: string }>`
    with here as (
      select id, ended_at from calls where id = any(${callIds}::uuid[]) for key share skip locked
    )
    insert into call_signal_counts (call_id, stretch, started_at, counts)
    select given.call_id, given.stretch,
      date_trunc('milliseconds', least(
        clock_timestamp() - given.age * interval '1 millisecond',
        here.ended_at - (given.lasted + 1) * interval '1 millisecond'
      )), given.counts
    from unnest(
      ${callIds}::uuid[],
      ${stretches.map(({ id }) => id)}::uuid[],
      ${stretches.map(({ ageMs }) => ageMs)}::int8[],
      ${stretches.map(lasted)}::int8[],
      ${stretches.map(({ counts }) => JSON.stringify(counts))}::jsonb[]
    ) as given (call_id, stretch, age, lasted, counts) join here on here.id = given.call_id
    on conflict (call_id, stretch) do update set counts = excluded.counts
    returning stretch`.execute(db);
  return new Set(rows.map(({ stretch }) => stretch));
}

/** Milliseconds until its last signal. */
function lasted({ counts }: Stretch): number {
  return counts.reduce((most, { lastMs }) => Math.max(most, lastMs), 0);
}
