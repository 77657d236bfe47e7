import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '../../src/database/migrator.ts';
import { openDatabase } from '../../src/database/open.ts';
import { freePort } from './free-port.ts';
import { type Owner, postgresBinaries, unprivilegedUser } from './postgres-binaries.ts';

/** A database of a test's own. */
export interface TestDatabase {
  readonly url: string;
  /** Cuts off whoever is still connected. */
  drop(): Promise<void>;
}

/** A real Postgres of a test's own, on loopback. It survives no power cut; all else is as in production. */
export interface TestPostgres {
  /** The maintenance database. */
  readonly url: string;
  /** The postmaster; its children are the backends. */
  readonly pid: number;
  /** With the tables of migrations/. */
  createDatabase(): Promise<TestDatabase>;
  /** SIGQUIT: the backends end in the midst of what they do. */
  kill(): Promise<void>;
  /** The same data on the same port, after a recovery; ends the server where it still runs. */
  restart(): Promise<void>;
  /** SIGSTOP, to the backends too: connections stay open and nobody answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  stop(): Promise<void>;
}

/** Longest wait, in milliseconds, for a server's first answer; a busy machine is slow to start one. */
const START_LIMIT = 30_000;
/** The database that `createDatabase` copies. */
export const TEMPLATE = 'ringdown_template';

const running = new Map<ChildProcess, string>();
process.on('exit', () => {
  for (const [child, folder] of running) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

/** `durable`: what is committed survives a kill. It costs the flush that tests without kills need not wait for. */
export async function startPostgres({ durable = false } = {}): Promise<TestPostgres> {
  const owner = unprivilegedUser();
  const folder = mkdtempSync(join(tmpdir(), 'ringdown-postgres-'));
  chmodSync(folder, 0o700);
  if (owner !== null) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  try {
    const bin = postgresBinaries(folder);
    execFileSync(
      join(bin, 'initdb'),
      ['-D', data, '-U', 'postgres', '--auth=trust', '--encoding=UTF8', '--no-locale', '--no-sync'],
      { ...owner, cwd: folder, stdio: 'pipe' },
    );
    // Between finding a free port and taking it another process may take it: then try the next.
    for (let attempt = 1; ; attempt++) {
      try {
        return await open(bin, owner, folder, data, await freePort(), durable);
      } catch (error) {
        if (attempt === 5 || !/Address already in use/.test(String(error))) throw error;
      }
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function open(
  bin: string,
  owner: Owner | null,
  folder: string,
  data: string,
  port: number,
  durable: boolean,
): Promise<TestPostgres> {
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const start = () => launch(bin, owner, folder, data, port, durable);
  let current = await start();
  let template: Promise<void> | null = null;
  const kill = async () => {
    // A stopped process takes no other signal than this one.
    signal(current, 'SIGCONT');
    await end(current, 'SIGQUIT');
  };
  return {
    url,
    get pid() {
      return current.pid as number;
    },
    async createDatabase() {
      template ??= makeTemplate(url);
      await template;
      return copyOf(url, TEMPLATE);
    },
    kill,
    async restart() {
      await kill();
      current = await start();
    },
    pause: () => signal(current, 'SIGSTOP'),
    resume: () => signal(current, 'SIGCONT'),
    async stop() {
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** To the postmaster and its backends. */
function signal({ pid }: ChildProcess, name: 'SIGSTOP' | 'SIGCONT'): void {
  if (pid === undefined) return;
  for (const one of [pid, ...childrenOf(pid)]) {
    try {
      process.kill(one, name);
    } catch {
      // It has ended by itself.
    }
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Resolves with the server's process once it answers. */
async function launch(
  bin: string,
  owner: Owner | null,
  folder: string,
  data: string,
  port: number,
  durable: boolean,
): Promise<ChildProcess> {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    fsync: 'off',
    synchronous_commit: durable ? 'on' : 'off',
    log_min_messages: 'warning',
  };
  const child = spawn(
    join(bin, 'postgres'),
    ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    { ...owner, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let output = '';
  child.stderr.on('data', (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4000);
  });
  let failure: Error | null = null;
  child.on('error', (error) => {
    failure = error;
  });
  child.on('exit', (code, signal) => {
    running.delete(child);
    failure ??= new Error(`postgres ended with ${signal ?? code}: ${output}`);
  });
  running.set(child, folder);

  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const deadline = Date.now() + START_LIMIT;
  while (!(await answersFrom(url, data))) {
    if (failure !== null || Date.now() > deadline) {
      await end(child, 'SIGKILL');
      throw failure ?? new Error(`postgres did not answer on port ${port}: ${output}`);
    }
    await sleep(20);
  }
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** The migrations run once; each test's database is a copy of the result. */
export async function makeTemplate(url: string): Promise<void> {
  await command(url, `create database ${TEMPLATE}`);
  const database = await openDatabase({
    url: withDatabase(url, TEMPLATE),
    dataDir: null,
    poolSize: 1,
    timeoutMs: 20_000,
  });
  try {
    await migrate(database);
  } finally {
    await database.close();
  }
}

/** A database with a name of its own, like `template`; nobody may be connected to that. */
export async function copyOf(url: string, template: string): Promise<TestDatabase> {
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await command(url, `create database ${name} template ${template}`);
  return {
    url: withDatabase(url, name),
    drop: () => command(url, `drop database if exists ${name} with (force)`),
  };
}

async function command(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

/** True once the server with this data folder answers: another one may have taken the port. */
async function answersFrom(url: string, data: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query('show data_directory');
    return rows[0]?.data_directory === data;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
