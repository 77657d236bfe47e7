import { expect, it } from 'vitest';
import { PLANTED as FOR_FAULTS } from '../faults/storm/planted.ts';
import { PLANTED as FOR_SIMULATION } from '../simulation/planted.ts';
import { lostTexts } from '../support/planted.ts';

it.each([...FOR_FAULTS, ...FOR_SIMULATION])('the code has the place of the planted bug: $name', (bug) => {
  expect(bug.edits.length).toBeGreaterThan(0);
  expect(lostTexts(bug)).toEqual([]);
});
