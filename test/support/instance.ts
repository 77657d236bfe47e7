import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { GENEROUS_RATES, IDENTITY } from './app.ts';

/** An instance of Ringdown as a process of its own, as it runs in production. */
export interface Instance {
  /** `http://host:port` */
  readonly url: string;
  readonly pid: number;
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' | 'SIGUSR2'): void;
  /** How it ended, once it has: the exit code, or the signal's name. */
  readonly ended: Promise<number | string>;
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** Longest wait, in milliseconds, for the ready line; a busy machine is slow to start one. */
const START_LIMIT = 60_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** `main`: the program, where it is not the repository's. */
export async function startInstance(env: Record<string, string>, main = MAIN): Promise<Instance> {
  const child = spawn(process.execPath, [main], {
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      METRICS_PORT: '0',
      LOG_LEVEL: 'warn',
      ...GENEROUS_RATES,
      ...IDENTITY,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const ended = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    return (code ?? signal) as number | string;
  });
  let output = '';
  const url = new Promise<string>((resolve) => {
    const keep = (chunk: Buffer) => {
      output += chunk.toString();
      const ready = /^Ringdown is ready at (http:\/\/[^/\s]+)/m.exec(output)?.[1];
      if (ready) resolve(ready);
      output = output.slice(-4_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
  });
  const limit = new AbortController();
  const failed = Promise.race([
    ended.then((how) => `ended with ${how}`),
    new Promise<string>((resolve) => {
      const timer = setTimeout(() => resolve('is not ready'), START_LIMIT);
      limit.signal.addEventListener('abort', () => clearTimeout(timer));
    }),
  ]).then((what) => Promise.reject(new Error(`The instance ${what}: ${output}`)));
  try {
    return {
      url: await Promise.race([url, failed]),
      pid: child.pid as number,
      signal: (signal) => void child.kill(signal),
      ended,
    };
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  } finally {
    limit.abort();
    failed.catch(() => {});
  }
}

/** Kills what still runs, stopped or not, and waits until it is gone. */
export async function endInstances(): Promise<void> {
  await Promise.all(
    [...running].map(async (child) => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }),
  );
}
