import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startInstance } from '../../test/support/instance.ts';
import { cpuSeconds, median } from '../measure.ts';
import { COMMANDS_OF_A_LIFE, groupOf, type Worker, worker } from './life.ts';
import { recordScript } from './recorded.ts';
import {
  later,
  onCore,
  pin,
  postgresSeconds,
  print,
  SERVER_CORE,
  type Stage,
  stage,
  verdict,
} from './stage.ts';
import { liveCalls, pastCalls } from './volume.ts';

/**
 * Commands over GraphQL against pgbench with the statements that they send, and both on few live calls, on many,
 * and on a long history.
 */

const GOAL = 0.7;
/** Throughput on many calls, of that on few. */
const FLAT = 0.8;
/** The server's connections at its default, and pgbench's. */
const CONNECTIONS = 10;
const WORKERS = 32;
const ROUNDS = 5;
const SECONDS = 4;
const WARM_UP_SECONDS = 6;
const NAME = 'scale';
const RECORDED = `${NAME}1000`;

/** `args`: how many past calls, where not a million: ten million take minutes, and 12 GB of disk. */
export async function commands([past = '1000000']: readonly string[]): Promise<void> {
  const set = await stage();
  await makeGroups(set);
  const env = { DATABASE_URL: set.databaseUrl, REDIS_URL: set.redis.url };
  const { script, statements, trips } = await recordScript(env, RECORDED, groupOf(RECORDED));
  print(`A life of ${COMMANDS_OF_A_LIFE} commands is ${statements} statements in ${trips} round trips.`);
  const file = join(tmpdir(), `ringdown-life-${process.pid}.sql`);
  writeFileSync(file, script);
  const instance = await startInstance({
    ...env,
    NODE_ENV: 'production',
    LOG_LEVEL: 'info',
    DATABASE_TIMEOUT: '60s',
  });
  pin(instance.pid, SERVER_CORE);
  const workers = await Promise.all(
    Array.from({ length: WORKERS }, (_, i) => worker(instance.url, groupOf(`${NAME}${i}`))),
  );
  later(() => {
    for (const one of workers) one.close();
    instance.signal('SIGTERM');
    return instance.ended;
  });
  await lives(workers, WARM_UP_SECONDS);

  const sizes: [string, () => Promise<void>][] = [
    ['10 live calls', () => liveCalls(set.sql, 10, null)],
    ['100,000 live calls', () => liveCalls(set.sql, 100_000, null)],
    [`and ${Number(past).toLocaleString('en')} past ones`, () => pastCalls(set.sql, Number(past))],
  ];
  let few = { ringdown: 0, pgbench: 0 };
  for (const [name, fill] of sizes) {
    if (few.ringdown > 0) await set.sql.query('delete from calls where id::text like $1', ['019f%']);
    await fill();
    await set.sql.query('checkpoint');
    const found = await measure(set, workers, instance.pid, file);
    if (few.ringdown === 0) few = found;
    const flat = found.ringdown / few.ringdown;
    const flatPostgres = found.pgbench / few.pgbench;
    print(
      `${name}: Ringdown ${rate(found.ringdown)}, pgbench ${rate(found.pgbench)} commands/s; ` +
        `ratio ${found.ratio.toFixed(2)} (goal ${GOAL} or more: ${verdict(found.ratio >= GOAL)}; rounds ${found.ratios}), ` +
        `by CPU ${found.byCpu.toFixed(2)}; ${flat.toFixed(2)} of that on few (goal ${FLAT} or more: ${verdict(flat >= FLAT)}), ` +
        `pgbench ${flatPostgres.toFixed(2)}. ${found.cores}`,
    );
  }
  print('\nThe plans, on all of it:');
  for (const line of await plans(set, script)) print(line);
}

interface Round {
  /** Commands a second by the clock. */
  readonly ringdown: number;
  readonly pgbench: number;
  /** Seconds of a core that 1,000 commands took. */
  readonly cpu: {
    readonly server: number;
    readonly itsPostgres: number;
    readonly pgbench: number;
    readonly pgbenchPostgres: number;
  };
}

async function measure(set: Stage, workers: readonly Worker[], pid: number, file: string) {
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const at = () => ({ server: cpuSeconds(pid), postgres: postgresSeconds(set.postgres) });
    const before = at();
    const own = await lives(workers, SECONDS);
    const between = at();
    const other = await pgbench(set, file);
    const each = (seconds: number, count: number) => (1000 * seconds) / (count * COMMANDS_OF_A_LIFE);
    rounds.push({
      ringdown: (own.count * COMMANDS_OF_A_LIFE) / own.seconds,
      pgbench: (other.count * COMMANDS_OF_A_LIFE) / other.seconds,
      cpu: {
        server: each(between.server - before.server, own.count),
        itsPostgres: each(between.postgres - before.postgres, own.count),
        pgbench: each(other.cpu, other.count),
        pgbenchPostgres: each(other.postgres, other.count),
      },
    });
  }
  const middle = (of: (round: Round) => number) => median(rounds.map(of));
  const cpu = (of: keyof Round['cpu']) => middle((round) => round.cpu[of]);
  const f = (value: number) => value.toFixed(2);
  return {
    ringdown: middle((round) => round.ringdown),
    pgbench: middle((round) => round.pgbench),
    ratio: middle((round) => round.ringdown / round.pgbench),
    ratios: rounds.map((round) => f(round.ringdown / round.pgbench)).join(' '),
    /** As if each had its two cores for itself: the busier one is what holds it up. */
    byCpu: middle(
      ({ cpu }) => Math.max(cpu.pgbench, cpu.pgbenchPostgres) / Math.max(cpu.server, cpu.itsPostgres),
    ),
    cores:
      `Core seconds of 1,000 commands: the instance ${f(cpu('server'))} and its Postgres ${f(cpu('itsPostgres'))}, ` +
      `pgbench ${f(cpu('pgbench'))} and its Postgres ${f(cpu('pgbenchPostgres'))}`,
  };
}

async function lives(
  workers: readonly Worker[],
  seconds: number,
): Promise<{ count: number; seconds: number }> {
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  let count = 0;
  await Promise.all(
    workers.map(async (one) => {
      while (performance.now() < until) {
        await one.live();
        count++;
      }
    }),
  );
  return { count, seconds: (performance.now() - startedAt) / 1000 };
}

let runs = 0;

/** Each transaction of it is one life. */
async function pgbench({ databaseUrl, postgres }: Stage, file: string) {
  const { hostname, port, pathname } = new URL(databaseUrl);
  // Ids of calls go on from one run to the next.
  const set = ['-D', `n=${runs++ * 1_000_000}`, '-f', file];
  const options = ['-n', '-M', 'prepared', '-c', String(CONNECTIONS), '-j', '1', '-T', String(SECONDS)];
  const where = ['-h', hostname, '-p', port, '-U', 'postgres', pathname.slice(1)];
  const before = postgresSeconds(postgres);
  const command = [...onCore(SERVER_CORE), 'pgbench', ...options, ...set, ...where];
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  // Its connections end with it, and their time is gone: so the last look is shortly before.
  let [cpu, its] = [0, before];
  const look = setInterval(() => {
    its = Math.max(its, postgresSeconds(postgres));
    try {
      cpu = Math.max(cpu, cpuSeconds(child.pid as number));
    } catch {}
  }, 50);
  const [code] = await once(child, 'close');
  clearInterval(look);
  const tps = Number(/^tps = ([\d.]+)/m.exec(output)?.[1]);
  const count = Number(/actually processed: (\d+)/.exec(output)?.[1]);
  if (code !== 0 || !(tps > 0)) throw new Error(`pgbench failed: ${output.slice(0, 3000)}`);
  return { count, seconds: count / tps, cpu, postgres: its - before };
}

async function makeGroups({ sql }: Stage): Promise<void> {
  const names = [...Array.from({ length: WORKERS }, (_, i) => `${NAME}${i}`), RECORDED];
  for (const { conversationId, userIds } of names.map(groupOf)) {
    await sql.query('insert into conversations (id, version) values ($1, 1)', [conversationId]);
    await sql.query(
      'insert into conversation_members (conversation_id, user_id) select $1, unnest($2::text[])',
      [conversationId, userIds],
    );
  }
}

/** What Postgres does for each statement of a life; everything in it is undone. */
async function plans({ sql }: Stage, script: string): Promise<string[]> {
  const lines: string[] = [];
  await sql.query('begin');
  for (const statement of script.split('\n')) {
    if (statement === '' || statement.startsWith('\\') || /^(begin|commit)/.test(statement)) continue;
    const filled = statement.replaceAll(':client_id', "'0'").replaceAll(/(?<!:):id/g, "'999999999999'");
    const { rows } = await sql.query(`explain (analyze, costs off, summary off) ${filled}`);
    lines.push(`-- ${statement.slice(0, 100)}`);
    lines.push(...rows.map((row) => `   ${String(row['QUERY PLAN']).slice(0, 140)}`));
  }
  await sql.query('rollback');
  return lines;
}

function rate(value: number): string {
  return Math.round(value).toLocaleString('en');
}
