import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { endProgram, startProgram } from './program.ts';

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

export async function startTurn(): Promise<TestTurn> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'ringdown-turn-'));
  let current = await launch(port, folder);
  return {
    url: `turn:127.0.0.1:${port}?transport=udp`,
    ...USER,
    pause: () => void current.kill('SIGSTOP'),
    resume: () => void current.kill('SIGCONT'),
    async restart() {
      await endProgram(current);
      current = await launch(port, folder);
    },
    async stop() {
      await endProgram(current);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function launch(port: number, folder: string): Promise<ChildProcess> {
  // biome-ignore format: one option a line
  return startProgram('turnserver', [
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
  ], () => listens(port));
}

/** It listens on TCP as well. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
