import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Outbox } from '../../src/calls/outbox.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/postgres.ts';

let stored: TestDatabase;
let database: Database;
beforeAll(async () => {
  stored = await createDatabase();
  database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 1, timeoutMs: 5_000 });
});
afterAll(async () => {
  await database.close();
  await stored.drop();
});

/** A call with so many changes. */
async function aCallOf(versions: number): Promise<string> {
  const id = randomUUID();
  await sql`insert into calls (id, conversation_id, type, status, version, caller_id, is_group, next_join_seq,
      created_at, expires_at)
    values (${id}, 'c', 'AUDIO', 'ACTIVE', ${versions}, 'ann', false, 2, now(), now())`.execute(database.db);
  await sql`insert into call_events (call_id, version, at, change, facts)
    select ${id}::uuid, version, now(), jsonb_build_object(
      'events', '[]'::jsonb, 'seats', '{}'::jsonb, 'ended', false, 'rings', jsonb_build_object('userIds', '[]'::jsonb)
    ), '[]' from generate_series(1, ${versions}::int4) as version`.execute(database.db);
  return id;
}

it('changes of many calls come whole and in order, whatever their number, without what rings', async () => {
  const sizes = [1_200, 3, 1, 700, 500];
  const ids: string[] = [];
  for (const size of sizes) ids.push(await aCallOf(size));
  // Of the last one nothing is asked, of the first one a part is known.
  const known = new Map(ids.slice(0, 4).map((id, index) => [id, index === 0 ? 100 : 0]));
  const outbox = new Outbox(
    database.db,
    null as never,
    null as never,
    () => {},
    () => {},
  );
  const read = new Map<string, number[]>();
  for await (const { callId, state } of outbox.statesAfter(known)) {
    expect(Object.keys(state).sort()).toEqual(['at', 'ended', 'events', 'seats', 'version']);
    read.set(callId, [...(read.get(callId) ?? []), state.version]);
  }
  const expected = [...known].map(([id, version], index) => [
    id,
    Array.from({ length: sizes[index]! - version }, (_, n) => version + n + 1),
  ]);
  expect(read).toEqual(new Map(expected as [string, number[]][]));
});
