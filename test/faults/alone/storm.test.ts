import { afterAll, beforeAll, expect, it } from 'vitest';
import { planOf } from '../storm/plan.ts';
import { Stage } from '../storm/stage.ts';
import { run } from '../storm/storm.ts';

/** The short form of `npm run test:faults`; ../README.md has what is looked at, and the long form. */

const INSTANCES = 3;
const LENGTH = 8_000;
const SEEDS = [1, 3];

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open({ instances: INSTANCES });
});
afterAll(async () => {
  expect(await stage.stop()).toEqual(Array(INSTANCES).fill(0));
});

it.each(SEEDS)('calls stay true whatever goes wrong: seed %i', { timeout: 90_000 }, async (seed) => {
  const plan = planOf(seed, { instances: INSTANCES, lengthMs: LENGTH });
  const report = await run(stage, plan);
  expect(report.violations, JSON.stringify(plan.faults)).toEqual([]);
  expect(report.signals).toBeGreaterThan(0);
});
