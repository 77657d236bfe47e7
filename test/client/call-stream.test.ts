import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CallEvent, CallStream, type Loss } from '../../client/src/call-stream.ts';
import type { Sink } from '../../client/src/connection.ts';
import { ConnectionError, RequestError } from '../../client/src/errors.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A stream, and a server that takes note of each opening, with the cursor that was asked for. */
function setUp() {
  const openings: (string | null)[] = [];
  const received: string[] = [];
  const losses: Loss[] = [];
  let sink: Sink<CallEvent> | null = null;
  const stream = new CallStream({
    subscribe(after, own) {
      openings.push(after());
      sink = own;
      return () => {
        if (sink === own) sink = null;
      };
    },
    receive: ({ cursor }) => received.push(cursor),
    lost: (why) => losses.push(why),
  });
  return {
    stream,
    openings,
    received,
    losses,
    isOpen: () => sink !== null,
    event: (cursor: string) =>
      sink!.next({ __typename: 'SignalingRestored', callId: 'call', at: '2026-01-01T00:00:00.000Z', cursor }),
    over: (error: Error | null) => {
      const own = sink!;
      sink = null;
      own.over(error);
    },
    /** How long the stream pauses before it opens again, milliseconds. */
    pause: () => {
      const [before, began] = [openings.length, Date.now()];
      vi.advanceTimersToNextTimer();
      return openings.length === before ? null : Date.now() - began;
    },
  };
}

const fault = () => new RequestError('INTERNAL_SERVER_ERROR', 'Oh');

describe('the events of a call', () => {
  it('begin at the join, and go on after the last one that was seen', () => {
    const { stream, openings, received, event, over, pause } = setUp();
    stream.open();
    event('1');
    event('2');
    over(fault());
    pause();
    event('3');
    over(fault());
    pause();
    expect(openings).toEqual([null, '2', '3']);
    expect(received).toEqual(['1', '2', '3']);
  });

  it('are asked for at each socket from where they are then, by a subscription that stays', () => {
    let cursor: (() => string | null) | undefined;
    let sink: Sink<CallEvent> | undefined;
    const stream = new CallStream({
      subscribe(after, own) {
        [cursor, sink] = [after, own];
        return () => {};
      },
      receive: () => {},
      lost: () => {},
    });
    stream.open();
    expect(cursor?.()).toBeNull();
    sink?.next({ __typename: 'SignalingRestored', callId: 'call', at: '', cursor: '7' });
    expect(cursor?.()).toBe('7');
  });

  it('are opened once, however often that is asked for', () => {
    const { stream, openings } = setUp();
    stream.open();
    stream.open();
    expect(openings).toHaveLength(1);
  });

  it('begin at the join again where the server can’t read the cursor', () => {
    const { stream, openings, event, over, pause } = setUp();
    stream.open();
    event('of another server');
    over(new RequestError('BAD_USER_INPUT', 'No cursor'));
    pause();
    expect(openings).toEqual([null, null]);
  });

  it('begin at the join of a new seat', () => {
    const { stream, openings, event } = setUp();
    stream.open();
    event('1');
    stream.startAnew();
    expect(openings).toEqual([null, null]);
    event('1');
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    'CALL_NOT_FOUND',
    'NOT_A_MEMBER',
    'NOT_INVITED',
    'CALL_ENDED',
    'NOT_IN_CALL',
    'STALE_SESSION',
  ] as const)('are lost with %s, which is told once, and not asked for again', (code) => {
    const { stream, openings, losses, over } = setUp();
    stream.open();
    over(new RequestError(code, 'Over'));
    vi.advanceTimersByTime(60_000);
    expect(losses).toEqual([code]);
    expect(openings).toHaveLength(1);
  });

  it('can be opened again by whoever hears of the loss', () => {
    const openings: (string | null)[] = [];
    let sink: Sink<CallEvent> | undefined;
    const stream: CallStream = new CallStream({
      subscribe(after, own) {
        openings.push(after());
        sink = own;
        return () => {};
      },
      receive: () => {},
      lost: () => stream.startAnew(),
    });
    stream.open();
    sink?.over(new RequestError('NOT_IN_CALL', 'Away for too long'));
    expect(openings).toHaveLength(2);
  });

  it.each([
    ['an error that may pass', fault()],
    ['an end without a reason', null],
  ])('are opened again after %s, with pauses that grow to 4 s', (_, error) => {
    const { stream, over, pause, losses } = setUp();
    stream.open();
    const pauses = Array.from({ length: 7 }, () => {
      over(error);
      return pause();
    });
    expect(pauses).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    expect(losses).toEqual([]);
  });

  it('have the first pause again once one has come', () => {
    const { stream, event, over, pause } = setUp();
    stream.open();
    for (let i = 0; i < 3; i++) {
      over(fault());
      pause();
    }
    event('1');
    over(fault());
    expect(pause()).toBe(250);
  });

  it('do not wait for the end of a pause where they are opened before', () => {
    const { stream, openings, over } = setUp();
    stream.open();
    over(fault());
    stream.open();
    expect(openings).toHaveLength(2);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('wait for the app where the connection is closed for good', () => {
    const { stream, openings, losses, event, over } = setUp();
    stream.open();
    event('1');
    over(new ConnectionError('REFUSED', 'A bad token', 4401));
    vi.advanceTimersByTime(60_000);
    expect(openings).toHaveLength(1);
    stream.open();
    expect(openings).toEqual([null, '1']);
    expect(losses).toEqual([]);
  });

  it('can be asked for again after a loss that may pass', () => {
    const { stream, openings, over, pause } = setUp();
    stream.open();
    over(new RequestError('NOT_IN_CALL', 'Away for too long'));
    stream.retry();
    stream.retry();
    expect(vi.getTimerCount()).toBe(1);
    pause();
    expect(openings).toHaveLength(2);
  });

  it('end with the stream, and leave no timer', () => {
    const { stream, openings, over, isOpen } = setUp();
    stream.open();
    over(fault());
    stream.close();
    expect(vi.getTimerCount()).toBe(0);
    stream.open();
    stream.close();
    stream.close();
    expect(isOpen()).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    expect(openings).toHaveLength(2);
  });
});
