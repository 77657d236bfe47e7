import { beforeEach, describe, expect, it } from 'vitest';
import { SignalTally } from '../../src/timeline/signal-tally.ts';

/** Counts of signals: what is due when, and that nothing is counted twice or lost on the way. */

let now = 0;
let ids = 0;
let tally: SignalTally;
beforeEach(() => {
  now = 1_000_000;
  ids = 0;
  tally = new SignalTally(
    () => now,
    () => `stretch-${++ids}`,
    { writeEveryMs: 5_000, silenceMs: 30_000 },
  );
});

const signal = (callId: string, kind: 'Offer' | 'Answer' | 'IceCandidates' = 'Offer', from = 'ann') =>
  tally.count(callId, kind, from, from === 'ann' ? 'ben' : 'ann', now);
/** As if the database had taken all of it. */
const write = () => {
  const due = tally.due(100);
  tally.written(due, new Set(due.map(({ id }) => id)));
  return due;
};

describe('the counts of a call', () => {
  it('are due some seconds after the first of them, by kind and by who sent to whom', () => {
    signal('c');
    now += 200;
    signal('c', 'Answer', 'ben');
    now += 300;
    for (let i = 0; i < 3; i++) signal('c', 'IceCandidates');
    expect(tally.due(100)).toEqual([]);
    now += 4_600;
    expect(write()).toEqual([
      {
        callId: 'c',
        id: 'stretch-1',
        ageMs: 5_100,
        counts: [
          { kind: 'Offer', from: 'ann', to: 'ben', count: 1, firstMs: 0, lastMs: 0 },
          { kind: 'Answer', from: 'ben', to: 'ann', count: 1, firstMs: 200, lastMs: 200 },
          { kind: 'IceCandidates', from: 'ann', to: 'ben', count: 3, firstMs: 500, lastMs: 500 },
        ],
      },
    ]);
    now += 60_000;
    expect(tally.due(100)).toEqual([]);
  });

  it('are due at once when the call is over, and then nothing of it is left', () => {
    signal('c');
    signal('d');
    tally.callEnded('c');
    expect(write().map(({ callId }) => callId)).toEqual(['c']);
    expect(tally.size).toBe(1);
  });

  it('stay due where they could not be written, and are whole the next time', () => {
    signal('c');
    now += 6_000;
    const due = tally.due(100);
    signal('c');
    tally.written(due, new Set());
    expect(tally.due(100)[0]?.counts[0]?.count).toBe(2);
  });

  it('that came while the rest was written are due again, in the same stretch', () => {
    signal('c');
    now += 6_000;
    const due = tally.due(100);
    signal('c');
    tally.written(due, new Set(['stretch-1']));
    expect(due[0]?.counts[0]?.count).toBe(1);
    now += 5_000;
    expect(write()).toMatchObject([{ id: 'stretch-1', counts: [{ count: 2 }] }]);
  });

  it('begin anew after a silence, so that a restart of ICE stands where it was', () => {
    signal('c');
    now += 31_000;
    signal('c');
    now += 5_000;
    expect(write().map(({ id, ageMs }) => [id, ageMs])).toEqual([
      ['stretch-1', 36_000],
      ['stretch-2', 5_000],
    ]);
    tally.tidy();
    expect(tally.size).toBe(1);
    now += 31_000;
    tally.tidy();
    expect(tally.size).toBe(0);
  });

  it('of a call that is not there any more are given up after a silence', () => {
    signal('c');
    now += 40_000;
    tally.written(tally.due(100), new Set());
    expect(tally.size).toBe(0);
  });

  it('take no more memory than they may, whatever clients do', () => {
    for (let i = 0; i < 25_000; i++) signal(`call-${i}`);
    expect(tally.size).toBe(20_000);
    for (let i = 0; i < 5_000; i++) signal('c', 'Offer', `user-${i}`);
    now += 5_000;
    const largest = Math.max(...tally.due(30_000).map(({ counts }) => counts.length));
    expect(largest).toBe(1_000);
  });
});
