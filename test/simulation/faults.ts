import type { Dice } from './dice.ts';

/** What may go wrong. A seed's plan says what does, and when. */

/** Of an instance, a device or everything: begun at a time, and over after a while. */
export const LASTING_FAULTS = [
  'instance crashes',
  'instance stalls',
  'instance leaves',
  'clock jumps',
  'Redis away from one',
  'Redis away from all',
  'Redis does not answer',
  'Redis restarted empty',
  'database away',
  'database does not answer',
  'socket cut',
  'client too slow',
] as const;

/** Of the next step of its kind, once. */
export const SINGLE_FAULTS = [
  'crash between commit and publish',
  'statement fails',
  'connection lost, commit done',
  'connection lost, commit not done',
  'Redis took it, answer lost',
  'message lost',
  'message late',
  'message doubled',
  'messages out of order',
] as const;

export const FAULTS = [...LASTING_FAULTS, ...SINGLE_FAULTS];
export type LastingFault = (typeof LASTING_FAULTS)[number];
export type SingleFault = (typeof SINGLE_FAULTS)[number];
export type FaultKind = LastingFault | SingleFault;

export interface PlannedFault {
  readonly kind: FaultKind;
  /** Milliseconds after the beginning. */
  readonly at: number;
  /** Steps after that: a moment in the middle of something. */
  readonly steps: number;
  readonly forMs: number;
  /** Chooses whom it hits. */
  readonly target: number;
}

export function planFaults(random: Dice, untilMs: number): PlannedFault[] {
  const count = random.pick([0, 1, 2, 3, 4, 5, 6, 8]);
  const faults = Array.from({ length: count }, () => ({
    kind: random.pick(FAULTS),
    at: random.between(200, untilMs),
    steps: random.between(0, 25),
    forMs: random.pick([100, 400, 1_000, 2_500, 4_500, 6_500]),
    target: random.between(0, 999),
  }));
  return faults.sort((a, b) => a.at - b.at);
}

/** Single faults that wait for the step that they hit. */
export class Armed {
  readonly #armed = new Map<SingleFault, number>();
  readonly #onHit: (kind: SingleFault) => void;

  constructor(onHit: (kind: SingleFault) => void) {
    this.#onHit = onHit;
  }

  arm(kind: SingleFault): void {
    this.#armed.set(kind, (this.#armed.get(kind) ?? 0) + 1);
  }

  /** Whether this step is hit. */
  hits(kind: SingleFault): boolean {
    const count = this.#armed.get(kind) ?? 0;
    if (count === 0) return false;
    this.#armed.set(kind, count - 1);
    this.#onHit(kind);
    return true;
  }

  clear(): void {
    this.#armed.clear();
  }
}

export function isSingle(kind: FaultKind): kind is SingleFault {
  return (SINGLE_FAULTS as readonly string[]).includes(kind);
}
