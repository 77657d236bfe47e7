import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/support/free-port.ts';
import { IDENTITY } from './clients/ringdown.ts';
import { type BackEnd, configuration } from './peers/nextcloud.ts';

/** The servers that are measured, each a process of its own. */

export interface BenchServer {
  /** `http://host:port` */
  readonly url: string;
  readonly pid: number;
  /** The last lines that it wrote. */
  output(): string;
  stop(): Promise<void>;
}

/** Longest wait for a server's first answer, milliseconds. */
const START_LIMIT = 120_000;
/** Longest wait for an orderly stop, milliseconds. */
const STOP_LIMIT = 10_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** An instance as in production, with every setting that has a default at its default. */
export function startRingdown(
  pin: readonly string[],
  databaseUrl: string,
  redisUrl: string,
): Promise<BenchServer> {
  return start([...pin, process.execPath, file('../src/main.ts')], firstUrl, {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    ...IDENTITY,
  });
}

/** One of those in `peers/`. */
export function startPeer(
  pin: readonly string[],
  name: string,
  ...options: readonly string[]
): Promise<BenchServer> {
  // As Node's servers are run: Express leaves its debugging out.
  const env = { NODE_ENV: 'production' };
  return start([...pin, process.execPath, file(`peers/${name}.ts`), ...options], firstUrl, env);
}

/** The program of Debian's package. */
export async function startNextcloud(
  pin: readonly string[],
  program: string,
  backEnd: BackEnd,
): Promise<BenchServer> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-nextcloud-'));
  const path = join(folder, 'server.conf');
  const port = await freePort();
  await writeFile(path, configuration(port, backEnd));
  const url = `http://127.0.0.1:${port}`;
  try {
    return await start([...pin, program, '-config', path], async () => {
      await answers(`${url}/api/v1/welcome`);
      return url;
    });
  } finally {
    await rm(folder, { recursive: true });
  }
}

function file(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Resolves once it has told where it listens: `ready` resolves with that. */
async function start(
  command: readonly string[],
  ready: (child: ChildProcess, output: () => string) => Promise<string>,
  env: Record<string, string> = {},
): Promise<BenchServer> {
  const { PATH = '' } = process.env;
  // `taskset` becomes the server: the process id stays.
  const child = spawn(command[0]!, command.slice(1), {
    env: { PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = new Promise<never>((_, reject) => {
    const fail = (why: string) => reject(new Error(`A server did not start (${why}): ${output}`));
    child.on('error', (error) => fail(error.message));
    child.on('exit', (code, signal) => fail(`${signal ?? code}`));
    setTimeout(() => fail('in time'), START_LIMIT).unref();
  });
  const url = await Promise.race([ready(child, () => output), ended]).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  const onLost = () => {
    // Who waits for its answer would wait for ever.
    process.stderr.write(`A server ended by itself: ${output}\n`);
    process.exit(1);
  };
  child.on('exit', onLost);
  return {
    url,
    pid: child.pid as number,
    output: () => output,
    async stop() {
      child.off('exit', onLost);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      const limit = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT);
      await exited;
      clearTimeout(limit);
    },
  };
}

/** The address in the line that says `ready at`. */
function firstUrl(child: ChildProcess, output: () => string): Promise<string> {
  return new Promise((resolve) => {
    child.stdout?.on('data', () => {
      const url = /ready at (http:\/\/[^/\s]+)/.exec(output())?.[1];
      if (url !== undefined) resolve(url);
    });
  });
}

async function answers(url: string): Promise<void> {
  for (let waited = 0; waited < START_LIMIT; waited += 50) {
    const response = await fetch(url).catch(() => null);
    await response?.body?.cancel();
    if (response !== null) return;
    await pause(50);
  }
}
