import type { Clock, Owner } from './clock.ts';
import type { Dice } from './dice.ts';

/**
 * Everything that one process waits for from another is a step: a statement, an answer, a message. A step
 * waits until it is its turn, and whose turn it is the seed says.
 */

export interface Step {
  readonly what: string;
  /** Whose step it is: while the owner stalls it waits, and it goes with a dead one. */
  readonly owner: Owner;
  readonly run: () => void;
  /** Whether it may run now; always, where it is not given. */
  readonly ready?: () => boolean;
}

export class Scheduler {
  readonly clock: Clock;
  readonly random: Dice;
  /** Told of each step that runs. */
  readonly onStep: (line: string) => void;
  #waiting: Step[] = [];
  steps = 0;

  constructor(clock: Clock, random: Dice, onStep: (line: string) => void) {
    this.clock = clock;
    this.random = random;
    this.onStep = onStep;
  }

  add(step: Step): Step {
    this.#waiting.push(step);
    return step;
  }

  remove(step: Step): void {
    this.#waiting = this.#waiting.filter((other) => other !== step);
  }

  drop(owner: Owner): void {
    this.#waiting = this.#waiting.filter((step) => step.owner !== owner);
  }

  waitingOf(owner: Owner): readonly Step[] {
    return this.#waiting.filter((step) => step.owner === owner);
  }

  /** The steps of which one may be next. */
  ready(): Step[] {
    return this.#waiting.filter((step) => !step.owner.stalled && (step.ready?.() ?? true));
  }

  run(step: Step): void {
    this.remove(step);
    this.steps++;
    this.onStep(`${step.owner.name}: ${step.what}`);
    step.run();
  }
}

/** Until everything that was set going waits for a step or a timer again. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
