import type { ChildProcess } from 'node:child_process';
import { connect } from 'node:net';
import { freePort } from './free-port.ts';
import { endProgram, startProgram } from './program.ts';

/** A real Redis of a test's own, on loopback, that keeps nothing on disk. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
  /** SIGKILL: the connections are reset. */
  kill(): Promise<void>;
  /** SIGSTOP: the connections stay open and nobody answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** A new server on the same port, empty; ends the old one where it still runs. */
  restart(): Promise<void>;
}

/** `options`: of redis-server, beside those that every one here has. */
export async function startRedis(options: readonly string[] = []): Promise<TestRedis> {
  // Between finding a free port and taking it another test may take it: then try the next.
  let port = 0;
  let child: ChildProcess | null = null;
  for (let attempt = 0; child === null; attempt++) {
    port = await freePort();
    child = await launch(port, options).catch((error: unknown) => {
      if (attempt === 4 || (error as { code?: unknown }).code === 'ENOENT') throw error;
      return null;
    });
  }
  let current = child;
  const kill = () => endProgram(current);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: kill,
    kill,
    pause: () => void current.kill('SIGSTOP'),
    resume: () => void current.kill('SIGCONT'),
    async restart() {
      await kill();
      current = await launch(port, options);
    },
  };
}

function launch(port: number, options: readonly string[]): Promise<ChildProcess> {
  // biome-ignore format: one option a line
  return startProgram('redis-server', [
    '--port', String(port),
    '--bind', '127.0.0.1',
    '--save', '',
    '--appendonly', 'no',
    '--enable-debug-command', 'local',
    ...options,
  ], (pid) => answers(port, pid));
}

/** True once a server with this process id answers: another one may have taken the port. */
function answers(port: number, pid: number | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    let reply = '';
    socket.setTimeout(1000, () => settle(false));
    socket.on('error', () => settle(false));
    socket.on('close', () => settle(false));
    socket.on('connect', () => socket.write('INFO server\r\n'));
    socket.on('data', (chunk) => {
      reply += chunk.toString();
      if (reply.endsWith('\r\n') && reply.includes('process_id:'))
        settle(reply.includes(`process_id:${pid}\r\n`));
    });
  });
}
