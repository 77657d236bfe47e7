import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** What Linux says about time spent on a core, and who may run on which. */

/** Ticks a second of /proc, on every Linux of today. */
const TICKS = 100;

/** Seconds that a process and all its threads have run so far: utime + stime (proc(5), /proc/pid/stat). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The second field is the program's name in brackets, and may have blanks and brackets in it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Seconds that the cores have run for anybody: all of /proc/stat's first line but idle and iowait. */
export function machineSeconds(): number {
  const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
  const [user, nice, system, , , irq, softirq, steal] = line.trim().split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + irq! + softirq! + steal!) / TICKS;
}

/**
 * Takes this process, and what it starts from now on, to the second core. Returns what stands before a command
 * so that it runs on the first; nothing where there is one core only, or no taskset.
 */
export function pinApart(): readonly string[] {
  if (availableParallelism() < 2) return [];
  // A thread that ends while they are listed makes taskset fail.
  for (let attempt = 0; attempt < 5; attempt++) {
    const options = ['-a', '-c', '-p', '1', String(process.pid)];
    if (spawnSync('taskset', options, { stdio: 'ignore' }).status === 0) return ['taskset', '-c', '0'];
  }
  return [];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

/** So large that this share of them is no larger. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}
