import { describe, expect, it } from 'vitest';
import {
  activeGroup,
  activePair,
  aloneInGroup,
  LIMITS,
  LiveCall,
  ringingGroup,
  ringingPair,
  SECOND,
  START,
} from '../support/call-states.ts';

const GRACE = LIMITS.disconnectGraceMs;

describe('a new call', () => {
  it('has its caller in it as HOST, and rings for the others', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    expect(call.view).toMatchObject({
      status: 'RINGING',
      version: 1,
      callerId: 'ann',
      createdAt: START,
      answeredAt: null,
      expiresAt: START + LIMITS.maxCallDurationMs,
      durationSeconds: null,
    });
    expect(call.participant('ann')).toMatchObject({
      role: 'HOST',
      status: 'CONNECTING',
      sessionId: 'ann-1',
      joinSeq: 1,
      joinedAt: START,
      ringDeadline: null,
    });
    for (const userId of ['bob', 'cat']) {
      expect(call.participant(userId)).toMatchObject({
        role: 'GUEST',
        status: 'RINGING',
        sessionId: null,
        joinSeq: null,
        invitedAt: START,
        ringDeadline: START + LIMITS.ringTimeoutMs,
      });
    }
  });

  it('becomes ACTIVE with the first other join, which answers it', () => {
    const call = ringingGroup().wait(10 * SECOND);
    call.join('bob');
    expect(call.view).toMatchObject({ status: 'ACTIVE', answeredAt: START + 10 * SECOND });
    call.wait(SECOND).join('cat');
    expect(call.view).toMatchObject({ status: 'ACTIVE', answeredAt: START + 10 * SECOND });
  });

  it('is not answered by its caller on another device', () => {
    const call = ringingPair();
    expect(call.join('ann', 'ann-2', true)).toBe('ok');
    expect(call.view).toMatchObject({ status: 'RINGING', answeredAt: null });
  });
});

describe('a call that rings', () => {
  it('is CANCELLED by its caller who leaves or ends it', () => {
    const left = ringingGroup();
    left.leave('ann');
    const ended = ringingGroup();
    ended.endCall('ann');
    for (const call of [left, ended]) {
      expect(call.end).toEqual({ reason: 'CANCELLED', by: 'ann' });
      expect(call.statuses).toEqual({ ann: 'LEFT', bob: 'MISSED', cat: 'MISSED' });
      expect(call.view.durationSeconds).toBeNull();
    }
  });

  it.each([
    ['his stream was lost', (call: LiveCall) => call.loseStream('ann'), ringingGroup],
    ['he never opened one', () => undefined, () => new LiveCall({ callees: ['bob', 'cat'] })],
  ])('ends as CONNECTION_LOST where the caller’s seat is lost: %s', (_name, lose, make) => {
    const call = make();
    lose(call);
    call.pass(GRACE - 1);
    expect(call.call.status).toBe('RINGING');
    call.pass(1);
    expect(call.end).toEqual({ reason: 'CONNECTION_LOST', by: null });
    expect(call.statuses).toMatchObject({ bob: 'MISSED', cat: 'MISSED' });
  });

  it('ends as DECLINED once everyone has declined', () => {
    const call = ringingGroup();
    call.decline('bob');
    expect(call.call.status).toBe('RINGING');
    call.decline('cat');
    expect(call.end.reason).toBe('DECLINED');
    expect(call.participant('ann')).toMatchObject({ status: 'LEFT', leaveReason: 'CALL_ENDED' });
  });

  it('ends as NO_ANSWER where one invitation ran out', () => {
    const call = ringingGroup();
    call.decline('bob');
    call.pass(LIMITS.ringTimeoutMs);
    expect(call.end).toEqual({ reason: 'NO_ANSWER', by: null });
    expect(call.statuses).toEqual({ ann: 'LEFT', bob: 'DECLINED', cat: 'MISSED' });
  });

  it('goes on while a later invitation rings, and ends with that one', () => {
    const call = ringingPair().wait(60 * SECOND);
    call.invite('ann', 'cat');
    call.pass(LIMITS.ringTimeoutMs - 60 * SECOND);
    expect(call.statuses).toMatchObject({ bob: 'MISSED', cat: 'RINGING' });
    expect(call.call.status).toBe('RINGING');
    call.pass(60 * SECOND);
    expect(call.end.reason).toBe('NO_ANSWER');
  });

  it('ends once its host has taken back the last invitation', () => {
    const call = ringingPair();
    call.remove('ann', 'bob');
    expect(call.end.reason).toBe('CANCELLED');
    expect(call.participant('bob')).toMatchObject({ status: 'LEFT', leaveReason: 'REMOVED' });
  });
});

describe('a pair', () => {
  it.each(['ann', 'bob'])('ends as HANGUP when %s leaves', (userId) => {
    const call = activePair().wait(90 * SECOND);
    expect(call.leave(userId)).toBe('ok');
    expect(call.end).toEqual({ reason: 'HANGUP', by: userId });
    expect(call.statuses).toEqual({ ann: 'LEFT', bob: 'LEFT' });
    expect(call.participant(userId).leaveReason).toBe('HANGUP');
    expect(call.participant(userId === 'ann' ? 'bob' : 'ann').leaveReason).toBe('CALL_ENDED');
  });

  it.each(['ann', 'bob'])('is ended by %s: either may', (userId) => {
    const call = activePair();
    expect(call.endCall(userId)).toBe('ok');
    expect(call.end).toEqual({ reason: 'HANGUP', by: userId });
  });

  it.each(['ann', 'bob'])('ends as CONNECTION_LOST when the seat of %s is lost', (userId) => {
    const call = activePair();
    call.loseStream(userId);
    call.pass(GRACE);
    expect(call.end).toEqual({ reason: 'CONNECTION_LOST', by: null });
    expect(call.participant(userId).leaveReason).toBe('DISCONNECTED');
  });

  it('ends, by the host, when the host removes the other', () => {
    const call = activePair();
    call.remove('ann', 'bob');
    expect(call.end).toEqual({ reason: 'HANGUP', by: 'ann' });
    expect(call.participant('bob').leaveReason).toBe('REMOVED');
  });

  it('is a group from the moment a third is invited, for good', () => {
    const call = activePair();
    call.invite('bob', 'cat');
    call.decline('cat');
    expect(call.endCall('bob')).toBe('NOT_THE_HOST');
    call.leave('bob');
    expect(call.call.status).toBe('ACTIVE');
  });

  it('stays one when the same two are invited again', () => {
    const call = activePair();
    call.invite('ann', 'bob');
    call.leave('bob');
    expect(call.end.reason).toBe('HANGUP');
  });
});

describe('a group', () => {
  it('goes on while someone is in it, and ends when the last one leaves', () => {
    const call = activeGroup();
    call.leave('ann');
    call.leave('cat');
    expect(call.call.status).toBe('ACTIVE');
    call.leave('bob');
    expect(call.end).toEqual({ reason: 'HANGUP', by: 'bob' });
  });

  it('ends as CONNECTION_LOST where the last seat is lost', () => {
    const call = aloneInGroup();
    call.loseStream('ann');
    call.pass(GRACE);
    expect(call.end).toEqual({ reason: 'CONNECTION_LOST', by: null });
  });

  it('is ended by its host for all', () => {
    const call = activeGroup();
    call.endCall('ann');
    expect(call.end).toEqual({ reason: 'ENDED_BY_HOST', by: 'ann' });
    for (const userId of ['ann', 'bob', 'cat']) {
      expect(call.participant(userId)).toMatchObject({ status: 'LEFT', leaveReason: 'CALL_ENDED' });
    }
  });

  it('stops the rings that are still open when it ends', () => {
    const call = ringingGroup().connect('bob');
    call.endCall('ann');
    expect(call.participant('cat')).toMatchObject({ status: 'MISSED', ringDeadline: null });
  });
});

describe('the host', () => {
  it('who leaves hands over to whoever has been in it longest', () => {
    const call = activeGroup();
    call.leave('ann');
    expect(call.hosts).toEqual(['bob']);
    call.leave('bob');
    expect(call.hosts).toEqual(['cat']);
  });

  it('is whoever has been in it longest of now: who came back has not', () => {
    const call = activeGroup();
    call.leave('bob');
    call.wait(SECOND).join('bob');
    call.leave('ann');
    expect(call.hosts).toEqual(['cat']);
  });

  it('who moves to another device has been in it all along', () => {
    const call = activeGroup().wait(SECOND);
    call.join('bob', 'bob-2', true);
    call.leave('ann');
    expect(call.hosts).toEqual(['bob']);
  });

  it('whose seat is lost hands over too', () => {
    const call = activeGroup();
    call.loseStream('ann');
    call.wait(SECOND);
    expect(call.hosts).toEqual(['ann']);
    call.pass(GRACE);
    expect(call.hosts).toEqual(['bob']);
    expect(call.participant('ann').role).toBe('GUEST');
  });

  it('who comes back is a guest', () => {
    const call = activeGroup();
    call.leave('ann');
    call.join('ann');
    expect(call.hosts).toEqual(['bob']);
  });

  it('stays host over a takeover, and when a guest leaves', () => {
    const call = activeGroup();
    call.join('ann', 'ann-2', true);
    call.leave('bob');
    expect(call.hosts).toEqual(['ann']);
  });
});

describe('a call that is over', () => {
  it('stays as it ended: ending twice is the same as once', () => {
    const call = activePair().wait(5 * SECOND);
    call.endCall('ann');
    const before = call.call;
    call.wait(SECOND);
    expect(call.endCall('bob')).toBe('ok');
    expect(call.endCall('ann')).toBe('ok');
    expect(call.terminate()).toBe('ok');
    call.loseStream('ann').loseInstance();
    call.pass(LIMITS.maxCallDurationMs);
    expect(call.call).toEqual(before);
  });

  it('lasted from its answer to its end, in whole seconds', () => {
    const call = ringingPair().wait(30 * SECOND);
    call.join('bob');
    call.openStream('bob');
    call.wait(61_999).endCall('bob');
    expect(call.view).toMatchObject({ endedAt: START + 91_999, durationSeconds: 61 });
  });

  it.each([ringingGroup, activeGroup])('may have been ended by an administrator, seat or not', (make) => {
    const call = make();
    expect(call.terminate('root')).toBe('ok');
    expect(call.end).toEqual({ reason: 'TERMINATED', by: 'root' });
  });
});

describe('two people who call each other at once', () => {
  it('are in one call: the second joins the first one’s', () => {
    const call = ringingPair();
    expect(call.callAgain('bob')).toBe('joinedExisting');
    expect(call.view.status).toBe('ACTIVE');
    expect(call.participant('bob').status).toBe('CONNECTING');
  });

  it('same session: that call, unchanged', () => {
    const call = activePair();
    const before = call.view;
    expect(call.callAgain('ann')).toBe('ok');
    expect(call.view).toEqual(before);
  });

  it('C1: another session of one who is in it: ALREADY_IN_CALL', () => {
    const call = activePair();
    expect(call.callAgain('ann', 'ann-2')).toBe('ALREADY_IN_CALL');
  });

  it('one whose ring was declined joins all the same', () => {
    const call = ringingGroup();
    call.decline('bob');
    expect(call.callAgain('bob')).toBe('joinedExisting');
  });

  it('the call is theirs until someone is invited, or removed, or it is over', () => {
    expect(ringingPair().call.peopleKey).toBe('people');
    const invited = activePair();
    invited.invite('ann', 'cat');
    const removed = activeGroup();
    removed.remove('ann', 'cat');
    const ended = activePair();
    ended.endCall('ann');
    for (const call of [invited, removed, ended]) expect(call.call.peopleKey).toBeNull();
    const unchanged = activeGroup();
    unchanged.leave('cat');
    unchanged.invite('ann', 'bob');
    expect(unchanged.call.peopleKey).toBe('people');
  });
});

describe('one who is removed from the conversation', () => {
  it('is out of the group', () => {
    const call = activeGroup().dropMember('ann');
    expect(call.participant('ann')).toMatchObject({ status: 'LEFT', leaveReason: 'MEMBERSHIP_LOST' });
    expect(call.hosts).toEqual(['bob']);
    expect(call.call.status).toBe('ACTIVE');
  });

  it('is out of the pair, which ends', () => {
    const call = activePair().dropMember('bob');
    expect(call.participant('bob').leaveReason).toBe('MEMBERSHIP_LOST');
    expect(call.end).toEqual({ reason: 'HANGUP', by: null });
  });

  it('is rung no more', () => {
    const call = ringingGroup().dropMember('bob');
    expect(call.participant('bob')).toMatchObject({ status: 'LEFT', leaveReason: 'MEMBERSHIP_LOST' });
    expect(call.call.status).toBe('RINGING');
    call.dropMember('cat');
    expect(call.call.status).toBe('ENDED');
  });

  it('ends the call that rings where it was the caller', () => {
    const call = ringingGroup().dropMember('ann');
    expect(call.end).toEqual({ reason: 'CANCELLED', by: null });
  });

  it('is out before anything else is decided', () => {
    const call = activeGroup();
    call.members.delete('bob');
    expect(call.setMedia('bob', { muted: true })).toBe('NOT_A_MEMBER');
    expect(call.participant('bob').status).toBe('LEFT');
  });
});
