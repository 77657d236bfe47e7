import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Redis } from 'ioredis';
import pg from 'pg';
import { startPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { startRedis, type TestRedis } from '../../test/support/redis.ts';
import { cpuSeconds } from '../measure.ts';

/** What every measure needs: servers of its own, a core for each, and that all of it ends. */

export const print = (line: string) => process.stdout.write(`${line}\n`);

/** Undone in reverse, whatever happens. */
const undo: (() => unknown)[] = [];

export function later(step: () => unknown): void {
  undo.push(step);
}

export async function undoAll(): Promise<void> {
  for (let step = undo.pop(); step; step = undo.pop()) await step();
}

/** Signals end what was started, too. */
export function settle(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));
}

/** The server that is measured runs on the first core; Postgres, Redis and the load on the second. */
export const SERVER_CORE = 0;
export const OTHER_CORE = 1;
/** Asked before this process is pinned: Node counts the cores that it may use itself. */
const HAS_TWO_CORES = availableParallelism() >= 2;

/** Takes a process and all its children of now to a core; those that come later follow. */
export function pin(pid: number, core: number): void {
  if (!HAS_TWO_CORES) return;
  for (const one of [pid, ...childrenOf(pid)]) {
    spawnSync('taskset', ['-a', '-c', '-p', String(core), String(one)], { stdio: 'ignore' });
  }
}

/** What a command begins with that is to run on a core. */
export function onCore(core: number): string[] {
  return HAS_TWO_CORES ? ['taskset', '-c', String(core)] : [];
}

export interface Stage {
  readonly postgres: TestPostgres;
  /** A database with the tables. */
  readonly databaseUrl: string;
  readonly sql: pg.Client;
  readonly redis: TestRedis;
  readonly redisPid: number;
}

export async function stage(): Promise<Stage> {
  const postgres = await startPostgres({ durable: true });
  later(() => postgres.stop());
  const redis = await startRedis();
  later(() => redis.stop());
  const asked = new Redis(redis.url);
  const redisPid = Number(/process_id:(\d+)/.exec(await asked.info('server'))?.[1]);
  asked.disconnect();
  for (const pid of [postgres.pid, redisPid, process.pid]) pin(pid, OTHER_CORE);
  const { url } = await postgres.createDatabase();
  const sql = new pg.Client({ connectionString: url });
  await sql.connect();
  later(() => sql.end());
  return { postgres, databaseUrl: url, sql, redis, redisPid };
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
}

/** CPU-seconds of Postgres so far: the postmaster's, its children's, and of those that have ended. */
export function postgresSeconds({ pid }: TestPostgres): number {
  return [pid, ...childrenOf(pid)].reduce((sum, one) => {
    try {
      return sum + cpuSeconds(one);
    } catch {
      return sum;
    }
  }, 0);
}

/** Bytes of a process that are in memory and its own (proc(5), VmRSS - RssFile). */
export function memoryOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1]);
}

/** Open files of a process, to see what is left of it. */
export function filesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export function verdict(met: boolean): string {
  return met ? 'met' : 'MISSED';
}
