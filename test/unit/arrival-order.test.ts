import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Turn } from '../../src/graphql/services.ts';
import { ArrivalOrder, keptToTheEnd } from '../../src/http/arrival-order.ts';

/** Whether a turn may go now. */
async function mayGo(turn: Turn): Promise<boolean> {
  let ready = turn.ready === null;
  void turn.ready?.then(() => {
    ready = true;
  });
  await tick();
  return ready;
}

describe('ArrivalOrder', () => {
  it('lets the first go without a wait, and each next one when those before it are done', async () => {
    const order = new ArrivalOrder();
    const [first, second, third] = [order.take(), order.take(), order.take()];
    expect(first.ready).toBeNull();
    expect(await mayGo(second)).toBe(false);
    first.done();
    expect(await mayGo(second)).toBe(true);
    expect(await mayGo(third)).toBe(false);
    second.done();
    expect(await mayGo(third)).toBe(true);
  });

  it('makes nobody wait for a turn that ended early, and that one lets nobody overtake', async () => {
    const order = new ArrivalOrder();
    const [first, failed, third] = [order.take(), order.take(), order.take()];
    failed.done();
    expect(await mayGo(third)).toBe(false);
    first.done();
    expect(await mayGo(third)).toBe(true);
  });

  it('starts anew once all are done', () => {
    const order = new ArrivalOrder();
    const first = order.take();
    const second = order.take();
    second.done();
    first.done();
    first.done();
    expect(order.take().ready).toBeNull();
  });

  it('does not let a second done() of one turn release another', async () => {
    const order = new ArrivalOrder();
    const [first, second, third] = [order.take(), order.take(), order.take()];
    first.done();
    first.done();
    expect(await mayGo(second)).toBe(true);
    expect(await mayGo(third)).toBe(false);
  });

  it('keeps a turn of several signals until its operation ends', async () => {
    const order = new ArrivalOrder();
    const place = order.take();
    const next = order.take();
    keptToTheEnd(place).done();
    expect(await mayGo(next)).toBe(false);
    place.done();
    expect(await mayGo(next)).toBe(true);
  });

  it('lets turns go in the order of their arrival, in whatever order they are made and end', async () => {
    const steps = fc.array(fc.oneof(fc.constant('take' as const), fc.nat({ max: 20 })), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const order = new ArrivalOrder();
        const turns: { turn: Turn; done: boolean }[] = [];
        for (const step of script) {
          if (step === 'take') turns.push({ turn: order.take(), done: false });
          else if (turns[step]) {
            turns[step].turn.done();
            turns[step].done = true;
          }
          const firstLeft = turns.findIndex(({ done }) => !done);
          for (const [index, { turn, done }] of turns.entries()) {
            if (!done) expect(turn.ready === null).toBe(index === firstLeft);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
