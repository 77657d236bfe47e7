import { type ChildProcess, execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { endProgram, startProgram } from './program.ts';

/** A real TURN server (coturn) of a test's own, on loopback: what browsers send each other can be cut there. */
export interface TestTurn {
  /** RFC 7065, over UDP. It listens on TCP too. */
  readonly url: string;
  readonly port: number;
  /** With `tls`: another port, and the certificate of 127.0.0.1 and localhost in PEM. Else null. */
  readonly tls: { readonly port: number; readonly certificate: string } | null;
  /** SIGSTOP: nothing passes, and nobody is told. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Nobody listens, until `restart`. */
  end(): Promise<void>;
  /** A new server on the same port, which knows of no allocation, and of other secrets where some are given. */
  restart(secrets?: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

export interface TurnOptions {
  /** It takes credentials by either (the TURN REST API). */
  readonly secrets: readonly string[];
  readonly tls?: boolean;
}

export async function startTurn({ secrets, tls = false }: TurnOptions): Promise<TestTurn> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'ringdown-turn-'));
  const secure = tls ? { port: await freePort(), certificate: certificateIn(folder) } : null;
  let known = secrets;
  let current = await launch(port, folder, known, secure?.port ?? null);
  return {
    url: `turn:127.0.0.1:${port}?transport=udp`,
    port,
    tls: secure,
    pause: () => void current.kill('SIGSTOP'),
    resume: () => void current.kill('SIGCONT'),
    end: () => endProgram(current),
    async restart(others = known) {
      await endProgram(current);
      known = others;
      current = await launch(port, folder, known, secure?.port ?? null);
    },
    async stop() {
      await endProgram(current);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A new one, good for itself alone; returns it in PEM. */
function certificateIn(folder: string): string {
  // biome-ignore format: what belongs together on one line
  execFileSync('openssl', [
    'req', '-x509', '-nodes', '-days', '2',
    '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
    '-subj', '/CN=turn.test', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost',
    '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem'),
  ], { stdio: 'ignore' });
  return readFileSync(join(folder, 'certificate.pem'), 'utf8');
}

function launch(
  port: number,
  folder: string,
  secrets: readonly string[],
  tlsPort: number | null,
): Promise<ChildProcess> {
  // biome-ignore format: one option a line
  return startProgram('turnserver', [
    '-n',
    '--listening-ip=127.0.0.1',
    '--relay-ip=127.0.0.1',
    `--listening-port=${port}`,
    '--lt-cred-mech',
    '--use-auth-secret',
    ...secrets.map((secret) => `--static-auth-secret=${secret}`),
    '--realm=test.local',
    '--fingerprint',
    ...(tlsPort === null ? ['--no-tls'] : [
      `--tls-listening-port=${tlsPort}`,
      `--cert=${join(folder, 'certificate.pem')}`,
      `--pkey=${join(folder, 'key.pem')}`,
    ]),
    '--no-dtls',
    '--no-cli',
    '--allow-loopback-peers',
    '--log-file=stdout',
    `--pidfile=${join(folder, 'turn.pid')}`,
    `--userdb=${join(folder, 'turn.db')}`,
  ], async () => (await answers(port)) && (await listens(port)) && (tlsPort === null || (await listens(tlsPort))));
}

/** A STUN binding (RFC 8489) over UDP, which it begins to listen on after TCP. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const done = (answered: boolean) => {
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    const timer = setTimeout(() => done(false), 200);
    socket.once('message', () => done(true)).once('error', () => done(false));
    socket.connect(port, '127.0.0.1', () => {
      socket.send(Buffer.from('000100002112a442524e47444c5f746573747475', 'hex'));
    });
  });
}

/** Over TCP. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
