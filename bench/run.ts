import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startPostgres } from '../test/support/postgres.ts';
import { startRedis } from '../test/support/redis.ts';
import type { End } from './clients/client.ts';
import { CONTENDERS, type Contender, type ContenderId, enter } from './contenders.ts';
import { goalTable, type Place, strangers } from './goals.ts';
import { Load } from './load.ts';
import { cpuSeconds, machineSeconds, median, percentile, pinApart } from './measure.ts';
import { candidates, offers, type Payload } from './payloads.ts';
import type { BenchServer } from './servers.ts';
import { latencyTable, noise, type Round, type Row, speed, speedTable } from './table.ts';

/**
 * `npm run bench`: signals a CPU-second of the server, Ringdown and its peers in turns. How it measures, and how to
 * read what it prints, stands in README.md beside this file. `--long`: more rounds. `--only ringdown,ws-redis`: these.
 */

const SOCKETS = 400;
/** Groups that are set up at once: a seat has 15 s to open its stream. */
const AT_ONCE = 10;
/** Seconds of a core that the servers are to work in a round. */
const ROUND_SECONDS = 0.6;
/** The same before the rounds that count: until then the compiler is at work. */
const WARM_UP_SECONDS = 2;
/** Signals of each socket in the first round of the warm-up. */
const FIRST_ROUND = 5;
/** Those that get meshes and an open loop too. */
const HELD_AGAINST: readonly ContenderId[] = ['ringdown', 'ws-redis'];
/** Share of their core that servers use where nothing else holds them up. */
const BUSY = 0.85;
/** Seconds of a round of an open loop. */
const OPEN_SECONDS = 2;

const { values: options } = parseArgs({ options: { long: { type: 'boolean' }, only: { type: 'string' } } });
const ROUNDS = options.long ? 15 : 5;

const print = (line: string) => process.stdout.write(`${line}\n`);
/** Undone in reverse, whatever happens. */
const undo: (() => unknown)[] = [];
const servers: BenchServer[] = [];

/** Sockets of a contender, in groups of a size, on one instance or two. */
interface Field {
  readonly contender: Contender;
  readonly servers: readonly BenchServer[];
  readonly load: Load;
}

/** A line of the tables. */
interface Entry extends Row {
  readonly place: Place;
  readonly field: Field;
  readonly payload: Payload;
  readonly rounds: Round[];
  /** Signals of each socket in a round; so many that a round is as long as wanted. */
  signalsEach: number;
  /** Signals a second, of an open loop. */
  rate: number;
}

class Bench {
  readonly #redis: Redis;
  readonly #redisPid: number;
  readonly entries: Entry[] = [];
  #inLogs = 0n;

  constructor(redis: Redis, redisPid: number) {
    this.#redis = redis;
    this.#redisPid = redisPid;
  }

  /** A field with its lines. */
  add(field: Field, places: readonly Omit<Place, 'id'>[]): void {
    const { contender } = field;
    for (const place of places) {
      this.entries.push({
        name: contender.name,
        place: { ...place, id: contender.id },
        field,
        payload: place.payload === candidates.name ? candidates : offers,
        rounds: [],
        signalsEach: FIRST_ROUND,
        rate: 0,
      });
    }
  }

  find(place: Place): Entry | undefined {
    const same = (entry: Entry) =>
      (Object.keys(place) as (keyof Place)[]).every((key) => entry.place[key] === place[key]);
    return this.entries.find(same);
  }

  /** Until its code is compiled, and it is known how many signals make a round. */
  async warmUp(entry: Entry): Promise<void> {
    let worked = 0;
    while (worked < WARM_UP_SECONDS) {
      const round = await this.#round(entry);
      worked += round.servers;
      entry.signalsEach = Math.max(1, Math.round((speed(round) * ROUND_SECONDS) / SOCKETS));
      entry.rate = round.signals / round.seconds;
    }
  }

  async measure(entry: Entry): Promise<void> {
    entry.rounds.push(await this.#round(entry));
  }

  async #round({ place, field, payload, signalsEach, rate }: Entry): Promise<Round> {
    const { load, contender, servers } = field;
    const take = () => ({
      seconds: performance.now() / 1000,
      servers: servers.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0),
      load: cpuSeconds(process.pid),
      redis: cpuSeconds(this.#redisPid),
      machine: machineSeconds(),
    });
    const before = take();
    const latencies = await (place.loop === 'open'
      ? load.openLoop(payload, signalsEach, rate)
      : load.closedLoop(payload, signalsEach));
    const after = take();
    const signals = SOCKETS * signalsEach;
    if (contender.id === 'ringdown') await this.#countLogs(signals);
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
      ...(latencies === undefined
        ? {}
        : { latency: { p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) } }),
    };
  }

  /** What the logs have before the first round. */
  async lookAtLogs(): Promise<void> {
    this.#inLogs = await signalsInLogs(this.#redis);
  }

  /** The logs have grown by just those that were accepted. */
  async #countLogs(accepted: number): Promise<void> {
    const inLogs = await signalsInLogs(this.#redis);
    const grown = inLogs - this.#inLogs;
    this.#inLogs = inLogs;
    if (grown !== BigInt(accepted)) throw new Error(`${accepted} were accepted, ${grown} are in the logs`);
  }
}

async function main(): Promise<void> {
  const ids = (options.only?.split(',') ?? CONTENDERS) as readonly ContenderId[];
  for (const id of ids) {
    if (!CONTENDERS.includes(id)) throw new Error(`--only knows ${CONTENDERS.join(', ')}`);
  }
  const began = performance.now();
  const pin = pinApart();
  const postgres = await startPostgres();
  undo.push(() => postgres.stop());
  const { url: redisUrl, stop } = await startRedis();
  undo.push(stop);
  const redis = new Redis(redisUrl);
  undo.push(() => redis.disconnect());
  const redisPid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  const { url: databaseUrl } = await postgres.createDatabase();

  const absent: string[] = [];
  const surroundings = { pin, databaseUrl, redisUrl, undo: (step: () => unknown) => void undo.push(step) };
  const contenders = await enter(ids, surroundings, (why) => absent.push(why));
  const bench = new Bench(redis, redisPid);
  for (const contender of contenders) {
    const { id, spreads } = contender;
    const start = async () => {
      const server = await contender.start();
      undo.push(server.stop);
      servers.push(server);
      return server;
    };
    const isHeldAgainst = HELD_AGAINST.includes(id);
    const closed = { loop: 'closed', payload: '1 KB', instances: 1 } as const;
    const open = { ...closed, loop: 'open', size: 2 } as const;
    const one = [await start()];
    bench.add(await prepare(contender, one, 2), [
      { ...closed, size: 2 },
      { ...closed, size: 2, payload: '4 KB' },
      ...(isHeldAgainst ? [open] : []),
    ]);
    if (isHeldAgainst) bench.add(await prepare(contender, one, 8), [{ ...closed, size: 8 }]);
    if (!spreads) continue;
    bench.add(await prepare(contender, [await start(), await start()], 2), [
      { ...closed, size: 2, instances: 2 },
      ...(isHeldAgainst ? [{ ...open, instances: 2 } as const] : []),
    ]);
  }
  await run(bench);
  report(bench, pin.length > 0, absent);
  print(`\nIt took ${Math.round((performance.now() - began) / 1000)} s.`);
}

async function prepare(contender: Contender, on: readonly BenchServer[], size: 2 | 8): Promise<Field> {
  const urls = on.map(({ url }) => url);
  const groups: (readonly End[])[] = [];
  while (groups.length < SOCKETS / size) {
    const batch = Array.from({ length: AT_ONCE }, (_, i) =>
      contender.openGroup(urls, `${contender.id}-${on.length}-${size}-${100 + groups.length + i}`, size),
    );
    groups.push(...(await Promise.all(batch)));
  }
  const load = new Load(groups, contender.acknowledges);
  undo.push(() => load.close());
  return { contender, servers: on, load };
}

async function run(bench: Bench): Promise<void> {
  await bench.lookAtLogs();
  const closed = bench.entries.filter(({ place }) => place.loop === 'closed');
  for (const entry of closed) await bench.warmUp(entry);
  const open = bench.entries.filter((entry) => {
    if (entry.place.loop === 'closed') return false;
    const saturated = HELD_AGAINST.map((id) => bench.find({ ...entry.place, id, loop: 'closed' }));
    if (saturated.includes(undefined)) return false;
    // Of the slower one: beyond its saturation it would be its queue that is measured.
    entry.rate = Math.min(...saturated.map((closed) => closed!.rate)) / 2;
    entry.signalsEach = Math.round((entry.rate * OPEN_SECONDS) / SOCKETS);
    return true;
  });
  for (let round = 0; round < ROUNDS; round++) {
    const entries = [...closed, ...open];
    // To and fro, so that what changes with time is nobody's.
    for (const entry of round % 2 === 0 ? entries : entries.reverse()) await bench.measure(entry);
  }
}

function report(bench: Bench, isPinned: boolean, absent: readonly string[]): void {
  const measured = bench.entries.filter(({ rounds }) => rounds.length > 0);
  const section = (title: string, place: Omit<Place, 'id'>) => {
    const rows = CONTENDERS.map((id) => bench.find({ ...place, id })).filter((row) => row !== undefined);
    if (rows.length === 0 || rows[0]!.rounds.length === 0) return;
    print(`\n### ${title}\n`);
    if (place.loop === 'open') print(latencyTable(rows));
    else print(speedTable(rows, bench.find({ ...place, id: 'ws-redis' })));
  };
  const closed = { loop: 'closed', payload: '1 KB', instances: 1, size: 2 } as const;
  section('Pairs, 1 KB, one instance', closed);
  section('Pairs, 1 KB, two instances with one end on each', { ...closed, instances: 2 });
  section('Pairs, 4 KB, one instance', { ...closed, payload: '4 KB' });
  section('Meshes of 8, 1 KB, one instance', { ...closed, size: 8 });
  const open = { ...closed, loop: 'open' } as const;
  section('Open loop at half of what the slower one carries, pairs, 1 KB, one instance', open);
  section('The same, two instances', { ...open, instances: 2 });
  print(`\n### Goals\n\n${goalTable((place) => bench.find(place))}`);
  const [{ model = 'unknown' } = {}] = cpus();
  const memory = Math.round(totalmem() / 1024 ** 3);
  print(
    `\n${cpus().length} cores (${model.trim()}), ${memory} GB, Node ${process.version}. ${noise(measured)}`,
  );
  for (const why of absent) print(`Not there: ${why}.`);
  const doubts = [
    ...(isPinned ? [] : ['nothing is pinned: there is no taskset, or one core only']),
    ...strangers((place) => bench.find(place)),
    ...held(measured),
  ];
  if (doubts.length > 0) print(`\n**This run is not to be trusted:** ${doubts.join('; ')}.`);
}

/** The rows whose servers did not have their core to themselves, or waited for the load. */
function held(entries: readonly Entry[]): readonly string[] {
  return entries.flatMap(({ name, place, rounds }) => {
    const share = median(rounds.map(({ servers, seconds }) => servers / seconds));
    if (place.loop === 'open' || share >= BUSY) return [];
    return [
      `${name} (${place.payload}, ${place.instances}, ${place.size}) had ${Math.round(100 * share)} % of its core`,
    ];
  });
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
