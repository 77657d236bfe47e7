import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tokenFor } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { believed, inCall, numbers, of, type Peer, send, setMuted, told } from '../support/in-call.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { startPostgres, type TestDatabase, type TestPostgres } from '../support/postgres.ts';
import {
  codeOf,
  createWorld,
  events,
  eventually,
  initiate,
  join,
  success,
  type World,
} from '../support/world.ts';

/** M4: Postgres is killed in mid-call (SIGQUIT: backends end in the midst of what they do), and started again. */

/** Milliseconds until all works again once Postgres is there. */
const HEALED = 5_000;
const POOL_SIZE = 4;
/** Calls that are being started when it dies. */
const IN_FLIGHT = 40;

const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);

let postgres: TestPostgres;
let stored: TestDatabase;
let world: World;
beforeAll(async () => {
  process.on('unhandledRejection', note);
  postgres = await startPostgres({ durable: true });
  stored = await postgres.createDatabase();
  world = await createWorld({
    instances: 2,
    env: { DATABASE_URL: stored.url, DATABASE_POOL_SIZE: String(POOL_SIZE) },
  });
});
afterAll(async () => {
  await world?.close();
  await postgres?.stop();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: stored.url, application_name: 'other' });
  await client.connect();
  try {
    return (await client.query<Row>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** More commands at once than the pools have connections: all are answered, and every connection comes back. */
async function expectWholePools(peers: readonly Peer[]): Promise<void> {
  const commands = Array.from({ length: 4 * POOL_SIZE }, async (_, i) =>
    codeOf(await setMuted(peers[i % peers.length]!, i % 4 < 2)),
  );
  expect(new Set(await Promise.all(commands))).toEqual(new Set(['CallSuccess']));
  const states = async () => {
    const rows = await query<{ state: string }>(
      `select state from pg_stat_activity
       where datname = current_database() and application_name = 'ringdown'`,
    );
    return rows.map(({ state }) => state);
  };
  // Each instance has one more for its heartbeat.
  expect((await states()).length).toBeLessThanOrEqual(2 * (POOL_SIZE + 1));
  await eventually(async () => (await states()).every((state) => state === 'idle'));
}

describe('M4: Postgres killed in mid-call', () => {
  it('costs no signal, no seat and nothing that was told as done; all works within 5 s of its return', async () => {
    const { ada, ben, cleo } = await inCall(world, {
      ada: await world.client('ada', 0),
      ben: await world.client('ben', 1),
      cleo: await world.client('cleo', 0),
    });
    const rings = (await world.client('dan', 1)).subscribe(operations.IncomingCalls, {});
    await rings.next((event) => event.__typename === 'IncomingSnapshot');
    const starts = await Promise.all(
      Array.from({ length: IN_FLIGHT }, async (_, i) => {
        const caller = await world.client(`caller-${i}`, i % 2);
        await caller.connect();
        const conversationId = await world.conversation([`caller-${i}`, 'dan']);
        const idempotencyKey = randomUUID();
        const input = { conversationId, calleeIds: ['dan'], sessionId: 's', idempotencyKey };
        return { conversationId, ask: () => initiate(caller, input) };
      }),
    );

    // It dies while some have been answered, and others are under way.
    const answers = starts.map(({ ask }) =>
      ask().catch((error) => ({ __typename: 'Error', code: error.code })),
    );
    await Promise.race(answers);
    await postgres.kill();
    const before = await Promise.all(answers);
    for (const answer of before) {
      if (answer.__typename !== 'InitiateCallSuccess') expect(codeOf(answer)).toBe('TIMEOUT');
    }

    expect(before.map(codeOf)).toContain('TIMEOUT');

    // Signals need no database.
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    expect(codeOf(await send(ben, cleo, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(1) && numbers(cleo).includes(1));
    const answer = await setMuted(ben, true);
    expect(answer).toMatchObject({ code: 'TIMEOUT', retryAfterMs: expect.any(Number) });

    await postgres.restart();
    const back = Date.now();
    const left = () => HEALED - (Date.now() - back);
    for (const peer of [ada, ben]) {
      await eventually(async () => codeOf(await setMuted(peer, true)) === 'CallSuccess', left());
    }
    for (const peer of [ada, ben, cleo]) {
      await eventually(() => ['ada', 'ben'].every((id) => believed(peer).get(id)?.media.muted), left());
    }
    for (const [i, { ask, conversationId }] of starts.entries()) {
      const { call } = success(await ask());
      const earlier = before[i]!;
      if (earlier.__typename === 'InitiateCallSuccess' && 'call' in earlier)
        expect(call.id).toBe(earlier.call.id);
      const rows = await query('select id from calls where conversation_id = $1', [conversationId]);
      expect(rows).toEqual([{ id: call.id }]);
      await eventually(
        () => rings.events.some((event) => event.__typename === 'CallRinging' && event.call.id === call.id),
        left(),
      );
    }
    const rung = rings.events.filter(({ __typename }) => __typename === 'CallRinging');
    expect(rung).toHaveLength(IN_FLIGHT);

    // A call from its start to its end, over both instances.
    const [eve, fay] = [await world.client('eve', 0), await world.client('fay', 1)];
    const conversationId = await world.conversation(['eve', 'fay']);
    const { call } = success(await initiate(eve, { conversationId, calleeIds: ['fay'], sessionId: 'e' }));
    success(await join(fay, call.id, 'f'));
    const stream = events(fay, call.id, 'f');
    await stream.next((event) => event.__typename === 'CallSnapshot');
    success((await eve.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'e' })).leaveCall);
    await stream.next((event) => event.__typename === 'CallEnded', left());
    expect(left()).toBeGreaterThan(0);

    for (const peer of [ada, ben, cleo]) {
      expect(of('CallEnded', peer)).toEqual([]);
      for (const userId of ['ada', 'ben', 'cleo']) {
        expect([told(peer, userId, 'LEFT'), told(peer, userId, 'RECONNECTING')]).toEqual([[], []]);
      }
    }
    await expectWholePools([ada, ben]);
  });
});

it('M4: SIGTERM while Postgres hangs ends an instance in an orderly way, within 10 s', async () => {
  const instance = await startInstance({ DATABASE_URL: stored.url, REDIS_URL: world.redis.url });
  try {
    const client = createClient({ url: instance.url, token: await tokenFor('gil') });
    await client.connect();
    postgres.pause();
    const askedAt = performance.now();
    instance.signal('SIGTERM');
    expect(await instance.ended).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(10_000);
    expect(await client.closed).toMatchObject({ code: 1012 });
  } finally {
    postgres.resume();
    await endInstances();
  }
});
