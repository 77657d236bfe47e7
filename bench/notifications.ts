import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { openDatabase } from '../src/database/open.ts';
import { transact } from '../src/database/transaction.ts';
import type { Notice } from '../src/notifications/notice.ts';
import type { NoticeJob } from '../src/notifications/notice-queue.ts';
import { PgBossQueue } from '../src/notifications/pg-boss-queue.ts';
import { GENEROUS_RATES, tokenFor } from '../test/support/app.ts';
import { createClient } from '../test/support/client.ts';
import { endInstances, type Instance, startInstance } from '../test/support/instance.ts';
import * as operations from '../test/support/operations.ts';
import { startPostgres } from '../test/support/postgres.ts';
import { startRedis } from '../test/support/redis.ts';
import { initiate, success } from '../test/support/world.ts';
import { cpuSeconds } from './measure.ts';

/**
 * `npm run bench:notifications`: how many notifications a second reach a receiver of webhooks on loopback that
 * answers at once, how late a ring does, and what the notifications cost the commands that make them. Instances
 * are processes of their own, on a real Postgres and Redis, all on this machine.
 */

/** Calls that wait, of three notifications each; more of them show whether a backlog slows it down. */
const BACKLOGS = [2_000, 20_000];
/** Calls a second that are started and given up, and for how long, seconds. */
const PACE = 10;
const PACED_FOR = 15;
/** Calls that are started and given up one after the other. */
const COMMANDS = 200;

const SECRET = `whsec_${Buffer.from('aF3kQ9zLw7RtX2mB5nVc8YpD1sGh6JeU').toString('base64')}`;
const print = (line: string) => process.stdout.write(`${line}\n`);
const undo: (() => unknown)[] = [];

/** Milliseconds, by the id of the message: from what it tells to its arrival. */
const lags: { kind: string; ms: number }[] = [];
let arrived = 0;
const receiver = createServer(async (request, response) => {
  const { type, timestamp } = JSON.parse(await text(request));
  lags.push({ kind: type, ms: Date.now() - Date.parse(timestamp) });
  arrived++;
  response.writeHead(204).end();
});

async function main(): Promise<void> {
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  undo.push(() => {
    receiver.close();
    receiver.closeAllConnections();
  });
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  const redis = await startRedis();
  undo.push(() => redis.stop());
  const stored = await postgres.createDatabase();
  undo.push(endInstances);
  const env = { DATABASE_URL: stored.url, REDIS_URL: redis.url, ...GENEROUS_RATES };
  const webhook = {
    WEBHOOK_URL: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`,
    WEBHOOK_SECRETS: SECRET,
    WEBHOOK_ALLOW_HTTP: 'true',
    WEBHOOK_ALLOW_PRIVATE: 'true',
  };
  const silent = await startInstance(env);
  print(`A call that is started and given up, nobody told: ${await perCall(silent)}`);
  silent.signal('SIGTERM');
  await silent.ended;
  const first = await startInstance({ ...env, ...webhook });
  print(`The same, with three notifications: ${await perCall(first)}`);

  await paced(first);
  for (const calls of BACKLOGS) await drain(stored.url, calls, [first]);
  const second = await startInstance({ ...env, ...webhook });
  for (const calls of BACKLOGS) await drain(stored.url, calls, [first, second]);
}

async function caller(instance: Instance) {
  const make = async (user: string, scope = '') =>
    createClient({ url: instance.url, token: await tokenFor(user, scope) });
  const [service, ada] = [await make('back-end', 'service'), await make('ada')];
  await service.mutate(operations.PutConversation, { id: 'room', memberIds: ['ada', 'ben', 'cleo'] });
  await service.dispose();
  return {
    async call(wait = 0): Promise<void> {
      const input = { conversationId: 'room', calleeIds: ['ben'], sessionId: randomUUID() };
      const { call } = success(await initiate(ada, input));
      await sleep(wait);
      await ada.mutate(operations.LeaveCall, { callId: call.id, sessionId: input.sessionId });
    },
    end: () => ada.dispose(),
  };
}

async function perCall(instance: Instance): Promise<string> {
  const { call, end } = await caller(instance);
  const times: number[] = [];
  let cpuBefore = 0;
  for (let i = 0; i < COMMANDS + 50; i++) {
    const startedAt = performance.now();
    await call();
    if (i === 50) cpuBefore = cpuSeconds(instance.pid);
    if (i >= 50) times.push(performance.now() - startedAt);
  }
  const cpuEach = ((cpuSeconds(instance.pid) - cpuBefore) / COMMANDS) * 1000;
  await end();
  return `${quantile(times, 0.5).toFixed(1)} ms (median), ${cpuEach.toFixed(1)} ms of the instance's CPU`;
}

/** Everyone is called once: a second call of the same two would be the first one. */
async function paced(instance: Instance): Promise<void> {
  const make = async (user: string, scope = '') =>
    createClient({ url: instance.url, token: await tokenFor(user, scope) });
  const service = await make('back-end', 'service');
  const people = Array.from({ length: PACE * PACED_FOR + 1 }, (_, i) => `p${i}`);
  await service.mutate(operations.PutConversation, { id: 'many', memberIds: people });
  const ada = await make('p0');
  await sleep(1_000);
  lags.length = 0;
  const calls: Promise<void>[] = [];
  for (let i = 0; i < PACE * PACED_FOR; i++) {
    calls.push(
      (async () => {
        const input = { conversationId: 'many', calleeIds: [people[i + 1]!], sessionId: randomUUID() };
        const { call } = success(await initiate(ada, input));
        await sleep(1_000);
        await ada.mutate(operations.LeaveCall, { callId: call.id, sessionId: input.sessionId });
      })(),
    );
    await sleep(1_000 / PACE);
  }
  await Promise.all(calls);
  await sleep(1_000);
  const rings = lags.filter(({ kind }) => kind === 'call.incoming').map(({ ms }) => ms);
  const all = lags.map(({ ms }) => ms);
  print(
    `${PACE} calls a second, ${(all.length / PACED_FOR).toFixed(0)} notifications a second: a ring arrives after ` +
      `${quantile(rings, 0.5)} ms (median), ${quantile(rings, 0.99)} ms (99 %), ${quantile(rings, 1)} ms (the last); ` +
      `any notification after ${quantile(all, 0.5)}, ${quantile(all, 0.99)}, ${quantile(all, 1)} ms`,
  );
  await Promise.all([service.dispose(), ada.dispose()]);
}

/** What lies there is enqueued at once, so that the instances have it all before them. */
async function drain(url: string, calls: number, instances: readonly Instance[]): Promise<void> {
  const database = await openDatabase({ url, dataDir: null, poolSize: 2, timeoutMs: 60_000 });
  const queue = new PgBossQueue(database.db);
  const all = Array.from({ length: calls }, () => jobsOf(randomUUID())).flat();
  arrived = 0;
  await transact(database, async (tx) => {
    for (let from = 0; from < all.length; from += 3_000)
      await queue.enqueue(tx, all.slice(from, from + 3_000));
  });
  const cpu = () => instances.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  const [startedAt, cpuBefore] = [performance.now(), cpu()];
  while (arrived < all.length) await sleep(10);
  const [seconds, cpuTook] = [(performance.now() - startedAt) / 1000, cpu() - cpuBefore];
  print(
    `${all.length} that waited, ${instances.length} instance(s): ${(all.length / seconds).toFixed(0)} a second by the ` +
      `clock (${seconds.toFixed(1)} s), ${(all.length / cpuTook).toFixed(0)} a CPU-second of the instances`,
  );
  await database.close();
}

function jobsOf(callId: string): NoticeJob[] {
  return (['answered_elsewhere', 'cancelled', 'ended'] as const).map((kind, seq) => {
    const notice: Notice = {
      id: `${callId}-${seq}`,
      callId,
      seq,
      kind,
      userIds: ['ben'],
      at: Date.now(),
      expiresAt: null,
      call: {
        id: callId,
        conversationId: 'room',
        type: 'VIDEO',
        status: 'ENDED',
        callerId: 'ada',
        participants: [
          { userId: 'ada', role: 'HOST', status: 'LEFT', ringDeadline: null },
          { userId: 'ben', role: 'GUEST', status: 'MISSED', ringDeadline: null },
        ],
        createdAt: Date.now(),
        answeredAt: null,
        endedAt: Date.now(),
        endReason: 'CANCELLED',
        endedBy: 'ada',
        durationSeconds: null,
      },
    };
    return { channel: 'webhook', notice, receiver: { id: 'webhook', userId: null } };
  });
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

try {
  await main();
} finally {
  for (const step of undo.reverse()) await step();
}
