import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import pg from 'pg';
import { tokenFor } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { inspectable } from '../support/inspector.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { oneCall, SHORT } from './soak/one-call.ts';
import { trendOf } from './soak/trend.ts';

/**
 * An hour's worth of calls in ten minutes against one instance, a process of its own: its heap is flat after
 * the first third, and in the end everything is back to where it was. Exit code 1 where it is not so.
 *
 *     npm run soak -- --minutes 2 --seed 7
 */

/** What a deployment of some ten thousand people sees in an hour. */
const CALLS = 3_000;
const USERS = 600;
const SAMPLE_EVERY = 5_000;
/** The rest after the last call: the log of a call is kept for a minute after its end. */
const REST = 75_000;
/** MiB a minute that are nobody's business: 70 bytes a call. */
const NEGLIGIBLE = 0.02;
const POOL_SIZE = 10;
const MiB = 1_048_576;

const { values: args } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
});
const minutes = Number(args.minutes);
const random = randomFrom(Number(args.seed));

const undo: (() => unknown)[] = [];
let ok = false;
try {
  ok = await soak();
} finally {
  for (const step of undo.splice(0).reverse()) await step();
}
// graphql-ws keeps the timer of a client that was closed, which would hold this process for weeks.
process.exit(ok ? 0 : 1);

async function soak(): Promise<boolean> {
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  const stored = await postgres.createDatabase();
  const redis = await startRedis();
  undo.push(() => redis.stop());
  const metricsPort = await freePort();
  const inside = await inspectable();
  const instance = await startInstance({
    ...inside.env,
    DATABASE_URL: stored.url,
    REDIS_URL: redis.url,
    METRICS_PORT: String(metricsPort),
    DATABASE_POOL_SIZE: String(POOL_SIZE),
    INITIATE_RATE: '10000',
    RING_TIMEOUT: `${SHORT.ring}ms`,
    DISCONNECT_GRACE: `${SHORT.grace}ms`,
    ALONE_TIMEOUT: `${SHORT.alone}ms`,
    EVENT_RETENTION: '1m',
  });
  undo.push(() => endInstances());
  const inspector = await inside.open();
  undo.push(() => inspector.close());
  const admin = new Redis(redis.url);
  undo.push(() => admin.disconnect());
  const onlooker = new pg.Client({ connectionString: stored.url, application_name: 'soak' });
  await onlooker.connect();
  undo.push(() => onlooker.end());

  /** What has to be gone when nobody calls any more. */
  const leftovers = async () => {
    const [held, rows] = await Promise.all([
      inspector.evaluate<Record<string, number>>(
        `process.getActiveResourcesInfo().reduce((n, one) => ({ ...n, [one]: (n[one] ?? 0) + 1 }), {})`,
      ),
      onlooker.query<{ live: number; seats: number; connections: number; busy: number }>(
        `select (select count(*)::int from calls where status <> 'ENDED') as live,
           (select count(*)::int from call_participants where seat is not null) as seats,
           count(*)::int as connections,
           (count(*) filter (where state <> 'idle'))::int as busy
         from pg_stat_activity where datname = current_database() and application_name = 'ringdown'`,
      ),
    ]);
    const database = rows.rows[0]!;
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    const gauge = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
    const channels = (await admin.pubsub('CHANNELS')) as string[];
    return {
      'open sockets': gauge('video_ws_connections_total'),
      'active calls': gauge('video_active_calls'),
      'active participants': gauge('video_active_participants'),
      'sockets of the largest call': gauge('video_ws_connections_by_call'),
      'Redis channels beside its own': channels.filter(
        (name) => !/^ringdown:(instance|connection):/.test(name),
      ).length,
      'Redis keys of calls': (await admin.keys('ringdown:{*')).length,
      'live calls in the database': database.live,
      'seats in the database': database.seats,
      'busy database connections': database.busy,
      'database connections beyond the pool': Math.max(0, database.connections - POOL_SIZE - 1),
      'timers beside those of the pool': Math.max(0, (held.Timeout ?? 0) - database.connections),
    };
  };

  const service = createClient({ url: instance.url, token: await tokenFor('back-end', 'service') });
  const users = Array.from({ length: USERS }, (_, i) => `user-${i}`);
  await service.mutate(operations.PutConversation, { id: 'everyone', memberIds: users });
  await service.dispose();
  const lifetime = (minutes + 10) * 60_000;
  const tokens = new Map<string, string>();
  for (const user of users) tokens.set(user, await tokenFor(user, '', lifetime));

  const counts = new Map<string, number>();
  const note = (what: string) => void counts.set(what, (counts.get(what) ?? 0) + 1);
  const scene = {
    url: instance.url,
    conversationId: 'everyone',
    token: (userId: string) => tokens.get(userId) as string,
    random,
    note,
  };
  const failures: unknown[] = [];
  const live = new Set<Promise<void>>();
  const before = await leftovers();

  const startedAt = performance.now();
  const elapsed = () => (performance.now() - startedAt) / 60_000;
  const total = Math.round((CALLS * minutes) / 10);
  const samples: { at: number; heap: number; outside: number; resident: number; calls: number }[] = [];
  const sample = async () => {
    const { heapUsed, external, rss } = await inspector.memory();
    samples.push({ at: elapsed(), heap: heapUsed, outside: external, resident: rss, calls: live.size });
  };
  let sampling = true;
  const sampler = (async () => {
    for (; sampling; await sleep(SAMPLE_EVERY)) await sample();
  })();
  for (let started = 0; started < total; started++) {
    const due = startedAt + (started / total) * minutes * 60_000;
    await sleep(Math.max(0, due - performance.now()));
    const size = 2 + Math.floor(random() ** 2 * 4);
    const people = users.splice(0, size);
    const call = oneCall(scene, people)
      .catch((error) => void failures.push(error))
      .finally(() => {
        live.delete(call);
        users.push(...people);
      });
    live.add(call);
  }
  sampling = false;
  await Promise.all([...live, sampler]);

  const restsUntil = performance.now() + REST;
  let after = await leftovers();
  const isRestored = () =>
    Object.entries(after).every(([what, count]) => count <= before[what as keyof typeof before]);
  while (!isRestored() && performance.now() < restsUntil) {
    await sleep(1_000);
    after = await leftovers();
  }
  await sample();

  const considered = samples.filter(({ at }) => at > minutes / 3 && at <= minutes);
  const trends = Object.fromEntries(
    (['heap', 'outside', 'resident'] as const).map((what) => [
      what,
      trendOf(considered.map((one) => ({ time: one.at, load: one.calls, value: one[what] / MiB }))),
    ]),
  ) as Record<'heap' | 'outside' | 'resident', ReturnType<typeof trendOf>>;
  const flat = [trends.heap, trends.outside].every(({ slope, margin }) => slope - margin <= NEGLIGIBLE);
  const report = {
    minutes,
    seed: Number(args.seed),
    calls: total,
    counts: Object.fromEntries(counts),
    samples: considered.length,
    'MiB a minute after the first third': trends,
    'MiB at rest': { before: samples[0]!.heap / MiB, after: samples.at(-1)!.heap / MiB },
    leftovers: { before, after },
    failures: failures.map((error) => String(error).slice(0, 200)),
    ok: flat && isRestored() && failures.length === 0,
  };
  mkdirSync('.cache', { recursive: true });
  writeFileSync('.cache/soak.json', JSON.stringify({ ...report, all: samples }, null, 1));
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  return report.ok;
}

/** mulberry32: the same calls again for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
