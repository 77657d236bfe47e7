import { Random } from '../../support/random.ts';

/** What a run does, made from its seed alone: who calls whom and what they do, and what goes wrong when. */

export const INSTANCE_FAULTS = ['killed', 'stalled', 'restarted', 'clock jumps'] as const;
export const REDIS_FAULTS = [
  'redis killed',
  'redis stalled',
  'redis cut',
  'redis half-open',
  'redis slow',
  'pubsub killed',
] as const;
export const POSTGRES_FAULTS = [
  'postgres killed',
  'postgres stalled',
  'postgres cut',
  'postgres half-open',
  'postgres slow',
  'commit lost',
  'answer to commit lost',
] as const;
export const CLIENT_FAULTS = ['reconnect storm', 'clients half-open', 'clients slow'] as const;

/** Faults of one list do not overlap one another; those of different lists do. */
const DOMAINS = [INSTANCE_FAULTS, REDIS_FAULTS, POSTGRES_FAULTS, CLIENT_FAULTS] as const;
export const FAULT_KINDS = DOMAINS.flat();
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** The instance it happens to, or whose connections it touches. */
  readonly instance: number;
  /** Milliseconds after the beginning. */
  readonly at: number;
  readonly lasts: number;
}

export type Ending = 'leaves' | 'ends the call' | 'vanishes' | 'stays';

export interface Role {
  readonly name: string;
  /** Of one who is called, from the ring on; null: lets it ring. */
  readonly answersAfter: number | null;
  readonly declines: boolean;
  /** Milliseconds after the beginning of the seat. */
  readonly endsAfter: number;
  readonly ending: Ending;
  /** Another device of the same person takes the seat over; null: none does. */
  readonly movesAfter: number | null;
  /** Between two rounds of signals, milliseconds. */
  readonly signalsEvery: number;
}

/** A call, and the people who are in it; the first starts it. */
export interface Scene {
  readonly at: number;
  readonly roles: readonly Role[];
  /** The second one calls the first at the same moment. */
  readonly glare: boolean;
  /** All who are called answer in the same moment, and they are more than there are seats. */
  readonly crowd: boolean;
}

export interface Plan {
  readonly seed: number;
  readonly lengthMs: number;
  readonly scenes: readonly Scene[];
  readonly faults: readonly Fault[];
}

/** Seats in a call, at most: few, so that a crowd is cheap. */
export const SEATS = 3;
const SCENES = 6;

export interface PlanOptions {
  readonly instances: number;
  readonly lengthMs: number;
  /** Instead of those that the seed picks, with people who come and stay: then what they see is the fault's doing. */
  readonly alone?: Fault;
}

export function planOf(seed: number, { instances, lengthMs, alone }: PlanOptions): Plan {
  const random = new Random(seed);
  const scenes = Array.from({ length: SCENES }, (_, index) => sceneOf(random, index, lengthMs));
  const faults = DOMAINS.flatMap((kinds) => faultsOf(random, kinds, instances, lengthMs));
  if (alone) return { seed, lengthMs, scenes: scenes.map(calm), faults: [alone] };
  return { seed, lengthMs, scenes, faults: faults.toSorted((a, b) => a.at - b.at) };
}

function calm(scene: Scene): Scene {
  const roles = scene.roles.slice(0, SEATS).map(
    (role): Role => ({
      ...role,
      answersAfter: 100,
      declines: false,
      ending: 'stays',
      movesAfter: null,
    }),
  );
  return { at: 0, crowd: false, glare: false, roles };
}

function sceneOf(random: Random, index: number, lengthMs: number): Scene {
  const crowd = index === 0;
  const glare = index === 1;
  const size = crowd ? SEATS + 2 : glare ? 2 : random.pick([2, 2, 3, 3, 4]);
  const together = random.between(100, 600);
  return {
    at: random.between(0, index < 3 ? 500 : lengthMs / 2),
    crowd,
    glare,
    roles: Array.from({ length: size }, (_, place) => ({
      name: `scene${index}-${'abcdefg'[place]}`,
      answersAfter: crowd ? together : random.chance(0.1) ? null : random.between(50, 1_500),
      declines: !crowd && place > 0 && random.chance(0.1),
      endsAfter: random.between(lengthMs / 4, lengthMs * 1.5),
      ending: random.pick<Ending>([
        'leaves',
        'leaves',
        'ends the call',
        'vanishes',
        'stays',
        'stays',
        'stays',
      ]),
      movesAfter: random.chance(0.25) ? random.between(500, lengthMs / 2) : null,
      signalsEvery: random.between(60, 250),
    })),
  };
}

function faultsOf(random: Random, kinds: readonly FaultKind[], instances: number, lengthMs: number): Fault[] {
  const faults: Fault[] = [];
  // Enough of the run is left without this domain's faults for their overlap with the others' to vary.
  for (let at = random.between(500, lengthMs); at < lengthMs - 500; ) {
    const lasts = Math.min(random.between(200, 4_500), lengthMs - at);
    faults.push({ kind: random.pick(kinds), instance: random.between(0, instances - 1), at, lasts });
    at += lasts + random.between(1_000, lengthMs);
  }
  return faults;
}
