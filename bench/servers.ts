import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { IDENTITY } from './clients.ts';

/** The servers that are measured, each a process of its own. */

export interface BenchServer {
  /** `http://host:port` */
  readonly url: string;
  readonly pid: number;
  /** The last lines that it wrote. */
  output(): string;
  stop(): Promise<void>;
}

/** Longest wait for a server's first line, milliseconds. */
const START_LIMIT = 30_000;
/** Longest wait for an orderly stop, milliseconds. */
const STOP_LIMIT = 10_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * An instance as in production, with every setting that has a default at its default, but the limit of signals a
 * minute: a closed loop of a few users passes it, and what is measured is the way of a signal, its limit included.
 */
export function startRingdown(
  pin: readonly string[],
  databaseUrl: string,
  redisUrl: string,
): Promise<BenchServer> {
  return start([...pin, process.execPath, file('../src/main.ts')], {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    SIGNAL_RATE: '10000000',
    DATABASE_URL: databaseUrl,
    REDIS_URL: redisUrl,
    ...IDENTITY,
  });
}

export function startRelay(pin: readonly string[], redisUrl: string): Promise<BenchServer> {
  return start([...pin, process.execPath, file('peers/ws-redis.ts'), redisUrl], {});
}

function file(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

async function start(command: readonly string[], env: Record<string, string>): Promise<BenchServer> {
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
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const url = await firstUrl(child, () => output);
  return {
    url,
    pid: child.pid as number,
    output: () => output,
    async stop() {
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
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      clearTimeout(limit);
      child.kill('SIGKILL');
      reject(new Error(`A server ${what}: ${output()}`));
    };
    const limit = setTimeout(() => fail('did not start'), START_LIMIT);
    child.stdout?.on('data', () => {
      const url = /ready at (http:\/\/[^/\s]+)/.exec(output())?.[1];
      if (url === undefined) return;
      clearTimeout(limit);
      resolve(url);
    });
    child.on('error', (error) => fail(`did not start (${error.message})`));
    child.on('exit', (code, signal) => fail(`ended with ${signal ?? code}`));
  });
}
