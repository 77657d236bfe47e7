import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Planted, plant } from '../support/planted.ts';
import { FAULT_KINDS, type FaultKind, planOf } from './storm/plan.ts';
import { PLANTED } from './storm/planted.ts';
import { Stage } from './storm/stage.ts';
import { type Report, run } from './storm/storm.ts';

/** `npm run test:faults`: see README.md beside this file. */

const HELP = `npm run test:faults -- [what]
  --seeds 20 --from 1   so many runs from that seed on (10 from 1)
  --seed 17             this one, with its plan
  --long                runs of 20 s instead of 8
  --table               each fault by itself; the figures go into test/faults/README.md
  --planted             each bug of storm/planted.ts, until a run catches it
`;

const INSTANCES = 3;
const SHORT = 8_000;
const LONG = 20_000;
/** Runs in which a planted bug has to be caught. */
const PATIENCE = 60;
/** Of the runs with one fault alone, milliseconds: long enough for calls to be under way, and to be seen. */
const ALONE = { at: 2_500, lasts: 3_500 };
/** Violations of a run that are printed. */
const SHOWN = 5;
/** Between which the table stands. */
const [START, END] = ['<!-- figures -->', '<!-- /figures -->'];
const README = fileURLToPath(new URL('README.md', import.meta.url));

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function tell(seed: number, report: Report, kinds: readonly FaultKind[]): void {
  const { calls, versions, signals, holes, violations } = report;
  const what = kinds.length > 0 ? kinds.join(', ') : 'nothing goes wrong';
  say(
    `seed ${seed}: ${violations.length === 0 ? 'holds' : 'BROKEN'}; ${what}; ` +
      `${calls} calls, ${versions} changes, ${signals} signals, ${holes} holes told`,
  );
  for (const violation of violations.slice(0, SHOWN)) say(`  ${violation}`);
  if (violations.length > SHOWN) say(`  and ${violations.length - SHOWN} more`);
}

/** Runs the seeds; how many of them were broken. */
async function runSeeds(first: number, count: number, lengthMs: number, withPlan: boolean): Promise<number> {
  const stage = await Stage.open({ instances: INSTANCES });
  let broken = 0;
  const faults = new Map<string, number>();
  const answers = new Map<string, number>();
  for (let seed = first; seed < first + count; seed++) {
    const plan = planOf(seed, { instances: INSTANCES, lengthMs });
    if (withPlan) say(JSON.stringify(plan, null, 2));
    const report = await run(stage, plan);
    tell(
      seed,
      report,
      plan.faults.map(({ kind }) => kind),
    );
    if (report.violations.length > 0) broken += 1;
    for (const { kind } of plan.faults) add(faults, kind, 1);
    for (const [answer, times] of report.answers) add(answers, answer, times);
  }
  say(`Faults: ${listed(faults)}.\nAnswers: ${listed(answers)}.`);
  const endings = await stage.stop();
  if (endings.some((how) => how !== 0)) say(`Instances that were asked to stop ended with ${endings}.`);
  say(`${count} runs, ${broken} broken.`);
  return broken + endings.filter((how) => how !== 0).length;
}

function add(counts: Map<string, number>, name: string, times: number): void {
  counts.set(name, (counts.get(name) ?? 0) + times);
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, times]) => `${name} ${times}`)
    .join(', ');
}

/** How many planted bugs were not caught. */
async function runPlanted(): Promise<number> {
  let missed = 0;
  for (const bug of PLANTED) {
    const seed = await firstToCatch(bug);
    if (seed === null) missed += 1;
    say(`${bug.name}: ${seed === null ? `NOT caught by seeds 1 to ${PATIENCE}` : `caught by seed ${seed}`}`);
  }
  return missed;
}

async function firstToCatch(bug: Planted): Promise<number | null> {
  const stage = await Stage.open({
    instances: INSTANCES,
    main: fileURLToPath(new URL('src/main.ts', plant(bug))),
  });
  try {
    for (let seed = 1; seed <= PATIENCE; seed++) {
      const report = await run(stage, planOf(seed, { instances: INSTANCES, lengthMs: SHORT }));
      if (report.violations.length === 0) continue;
      for (const violation of report.violations.slice(0, 3)) say(`  ${violation}`);
      return seed;
    }
    return null;
  } finally {
    await stage.abandon();
  }
}

/** One line for each fault, from runs in which it is the only one. */
async function makeTable(): Promise<number> {
  const lines = [
    '| fault | lasts | a client sees it after | all served again, after its end | signals taken | lost | doubled | holes told |',
    '|---|---|---|---|---|---|---|---|',
  ];
  const stage = await Stage.open({ instances: INSTANCES });
  let broken = 0;
  for (const [index, kind] of FAULT_KINDS.entries()) {
    const alone = { kind, instance: index % INSTANCES, ...ALONE };
    const plan = planOf(index, { instances: INSTANCES, lengthMs: ALONE.at + ALONE.lasts, alone });
    const report = await run(stage, plan);
    tell(index, report, [kind]);
    broken += report.violations.length;
    lines.push(lineOf(kind, report));
  }
  await stage.stop();
  const readme = readFileSync(README, 'utf8');
  const [start, end] = [readme.indexOf(START) + START.length, readme.indexOf(END)];
  writeFileSync(README, `${readme.slice(0, start)}\n\n${lines.join('\n')}\n\n${readme.slice(end)}`);
  return broken;
}

function lineOf(
  kind: FaultKind,
  { faults, signs, unservedUntil, violations, signals, holes }: Report,
): string {
  const { from, to } = faults[0]!;
  const seen = Math.min(...signs.filter((at) => at >= from));
  const wrongUntil = Math.max(unservedUntil, ...signs);
  const count = (what: RegExp) => violations.filter((violation) => what.test(violation)).length;
  const cells = [
    kind,
    `${to - from} ms`,
    Number.isFinite(seen) ? `${seen - from} ms` : 'never',
    !Number.isFinite(seen) ? '' : wrongUntil <= to ? 'before' : `${wrongUntil - to} ms`,
    signals,
    count(/misses signal/),
    count(/twice/),
    holes,
  ];
  return `| ${cells.join(' | ')} |`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      from: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '10' },
      long: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      planted: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    say(HELP);
    return 0;
  }
  if (values.table) return makeTable();
  if (values.planted) return runPlanted();
  const lengthMs = values.long ? LONG : SHORT;
  if (values.seed !== undefined) return runSeeds(Number(values.seed), 1, lengthMs, true);
  return runSeeds(Number(values.from), Number(values.seeds), lengthMs, false);
}

// Whatever a broken run left open does not hold up its end.
process.exit((await main()) === 0 ? 0 : 1);
