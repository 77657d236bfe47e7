import { describe, expect, it } from 'vitest';
import {
  activeGroup,
  activePair,
  LIMITS,
  type LiveCall,
  ringingGroup,
  ringingPair,
  SECOND,
} from '../support/call-states.ts';

const GRACE = LIMITS.disconnectGraceMs;

function seatOf(call: LiveCall, userId: string) {
  return call.call.participants.find((p) => p.userId === userId)?.seat;
}

describe('a stream that opens', () => {
  it('connects the seat, which then has no deadline', () => {
    const call = ringingPair();
    call.join('bob');
    expect(seatOf(call, 'bob')).toMatchObject({ state: 'CONNECTING', deadline: call.now + GRACE });
    expect(call.openStream('bob')).toBe('ok');
    expect(seatOf(call, 'bob')).toMatchObject({
      state: 'CONNECTED',
      deadline: null,
      streamId: 'bob-a',
      instanceId: 'one',
    });
  });

  it('gives the same session its lost seat back, with its joinSeq', () => {
    const call = activePair();
    const { joinSeq } = call.participant('bob');
    call.loseStream('bob').pass(GRACE - 1);
    expect(call.openStream('bob', 'bob-b')).toBe('ok');
    call.pass(GRACE);
    expect(call.participant('bob')).toMatchObject({ status: 'CONNECTED', joinSeq });
  });

  it('comes too late once the grace is over', () => {
    const call = activeGroup();
    call.loseStream('bob').wait(GRACE);
    expect(call.openStream('bob', 'bob-b')).toBe('NOT_IN_CALL');
    expect(call.participant('bob').status).toBe('LEFT');
  });

  it('is refused for a session that does not hold the seat, and changes nothing', () => {
    const call = activePair();
    call.join('bob', 'bob-2', true);
    const before = call.view;
    expect(call.openStream('bob', 'bob-b', 'bob-1')).toBe('STALE_SESSION');
    expect(call.view).toEqual(before);
  });

  it('is refused for one who is invited and has not joined', () => {
    expect(ringingPair().openStream('bob')).toBe('NOT_IN_CALL');
  });
});

describe('fencing (M1)', () => {
  it('M1: the late end of an older stream changes nothing', () => {
    const call = activePair();
    call.openStream('bob', 'bob-b');
    call.loseStream('bob', 'bob-a').pass(GRACE);
    expect(call.participant('bob').status).toBe('CONNECTED');
    call.loseStream('bob', 'bob-b');
    expect(call.participant('bob').status).toBe('RECONNECTING');
  });

  it('M1: nor does the end of a stream whose loss is known', () => {
    const call = activePair();
    call.loseStream('bob');
    const seat = seatOf(call, 'bob');
    call.wait(SECOND).loseStream('bob');
    expect(seatOf(call, 'bob')).toEqual(seat);
  });

  it('M1: nor that of a session whose seat was taken over', () => {
    const call = activePair();
    call.join('bob', 'bob-2', true);
    const seat = seatOf(call, 'bob');
    call.wait(SECOND).loseStream('bob', 'bob-a');
    expect(seatOf(call, 'bob')).toEqual(seat);
  });

  it('M1: the death of the instance of an older stream leaves the newer one alone', () => {
    const call = activePair();
    call.openStream('bob', 'bob-b', 'bob-1', 'two');
    call.loseInstance('one');
    expect(call.statuses).toEqual({ ann: 'RECONNECTING', bob: 'CONNECTED' });
  });
});

describe('an instance that was only stalled', () => {
  it('M1: reclaims the seat of a stream that still runs', () => {
    const call = activePair();
    call.loseInstance('one');
    expect(call.reclaim('bob')).toBe('ok');
    expect(call.participant('bob').status).toBe('CONNECTED');
  });

  it('M1: does not take it from a newer stream of the session', () => {
    const call = activePair();
    call.loseInstance('one');
    call.openStream('bob', 'bob-b', 'bob-1', 'two');
    const seat = seatOf(call, 'bob');
    expect(call.reclaim('bob')).toBe('STALE_SESSION');
    expect(seatOf(call, 'bob')).toEqual(seat);
  });
});

describe('a takeover', () => {
  it('C1: is refused while CONNECTING or CONNECTED, unless it is asked for', () => {
    const call = ringingPair();
    call.join('bob');
    expect(call.join('bob', 'bob-2')).toBe('ALREADY_IN_CALL');
    expect(call.join('bob', 'bob-2', true)).toBe('ok');
    call.openStream('bob', 'bob-b', 'bob-2');
    expect(call.join('bob', 'bob-3')).toBe('ALREADY_IN_CALL');
    expect(call.join('bob', 'bob-3', true)).toBe('ok');
    expect(call.participant('bob')).toMatchObject({ sessionId: 'bob-3', status: 'CONNECTING' });
  });

  it('needs not be asked for while RECONNECTING', () => {
    const call = activePair();
    call.loseStream('bob');
    expect(call.join('bob', 'bob-2')).toBe('ok');
    expect(call.participant('bob')).toMatchObject({ sessionId: 'bob-2', status: 'CONNECTING' });
  });

  it('has a grace of its own', () => {
    const call = activePair();
    call.loseStream('bob').wait(GRACE - 1);
    call.join('bob', 'bob-2');
    call.pass(GRACE - 1);
    expect(call.participant('bob').status).toBe('CONNECTING');
    call.pass(1);
    expect(call.participant('bob').leaveReason).toBe('NEVER_CONNECTED');
  });

  it('is one joinSeq and no leave: joinedAt stays', () => {
    const call = activePair();
    const { joinedAt, joinSeq } = call.participant('bob');
    call.wait(SECOND).join('bob', 'bob-2', true);
    expect(call.participant('bob')).toMatchObject({ joinedAt, leftAt: null, leaveReason: null });
    expect(call.participant('bob').joinSeq).toBeGreaterThan(joinSeq!);
  });

  it('moves the caller’s call that still rings', () => {
    const call = ringingPair();
    expect(call.join('ann', 'ann-2', true)).toBe('ok');
    expect(call.leave('ann', 'ann-1')).toBe('STALE_SESSION');
    expect(call.leave('ann', 'ann-2')).toBe('ok');
    expect(call.end.reason).toBe('CANCELLED');
  });

  it('the first of two devices to answer wins', () => {
    const call = ringingPair();
    expect([call.join('bob', 'phone'), call.join('bob', 'laptop')]).toEqual(['ok', 'ALREADY_IN_CALL']);
    expect(call.participant('bob').sessionId).toBe('phone');
  });
});

describe('joinSeq', () => {
  it('grows over the call with every tenure, and is never given twice', () => {
    const call = activeGroup();
    const seen = ['ann', 'bob', 'cat'].map((userId) => call.participant(userId).joinSeq!);
    call.join('ann', 'ann-2', true);
    seen.push(call.participant('ann').joinSeq!);
    call.leave('bob');
    expect(call.participant('bob').joinSeq).toBeNull();
    call.join('bob', 'bob-1');
    seen.push(call.participant('bob').joinSeq!);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
  });

  it('stays on a repeat by the same session, whatever the state of the seat', () => {
    const call = ringingPair();
    call.join('bob');
    const { joinSeq } = call.participant('bob');
    call.join('bob');
    call.openStream('bob');
    call.join('bob');
    call.loseStream('bob');
    expect(call.join('bob')).toBe('rejoined');
    expect(call.participant('bob')).toMatchObject({ joinSeq, status: 'RECONNECTING' });
  });
});

describe('an instance that is dead', () => {
  it('gives the grace to every seat that it held, and to no other', () => {
    const call = ringingGroup().connect('bob');
    call.join('cat');
    call.openStream('cat', 'cat-a', 'cat-1', 'two');
    call.loseInstance('one');
    expect(call.statuses).toEqual({ ann: 'RECONNECTING', bob: 'RECONNECTING', cat: 'CONNECTED' });
    expect(seatOf(call, 'bob')?.deadline).toBe(call.now + GRACE);
  });

  it('takes no seat whose stream has not been opened yet', () => {
    const call = ringingPair();
    call.join('bob');
    call.loseInstance('one');
    expect(call.participant('bob').status).toBe('CONNECTING');
  });

  it('C1: seats found so and left count as ghosts', () => {
    const call = activeGroup().loseInstance().pass(GRACE);
    const left = call.facts.filter(({ kind }) => kind === 'LEFT').map(({ detail }) => detail);
    expect(left).toEqual(['DISCONNECTED GHOST', 'DISCONNECTED GHOST', 'DISCONNECTED GHOST']);
    expect(call.participant('bob').leaveReason).toBe('DISCONNECTED');
  });

  it('C1: a stream that ended by itself is no ghost, nor one who came back first', () => {
    const call = activeGroup().loseInstance();
    call.openStream('ann', 'ann-b');
    call.openStream('bob', 'bob-b');
    call.leave('cat');
    call.loseStream('bob', 'bob-b').pass(GRACE);
    const left = call.facts.filter(({ kind }) => kind === 'LEFT').map(({ detail }) => detail);
    expect(left).toEqual(['HANGUP', 'DISCONNECTED']);
  });

  it('which was only stalled reclaims the seat of a stream that still runs', () => {
    const call = activePair();
    const { joinSeq } = call.participant('bob');
    call.loseInstance().wait(SECOND);
    expect(call.openStream('bob', 'bob-a')).toBe('ok');
    expect(call.participant('bob')).toMatchObject({ status: 'CONNECTED', joinSeq });
  });
});
