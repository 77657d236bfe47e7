import { eventually } from '../../support/world.ts';
import { begin } from './faults.ts';
import { readHistories } from './history.ts';
import { judge, type Outage } from './oracle.ts';
import { Notes, type Phone, type Sitting } from './phone.ts';
import type { Fault, Plan } from './plan.ts';
import { Performance } from './scene.ts';
import { LIMITS, type Stage } from './stage.ts';

/** One run: people call each other while things go wrong; then all is mended, and judged. */

/** Milliseconds until everything works again once nothing is wrong any more. */
const HEALED = 20_000;
/** The same for the last call's end once everybody is gone: found, graced, late. */
const OVER = 3_000 + LIMITS.grace + LIMITS.alone + 10_000;

export interface Report {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly calls: number;
  readonly versions: number;
  readonly signals: number;
  readonly holes: number;
  /** How often each answer was given, to commands and signals. */
  readonly answers: ReadonlyMap<string, number>;
  readonly faults: readonly { fault: Fault; from: number; to: number }[];
  /** When clients saw that something was wrong, milliseconds since the epoch. */
  readonly signs: readonly number[];
  /** When last somebody in a call heard nothing, or not all; 0 where everybody always did. */
  readonly unservedUntil: number;
}

/** Between two looks at who is served, milliseconds. */
const LOOK_EVERY = 20;

let runs = 0;

export async function run(stage: Stage, plan: Plan): Promise<Report> {
  runs += 1;
  const prefix = `run${runs}-seed${plan.seed}-`;
  const notes = new Notes();
  const performances: Performance[] = [];
  let unservedUntil = 0;
  const looks = setInterval(() => {
    if (!liveOf(performances).every(({ served }) => served)) unservedUntil = Date.now();
  }, LOOK_EVERY);
  try {
    for (const [index, scene] of plan.scenes.entries()) {
      const conversationId = `${prefix}${index}`;
      const nameOf = ({ name }: { name: string }) => `${prefix}${name}`;
      await stage.conversation(conversationId, scene.roles.map(nameOf));
      performances.push(new Performance(scene, { url: stage.url, notes, conversationId, nameOf }));
    }
    const phones = performances.flatMap((performance) => performance.phones);
    await eventually(() => phones.every(({ connection }) => connection.state === 'connected'), HEALED);
    for (const performance of performances) performance.start();
    const faults = await goWrong(stage, plan);
    for (const performance of performances) performance.curtain();
    await stage.mend();
    const violations: string[] = [];
    await settle(stage, performances, notes).catch((error: Error) =>
      violations.push(`Not healed: ${error.message}`),
    );
    clearInterval(looks);
    await Promise.all(performances.map((performance) => performance.goHome()));
    for (const performance of performances) performance.close();
    const histories = await over(stage, prefix);
    const outages: Outage[] = faults.filter(({ fault }) => /postgres|commit/.test(fault.kind));
    outages.push(...whileNobodyRan(faults, stage.instances.length));
    violations.push(...judge(notes, histories, outages), ...(await leftBehind(stage)));
    return {
      seed: plan.seed,
      violations,
      calls: histories.length,
      versions: histories.reduce((sum, { versions }) => sum + versions.length, 0),
      signals: [...notes.sent.values()].filter(({ takenAt }) => takenAt !== null).length,
      holes: notes.sittings.reduce((sum, sitting) => sum + holesOf(sitting), 0),
      answers: countAnswers(notes),
      faults,
      signs: notes.signs,
      unservedUntil,
    };
  } finally {
    clearInterval(looks);
    for (const performance of performances) performance.close();
  }
}

/** Resolves when the plan's time and its last fault are over. */
async function goWrong(stage: Stage, plan: Plan): Promise<{ fault: Fault; from: number; to: number }[]> {
  const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  const [done] = await Promise.all([
    Promise.all(
      plan.faults.map(async (fault) => {
        await after(fault.at);
        const from = Date.now();
        const end = await begin(stage, fault);
        await after(fault.lasts);
        await end();
        return { fault, from, to: Date.now() };
      }),
    ),
    after(plan.lengthMs),
  ]);
  return done;
}

/** When all instances were down at once, as on a slow machine, where each needs long to start: nobody is there to act. */
function whileNobodyRan(faults: Report['faults'], count: number): Outage[] {
  const downs = faults.filter(({ fault }) => fault.kind === 'killed' || fault.kind === 'restarted');
  return downs.flatMap(({ from }) => {
    const upAgain = Array.from({ length: count }, (_, index) =>
      downs
        .filter((down) => down.fault.instance === index && down.from <= from && from < down.to)
        .reduce((latest, { to }) => Math.max(latest, to), 0),
    );
    const to = Math.min(...upAgain);
    return to > 0 ? [{ from, to }] : [];
  });
}

function liveOf(performances: readonly Performance[]): Sitting[] {
  return performances.flatMap(({ sittings }) => sittings).filter(({ live }) => live);
}

/** Everybody in a call hears everybody else in it, and is obeyed. */
async function settle(stage: Stage, performances: readonly Performance[], notes: Notes): Promise<void> {
  const until = Date.now() + HEALED;
  const rest = () => Math.max(0, until - Date.now());
  const unserved = () => liveOf(performances).filter(({ served }) => !served);
  await eventually(() => unserved().length === 0, rest()).catch(() => {
    throw new Error(unserved().map(String).join('; '));
  });
  const probes = liveOf(performances).flatMap((sitting) => sitting.signalAll());
  const isDone = (id: number) => {
    const { takenAt, refused, sessionId, to, toJoinSeq } = notes.sent.get(id)!;
    if (takenAt === null) {
      // What is over meanwhile, its seat or its call, has nothing more to send.
      const isOver = notes.sittings.some(
        (sitting) => sitting.sessionId === sessionId && sitting.lost !== null,
      );
      return isOver || (refused !== null && !LATER.has(refused));
    }
    const recipient = liveOf(performances).find(
      ({ phone, joinSeq }) => phone.userId === to && joinSeq === toJoinSeq,
    );
    return recipient === undefined || recipient.seen.some(({ event }) => isNumber(event, id));
  };
  await eventually(() => probes.every(({ id }) => isDone(id)), rest()).catch(() => {
    const lost = probes.filter(({ id }) => !isDone(id));
    throw new Error(
      `signals ${lost.map(({ id, takenAt, refused }) => `${id} ${takenAt ?? refused}`)} are on their way`,
    );
  });
  await Promise.all(
    liveOf(performances).map(async ({ phone, callId, sessionId }) => {
      await eventually(async () => !LATER.has((await phone.mute(callId, sessionId, true)).code), rest());
    }),
  );
  const phones = performances.flatMap((performance) => performance.phones);
  const open = phones.filter(({ connection }) => connection.state === 'connected');
  await eventually(() => ringsAreTrue(stage, open), rest());
}

/** Each phone shows the rings that there are, and no ghost of one. */
async function ringsAreTrue(stage: Stage, phones: readonly Phone[]): Promise<boolean> {
  const listening = phones.filter(({ ringing }) => ringing !== null);
  const { rows } = await stage.sql.query<{ user_id: string; call_id: string }>(
    `select user_id, call_id from call_participants where invitation = 'RINGING' and user_id = any($1)`,
    [listening.map(({ userId }) => userId)],
  );
  const textOf = (rings: [string, string][]) =>
    rings
      .map((ring) => ring.join())
      .sort()
      .join(' ');
  const shown = listening.flatMap(({ userId, ringing }) =>
    [...(ringing ?? [])].map((callId): [string, string] => [userId, callId]),
  );
  return textOf(shown) === textOf(rows.map(({ user_id, call_id }) => [user_id, call_id]));
}

/** Refusals after which the same is to be tried again. */
const LATER = new Set(['SIGNALING_UNAVAILABLE', 'TIMEOUT', 'INTERNAL_SERVER_ERROR', 'NO_ANSWER']);

function isNumber(event: Sitting['seen'][number]['event'], id: number): boolean {
  return (
    event.__typename === 'SignalReceived' &&
    event.signal.__typename === 'IceCandidates' &&
    event.signal.generation === id
  );
}

/** The histories, once every call is over and every change is published. */
async function over(stage: Stage, prefix: string) {
  const isOver = async () => {
    const histories = await readHistories(stage.sql, prefix);
    const done = histories.every(
      ({ status, versions }) => status === 'ENDED' && versions.every(({ published }) => published),
    );
    return done && histories;
  };
  return eventually(isOver, OVER).catch(() => readHistories(stage.sql, prefix));
}

const GAUGES = [
  'video_ws_connections_total',
  'video_active_calls',
  'video_active_participants',
  'video_call_active_participants',
  'video_ws_connections_by_call',
];

/** What is still there when everybody is gone. */
async function leftBehind(stage: Stage): Promise<string[]> {
  const found = async () => {
    const left: string[] = [];
    for (const channel of await stage.channels()) left.push(`somebody listens to ${channel}`);
    for (const instance of stage.instances) {
      for (const gauge of GAUGES) {
        const value = await stage.metric(instance, gauge);
        if (value !== 0) left.push(`${gauge} of instance ${instance.index} is ${value}`);
      }
    }
    const { rows } = await stage.sql.query<{ state: string }>(
      `select state from pg_stat_activity
       where datname = current_database() and application_name = 'ringdown' and state like 'idle in%'`,
    );
    for (const { state } of rows) left.push(`a connection to Postgres is ${state}`);
    return left;
  };
  let left: string[] = [];
  await eventually(async () => {
    left = await found();
    return left.length === 0;
  }, HEALED).catch(() => {});
  return left;
}

function holesOf({ seen }: Sitting): number {
  return seen.filter(({ event }) => event.__typename === 'CallSnapshot' && !event.recovered).length;
}

function countAnswers({ answers, sent }: Notes): Map<string, number> {
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { command, code } of answers) count(`${command} ${code}`);
  for (const { takenAt, refused } of sent.values())
    count(`signal ${takenAt ? 'ok' : (refused ?? 'unanswered')}`);
  return counts;
}
