import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildDemo } from '../../scripts/build-demo.ts';
import { median } from '../measure.ts';
import { later, print, verdict } from './stage.ts';

/** From `npm start` to the ready line, on embedded parts alone: the first time, which makes the database, and the second. */

const GOALS = { first: 6, second: 2 };
const ROUNDS = 3;
const LIMIT = 120_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TICKS = 100;

export async function start(): Promise<void> {
  // The page belongs to the checkout and not to the database: it is made once for all starts.
  buildDemo();
  const starts = { first: [] as Started[], second: [] as Started[] };
  for (let round = 0; round < ROUNDS; round++) {
    const dataDir = mkdtempSync(join(tmpdir(), 'ringdown-start-'));
    later(() => rmSync(dataDir, { recursive: true, force: true }));
    for (const which of ['first', 'second'] as const)
      starts[which].push(await startOnce(join(dataDir, 'data')));
  }
  for (const which of ['first', 'second'] as const) {
    const seconds = median(starts[which].map((one) => one.seconds));
    const cpu = median(starts[which].map((one) => one.cpu));
    const met = verdict(seconds <= GOALS[which]);
    print(
      `The ${which} start: ready after ${seconds.toFixed(1)} s, of which it ran ${cpu.toFixed(1)} s; goal ${GOALS[which]} s: ${met}`,
    );
  }
}

interface Started {
  readonly seconds: number;
  /** CPU time of npm and all it started. */
  readonly cpu: number;
}

async function startOnce(dataDir: string): Promise<Started> {
  const { PATH = '', HOME = '' } = process.env;
  const startedAt = performance.now();
  const child = spawn('npm', ['start', '--silent'], {
    cwd: ROOT,
    env: { PATH, HOME, DATA_DIR: dataDir, PORT: '0', METRICS_PORT: '0', LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // npm starts a shell, and that the server: they are ended together.
    detached: true,
  });
  later(() => end(child));
  let output = '';
  const ready = new Promise<void>((resolve, reject) => {
    setTimeout(() => reject(new Error(`It did not start: ${output}`)), LIMIT).unref();
    child.on('exit', () => reject(new Error(`It ended: ${output}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('Ringdown is ready')) resolve();
      });
    }
  });
  ready.catch(() => {});
  await ready;
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = secondsOfAll(child.pid as number);
  await end(child);
  return { seconds, cpu };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  process.kill(-(child.pid as number), 'SIGTERM');
  await ended;
}

/** Of a process, of those it waited for, and of its children of now. */
function secondsOfAll(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const own = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / TICKS;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.reduce((sum, child) => sum + secondsOfAll(Number(child)), own);
}
