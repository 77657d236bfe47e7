import { REJECTION_CODES } from '../../src/errors.ts';
import { FAULTS } from './faults.ts';
import { TRANSITIONS } from './history.ts';
import type { Outcome } from './simulate.ts';

/** How often what occurred over many seeds, and what did not occur at all. */

/** Of what is not in a simulation: devices are no part of a call. */
const ELSEWHERE = new Set(['WEB_PUSH_OFF', 'TOO_MANY_DEVICES']);

/** What has to occur in a thousand seeds, by kind. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  transition: TRANSITIONS,
  rejection: Object.keys(REJECTION_CODES).filter((code) => !ELSEWHERE.has(code)),
  fault: FAULTS,
  event: [
    'CallSnapshot, recovered',
    'CallSnapshot, not recovered',
    'ParticipantChanged',
    'CallChanged',
    'CallExpiring',
    'CallEnded',
    'SignalReceived',
    'SignalingDegraded',
    'SignalingRestored',
  ],
};

export class Tally {
  readonly #counts = new Map<string, number>();
  seeds = 0;
  steps = 0;

  add({ counts, steps }: Outcome): void {
    this.seeds++;
    this.steps += steps;
    for (const [what, count] of counts) this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  get missing(): string[] {
    return Object.entries(REQUIRED).flatMap(([kind, names]) =>
      names.map((name) => `${kind}: ${name}`).filter((what) => !this.#counts.has(what)),
    );
  }

  /** Markdown; what is not asked for is in it too. */
  get table(): string {
    const lines = [`${this.seeds} seeds, ${this.steps} steps.`];
    for (const [kind, names] of Object.entries(REQUIRED)) {
      const prefix = `${kind}: `;
      const others = [...this.#counts.keys()].filter((what) => what.startsWith(prefix));
      const all = new Set([...names, ...others.map((what) => what.slice(prefix.length)).sort()]);
      const rows = [...all].map((name) => `| ${name} | ${this.#counts.get(prefix + name) ?? 0} |`);
      lines.push('', `| ${kind} | times |`, '|---|---:|', ...rows);
    }
    return lines.join('\n');
  }
}

/** What is wrong with a seed, and how it is run again. */
export function complaintOf({ seed, plan, violations }: Outcome): string {
  const some = violations.slice(0, 10).map((violation) => `\n  ${violation}`);
  return `Seed ${seed} (npm run test:simulation -- --seed ${seed}), plan ${plan}:${some.join('')}`;
}
