import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { Callers, type Peer, RENEGOTIATE } from '../support/callers.ts';
import { type Client, createClient } from '../support/client.ts';
import { type Family, readExposition } from '../support/exposition.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, eventually, initiate, join, success, type World } from '../support/world.ts';

/**
 * Each rule of the audit, by real operations on real instances, and what `/metrics` says of it afterwards, summed
 * over the instances as a Prometheus would.
 */

/** Long enough for a busy machine to end a call that is due. */
const PATIENCE = 20_000;
const VALID = { candidate: 'candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host', sdpMid: '0' };
const INVALID = { candidate: 'candidate:1 1 udp 2122260223 999.0.2.7 54321 typ host', sdpMid: '0' };

let world: World;
let callers: Callers;
/** Ends calls early: those that it starts. */
let hasty: App;
let service: Client;
beforeAll(async () => {
  const env = {
    INITIATE_RATE: '1',
    MAX_PARTICIPANTS: '2',
    DISCONNECT_GRACE: '3s',
    DATABASE_TIMEOUT: '3s',
    METRICS_PER_CALL: 'true',
    ICE_SERVERS: '[{"urls":"turn:turn.example","username":"u","credential":"c"}]',
  };
  world = await createWorld({ env });
  callers = new Callers(world);
  hasty = await startTestApp({
    ...{ ...env, MAX_CALL_DURATION: '1s', CALL_DURATION_WARNING: '500ms' },
    ...{ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url },
  });
  // Over HTTP alone: no socket of its own is open.
  service = createClient({ url: world.apps[0]!.url, token: await tokenFor('back-end', 'service') });
});
afterAll(async () => {
  await hasty.stop();
  await world.close();
  await endInstances();
});

/** What was done, by the series that it should have moved. */
const done = new Map<string, number>();
function did(...series: string[]): void {
  for (const name of series) done.set(name, (done.get(name) ?? 0) + 1);
}

async function scrape(): Promise<{ families: Map<string, Family>; total: (series: string) => number }> {
  const texts = await Promise.all(
    [...world.apps, hasty].map(async ({ metricsUrl }) => {
      const response = await fetch(`${metricsUrl}/metrics`);
      expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
      return response.text();
    }),
  );
  const all = texts.map(readExposition);
  const total = (series: string) => {
    const family = [...all[0]!.values()].find(({ name }) =>
      new RegExp(`^${name}(_count)?(\\{|$)`).test(series),
    );
    let sum = 0;
    for (const families of all) sum += families.get(family?.name ?? '')?.series.get(series) ?? 0;
    return sum;
  };
  return { families: all[0]!, total };
}

async function conversation(memberIds: string[]): Promise<string> {
  const id = `metrics-${memberIds.join('-')}`;
  await service.mutate(operations.PutConversation, { id, memberIds }, { over: 'http' });
  return id;
}

const CREATED = [
  'video_call_created_total{call_type="video"}',
  'video_call_joined_total',
  'video_call_initiate_total',
];
const RANG = 'video_call_ringing_duration_seconds_count';
const ENDED = 'video_call_ended_total{call_type="video"}';
const LASTED = 'video_call_duration_seconds_count{call_type="video"}';
const LEFT = 'video_call_left_total';

/** A call of two with open streams, and others who are invited or only members. */
async function aCall(invited: string[] = [], members: string[] = []): Promise<[Peer, Peer]> {
  const [caller, callee] = callers.names(2) as [string, string];
  const conversationId = await conversation([caller, callee, ...invited, ...members]);
  const client = await callers.client(caller);
  const input = { conversationId, calleeIds: [callee, ...invited], sessionId: `${caller}-a` };
  const { call } = success(await initiate(client, input));
  did(...CREATED);
  const host = await callers.sit(client, call.id, caller, `${caller}-a`);
  const other = await callers.enter(call.id, callee, 0);
  did('video_call_joined_total', RANG);
  return [host, other];
}

async function isOver(callId: string): Promise<void> {
  await eventually(async () => {
    const { rows } = await sql<{ status: string }>`select status from calls where id = ${callId}`.execute(
      world.database.db,
    );
    return rows[0]?.status === 'ENDED';
  }, PATIENCE);
}

/** C1, H1, H3, M6, and an ordinary end. */
async function refusedJoinsAndSignals(): Promise<void> {
  const [invited, member, stranger] = callers.names(3) as [string, string, string];
  const [ada, ben] = await aCall([invited], [member]);
  const { callId } = ada;
  expect(codeOf(await join(ben.client, callId, 'another-session'))).toBe('ALREADY_IN_CALL');
  did('video_call_duplicate_join_attempt_total');
  for (const [userId, code, series] of [
    [invited, 'CALL_FULL', 'video_call_participant_limit_exceeded_total'],
    [member, 'NOT_INVITED', 'video_call_unauthorized_join_attempt_total'],
    [stranger, 'CALL_NOT_FOUND', 'video_call_unauthorized_join_attempt_total'],
  ] as const) {
    expect(codeOf(await join(await callers.client(userId), callId, `${userId}-a`))).toBe(code);
    did(series, 'ringdown_operation_duration_seconds_count{operation="joinCall",outcome="rejected"}');
  }
  did('ringdown_operation_duration_seconds_count{operation="joinCall",outcome="rejected"}');

  const candidates = (...items: (typeof VALID)[]) => ({ candidates: { items, generation: 1 } });
  expect(codeOf(await ada.send(candidates(VALID, { ...VALID, candidate: '' }), { to: ben.userId }))).toBe(
    'SendSignalSuccess',
  );
  expect(codeOf(await ada.send(candidates(VALID, INVALID), { to: ben.userId }))).toBe('INVALID_SIGNAL');
  await ada.send(RENEGOTIATE);
  await ben.stream.next(
    (event) => event.__typename === 'SignalReceived' && event.signal.__typename === 'Renegotiate',
  );
  for (let n = 0; n < 3; n++) did('video_ice_candidate_valid_total');
  did('video_ice_candidate_invalid_total');
  for (const kind of ['candidates', 'renegotiate']) {
    did(`ringdown_signals_total{kind="${kind}"}`, `ringdown_signals_delivered_total{kind="${kind}"}`);
    did('ringdown_operation_duration_seconds_count{operation="sendSignal",outcome="ok"}');
    did('ringdown_log_append_duration_seconds_count{entry="signal",outcome="ok"}');
  }
  did('ringdown_operation_duration_seconds_count{operation="sendSignal",outcome="rejected"}');

  const { families, total } = await scrape();
  expect(total(`video_call_active_participants{call_id="${callId}"}`)).toBe(2);
  expect(total(`video_ws_connections_by_call{call_id="${callId}"}`)).toBe(2);
  for (const name of ['video_active_calls', 'video_active_participants', 'video_ws_connections_total']) {
    expect(families.get(name)?.series.get(name), name).toBeGreaterThan(0);
  }

  success((await ada.client.mutate(operations.EndCall, { callId })).endCall);
  did(LEFT, LEFT, ENDED, LASTED, 'video_call_end_duration_seconds_count');
}

/** H2. */
async function tooManyCalls(): Promise<void> {
  const [rita, sam, tom] = callers.names(3) as [string, string, string];
  const client = await callers.client(rita);
  const first = { conversationId: await conversation([rita, sam]), calleeIds: [sam], sessionId: 'a' };
  const { call } = success(await initiate(client, first));
  did(...CREATED);
  const second = { ...first, conversationId: await conversation([rita, tom]), calleeIds: [tom] };
  expect(codeOf(await initiate(client, second))).toBe('RATE_LIMITED');
  did('video_call_initiate_total', 'video_call_initiate_rate_limit_exceeded_total');
  did('ringdown_operation_duration_seconds_count{operation="initiateCall",outcome="limited"}');
  success((await client.mutate(operations.EndCall, { callId: call.id })).endCall);
  did(LEFT, ENDED, RANG, 'video_call_end_duration_seconds_count');
}

/** M2. */
async function ringsTooLong(): Promise<void> {
  const [caller, callee] = callers.names(2) as [string, string];
  const conversationId = await conversation([caller, callee]);
  const input = { conversationId, calleeIds: [callee], sessionId: 'a', ringTimeoutSeconds: 1 };
  const { call } = success(await initiate(await callers.client(caller), input));
  did(...CREATED);
  await isOver(call.id);
  did(LEFT, ENDED, RANG);
  expect(codeOf(await join(await callers.client(callee), call.id, 'a'))).toBe('CALL_EXPIRED');
  did('video_call_expired_join_attempt_total');
  did('ringdown_operation_duration_seconds_count{operation="joinCall",outcome="rejected"}');
}

/** C2. */
async function lastsTooLong(): Promise<void> {
  const [caller, callee] = callers.names(2) as [string, string];
  const client = createClient({ url: hasty.url, token: await tokenFor(caller) });
  const { initiateCall } = await client.mutate(
    operations.InitiateCall,
    {
      input: {
        ...{ conversationId: await conversation([caller, callee]), calleeIds: [callee] },
        ...{ sessionId: 'a', type: 'AUDIO' },
      },
    },
    { over: 'http' },
  );
  const { call } = success(initiateCall);
  did('video_call_created_total{call_type="audio"}', 'video_call_joined_total', 'video_call_initiate_total');
  await isOver(call.id);
  did('video_call_ended_total{call_type="audio"}', 'video_call_auto_terminated_total', LEFT, RANG);
}

/** M1. */
async function connectionLost(): Promise<void> {
  const [ada, ben] = await aCall();
  ben.client.terminate();
  await isOver(ada.callId);
  did('video_call_cleanup_on_disconnect_total', LEFT, LEFT, ENDED, LASTED);
}

/** C1: a seat whose instance died. */
async function instanceKilled(): Promise<void> {
  const [caller, callee] = callers.names(2) as [string, string];
  const conversationId = await conversation([caller, callee]);
  const instance = await startInstance({
    ...{ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url, DISCONNECT_GRACE: '3s' },
  });
  const client = await callers.client(caller);
  const { call } = success(await initiate(client, { conversationId, calleeIds: [callee], sessionId: 'a' }));
  did(...CREATED);
  await callers.sit(client, call.id, caller, 'a');
  success(await join(await callers.client(callee), call.id, 'b'));
  did('video_call_joined_total', RANG);
  const elsewhere = createClient({ url: instance.url, token: await tokenFor(callee) });
  await callers.sit(elsewhere, call.id, callee, 'b');
  instance.signal('SIGKILL');
  await isOver(call.id);
  did('video_call_ghost_participant_total', 'video_call_cleanup_on_disconnect_total');
  did(LEFT, LEFT, ENDED, LASTED);
}

/** M4, and a loss of M1 that can't be written down at once: somebody holds the call's row. */
async function databaseHangs(): Promise<void> {
  const [ada, ben] = await aCall();
  const { callId } = ada;
  const release = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const holding = world.database.db.transaction().execute(async (tx) => {
    await sql`select from calls where id = ${callId} for update`.execute(tx);
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const ending = ada.client.mutate(operations.EndCall, { callId });
  ben.client.terminate();
  expect(codeOf((await ending).endCall)).toBe('TIMEOUT');
  await eventually(async () => (await scrape()).total('video_call_cleanup_failed_total') === 1, PATIENCE);
  release.resolve();
  await holding;
  did(
    'video_call_end_timeout_total',
    'video_call_cleanup_failed_total',
    'video_call_end_duration_seconds_count',
  );
  did('ringdown_operation_duration_seconds_count{operation="endCall",outcome="unavailable"}');
  await isOver(callId);
  did(LEFT, LEFT, ENDED, LASTED);
}

describe('/metrics', () => {
  it('counts each rule exactly as often as it was kept, and falls back to zero', async () => {
    const before = await scrape();
    for (const [name, value] of gauges(before)) expect(value, name).toBe(0);
    await Promise.all([
      ...[refusedJoinsAndSignals(), tooManyCalls(), ringsTooLong(), lastsTooLong()],
      ...[connectionLost(), instanceKilled(), databaseHangs()],
    ]);
    await callers.goAway();

    const { families, total } = await eventually(async () => {
      const now = await scrape();
      return gauges(now).every(([, value]) => value === 0) && now;
    });
    const counted = Object.fromEntries([...done.keys()].map((series) => [series, total(series)]));
    expect(counted).toEqual(Object.fromEntries(done));
    // Only what Redis does is left: the next test.
    const unmoved = [...families.values()]
      .filter(({ name, type }) => /^video_.*_total$/.test(name) && type === 'counter')
      .map(({ name }) => name)
      .filter((name) => ![...done.keys()].some((series) => series.startsWith(name)));
    expect(unmoved).toEqual(['video_redis_subscribe_failed_total', 'video_redis_pubsub_error_total']);
    expect(families.get('video_turn_config_valid')?.series.get('video_turn_config_valid')).toBe(1);
  });

  it('counts what Redis does not do (M3)', async () => {
    const client = await callers.client('redis-user');
    await client.connect();
    world.redis.pause();
    try {
      const rings = client.subscribe(operations.IncomingCalls, {});
      await rings.next(undefined, PATIENCE);
      const { total } = await scrape();
      expect(total('video_redis_subscribe_failed_total')).toBeGreaterThan(0);
      expect(total('video_redis_pubsub_error_total')).toBeGreaterThan(0);
      expect(total('ringdown_degraded')).toBeGreaterThan(0);
    } finally {
      world.redis.resume();
    }
  });

  it('shows pools, the event loop and readiness beside them', async () => {
    const { families } = await scrape();
    for (const name of [
      ...['nodejs_eventloop_lag_seconds', 'nodejs_heap_size_used_bytes', 'process_cpu_seconds_total'],
      ...['ringdown_sweeper_lag_seconds', 'ringdown_database_waiting'],
    ]) {
      expect(families.get(name)?.series.size, name).toBeGreaterThan(0);
    }
    const connections = families.get('ringdown_database_connections')?.series;
    for (const pool of ['calls', 'heartbeat']) {
      const of = (state: string) =>
        connections?.get(`ringdown_database_connections{pool="${pool}",state="${state}"}`);
      expect((of('idle') ?? 0) + (of('in_use') ?? 0), pool).toBeGreaterThan(0);
    }
    expect(families.get('ringdown_ready')?.series.get('ringdown_ready')).toBe(1);
  });
});

/** The gauges of live calls and sockets, all series of them, summed. */
function gauges({ families, total }: Awaited<ReturnType<typeof scrape>>): [string, number][] {
  return [...families.values()]
    .filter(
      ({ name, type }) => name.startsWith('video_') && type === 'gauge' && name !== 'video_turn_config_valid',
    )
    .map(({ name, series }) => [name, [...series.keys()].reduce((sum, key) => sum + total(key), 0)]);
}
