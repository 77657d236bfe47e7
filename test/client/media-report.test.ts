import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MediaSends } from '../../client/src/call-state.ts';
import { MediaReport } from '../../client/src/media-report.ts';

const ALL_ON: MediaSends = { muted: false, videoOn: true, screenOn: false };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A page and a server, whose answers come when they are let through. */
function setUp(sends: MediaSends = ALL_ON, known: MediaSends = ALL_ON) {
  const told: Partial<MediaSends>[] = [];
  const answers: ((failed?: boolean) => void)[] = [];
  let obeyed = 0;
  const world = { sends, known };
  const report: MediaReport = new MediaReport({
    sends: () => world.sends,
    known: () => world.known,
    tell(change) {
      told.push(change);
      return new Promise((resolve, reject) => {
        answers.push((failed = false) => {
          if (failed) return reject(new Error('No answer'));
          world.known = { ...world.known, ...change };
          resolve();
        });
      });
    },
    async obey() {
      obeyed += 1;
      await Promise.resolve();
      world.sends = { ...world.sends, muted: true };
    },
  });
  const turn = () => vi.advanceTimersByTimeAsync(0);
  return { world, report, told, answers, turn, obeyed: () => obeyed };
}

describe('what the server says of a page’s media', () => {
  it('is left alone where it is so', () => {
    const { report, told } = setUp();
    report.check();
    expect(told).toEqual([]);
  });

  it('is told what changed, and no more', () => {
    const { world, report, told } = setUp();
    world.sends = { ...ALL_ON, videoOn: false };
    report.check();
    expect(told).toEqual([{ videoOn: false }]);
  });

  it('hears of the last of several changes once the first has its answer', async () => {
    const { world, report, told, answers, turn } = setUp();
    for (const muted of [true, false, true, false]) {
      world.sends = { ...ALL_ON, muted };
      report.check();
    }
    expect(told).toEqual([{ muted: true }]);
    answers[0]?.();
    await turn();
    expect(told).toEqual([{ muted: true }, { muted: false }]);
  });

  it('is told again after a failure', async () => {
    const { world, report, told, answers } = setUp();
    world.sends = { ...ALL_ON, screenOn: true };
    report.check();
    answers[0]?.(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual([{ screenOn: true }, { screenOn: true }]);
  });

  it('is obeyed where the host has muted', async () => {
    const { world, report, told, turn, obeyed } = setUp();
    report.check();
    world.known = { ...ALL_ON, muted: true };
    report.check();
    report.check();
    await turn();
    expect(obeyed()).toBe(1);
    expect(world.sends.muted).toBe(true);
    expect(told).toEqual([]);
  });

  it('is obeyed where the host mutes while something else is being told', async () => {
    const { world, report, answers, turn, obeyed } = setUp();
    report.check();
    world.sends = { ...ALL_ON, videoOn: false };
    report.check();
    world.known = { ...world.known, muted: true };
    report.check();
    answers[0]?.();
    await turn();
    expect(obeyed()).toBe(1);
  });

  it('is not taken for the host’s word where it is the page’s own of a moment ago', async () => {
    const { world, report, told, answers, turn, obeyed } = setUp();
    report.check();
    world.sends = { ...ALL_ON, muted: true };
    report.check();
    world.sends = ALL_ON;
    report.check();
    answers[0]?.();
    await turn();
    expect(obeyed()).toBe(0);
    expect(told).toEqual([{ muted: true }, { muted: false }]);
  });

  it('is told that the user has unmuted after the host had muted', async () => {
    const { world, report, told, turn } = setUp();
    report.check();
    world.known = { ...ALL_ON, muted: true };
    report.check();
    await turn();
    world.sends = ALL_ON;
    report.check();
    expect(told).toEqual([{ muted: false }]);
  });

  it('hears nothing after the end', async () => {
    const { world, report, told, answers } = setUp();
    world.sends = { ...ALL_ON, muted: true };
    report.check();
    report.close();
    answers[0]?.(true);
    await vi.advanceTimersByTimeAsync(10_000);
    report.check();
    expect(told).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
