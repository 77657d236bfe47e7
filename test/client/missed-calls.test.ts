import { expect, it } from 'vitest';
import { MissedCalls } from '../../client/src/missed-calls.ts';

/** A server whose answers come when they are let through. */
function setUp() {
  const answers: ((count: number | Error) => void)[] = [];
  const told: number[] = [];
  const missed = new MissedCalls(
    () =>
      new Promise((resolve, reject) => {
        answers.push((count) => (typeof count === 'number' ? resolve(count) : reject(count)));
      }),
  );
  missed.on('count', (count) => told.push(count));
  return { missed, answers, told, turn: () => new Promise((resolve) => setTimeout(resolve)) };
}

it('missed calls are asked for once somebody wants to know, and told where they have changed', async () => {
  const { missed, answers, told, turn } = setUp();
  missed.check();
  expect(answers).toHaveLength(0);
  expect(missed.count).toBeNull();
  missed.watch();
  answers[0]?.(2);
  await turn();
  missed.check();
  answers[1]?.(2);
  await turn();
  expect(told).toEqual([2]);
  expect(missed.count).toBe(2);
});

it('a late answer does not undo a newer one, nor what was marked as seen meanwhile', async () => {
  const { missed, answers, told, turn } = setUp();
  missed.watch();
  missed.check();
  answers[1]?.(3);
  await turn();
  answers[0]?.(1);
  await turn();
  missed.check();
  missed.set(0);
  answers[2]?.(3);
  await turn();
  expect(told).toEqual([3, 0]);
});

it('without an answer the last count stays', async () => {
  const { missed, answers, told, turn } = setUp();
  missed.watch();
  answers[0]?.(1);
  await turn();
  missed.check();
  answers[1]?.(new Error('No answer'));
  await turn();
  expect(told).toEqual([1]);
});
