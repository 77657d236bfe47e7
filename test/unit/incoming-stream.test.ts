import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Channels } from '../../src/call-log/channels.ts';
import type { CallView } from '../../src/calls/call-view.ts';
import { TIMINGS } from '../../src/config.ts';
import type { IncomingCallEvent } from '../../src/graphql/services.ts';
import { IncomingStream, stopReason } from '../../src/incoming/incoming-stream.ts';
import { RingBoard } from '../../src/incoming/ring-board.ts';
import { LIMITS, type LiveCall, MINUTE, ringingGroup, ringingPair, START } from '../support/call-states.ts';

/** What a device of `userId` is told of the call's views, in order. */
function device(userId: string) {
  const asked = { resyncs: 0, closed: 0 };
  const stream = new IncomingStream(
    userId,
    () => {
      asked.closed += 1;
    },
    () => {
      asked.resyncs += 1;
    },
  );
  return { stream, asked };
}

/** Takes what is there now, and leaves the stream closed. */
async function heard(stream: AsyncIterableIterator<IncomingCallEvent>, count: number) {
  const events: IncomingCallEvent[] = [];
  for (let i = 0; i < count; i++) events.push((await stream.next()).value as IncomingCallEvent);
  // Nothing more is there: the next one waits until the stream is closed.
  const next = stream.next();
  await stream.return?.();
  expect(await next).toEqual({ value: undefined, done: true });
  return events.map((event) =>
    event.__typename === 'RingStopped'
      ? event.reason
      : event.__typename === 'CallRinging'
        ? 'RINGING'
        : 'SNAPSHOT',
  );
}

describe('why a ring stopped', () => {
  it.each<[string, (call: LiveCall) => unknown]>([
    ['ANSWERED_ELSEWHERE', (call) => call.join('bob', 'another device')],
    ['DECLINED_ELSEWHERE', (call) => call.decline('bob')],
    ['CANCELLED', (call) => call.leave('ann')],
    ['CANCELLED', (call) => call.endCall('ann')],
    ['CANCELLED', (call) => call.remove('ann', 'bob')],
    ['NO_ANSWER', (call) => call.pass(LIMITS.ringTimeoutMs)],
    ['ENDED', (call) => call.terminate()],
    ['ENDED', (call) => call.loseStream('ann').pass(LIMITS.disconnectGraceMs)],
    ['NO_ANSWER', (call) => call.connect('cat').pass(LIMITS.ringTimeoutMs)],
    ['CANCELLED', (call) => call.connect('cat').remove('ann', 'bob')],
    ['ENDED', (call) => call.connect('cat').endCall('ann')],
  ])('%s', (reason, stop) => {
    const call = ringingGroup();
    stop(call);
    expect(stopReason(call.view, 'bob')).toBe(reason);
  });

  it('is of this ring, not of an earlier one that was taken back', () => {
    const call = ringingGroup().connect('cat');
    call.remove('ann', 'bob');
    call.invite('ann', 'bob');
    call.pass(LIMITS.ringTimeoutMs);
    expect(call.participant('bob').status).toBe('MISSED');
    expect(stopReason(call.view, 'bob')).toBe('NO_ANSWER');
  });

  it('is ANSWERED_ELSEWHERE for the other devices alone: the ring of others goes on', () => {
    const call = ringingGroup();
    call.join('bob');
    expect(call.participant('cat').status).toBe('RINGING');
  });
});

describe('one device', () => {
  it('is told first what rings now', async () => {
    const { stream } = device('bob');
    const call = ringingPair().view;
    stream.snapshot([call], START);
    expect(await stream.next()).toEqual({
      value: { __typename: 'IncomingSnapshot', calls: [call], at: START },
      done: false,
    });
    expect(await heard(stream, 0)).toEqual([]);
  });

  it('hears each ring and its end once, however often and late the views come', async () => {
    const { stream } = device('bob');
    const call = ringingPair();
    const rings = call.view;
    call.invite('ann', 'cat');
    const stillRings = call.view;
    call.decline('bob');
    const declined = call.view;
    stream.snapshot([], START);
    for (const view of [rings, rings, stillRings, rings, declined, stillRings, declined, rings]) {
      stream.see(view, START);
    }
    expect(await heard(stream, 3)).toEqual(['SNAPSHOT', 'RINGING', 'DECLINED_ELSEWHERE']);
  });

  it('is not told of a ring that stopped while its snapshot was made', async () => {
    const { stream } = device('bob');
    const call = ringingPair();
    call.decline('bob');
    stream.snapshot([call.view], START);
    stream.see(call.view, START);
    expect(stream.ringing).toEqual([]);
    expect(await stream.next()).toMatchObject({ value: { __typename: 'IncomingSnapshot', calls: [] } });
    expect(await heard(stream, 0)).toEqual([]);
  });

  it('does not hear again of what its snapshot has, and hears its end', async () => {
    const { stream } = device('bob');
    const call = ringingPair();
    stream.snapshot([call.view], START);
    stream.see(call.view, START);
    call.leave('ann');
    stream.see(call.view, START);
    expect(await heard(stream, 2)).toEqual(['SNAPSHOT', 'CANCELLED']);
  });

  it('hears nothing of calls that do not ring for it', async () => {
    const { stream } = device('cat');
    const call = ringingPair();
    stream.snapshot([], START);
    stream.see(call.view, START);
    call.endCall('ann');
    stream.see(call.view, START);
    expect(await heard(stream, 1)).toEqual(['SNAPSHOT']);
  });

  it('hears a new ring of a call that it had declined', async () => {
    const { stream } = device('bob');
    const call = ringingGroup().connect('cat');
    stream.snapshot([call.view], START);
    call.decline('bob');
    stream.see(call.view, START);
    call.invite('ann', 'bob');
    stream.see(call.view, START);
    expect(await heard(stream, 3)).toEqual(['SNAPSHOT', 'DECLINED_ELSEWHERE', 'RINGING']);
  });

  it('hears after its snapshot what happened while the snapshot was made', async () => {
    const { stream } = device('bob');
    const known = ringingPair();
    const old = known.view;
    known.leave('ann');
    const fresh = otherCall(ringingPair());
    stream.see(known.view, START);
    stream.see(fresh, START);
    stream.snapshot([old], START);
    expect(await heard(stream, 3)).toEqual(['SNAPSHOT', 'CANCELLED', 'RINGING']);
  });

  it('that falls behind starts over, with a snapshot and what came after it', async () => {
    const { stream, asked } = device('bob');
    stream.snapshot([], START);
    const views = Array.from({ length: 300 }, (_, index) => otherCall(ringingPair(), index));
    for (const view of views) stream.see(view, START);
    expect(asked.resyncs).toBe(1);
    stream.snapshot(views.slice(0, 290), START);
    const snapshot = (await stream.next()).value as IncomingCallEvent;
    expect(snapshot).toMatchObject({ __typename: 'IncomingSnapshot', calls: { length: 290 } });
    expect(await heard(stream, 10)).toEqual(Array.from({ length: 10 }, () => 'RINGING'));
  });

  it('waits for what comes, and is freed once when it is closed', async () => {
    const { stream, asked } = device('bob');
    const next = stream.next();
    stream.snapshot([], START);
    expect((await next).value).toMatchObject({ __typename: 'IncomingSnapshot' });
    const last = stream.next();
    await stream.return();
    stream.close();
    expect(await last).toEqual({ value: undefined, done: true });
    expect(asked.closed).toBe(1);
  });
});

describe('while the channels are gone, and after it', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const turn = () => vi.advanceTimersByTimeAsync(TIMINGS.statePollMs);

  /** A board over a database that the test decides, and what each of some users' devices shows. */
  async function listening(...userIds: string[]) {
    const channels = new SwitchedChannels();
    const database = {
      rings: [] as CallView[],
      asked: [] as number[],
      failures: 0,
      reading: Promise.resolve(),
    };
    const board = new RingBoard(channels, {
      async ringing(users) {
        database.asked.push(users.length);
        const rows = database.rings.flatMap((call) =>
          call.participants
            .filter((p) => p.status === 'RINGING' && users.includes(p.userId))
            .map(({ userId }) => ({ userId, callId: call.id })),
        );
        await database.reading;
        if (database.failures-- > 0) throw new Error('The database is away');
        return rows;
      },
      calls: async (ids) => ({ calls: database.rings.filter((call) => ids.includes(call.id)), now: START }),
      onError: () => {},
    });
    const devices = await Promise.all(
      userIds.map(async (userId) => {
        const shown = new Set<string>();
        const told: string[] = [];
        const stream = await board.open(userId);
        const follow = async () => {
          for await (const event of stream) {
            told.push(event.__typename);
            if (event.__typename === 'IncomingSnapshot') for (const { id } of event.calls) shown.add(id);
            else if (event.__typename === 'CallRinging') shown.add(event.call.id);
            else shown.delete(event.call.id);
          }
        };
        return { shown, told, ended: follow() };
      }),
    );
    database.asked.length = 0;
    const close = async () => {
      await board.close();
      for (const { ended } of devices) await ended;
      expect(vi.getTimerCount()).toBe(0);
    };
    return { board, channels, database, devices, bob: devices[0]!, close };
  }

  it('one question a turn is asked for all, and each hears what became of its rings', async () => {
    const users = Array.from({ length: 300 }, (_, index) => `user-${index}`);
    const { channels, database, devices, bob, close } = await listening('bob', ...users);
    channels.turn('down');
    const call = ringingPair();
    database.rings = [call.view];
    await turn();
    expect(database.asked).toEqual([301]);
    expect([...bob.shown]).toEqual([call.call.id]);
    call.leave('ann');
    database.rings = [call.view];
    await turn();
    expect(database.asked).toEqual([301, 301]);
    expect(bob.told).toEqual(['IncomingSnapshot', 'CallRinging', 'RingStopped']);
    for (const { told } of devices.slice(1)) expect(told).toEqual(['IncomingSnapshot']);
    await close();
  });

  it.each([
    ['back', ['up']],
    ['back, and away once more', ['up', 'down', 'up']],
  ] as const)('the last look is one that began after they were %s', async (_what, healths) => {
    const { channels, database, bob, close } = await listening('bob');
    channels.turn('down');
    const reading = Promise.withResolvers<void>();
    database.reading = reading.promise;
    const [first, ...others] = healths;
    if (others.length === 0) await turn();
    channels.turn(first);
    await vi.advanceTimersByTimeAsync(0);
    // The question is under way, and what was rung since nobody was told of.
    const call = ringingPair();
    database.rings = [call.view];
    for (const health of others) channels.turn(health);
    reading.resolve();
    await turn();
    expect([...bob.shown]).toEqual([call.call.id]);
    await turn();
    await turn();
    expect(database.asked).toEqual([1, 1]);
    await close();
  });

  it('the database is asked until it has answered', async () => {
    const { channels, database, bob, close } = await listening('bob');
    channels.turn('down');
    const call = ringingPair();
    database.rings = [call.view];
    database.failures = 3;
    channels.turn('up');
    for (let n = 0; n < 6; n++) await turn();
    expect(database.asked).toHaveLength(4);
    expect([...bob.shown]).toEqual([call.call.id]);
    await close();
  });

  it('those who came meanwhile hear the channels', async () => {
    const { board, channels, close } = await listening();
    channels.turn('down');
    const stream = await board.open('bob');
    channels.turn('up');
    await turn();
    await channels.publish('ringdown:user:bob', JSON.stringify({ call: ringingPair().view, at: START }));
    expect(await heard(stream, 2)).toEqual(['SNAPSHOT', 'RINGING']);
    await close();
  });

  it('a ring that starts while the database is asked is heard once, whatever the database says', async () => {
    const { board, channels, database, bob, close } = await listening('bob');
    const call = ringingPair();
    const reading = Promise.withResolvers<void>();
    database.reading = reading.promise;
    channels.turn('down');
    channels.turn('up');
    database.rings = [call.view];
    await board.publish({ userIds: ['bob'], call: call.view }, START);
    reading.resolve();
    await turn();
    expect(bob.told).toEqual(['IncomingSnapshot', 'CallRinging']);
    await close();
  });
});

/** The view of another call that rings. */
function otherCall(call: LiveCall, index = 0): CallView {
  return { ...call.wait(MINUTE).view, id: `other-${index}` };
}

/** Channels of one process whose health the test decides. */
class SwitchedChannels implements Channels {
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  readonly #watchers = new Set<(health: 'up' | 'down') => void>();
  #health: 'up' | 'down' = 'up';

  async publish(channel: string, message: string): Promise<void> {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message);
  }
  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return async () => void listeners.delete(listener);
  }
  onHealth(watcher: (health: 'up' | 'down') => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }
  health(): 'up' | 'down' {
    return this.#health;
  }
  turn(health: 'up' | 'down'): void {
    this.#health = health;
    for (const watcher of this.#watchers) watcher(health);
  }
  async close(): Promise<void> {}
}
