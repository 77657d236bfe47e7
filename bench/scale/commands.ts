import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startInstance } from '../../test/support/instance.ts';
import { cpuSeconds, median } from '../measure.ts';
import { COMMANDS_OF_A_LIFE, groupOf, type Worker, worker } from './life.ts';
import { recordScript } from './recorded.ts';
import { later, pin, postgresSeconds, print, SERVER_CORE, type Stage, stage, verdict } from './stage.ts';
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

/** `args`: how many past calls, where not ten million. */
export async function commands([past = '10000000']: readonly string[]): Promise<void> {
  const set = await stage();
  await makeGroups(set);
  const env = { DATABASE_URL: set.databaseUrl, REDIS_URL: set.redis.url };
  const { script, statements } = await recordScript(env, RECORDED, groupOf(RECORDED));
  print(`A life of ${COMMANDS_OF_A_LIFE} commands is ${statements} statements.`);
  const file = join(tmpdir(), `ringdown-life-${process.pid}.sql`);
  writeFileSync(file, script);
  const instance = await startInstance({ ...env, NODE_ENV: 'production', LOG_LEVEL: 'info' });
  pin(instance.pid, SERVER_CORE);
  const workers = await Promise.all(
    Array.from({ length: WORKERS }, (_, i) => worker(instance.url, groupOf(`${NAME}${i}`))),
  );
  later(() => {
    for (const one of workers) one.close();
    instance.signal('SIGTERM');
    return instance.ended;
  });
  await livesASecond(workers, WARM_UP_SECONDS);

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
    const ratio = found.ringdown / found.pgbench;
    const flat = found.ringdown / few.ringdown;
    print(
      `${name}: Ringdown ${rate(found.ringdown)}, pgbench ${rate(found.pgbench)} commands/s; ` +
        `ratio ${ratio.toFixed(2)} (goal ${GOAL} or more: ${verdict(ratio >= GOAL)}); ` +
        `${flat.toFixed(2)} of that on few (goal ${FLAT} or more: ${verdict(flat >= FLAT)}); ` +
        `pgbench ${(found.pgbench / few.pgbench).toFixed(2)}. ${found.cores}`,
    );
  }
  print('\nThe plans, on all of it:');
  for (const line of await plans(set, script)) print(line);
}

async function measure(set: Stage, workers: readonly Worker[], pid: number, file: string) {
  const rounds: { ringdown: number; pgbench: number; server: number; postgres: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = { server: cpuSeconds(pid), postgres: postgresSeconds(set.postgres) };
    const lives = await livesASecond(workers, SECONDS);
    const server = (cpuSeconds(pid) - before.server) / SECONDS;
    const postgres = (postgresSeconds(set.postgres) - before.postgres) / SECONDS;
    const bench = await pgbench(set.databaseUrl, file, round);
    rounds.push({
      ringdown: lives * COMMANDS_OF_A_LIFE,
      pgbench: bench * COMMANDS_OF_A_LIFE,
      server,
      postgres,
    });
  }
  const middle = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of));
  return {
    ringdown: middle((round) => round.ringdown),
    pgbench: middle((round) => round.pgbench),
    cores: `While Ringdown ran: its core ${percent(middle((r) => r.server))}, Postgres ${percent(middle((r) => r.postgres))}.`,
  };
}

async function livesASecond(workers: readonly Worker[], seconds: number): Promise<number> {
  const startedAt = performance.now();
  const until = startedAt + seconds * 1000;
  let lives = 0;
  await Promise.all(
    workers.map(async (one) => {
      while (performance.now() < until) {
        await one.live();
        lives++;
      }
    }),
  );
  return lives / ((performance.now() - startedAt) / 1000);
}

let runs = 0;

/** Transactions a second, each one life. */
async function pgbench(url: string, file: string, _round: number): Promise<number> {
  const { hostname, port, pathname } = new URL(url);
  const options = ['-n', '-M', 'prepared', '-f', file, '-c', String(CONNECTIONS), '-j', '1', '-T', String(SECONDS)];
  // Ids of calls go on from one run to the next.
  const where = ['-h', hostname, '-p', port, '-U', 'postgres', '-D', `n=${runs++ * 1_000_000}`];
  const child = spawn('taskset', ['-c', String(SERVER_CORE), 'pgbench', ...options, ...where, pathname.slice(1)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const [code] = await once(child, 'close');
  const tps = /^tps = ([\d.]+)/m.exec(output)?.[1];
  if (code !== 0 || tps === undefined) throw new Error(`pgbench failed: ${output.slice(0, 3000)}`);
  return Number(tps);
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

function percent(value: number): string {
  return `${Math.round(100 * value)} %`;
}
