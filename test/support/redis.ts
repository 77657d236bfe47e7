import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

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

/** Longest wait, in milliseconds, for a server's first answer; a busy machine is slow to start one. */
const START_LIMIT = 10_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startRedis(): Promise<TestRedis> {
  // Between finding a free port and taking it another test may take it: then try the next.
  let port = 0;
  let child: ChildProcess | null = null;
  for (let attempt = 0; child === null; attempt++) {
    port = await freePort();
    child = await launch(port).catch((error: unknown) => {
      if (attempt === 4 || (error as { code?: unknown }).code === 'ENOENT') throw error;
      return null;
    });
  }
  let current = child;
  const kill = () => end(current, 'SIGKILL');
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop: kill,
    kill,
    pause: () => void current.kill('SIGSTOP'),
    resume: () => void current.kill('SIGCONT'),
    async restart() {
      await kill();
      current = await launch(port);
    },
  };
}

async function launch(port: number): Promise<ChildProcess> {
  // biome-ignore format: one option a line
  const child = spawn('redis-server', [
    '--port', String(port),
    '--bind', '127.0.0.1',
    '--save', '',
    '--appendonly', 'no',
    '--enable-debug-command', 'local',
  ], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failure: Error | null = null;
  child.on('error', (error: NodeJS.ErrnoException) => {
    failure =
      error.code === 'ENOENT'
        ? Object.assign(new Error('redis-server is not installed: these tests need a real Redis'), {
            code: 'ENOENT',
          })
        : error;
  });
  child.on('exit', (code, signal) => {
    running.delete(child);
    failure ??= new Error(`redis-server ended with ${signal ?? code}: ${output}`);
  });
  running.add(child);

  const deadline = Date.now() + START_LIMIT;
  while (!(await answers(port, child.pid))) {
    if (failure !== null || Date.now() > deadline) {
      await end(child, 'SIGKILL');
      throw failure ?? new Error(`redis-server did not answer on port ${port}: ${output}`);
    }
    await sleep(10);
  }
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined) {
    running.delete(child);
    return;
  }
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
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
