import { Redis } from 'ioredis';
import { startPostgres } from '../test/support/postgres.ts';
import { startRedis } from '../test/support/redis.ts';
import { type OpenPair, relayPair, ringdownPair } from './clients.ts';
import { type End, Load } from './load.ts';
import { cpuSeconds, machineSeconds, pinApart } from './measure.ts';
import { type BenchServer, startRelay, startRingdown } from './servers.ts';
import { noise, type Round, table } from './table.ts';

/**
 * `npm run bench`: signals a CPU-second of the server, Ringdown and a raw relay in turns. How it measures,
 * and how to read what it prints, stands in README.md beside this file.
 */

const PAIRS = 200;
/** Signals of each socket in a round. */
const SIGNALS_EACH = 30;
const ROUNDS = 5;
/** Rounds before those that count: until then the compiler is at work. */
const WARM_UP = 3;
/** Pairs that are set up at once: a seat has 15 s to open its stream. */
const AT_ONCE = 10;

const print = (line: string) => process.stdout.write(`${line}\n`);
/** Undone in reverse, whatever happens. */
const undo: (() => unknown)[] = [];
const servers: BenchServer[] = [];

async function main(): Promise<void> {
  const pin = pinApart();
  if (pin.length === 0) print('Nothing is pinned: there is no taskset, or one core only.');
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  const { url: redisUrl, stop } = await startRedis();
  undo.push(stop);
  const redis = new Redis(redisUrl);
  undo.push(() => redis.disconnect());
  const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  const database = await postgres.createDatabase();

  const kept = async (starting: Promise<BenchServer>) => {
    const server = await starting;
    undo.push(server.stop);
    servers.push(server);
    return server;
  };
  const ringdown = () => kept(startRingdown(pin, database.url, redisUrl));
  const relay = () => kept(startRelay(pin, redisUrl));
  const contenders = [
    await contend('Ringdown, one instance', [await ringdown()], ringdownPair),
    await contend('ws + Redis, one instance', [await relay()], relayPair),
    await contend('Ringdown, two instances', [await ringdown(), await ringdown()], ringdownPair),
    await contend('ws + Redis, two instances', [await relay(), await relay()], relayPair),
  ] as const;

  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const { load, servers, rounds } of contenders) {
      const before = await signalsInLogs(redis);
      const measured = await measure(load, servers, redisPid);
      const inLogs = Number((await signalsInLogs(redis)) - before);
      const wanted = load.acknowledged ? measured.signals : 0;
      if (inLogs !== wanted) throw new Error(`${wanted} were accepted, ${inLogs} are in the logs`);
      if (round >= 0) rounds.push(measured);
    }
  }
  const rows = contenders.map(({ name, rounds }, i) => ({
    name,
    rounds,
    peer: contenders[i + 1 - (i % 2)]!.rounds,
  }));
  print(table(rows));
  print(`\n${noise(rows)}`);
}

async function contend(name: string, servers: readonly BenchServer[], openPair: OpenPair) {
  const urls = [servers[0]!.url, servers.at(-1)!.url] as const;
  const pairs: (readonly [End, End])[] = [];
  while (pairs.length < PAIRS) {
    const batch = Array.from({ length: AT_ONCE }, (_, i) =>
      openPair(urls, `${name.replaceAll(/\W+/g, '-')}-${100 + pairs.length + i}`),
    );
    pairs.push(...(await Promise.all(batch)));
  }
  const load = new Load(pairs, openPair === ringdownPair);
  undo.push(() => load.close());
  return { name, servers, load, rounds: [] as Round[] };
}

async function measure(load: Load, servers: readonly BenchServer[], redisPid: number): Promise<Round> {
  const take = () => ({
    seconds: performance.now() / 1000,
    servers: servers.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0),
    load: cpuSeconds(process.pid),
    redis: cpuSeconds(redisPid),
    machine: machineSeconds(),
  });
  const before = take();
  const signals = await load.round(SIGNALS_EACH);
  const after = take();
  const took = {
    servers: after.servers - before.servers,
    load: after.load - before.load,
    redis: after.redis - before.redis,
  };
  return {
    signals,
    seconds: after.seconds - before.seconds,
    ...took,
    others: after.machine - before.machine - took.servers - took.load - took.redis,
  };
}

/** Numbers that the logs gave to signals: each entry has one, and changes of state a version beside it. */
async function signalsInLogs(redis: Redis): Promise<bigint> {
  const metas = await Promise.all(
    (await redis.keys('ringdown:{*}:meta')).map((key) => redis.hmget(key, 'seq', 'version')),
  );
  return metas.reduce((sum, [seq, version]) => sum + BigInt(seq!) - BigInt(version!), 0n);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
try {
  await main();
} catch (error) {
  for (const server of servers) print(server.output());
  throw error;
} finally {
  for (const step of undo.reverse()) await step();
}
