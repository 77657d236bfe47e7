import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

/** A server program of a test's own, which ends with the test process whatever happens. */

/** Longest wait, in milliseconds, for the first answer; a busy machine is slow to start one. */
const START_LIMIT = 10_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Resolves once it answers. */
export async function startProgram(
  name: string,
  args: readonly string[],
  answers: (pid: number | undefined) => Promise<boolean>,
): Promise<ChildProcess> {
  const child = spawn(name, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-2_000);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  let failure: Error | null = null;
  child.on('error', (error: NodeJS.ErrnoException) => {
    const missing = () =>
      Object.assign(new Error(`${name} is not installed: these tests need a real one`), { code: 'ENOENT' });
    failure = error.code === 'ENOENT' ? missing() : error;
  });
  child.on('exit', (code, signal) => {
    running.delete(child);
    failure ??= new Error(`${name} ended with ${signal ?? code}: ${output}`);
  });
  running.add(child);
  for (const deadline = Date.now() + START_LIMIT; !(await answers(child.pid)); ) {
    if (failure !== null || Date.now() > deadline) {
      await endProgram(child);
      throw failure ?? new Error(`${name} did not answer: ${output}`);
    }
    await sleep(10);
  }
  return child;
}

/** SIGKILL, which takes a stopped one too, and waits until it is gone. */
export async function endProgram(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) {
    running.delete(child);
    return;
  }
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
