import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CommitProxy, type Moment, startCommitProxy } from '../support/commit-proxy.ts';
import { createDatabase } from '../support/database.ts';
import { believed, inCall, leave, next, of, type Peer, setMuted, told } from '../support/in-call.ts';
import * as operations from '../support/operations.ts';
import type { TestDatabase } from '../support/postgres.ts';
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

/**
 * M4: the connection to Postgres is lost around a COMMIT. Nobody can know then whether it was done, so the
 * answer is TIMEOUT, and the same request again comes to the same, once.
 */

/** Milliseconds until a change is told whose publisher never knew of it: left behind after 2 s, a sweep each second. */
const PUBLISHED = 4_000;
const POOL_SIZE = 4;
const MOMENTS: Moment[] = ['before', 'in', 'after'];

let stored: TestDatabase;
let proxy: CommitProxy;
let world: World;
let onlooker: pg.Client;
beforeAll(async () => {
  stored = await createDatabase();
  proxy = await startCommitProxy(stored.url);
  world = await createWorld({ env: { DATABASE_URL: proxy.url, DATABASE_POOL_SIZE: String(POOL_SIZE) } });
  onlooker = new pg.Client({ connectionString: stored.url });
  await onlooker.connect();
});
afterAll(async () => {
  await onlooker?.end();
  await world?.close();
  await proxy?.close();
  await stored?.drop();
});

/** Asks, loses the connection at that moment of the commit, and is told that nobody knows. */
async function cutAt(
  moment: Moment,
  mark: string,
  ask: () => Promise<{ readonly __typename: string }>,
): Promise<void> {
  const cut = proxy.cutAt(moment, mark);
  const answer = await ask();
  await cut;
  expect(answer).toMatchObject({ code: 'TIMEOUT', retryAfterMs: expect.any(Number) });
}

async function threeInCall() {
  return inCall(world, {
    ada: await world.client('ada'),
    ben: await world.client('ben'),
    cleo: await world.client('cleo'),
  });
}

/** Each change of state once, and in order. */
function expectInOrder(peer: Peer): void {
  const versions = of('ParticipantChanged', peer).map(({ version }) => version);
  expect(versions).toEqual([...new Set(versions)].sort((a, b) => a - b));
}

describe.concurrent.each(MOMENTS)('M4: the connection is lost %s the commit', (moment) => {
  it('of initiateCall: one call, and it rings once', async () => {
    const [ada, ben] = [await world.client('ada'), await world.client('ben')];
    const rings = ben.subscribe(operations.IncomingCalls, {});
    await rings.next((event) => event.__typename === 'IncomingSnapshot');
    const conversationId = await world.conversation(['ada', 'ben']);
    const idempotencyKey = randomUUID();
    const ask = () => initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada', idempotencyKey });
    await cutAt(moment, idempotencyKey, ask);
    const { call } = success(await ask());
    expect(success(await ask()).call.id).toBe(call.id);

    const isOfIt = (event: (typeof rings.events)[number]) => 'call' in event && event.call.id === call.id;
    await rings.next((event) => event.__typename === 'CallRinging' && isOfIt(event), PUBLISHED);
    success((await ada.mutate(operations.EndCall, { callId: call.id })).endCall);
    await rings.next((event) => event.__typename === 'RingStopped' && isOfIt(event), PUBLISHED);
    expect(rings.events.filter(isOfIt).map(({ __typename }) => __typename)).toEqual([
      'CallRinging',
      'RingStopped',
    ]);
    const { rows } = await onlooker.query('select id from calls where conversation_id = $1', [
      conversationId,
    ]);
    expect(rows).toEqual([{ id: call.id }]);
  });

  it('of joinCall: one seat, under one joinSeq, told once', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    success(await leave(ben));
    await eventually(() => told(ada, 'ben', 'LEFT').length === 1);
    await cutAt(moment, callId, () => join(ben.client, callId, 'ben-again'));
    const { call } = success(await join(ben.client, callId, 'ben-again'));
    const { joinSeq } = call.participants.find(({ userId }) => userId === 'ben')!;
    expect((await events(ben.client, callId, 'ben-again').next()).__typename).toBe('CallSnapshot');
    for (const peer of [ada, cleo]) {
      await eventually(() => believed(peer).get('ben')?.status === 'CONNECTED', PUBLISHED);
      expect(told(peer, 'ben', 'CONNECTING').filter((seat) => seat.sessionId === 'ben-again')).toMatchObject([
        { joinSeq },
      ]);
      expect(believed(peer).get('ben')).toMatchObject({ joinSeq });
      expectInOrder(peer);
    }
  });

  it('of leaveCall: it is left once, with its reason', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    await cutAt(moment, callId, () => leave(ben));
    expect(codeOf(await leave(ben))).toBe('CallSuccess');
    for (const peer of [ada, cleo]) {
      await eventually(() => told(peer, 'ben', 'LEFT').length > 0, PUBLISHED);
      // What comes later, comes after it.
      success(await setMuted(peer, true));
      await eventually(() => believed(peer).get(peer.userId)?.media.muted);
      expect(told(peer, 'ben', 'LEFT')).toMatchObject([{ leaveReason: 'HANGUP' }]);
      expectInOrder(peer);
    }
    await ben.stream.ended;
  });

  it('of endCall: it ends once, whether or not anybody asks again', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    const end = async () => (await ada.client.mutate(operations.EndCall, { callId })).endCall;
    await cutAt(moment, callId, end);
    for (const peer of [ada, ben, cleo]) {
      expect((await next('CallEnded', peer, PUBLISHED)).call).toMatchObject({
        endReason: 'ENDED_BY_HOST',
        endedBy: 'ada',
      });
      await peer.stream.ended;
      expect(of('CallEnded', peer)).toHaveLength(1);
      expectInOrder(peer);
    }
    expect(codeOf(await end())).toBe('CallSuccess');
  });
});

it('leaves the pool whole: more commands at once than it has connections, and none is held', async () => {
  const { ada } = await threeInCall();
  const commands = Array.from({ length: 2 * POOL_SIZE }, async (_, i) =>
    codeOf(await setMuted(ada, i % 2 === 0)),
  );
  expect(new Set(await Promise.all(commands))).toEqual(new Set(['CallSuccess']));
  const states = async () => {
    const { rows } = await onlooker.query<{ state: string }>(
      `select state from pg_stat_activity
       where datname = current_database() and application_name = 'ringdown'`,
    );
    return rows.map(({ state }) => state);
  };
  // One more is for the heartbeat.
  expect((await states()).length).toBeLessThanOrEqual(POOL_SIZE + 1);
  await eventually(async () => (await states()).every((state) => state === 'idle'));
});
