import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { load, PLANTED } from './planted.ts';
import { complaintOf, Tally } from './report.ts';
import { Simulation } from './simulate.ts';

/**
 * Many seeds: `--seeds 10000 --from 1`, with `--write` their table into README.md. One, with all that happens
 * in it: `--seed 4711`. Bugs on purpose, and the seed that notices each first: `--plant all`, or a part of
 * the name; with `--seed` the trace of one.
 */

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    plant: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const seeds = Number(values.seeds);
const from = Number(values.from);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function one(simulation: Simulation, seed: number): Promise<boolean> {
  const planted = PLANTED.find(({ name }) => values.plant !== undefined && name.includes(values.plant));
  const bug = planted && (await load(planted));
  const outcome = await simulation.run(seed, { trace: say, ...(bug && { code: bug.code }) });
  bug?.remove();
  say(outcome.violations.length > 0 ? complaintOf(outcome) : `Seed ${seed}: nothing wrong. ${outcome.plan}`);
  return outcome.violations.length === 0;
}

async function many(simulation: Simulation): Promise<boolean> {
  const tally = new Tally();
  let bad = 0;
  for (let seed = from; seed < from + seeds; seed++) {
    const outcome = await simulation.run(seed);
    tally.add(outcome);
    if (outcome.violations.length === 0) continue;
    bad++;
    say(complaintOf(outcome));
  }
  say(`${tally.table}\n\n${bad} seeds with a violation.`);
  for (const what of tally.missing) say(`It never came to: ${what}`);
  if (values.write) write('counts', tally.table);
  return bad === 0 && (seeds < 1_000 || tally.missing.length === 0);
}

async function plants(simulation: Simulation, part: string): Promise<boolean> {
  const rows: string[] = [];
  let unnoticed = 0;
  for (const planted of PLANTED.filter(({ name }) => part === 'all' || name.includes(part))) {
    const { code, remove } = await load(planted);
    let noticed = null;
    for (let seed = from; seed < from + seeds && noticed === null; seed++) {
      const outcome = await simulation.run(seed, { code });
      if (outcome.violations.length > 0) noticed = outcome;
    }
    remove();
    if (noticed === null) unnoticed++;
    const how = noticed?.violations[0]?.split('\n')[0]?.replace(/[0-9a-f]{8}-[-0-9a-f]{27}/g, 'the call');
    rows.push(`| ${planted.name} | ${noticed?.seed ?? '**none**'} | ${how ?? ''} |`);
    say(rows.at(-1)!);
  }
  if (values.write)
    write('planted', ['| bug | first seed | what it says |', '|---|---:|---|', ...rows].join('\n'));
  return unnoticed === 0;
}

/** Into README.md, between the marks of that name. */
function write(mark: string, text: string): void {
  const file = new URL('README.md', import.meta.url);
  const marked = new RegExp(`(<!-- ${mark} -->\n).*?(<!-- /${mark} -->)`, 's');
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(marked, (_, begin, end) => `${begin}\n${text}\n\n${end}`),
  );
}

const simulation = await Simulation.create();
const fine = values.seed
  ? await one(simulation, Number(values.seed))
  : values.plant
    ? await plants(simulation, values.plant)
    : await many(simulation);
await simulation.close();
// The metrics of a process that nobody scrapes would keep it.
process.exit(fine ? 0 : 1);
