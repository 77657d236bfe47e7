import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import type { Viewer } from '../../../src/auth/viewer.ts';
import { RedisCallLog } from '../../../src/call-log/redis.ts';
import { RedisChannels } from '../../../src/call-log/redis-channels.ts';
import { RedisConnection } from '../../../src/call-log/redis-connection.ts';
import { loadConfig } from '../../../src/config.ts';
import { type Core, createCore } from '../../../src/core.ts';
import { openDatabase } from '../../../src/database/open.ts';
import { isRejection } from '../../../src/errors.ts';
import type { CallEvent, IncomingCallEvent } from '../../../src/graphql/services.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { createMetrics } from '../../../src/observability/metrics.ts';
import { createDatabase } from '../../support/database.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { UNLIMITED } from '../../support/unlimited.ts';
import { eventually } from '../../support/world.ts';

/** Milliseconds: until an outage is told, until state crosses through Postgres, until all is well again. */
const TOLD = 2_000;
const THROUGH_POSTGRES = 2_000;
const HEALED = 3_000;

/** Calls on one instance, each with its caller's stream, and as many users whom they ring. */
const CALLS = 400;

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** An instance without its doors, and every statement that it gives to Postgres beside its heartbeat. */
async function instanceOn(
  databaseUrl: string,
  redis: TestRedis,
): Promise<{ core: Core; statements: string[] }> {
  const options = { url: databaseUrl, dataDir: null, timeoutMs: 5_000 };
  const database = await openDatabase({ ...options, poolSize: 10 });
  undo.push(() => database.close());
  const pulse = await openDatabase({ ...options, poolSize: 1 });
  undo.push(() => pulse.close());
  const connection = new RedisConnection(redis.url, { onSubscribeFailed() {}, onPubSubError() {} });
  const channels = new RedisChannels(connection);
  const log = new RedisCallLog(connection, channels);
  undo.push(() => log.close());
  const statements: string[] = [];
  const db = database.db.withPlugin({
    transformQuery({ node }) {
      statements.push(node.kind === 'RawNode' ? node.sqlFragments.join('?') : node.kind);
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  const core = createCore({
    database: { ...database, db },
    pulse,
    log,
    channels,
    rates: UNLIMITED,
    instanceId: randomUUID(),
    notifications: null,
    hasRedis: true,
    config: loadConfig({
      DATABASE_URL: databaseUrl,
      JWT_SECRET: 'x'.repeat(32),
      JWT_ISSUER: 'i',
      JWT_AUDIENCE: 'a',
    }),
    metrics: createMetrics({ perCall: false }),
    webPush: { webPushKey: null, endpoints: { allowHttp: false, allowPrivate: false } },
    now: Date.now,
    warn() {},
    logger: createLogger('silent'),
    tracing: null,
  });
  await eventually(() => log.health() === 'up');
  await core.start();
  undo.push(() => core.stop(1_000));
  return { core, statements };
}

function viewer(userId: string): Viewer {
  return { userId, scopes: new Set(), tokenExpiresAt: Date.now() + 3_600_000 };
}

/** What a stream has told so far. */
function follow<Event>(stream: AsyncIterableIterator<Event>): Event[] {
  const events: Event[] = [];
  const done = (async () => {
    for await (const event of stream) events.push(event);
  })();
  undo.push(async () => {
    await stream.return?.();
    await done;
  });
  return events;
}

async function startCall(core: Core, callerId: string, calleeId: string): Promise<string> {
  const started = await core.services.calls.initiateCall(viewer(callerId), {
    conversationId: 'all',
    type: 'AUDIO',
    calleeIds: [calleeId],
    sessionId: callerId,
    ringTimeoutSeconds: null,
    idempotencyKey: null,
  });
  if ('rejection' in started) throw new Error(started.rejection.code);
  return started.call.id;
}

/** Several hundred calls and people who are rung on one instance, and another instance. */
async function busyInstance() {
  const stored = await createDatabase();
  undo.push(() => stored.drop());
  const redis = await startRedis();
  undo.push(() => redis.stop());
  const busy = await instanceOn(stored.url, redis);
  const other = await instanceOn(stored.url, redis);
  const people = Array.from({ length: CALLS }, (_, n) => ({ caller: `caller-${n}`, callee: `callee-${n}` }));
  const members = people.flatMap(({ caller, callee }) => [caller, callee]);
  await busy.core.services.conversations.put('all', members, null);
  const calls: {
    callId: string;
    caller: string;
    callee: string;
    told: CallEvent[];
    rung: IncomingCallEvent[];
  }[] = [];
  for (const { caller, callee } of people) {
    const { subscriptions } = busy.core.services;
    const rung = follow(await subscriptions.incomingCalls(viewer(callee)));
    const callId = await startCall(busy.core, caller, callee);
    const socket = { unsentBytes: () => 0, close() {} };
    const args = { callId, sessionId: caller, after: null };
    const told = follow(await subscriptions.callEvents(viewer(caller), args, socket));
    calls.push({ callId, caller, callee, told, rung });
  }
  await eventually(() => calls.every(({ rung, told }) => rung.length === 2 && told.length > 0));
  return { redis, busy, other, calls };
}

type Busy = Awaited<ReturnType<typeof busyInstance>>;

async function mute({ other }: Busy, { callId, caller }: Busy['calls'][number]) {
  const change = { muted: true, videoOn: null, screenOn: null };
  const done = await other.core.services.calls.setMediaState(viewer(caller), callId, caller, change);
  expect(isRejection('rejection' in done && done.rejection)).toBe(false);
}

function heardMuted({ told, caller }: Busy['calls'][number]): boolean {
  const changes = told.filter((event) => event.__typename === 'ParticipantChanged');
  return changes.some(({ participant: p }) => p.userId === caller && p.media.muted);
}

const has = (events: readonly { __typename: string }[], name: string) =>
  events.some(({ __typename }) => __typename === name);

describe(`M3: Redis killed under ${CALLS} calls and ${CALLS} people who are rung on one instance`, () => {
  it('state and rings come through Postgres in time, by two queries a turn; then all heals', async () => {
    const all = await busyInstance();
    const { redis, busy, other, calls } = all;
    const { statements } = busy;
    await redis.kill();
    await eventually(() => calls.every(({ told }) => has(told, 'SignalingDegraded')), TOLD);

    const [one, two] = [calls[7]!, calls[8]!];
    await mute(all, one);
    const callId = await startCall(other.core, one.caller, two.callee);
    await eventually(() => heardMuted(one), THROUGH_POSTGRES);
    await eventually(
      () => two.rung.some((event) => event.__typename === 'CallRinging' && event.call.id === callId),
      THROUGH_POSTGRES,
    );

    for (const call of calls) await mute(all, call);
    await eventually(() => calls.every((call) => heardMuted(call)), THROUGH_POSTGRES);

    // Nothing happens, and three turns of the clock.
    statements.length = 0;
    const polls = (table: string) =>
      statements.filter((text) => text.includes('from unnest') && text.includes(`from ${table}`)).length;
    await eventually(() => polls('call_events') >= 3 && polls('call_participants') >= 3);
    expect(polls('call_events')).toBeLessThanOrEqual(4);
    expect(polls('call_participants')).toBeLessThanOrEqual(4);
    // With all that the sweeper asks: none of it grows with the calls, nor with what waits for Redis.
    expect(statements.length / 3).toBeLessThan(20);

    statements.length = 0;
    await redis.restart();
    await eventually(() => calls.every(({ told }) => told.at(-1)?.__typename === 'CallSnapshot'), HEALED);
    const again = await startCall(other.core, two.caller, one.callee);
    await eventually(
      () => one.rung.some((event) => event.__typename === 'CallRinging' && event.call.id === again),
      THROUGH_POSTGRES,
    );
    // Nobody heard a ring twice or of its end.
    for (const call of calls) {
      expect(call.rung.length).toBe(call === one || call === two ? 3 : 2);
    }
  });
});
