import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Call } from '../../client/src/call.ts';
import type {
  CallPartsFragment,
  ParticipantPartsFragment,
  RingStopReason,
} from '../../client/src/generated/graphql.ts';
import { IncomingCalls } from '../../client/src/incoming.ts';
import type { LocalMedia } from '../../client/src/media/local-media.ts';

/** By the server's clock: when the calls ring, and for how long. */
const NOW = Date.parse('2026-01-01T00:00:00.000Z');
const RINGS_FOR = 30_000;

// The page's clock has nothing to do with it: it is a month behind.
beforeEach(() => void vi.useFakeTimers({ now: NOW - 30 * 24 * 3_600_000 }));
afterEach(() => void vi.useRealTimers());

/** The server's time, so many milliseconds after the calls began to ring. */
const at = (ms = 0) => new Date(NOW + ms).toISOString();

function participant(userId: string, ringDeadline: string | null): ParticipantPartsFragment {
  return {
    id: `call:${userId}`,
    userId,
    role: ringDeadline === null ? 'HOST' : 'GUEST',
    status: ringDeadline === null ? 'CONNECTED' : 'RINGING',
    sessionId: null,
    joinSeq: null,
    invitedAt: at(),
    ringDeadline,
    declinedBusy: false,
    joinedAt: null,
    leftAt: null,
    leaveReason: null,
    media: { muted: false, videoOn: true, screenOn: false },
  };
}

/** Ada's call to Ben and others. */
function callOf(id: string, ...deadlines: number[]): CallPartsFragment {
  const callees = deadlines.length > 0 ? deadlines : [RINGS_FOR];
  return {
    id,
    conversationId: `room of ${id}`,
    type: 'AUDIO',
    status: 'RINGING',
    version: 1,
    callerId: 'ada',
    createdAt: at(),
    answeredAt: null,
    expiresAt: at(3_600_000),
    endedAt: null,
    endReason: null,
    endedBy: null,
    durationSeconds: null,
    participants: [
      participant('ada', null),
      ...callees.map((deadline, index) => participant(`ben ${index}`, at(deadline))),
    ],
  };
}

function setUp() {
  const heard: string[] = [];
  const asked: unknown[] = [];
  const calls = new IncomingCalls({
    answer: async (call, media) => {
      asked.push(['answer', call.id, media]);
      return {} as Call;
    },
    decline: async (call, busy) => {
      asked.push(['decline', call.id, busy]);
    },
  });
  calls.on('incomingCall', ({ id }) => heard.push(`${id} rings`));
  calls.on('ringStopped', ({ call, reason }) => heard.push(`${call.id} stopped: ${reason}`));
  return {
    calls,
    heard,
    asked,
    ringing: () => calls.ringing.map(({ id }) => id),
    snapshot: (inIt: CallPartsFragment[], when = at()) =>
      calls.receive({ __typename: 'IncomingSnapshot', calls: inIt, at: when }),
    ring: (call: CallPartsFragment, when = at()) =>
      calls.receive({ __typename: 'CallRinging', call, at: when }),
    stop: (id: string, reason: RingStopReason) =>
      calls.receive({ __typename: 'RingStopped', call: callOf(id), at: at(), reason }),
  };
}

describe('what rings for the user', () => {
  it('rings once, until the server says why not any more', () => {
    const { ring, stop, ringing, heard } = setUp();
    ring(callOf('one'));
    ring(callOf('one'));
    expect(ringing()).toEqual(['one']);
    stop('one', 'ANSWERED_ELSEWHERE');
    stop('one', 'ENDED');
    expect(ringing()).toEqual([]);
    expect(heard).toEqual(['one rings', 'one stopped: ANSWERED_ELSEWHERE']);
  });

  it('is told as a new list after each change, in the order in which it began to ring', () => {
    const { calls, ring, stop } = setUp();
    const lists: (readonly string[])[] = [];
    calls.on('incomingCalls', (all) => {
      expect(all).toBe(calls.ringing);
      lists.push(all.map(({ id }) => id));
    });
    ring(callOf('one'));
    const before = calls.ringing;
    ring(callOf('two'));
    stop('one', 'CANCELLED');
    expect(lists).toEqual([['one'], ['one', 'two'], ['two']]);
    // React compares the lists: one that is known already stays what it was.
    expect(before.map(({ id }) => id)).toEqual(['one']);
  });

  it('says who calls, where and what for, and asks for what is done about it', async () => {
    const { calls, ring, asked } = setUp();
    ring(callOf('one'));
    const [call] = calls.ringing;
    expect(call).toMatchObject({
      id: 'one',
      callerId: 'ada',
      conversationId: 'room of one',
      type: 'AUDIO',
    });
    const media = {} as LocalMedia;
    await call?.answer({ media });
    await call?.answer();
    await call?.decline();
    await call?.decline({ busy: true });
    expect(asked).toEqual([
      ['answer', 'one', media],
      ['answer', 'one', null],
      ['decline', 'one', false],
      ['decline', 'one', true],
    ]);
  });

  it('is what a snapshot has, and nothing else: a ring that stopped during a cut has no reason', () => {
    const { calls, snapshot, ring, ringing, heard } = setUp();
    ring(callOf('one'));
    ring(callOf('two'));
    const two = calls.ringing[1];
    snapshot([callOf('two'), callOf('three')]);
    expect(ringing()).toEqual(['two', 'three']);
    expect(calls.ringing[0]).toBe(two);
    expect(heard).toEqual(['one rings', 'two rings', 'one stopped: null', 'three rings']);
  });

  it('is nothing any more once there is no connection that would tell of its end', () => {
    const { calls, ring, ringing, heard } = setUp();
    ring(callOf('one'));
    ring(callOf('two'));
    calls.clear();
    expect(ringing()).toEqual([]);
    expect(heard.slice(2)).toEqual(['one stopped: null', 'two stopped: null']);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('a ring that is answered or declined from here', () => {
  it('stops without a word, and others do not', async () => {
    const { calls, ring, stop, ringing, heard } = setUp();
    ring(callOf('one'));
    ring(callOf('two'));
    await calls.during(
      ({ id }) => id === 'one',
      Promise.resolve().then(() => {
        stop('one', 'ANSWERED_ELSEWHERE');
        stop('two', 'ENDED');
      }),
    );
    expect(ringing()).toEqual([]);
    expect(heard).toEqual(['one rings', 'two rings', 'two stopped: ENDED']);
  });

  it('stops without a word where the answer comes before the news', () => {
    const { calls, ring, stop, ringing, heard } = setUp();
    ring(callOf('one'));
    calls.forget('one');
    expect(ringing()).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    stop('one', 'ANSWERED_ELSEWHERE');
    expect(heard).toEqual(['one rings']);
  });

  it('is like any other again after that was refused, and whoever asked hears why', async () => {
    const { calls, ring, stop, heard } = setUp();
    ring(callOf('one'));
    const refused = calls.during(() => true, Promise.reject(new Error('CALL_FULL')));
    await expect(refused).rejects.toThrow('CALL_FULL');
    stop('one', 'NO_ANSWER');
    expect(heard).toEqual(['one rings', 'one stopped: NO_ANSWER']);
  });
});

describe('a ring whose end nobody tells', () => {
  it('ends by itself 5 s after its deadline, whatever the page’s clock says', () => {
    const { ring, ringing, heard } = setUp();
    ring(callOf('one'));
    vi.advanceTimersByTime(RINGS_FOR + 4_999);
    expect(ringing()).toEqual(['one']);
    vi.advanceTimersByTime(1);
    expect(ringing()).toEqual([]);
    expect(heard).toEqual(['one rings', 'one stopped: null']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('has rung for a while when the page hears of it', () => {
    const { ring, ringing } = setUp();
    ring(callOf('one'), at(20_000));
    vi.advanceTimersByTime(RINGS_FOR - 20_000 + 4_999);
    expect(ringing()).toEqual(['one']);
    vi.advanceTimersByTime(1);
    expect(ringing()).toEqual([]);
  });

  it('lasts as long as the longest that anyone is rung: which of them the user is, nobody says', () => {
    const { ring, ringing } = setUp();
    ring(callOf('one', 10_000, 40_000, 20_000));
    vi.advanceTimersByTime(44_999);
    expect(ringing()).toEqual(['one']);
    vi.advanceTimersByTime(1);
    expect(ringing()).toEqual([]);
  });

  it('rings as long as it should where the call rings anew, which a snapshot alone tells', () => {
    const { ring, snapshot, ringing, heard } = setUp();
    ring(callOf('one'));
    vi.advanceTimersByTime(20_000);
    // Missed and invited again while the page heard nothing.
    snapshot([callOf('one', 60_000)], at(20_000));
    vi.advanceTimersByTime(44_999);
    expect(ringing()).toEqual(['one']);
    vi.advanceTimersByTime(1);
    expect(ringing()).toEqual([]);
    expect(heard).toEqual(['one rings', 'one stopped: null']);
  });

  it('is not told of twice where its end comes after all, nor ended by another one’s deadline', () => {
    const { ring, stop, ringing, heard } = setUp();
    ring(callOf('one'));
    ring(callOf('two', 60_000));
    stop('one', 'CANCELLED');
    vi.advanceTimersByTime(64_999);
    expect(ringing()).toEqual(['two']);
    expect(heard).toEqual(['one rings', 'two rings', 'one stopped: CANCELLED']);
  });
});
