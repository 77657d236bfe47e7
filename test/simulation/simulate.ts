import type { CallLimits } from '../../src/calls/call.ts';
import { TIMINGS } from '../../src/config.ts';
import { createMetrics, type Metrics } from '../../src/observability/metrics.ts';
import { Clock } from './clock.ts';
import { CODE, type Code } from './code.ts';
import { MemoryPostgres } from './database.ts';
import { checkDeadlines } from './deadlines.ts';
import { Dice } from './dice.ts';
import { type PlannedFault, planFaults } from './faults.ts';
import { checkPath, type EventRow, fold, type Version } from './history.ts';
import { judge } from './oracle.ts';
import { MAX_INVITEES } from './people.ts';
import { settled } from './scheduler.ts';
import { World } from './world.ts';

/** One seed from beginning to end: what people and faults do, then peace, then what must hold of it all. */

export interface Outcome {
  readonly seed: number;
  readonly plan: string;
  readonly violations: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly steps: number;
  /** Of everything that happened: the same seed, the same fingerprint. */
  readonly fingerprint: string;
}

export interface SimulationOptions {
  readonly code?: Code;
  readonly trace?: (line: string) => void;
}

const COMMANDS = 22;
/** Milliseconds between two deeds, mostly; now and then much longer. */
const BETWEEN = 250;
/** Until the dead are found, their seats left, and everything is told: twice the longest grace beside it. */
const SETTLES_WITHIN = 20_000;
const LONGEST_STEPS = 40_000;

export class Simulation {
  readonly #postgres: MemoryPostgres;
  readonly #metrics: Metrics;

  private constructor(postgres: MemoryPostgres) {
    this.#postgres = postgres;
    this.#metrics = createMetrics({ perCall: false });
  }

  static async create(): Promise<Simulation> {
    return new Simulation(await MemoryPostgres.create());
  }

  async run(seed: number, { code = CODE, trace }: SimulationOptions = {}): Promise<Outcome> {
    const random = new Dice(seed);
    const clock = new Clock();
    const counts = new Map<string, number>();
    const violations: string[] = [];
    let fingerprint = 0;
    const tell = (line: string) => {
      for (let i = 0; i < line.length; i++)
        fingerprint = Math.imul(fingerprint ^ line.charCodeAt(i), 16_777_619);
      trace?.(line);
    };
    const limits = limitsFrom(random);
    const instances = random.pick([2, 2, 2, 3]);
    const faults = planFaults(random, COMMANDS * BETWEEN * 0.7);
    const count = (what: string) => void counts.set(what, (counts.get(what) ?? 0) + 1);
    const restore = clock.install(random);
    const onUnhandled = (error: unknown) =>
      violations.push(`an unhandled rejection: ${(error as Error)?.stack ?? error}`);
    process.on('unhandledRejection', onUnhandled);
    let world: World | null = null;
    const violation = (what: string) => {
      const line = `at ${clock.label} s, step ${world?.scheduler.steps}: ${what}`;
      violations.push(line);
      tell(`** ${line}`);
    };
    try {
      world = new World({
        random,
        clock,
        code,
        postgres: this.#postgres,
        metrics: this.#metrics,
        limits,
        instances,
        count,
        violation,
        trace: tell,
      });
      await live(world, clock, random, faults, violation);
      examine(world, this.#postgres, limits, count, violation);
    } catch (error) {
      violation(`the run ended with ${(error as Error).stack}`);
    } finally {
      process.off('unhandledRejection', onUnhandled);
      restore();
    }
    return {
      seed,
      plan: JSON.stringify({
        instances,
        ...limits,
        faults: faults.map(({ kind, at, forMs }) => [kind, at, forMs]),
      }),
      violations,
      counts,
      steps: world?.scheduler.steps ?? 0,
      fingerprint: (fingerprint >>> 0).toString(16),
    };
  }

  close(): Promise<void> {
    return this.#postgres.close();
  }
}

function limitsFrom(random: Dice): CallLimits {
  return {
    maxParticipants: random.pick([2, 3, 3, 4]),
    maxInvitees: MAX_INVITEES,
    maxCallDurationMs: random.pick([4_000, 30_000, 60_000]),
    callDurationWarningMs: 1_500,
    ringTimeoutMs: random.pick([2_000, 3_500]),
    disconnectGraceMs: random.pick([1_000, 2_000, 3_000]),
    aloneTimeoutMs: random.pick([800, 2_000]),
  };
}

async function live(
  world: World,
  clock: Clock,
  random: Dice,
  faults: PlannedFault[],
  violation: (what: string) => void,
): Promise<void> {
  const { scheduler, people } = world;
  let deeds = 0;
  let nextDeedAt = clock.now + 100;
  let nextFault = 0;
  let faultSteps = faults[0]?.steps ?? 0;

  /** One thing more. False where there is none: until `until`, nothing happens. */
  const proceed = async (until: number, acting: boolean): Promise<boolean> => {
    await settled();
    if (scheduler.steps > LONGEST_STEPS) throw new Error('It does not come to an end');
    const fault = acting ? faults[nextFault] : undefined;
    if (fault && clock.elapsed >= fault.at && faultSteps-- <= 0) {
      world.cause(fault);
      nextFault++;
      faultSteps = faults[nextFault]?.steps ?? 0;
      return true;
    }
    if (acting && deeds < COMMANDS && clock.now >= nextDeedAt && random.chance(0.3)) {
      people.act();
      deeds++;
      nextDeedAt = clock.now + (random.chance(0.07) ? 2_000 : random.between(0, BETWEEN));
      return true;
    }
    if (clock.fire()) return true;
    const ready = scheduler.ready();
    if (ready.length > 0 && !random.chance(0.02)) {
      scheduler.run(random.pick(ready));
      return true;
    }
    let next = Math.min(clock.next() ?? until, until);
    if (acting && deeds < COMMANDS) next = Math.min(next, nextDeedAt);
    if (fault) next = Math.min(next, clock.now - clock.elapsed + fault.at);
    if (next <= clock.now) return ready.length > 0 || clock.now < until;
    world.pass(clock.now, next);
    clock.now = next;
    return true;
  };
  const pass = async (ms: number) => {
    const until = clock.now + ms;
    while (clock.now < until) await proceed(until, false);
  };
  const within = async (ms: number, problems: () => Promise<string[]>, what: string) => {
    const until = clock.now + ms;
    let last: string[] = [];
    for (let step = 100; clock.now < until; step = Math.min(step * 2, 1_000)) {
      await pass(step);
      last = await problems();
      if (last.length === 0) return;
    }
    for (const problem of last) violation(`${what}: ${problem}`);
  };

  world.start();
  while (deeds < COMMANDS || nextFault < faults.length) await proceed(Number.POSITIVE_INFINITY, true);
  await pass(random.between(0, 1_000));
  world.heal();
  await within(SETTLES_WITHIN, () => world.unsettled(), 'not so long after everything healed');
  for (const { session } of people.devices) if (session && !session.over) session.completed = true;

  void people.goHome();
  await pass(600);
  await within(SETTLES_WITHIN, () => world.unended(), 'not so long after everyone hung up');
  people.closeAll();
  const halfOpen = () => people.devices.filter((device) => device.hasHalfOpenSockets);
  await within(10_000, async () => halfOpen().map(({ name }) => `${name} is still connected`), 'at the end');
  await pass(200);
  world.close();
  await within(5_000, async () => world.alive.map(({ name }) => `${name} did not stop`), 'at the end');
}

function examine(
  world: World,
  postgres: MemoryPostgres,
  limits: CallLimits,
  count: (what: string) => void,
  violation: (what: string) => void,
): void {
  const rows = postgres.rows<EventRow>(
    'select call_id, version, at, change, facts from call_events order by call_id, version',
  );
  const byCall = Map.groupBy(rows, ({ call_id }) => call_id);
  const histories = new Map<string, Version[]>();
  for (const [callId, events] of byCall) histories.set(callId, fold(events));
  for (const { id, version } of postgres.rows<{ id: string; version: number }>(
    'select id, version from calls',
  )) {
    if (histories.get(id)?.length !== version)
      violation(`${id} is at version ${version} and has other events`);
  }
  const slack = (from: number, to: number) =>
    world.slack(from, to, limits.disconnectGraceMs + TIMINGS.deadAfterMs);
  for (const history of histories.values()) {
    checkPath(history, limits.maxParticipants, (move) => count(`transition: ${move}`), violation);
    checkDeadlines(history, limits, slack, violation);
  }
  for (const [key, callIds] of world.people.byKey) {
    if (callIds.size > 1) violation(`the idempotency key of ${key} made ${callIds.size} calls`);
  }
  const sessions = world.people.devices.flatMap((device) => device.sessions);
  for (const { received } of sessions) {
    for (const { event } of received) {
      const recovered =
        event.__typename === 'CallSnapshot' ? (event.recovered ? ', recovered' : ', not recovered') : '';
      count(`event: ${event.__typename}${recovered}`);
    }
  }
  judge(
    { histories, sessions, sent: world.people.sent, appended: world.redis.appended, told: world.told },
    violation,
  );
}
