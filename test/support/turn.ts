import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

/** A real TURN server (coturn) of a test's own, on loopback: what browsers send each other can be cut there. */
export interface TestTurn {
  /** RFC 7065, over UDP. */
  readonly url: string;
  readonly username: string;
  readonly credential: string;
  /** SIGSTOP: nothing passes, and nobody is told. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** A new server on the same port, which knows of no allocation. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const USER = { username: 'test', credential: 'secret' };
/** Longest wait for the first answer, milliseconds. */
const START_LIMIT = 10_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startTurn(): Promise<TestTurn> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'ringdown-turn-'));
  let current = await launch(port, folder);
  const end = async () => {
    if (current.exitCode !== null || current.signalCode !== null) return;
    const ended = once(current, 'exit');
    current.kill('SIGKILL');
    await ended;
  };
  return {
    url: `turn:127.0.0.1:${port}?transport=udp`,
    ...USER,
    pause: () => void current.kill('SIGSTOP'),
    resume: () => void current.kill('SIGCONT'),
    async restart() {
      await end();
      current = await launch(port, folder);
    },
    async stop() {
      await end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function launch(port: number, folder: string): Promise<ChildProcess> {
  // biome-ignore format: one option a line
  const child = spawn('turnserver', [
    '-n',
    '--listening-ip=127.0.0.1',
    '--relay-ip=127.0.0.1',
    `--listening-port=${port}`,
    '--lt-cred-mech',
    `--user=${USER.username}:${USER.credential}`,
    '--realm=test.local',
    '--fingerprint',
    '--no-tls',
    '--no-dtls',
    '--no-cli',
    '--allow-loopback-peers',
    '--log-file=stdout',
    `--pidfile=${join(folder, 'turn.pid')}`,
    `--userdb=${join(folder, 'turn.db')}`,
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failure: Error | null = null;
  child.on('error', (error) => {
    failure = error;
  });
  child.on('exit', (code, signal) => {
    running.delete(child);
    failure ??= new Error(`turnserver ended with ${signal ?? code}: ${output}`);
  });
  running.add(child);
  // It listens on TCP as well.
  for (const deadline = Date.now() + START_LIMIT; !(await listens(port)); ) {
    if (failure !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw failure ?? new Error(`turnserver did not answer on port ${port}: ${output}`);
    }
    await sleep(20);
  }
  return child;
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
