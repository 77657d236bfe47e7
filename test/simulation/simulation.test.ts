import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complaintOf, Tally } from './report.ts';
import { Simulation } from './simulate.ts';

const SEEDS = 1_000;

let simulation: Simulation;
beforeAll(async () => {
  simulation = await Simulation.create();
});
afterAll(() => simulation.close());

describe('whatever dies', () => {
  it('calls stay true', async () => {
    const tally = new Tally();
    const complaints: string[] = [];
    for (let seed = 1; seed <= SEEDS; seed++) {
      const outcome = await simulation.run(seed);
      tally.add(outcome);
      if (outcome.violations.length > 0) complaints.push(complaintOf(outcome));
    }
    process.stdout.write(`${tally.table}\n`);
    expect(complaints).toEqual([]);
    expect(tally.missing).toEqual([]);
  });
});

describe('a seed', () => {
  it('is the same each time, whatever ran before it', async () => {
    for (const seed of [63, 204, 354]) {
      const first = await simulation.run(seed);
      await simulation.run(seed + 1);
      const second = await simulation.run(seed);
      expect([second.fingerprint, second.steps]).toEqual([first.fingerprint, first.steps]);
    }
  });
});
