import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CallLog, StateRecord } from '../../src/call-log/call-log.ts';
import { type FeedSources, Feeds } from '../../src/call-log/feeds.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';
import { TIMINGS } from '../../src/config.ts';
import { state } from '../support/call-logs.ts';

/** A log that is out of reach all the time. */
const GONE = { health: () => 'down', onHealth: () => () => {} } as unknown as CallLog;

const SEATS = { ada: { joinSeq: 1, sessionId: 'ada' }, ben: { joinSeq: 2, sessionId: 'ben' } };

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
  return { feeds: new Feeds(GONE, sources), sources, database };
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

/** A log in memory that can be lost and found. */
class Flapping extends MemoryCallLog {
  #health: 'up' | 'down' = 'up';
  readonly #listeners = new Set<(health: 'up' | 'down') => void>();
  /** Runs when the log is next asked for its head. */
  onAsked: (() => void) | null = null;

  turn(health: 'up' | 'down'): void {
    this.#health = health;
    for (const listener of this.#listeners) listener(health);
  }

  override health = () => this.#health as 'up';

  override onHealth = (listener?: (health: 'up' | 'down') => void) => {
    if (listener) this.#listeners.add(listener);
    return () => void (listener && this.#listeners.delete(listener));
  };

  override head(callId: string) {
    this.onAsked?.();
    this.onAsked = null;
    return super.head(callId);
  }
}

describe('a log that is lost again in the moment in which it is back', () => {
  async function lostWhileRestoring() {
    const log = new Flapping(Date.now);
    await log.create('call', { version: 1, seats: SEATS }, Date.now() + 60_000);
    const feeds = new Feeds(log, over({}).sources);
    const feed = await feeds.acquire('call');
    log.turn('down');
    log.onAsked = () => log.turn('down');
    log.turn('up');
    await vi.advanceTimersByTimeAsync(0);
    return { log, feeds, feed };
  }

  it('leaves the feed to itself, and that is told', async () => {
    const { feeds, feed } = await lostWhileRestoring();
    expect(feed.mode).toBe('local');
    expect(feed.item(feed.end - 1)?.kind).toBe('degraded');
    await feeds.close();
  });

  it('keeps a feed that nobody reads until the log has what the feed took, and no longer', async () => {
    const { log, feeds, feed } = await lostWhileRestoring();
    feed.addReader({ userId: 'ben', joinSeq: 2, index: feed.end, wake() {}, fellBehind() {} });
    const signal = { __typename: 'Renegotiate', iceRestart: false } as const;
    const draft = { from: 'ada', sessionId: 'ada', to: 'ben', toJoinSeq: 2, clientSeq: 1, signal };
    expect(feed.appendLocally(draft, Date.now())?.outcome).toBe('appended');
    feeds.release(feed);
    expect(feeds.get('call')).toBe(feed);
    log.turn('up');
    await vi.advanceTimersByTimeAsync(0);
    expect(feeds.get('call')).toBeUndefined();
    expect((await log.read('call', 0, 10)).map(({ kind }) => kind)).toEqual(['origin', 'signal']);
    await feeds.close();
  });
});
