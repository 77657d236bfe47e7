import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as operations from '../support/operations.ts';
import { createWorld, eventually, initiate, success, type World } from '../support/world.ts';

/** What happened in a call is forgotten after EVENT_RETENTION; the call itself stays. */

let world: World;
beforeAll(async () => {
  world = await createWorld({ instances: 2, env: { EVENT_RETENTION: '1s' } });
});
afterAll(() => world?.close());

/** Calls that ended an hour ago, three events each, as if an older version had never deleted any. */
const PAST = 450;
async function makeThePast(): Promise<void> {
  const { db } = world.database;
  await sql`insert into calls (id, conversation_id, type, status, version, caller_id, is_group, next_join_seq,
      created_at, expires_at, ended_at, end_reason)
    select gen_random_uuid(), 'past', 'AUDIO', 'ENDED', 3, 'ada', false, 3,
      now() - interval '2 hours', now(), now() - interval '1 hour', 'HANGUP'
    from generate_series(1, ${PAST})`.execute(db);
  await sql`insert into call_events (call_id, version, at, change, facts, published)
    select id, n, ended_at, '{}', '[]', true from calls, generate_series(1, 3) as n
    where conversation_id = 'past'`.execute(db);
}

const eventsOf = async (condition: ReturnType<typeof sql<boolean>>) => {
  const { rows } = await sql<{ count: number }>`select count(*)::int4 as count from call_events
    join calls on calls.id = call_events.call_id where ${condition}`.execute(world.database.db);
  return rows[0]!.count;
};

describe('the events of a call', () => {
  it('are deleted some time after its end, in as many batches as it takes, and not before', async () => {
    await makeThePast();
    const ada = await world.client('ada');
    const conversationId = await world.conversation(['ada', 'ben', 'cleo']);
    const start = async (calleeIds: string[]) =>
      success(await initiate(ada, { conversationId, calleeIds, sessionId: 'ada' })).call.id;
    const [over, live] = [await start(['ben']), await start(['cleo'])];
    const timeline = async (id: string) => {
      const { call } = await ada.query(operations.GetTimeline, { id });
      return call?.timeline.edges.map(({ node }) => node.kind);
    };
    expect((await timeline(over))?.length).toBeGreaterThan(0);
    const input = { callId: over, reportId: 'r', rating: 3 };
    success((await ada.mutate(operations.ReportCallQuality, { input })).reportCallQuality);
    await sql`insert into call_signal_counts values (${over}, gen_random_uuid(), now(),
      '[{"kind": "Offer", "from": "ada", "to": "ben", "count": 1, "firstMs": 0, "lastMs": 0}]')`.execute(
      world.database.db,
    );
    expect(await timeline(over)).toEqual(expect.arrayContaining(['OFFERS', 'RATED']));
    await ada.mutate(operations.LeaveCall, { callId: over, sessionId: 'ada' });

    await eventually(async () => (await eventsOf(sql<boolean>`status = 'ENDED'`)) === 0, 10_000);
    expect(await timeline(over)).toEqual([]);
    for (const table of ['call_signal_counts', 'call_quality_reports']) {
      const { rows } = await sql`select from ${sql.table(table)} where call_id = ${over}`.execute(
        world.database.db,
      );
      expect(rows).toHaveLength(0);
    }
    const { call } = await ada.query(operations.GetCall, { id: over });
    expect(call).toMatchObject({ status: 'ENDED', endReason: 'CANCELLED' });
    expect((await timeline(live))?.length).toBeGreaterThan(0);
  });
});
