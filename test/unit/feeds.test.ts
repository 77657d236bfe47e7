import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CallLog, StateRecord } from '../../src/call-log/call-log.ts';
import { type FeedSources, Feeds } from '../../src/call-log/feeds.ts';
import { TIMINGS } from '../../src/config.ts';
import { state } from '../support/call-logs.ts';

/** A log that is out of reach all the time. */
const GONE = { health: () => 'down', onHealth: () => () => {} } as unknown as CallLog;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());
const turn = () => vi.advanceTimersByTimeAsync(TIMINGS.statePollMs);

/** Feeds over a table of changes that the test writes. */
function over(table: Record<string, StateRecord[]>) {
  const database = { asked: [] as number[], errors: [] as unknown[], answer: Promise.resolve() };
  const sources: FeedSources = {
    createLog: async () => false,
    seats: async () => ({ version: 1, seats: new Map() }),
    async *statesAfter(known) {
      database.asked.push(known.size);
      await database.answer;
      for (const [callId, version] of known) {
        for (const change of table[callId] ?? [])
          if (change.version > version) yield { callId, state: change };
      }
    },
    onError: (error) => database.errors.push(error),
  };
  return { feeds: new Feeds(GONE, sources), database };
}

describe('while the log is out of reach', () => {
  it('all calls are asked for at once, in parts of a thousand, and each goes on in its order', async () => {
    const table: Record<string, StateRecord[]> = {};
    const { feeds, database } = over(table);
    for (let n = 0; n < 2_500; n++) await feeds.acquire(`call-${n}`);
    await turn();
    expect(database.asked).toEqual([1_000, 1_000, 500]);
    table['call-7'] = [state(2), state(3)];
    table['call-2400'] = [state(2)];
    await turn();
    table['call-7'].push(state(4));
    await turn();
    const versions = [...feeds.all()].map((feed) => feed.version);
    expect([versions[7], versions[2_400], versions[8]]).toEqual([4, 2, 1]);
    expect(database.asked).toHaveLength(9);
    await feeds.close();
  });

  it('a change that can not be taken holds up what follows it in its call, and no other call', async () => {
    const broken = { ...state(2), events: null } as unknown as StateRecord;
    const { feeds, database } = over({ bad: [broken, state(3)], good: [state(2), state(3)] });
    const [bad, good] = [await feeds.acquire('bad'), await feeds.acquire('good')];
    await turn();
    await turn();
    expect([good.version, bad.version]).toEqual([3, 1]);
    expect(database.errors).toHaveLength(2);
    await feeds.close();
  });

  it('a turn that takes long is not begun a second time; one call is asked for all the same', async () => {
    const table: Record<string, StateRecord[]> = {};
    const { feeds, database } = over(table);
    const [one, other] = [await feeds.acquire('one'), await feeds.acquire('other')];
    const answer = Promise.withResolvers<void>();
    database.answer = answer.promise;
    await turn();
    await turn();
    expect(database.asked).toEqual([2]);
    database.answer = Promise.resolve();
    table.one = [state(2)];
    await feeds.pollState('one');
    expect([one.version, other.version]).toEqual([2, 1]);
    table.one.push(state(3));
    answer.resolve();
    await turn();
    expect(one.version).toBe(3);
    await feeds.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});
