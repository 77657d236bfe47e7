/**
 * Takes each rule out, one at a time, and runs the tests that should notice: exits with 1 where one does not.
 * Nothing on disk changes; a plugin gives vitest the mutated text.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createVitest, type TestSpecification } from 'vitest/node';
import { MUTANTS, type Mutant } from './mutants.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pathOf = (file: string) => `${root}${file}`;

const LIFE = ['call-rules', 'call-life', 'deadlines', 'seat-rules', 'changes', 'silence'];
/** The tests that stand for the rules of a folder. */
const TESTS: Record<string, readonly string[]> = {
  'src/calls': LIFE,
  'src/seats': LIFE,
  'src/incoming': ['incoming-stream'],
  'src/notifications': ['push-channel'],
  'src/signals': ['candidate-injection', 'ice-candidate', 'session-description', 'validate-signal'],
};

let current: Mutant | null = null;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function timesFound({ file, find }: Mutant): number {
  return readFileSync(pathOf(file), 'utf8').split(find).length - 1;
}

const vitest = await createVitest(
  {
    root,
    config: false,
    watch: false,
    include: ['test/unit/**/*.test.ts'],
    // A cache on disk would give out the text of an earlier mutant.
    fsModuleCache: false,
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
    testTimeout: 30_000,
    // Examples alone: what random input finds it may not find the next time.
    testNamePattern: /^(?!for any )/,
    reporters: [{}],
    onConsoleLog: () => false,
  },
  {
    plugins: [
      {
        name: 'ringdown:mutant',
        enforce: 'pre',
        transform(code: string, id: string) {
          if (current === null || id !== pathOf(current.file)) return undefined;
          return code.replace(current.find, () => current!.replace);
        },
      },
    ],
  },
);

async function specificationsFor(file: string): Promise<TestSpecification[]> {
  const names = TESTS[file.split('/').slice(0, 2).join('/')] ?? [];
  const all = await vitest.globTestSpecifications();
  return all.filter(({ moduleId }) => names.some((name) => moduleId === pathOf(`test/unit/${name}.test.ts`)));
}

/** Names of the tests that are red, and the files that could not be run. */
async function run(specifications: TestSpecification[]): Promise<{ red: string[]; broken: string[] }> {
  const { testModules } = await vitest.runTestSpecifications(specifications);
  // Vitest gives the results of earlier runs with those of this one.
  const asked = new Set(specifications.map(({ moduleId }) => moduleId));
  const modules = testModules.filter(({ moduleId }) => asked.has(moduleId));
  return {
    red: modules.flatMap((module) => [...module.children.allTests('failed')].map((test) => test.name)),
    broken: modules.filter((module) => module.errors().length > 0).map(({ moduleId }) => moduleId),
  };
}

async function main(): Promise<number> {
  const lost = MUTANTS.filter((mutant) => timesFound(mutant) !== 1);
  for (const { file, name } of lost) say(`${file}: the text of "${name}" is not there exactly once.`);
  if (lost.length > 0) return 1;

  const files = [...new Set(MUTANTS.map(({ file }) => file))];
  for (const file of files) {
    const { red, broken } = await run(await specificationsFor(file));
    if (red.length + broken.length > 0) {
      say(`The tests are red as the code is: ${[...red, ...broken].join('; ')}`);
      return 1;
    }
  }

  let survivors = 0;
  say(`| ${'rule'.padEnd(11)} | without it | noticed by |\n|---|---|---|`);
  for (const mutant of MUTANTS) {
    current = mutant;
    vitest.invalidateFile(pathOf(mutant.file));
    // A mutant that can't be loaded proves nothing: it counts as not noticed.
    const { red } = await run(await specificationsFor(mutant.file));
    const first = red.find((name) => name.startsWith(`${mutant.rule}:`)) ?? red[0];
    if (first === undefined) survivors += 1;
    say(`| ${mutant.rule.padEnd(11)} | ${mutant.name} | ${first ?? '**nothing**'} |`);
    current = null;
    vitest.invalidateFile(pathOf(mutant.file));
  }
  say(`\n${MUTANTS.length} rules taken out, ${survivors} not noticed.`);
  return survivors > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} finally {
  await vitest.close();
}
