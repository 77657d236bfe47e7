import { describe, expect, it } from 'vitest';
import { checkInitiation } from '../../src/calls/initiate.ts';
import type { InitiateCallInput } from '../../src/graphql/services.ts';
import {
  activeGroup,
  activePair,
  LIMITS,
  LiveCall,
  MINUTE,
  ringingGroup,
  ringingPair,
  SECOND,
} from '../support/call-states.ts';

const FULL_OF_TWO = { limits: { maxParticipants: 2 } };

/** A group that rang too long: ended NO_ANSWER. */
function rangOut(): LiveCall {
  return ringingGroup().pass(LIMITS.ringTimeoutMs);
}

describe('joining once (C1)', () => {
  it('C1: a second session is refused while the first one is connected', () => {
    const call = activePair();
    const before = call.view;
    expect(call.join('bob', 'bob-2')).toBe('ALREADY_IN_CALL');
    expect(call.view).toEqual(before);
  });

  it('C1: a second session is refused while the first one has not opened its stream yet', () => {
    const call = ringingPair();
    call.join('bob', 'bob-1');
    expect(call.join('bob', 'bob-2')).toBe('ALREADY_IN_CALL');
    expect(call.participant('bob').sessionId).toBe('bob-1');
  });

  it('C1: the repeat of the same session is harmless and keeps its joinSeq', () => {
    const call = activePair();
    const before = call.view;
    expect(call.join('bob', 'bob-1')).toBe('rejoined');
    expect(call.join('bob', 'bob-1', true)).toBe('rejoined');
    expect(call.view).toEqual(before);
  });

  it('C1: the caller is in the call from the start, so another session of hers is a second one', () => {
    const call = new LiveCall();
    expect(call.join('ann', 'ann-1')).toBe('rejoined');
    expect(call.join('ann', 'ann-2')).toBe('ALREADY_IN_CALL');
  });
});

describe('the largest number in a call (H1)', () => {
  it('H1: one more than the limit is refused, and changes nothing', () => {
    const call = activeGroup({ callees: ['bob', 'cat', 'dan'] });
    const before = call.view;
    expect(call.join('dan')).toBe('CALL_FULL');
    expect(call.view).toEqual(before);
  });

  it('H1: a seat that is given up is free for another', () => {
    const call = activeGroup({ callees: ['bob', 'cat', 'dan'] });
    call.leave('bob');
    expect(call.join('dan')).toBe('ok');
    expect(call.join('bob')).toBe('CALL_FULL');
  });

  it('H1: those who connect or reconnect count as in the call', () => {
    const call = ringingGroup({ callees: ['bob', 'cat', 'dan'] }).connect('bob');
    call.loseStream('bob');
    call.join('cat');
    expect(call.statuses).toMatchObject({ ann: 'CONNECTED', bob: 'RECONNECTING', cat: 'CONNECTING' });
    expect(call.join('dan')).toBe('CALL_FULL');
  });

  it('H1: a session that takes over needs no place of its own', () => {
    const call = activeGroup();
    expect(call.join('bob', 'bob-2', true)).toBe('ok');
  });

  it('H1: calling the same people again is no way around it', () => {
    const call = ringingGroup(FULL_OF_TWO).connect('bob');
    expect(call.callAgain('cat')).toBe('CALL_FULL');
  });
});

describe('only the invited join (H3)', () => {
  it('H3: a stranger hears that there is no such call', () => {
    expect(ringingPair().join('sam')).toBe('CALL_NOT_FOUND');
  });

  it('H3: a member of the conversation who was not invited is refused', () => {
    const call = ringingPair();
    expect(call.join('cat')).toBe('NOT_INVITED');
    expect(call.statuses).toEqual({ ann: 'CONNECTED', bob: 'RINGING' });
  });

  it('H3: one who was invited and is a member no more is refused', () => {
    const call = activeGroup();
    call.leave('cat');
    call.members.delete('cat');
    expect(call.join('cat')).toBe('NOT_A_MEMBER');
    call.members.add('cat');
    expect(call.join('cat')).toBe('ok');
  });

  it('H3: one who was removed is refused until invited again', () => {
    const call = activeGroup();
    call.remove('ann', 'cat');
    expect(call.join('cat')).toBe('NOT_INVITED');
    call.invite('bob', 'cat');
    expect(call.join('cat')).toBe('ok');
  });

  it('H3: one whose invitation was taken back while it rang is refused', () => {
    const call = ringingGroup().connect('bob');
    call.remove('ann', 'cat');
    expect(call.join('cat')).toBe('NOT_INVITED');
  });

  const commands: [string, (call: LiveCall, userId: string) => unknown][] = [
    ['decline', (call, userId) => call.decline(userId)],
    ['leave', (call, userId) => call.leave(userId)],
    ['end', (call, userId) => call.endCall(userId)],
    ['invite', (call, userId) => call.invite(userId, 'dan')],
    ['remove', (call, userId) => call.remove(userId, 'bob')],
    ['mute', (call, userId) => call.mute(userId, 'bob')],
    ['say what they send', (call, userId) => call.setMedia(userId, { muted: true })],
    ['open a stream', (call, userId) => call.openStream(userId)],
    ['call the same people', (call, userId) => call.callAgain(userId)],
  ];
  it.each(commands)('H3: nor may the uninvited %s', (_name, command) => {
    const call = activePair();
    call.decide(() => null);
    const before = call.call;
    expect(command(call, 'sam')).toBe('CALL_NOT_FOUND');
    expect(command(call, 'cat')).toBe('NOT_INVITED');
    call.invite('ann', 'cat');
    call.decline('cat');
    call.members.delete('cat');
    expect(command(call, 'cat')).toBe('NOT_A_MEMBER');
    expect(call.view.participants.slice(0, 2)).toEqual(
      before.participants.map(({ userId }) => call.participant(userId)),
    );
  });
});

describe('a ring that is over (M2)', () => {
  it('M2: a call that rang too long can not be joined', () => {
    expect(rangOut().join('bob')).toBe('CALL_EXPIRED');
  });

  it('M2: nor where the sweeper has not been there yet', () => {
    const call = ringingPair().wait(LIMITS.ringTimeoutMs);
    expect(call.call.status).toBe('RINGING');
    expect(call.join('bob')).toBe('CALL_EXPIRED');
    expect(call.end).toEqual({ reason: 'NO_ANSWER', by: null });
  });

  it('M2: the last millisecond of the ring still counts', () => {
    const call = ringingPair().wait(LIMITS.ringTimeoutMs - 1);
    expect(call.join('bob')).toBe('ok');
  });

  it('M2: one whose ring ran out is refused while the call still rings for another', () => {
    const call = ringingPair().wait(4 * MINUTE);
    call.invite('ann', 'cat');
    call.pass(MINUTE);
    expect(call.statuses).toMatchObject({ bob: 'MISSED', cat: 'RINGING' });
    expect(call.join('bob')).toBe('CALL_EXPIRED');
  });

  it.each(['MISSED', 'DECLINED', 'LEFT'] as const)('%s ends the ring, not the right to join', (status) => {
    const call = ringingGroup().connect('bob');
    if (status === 'MISSED') call.pass(LIMITS.ringTimeoutMs);
    if (status === 'DECLINED') call.decline('cat', true);
    if (status === 'LEFT') {
      call.connect('cat');
      call.leave('cat');
    }
    expect(call.participant('cat').status).toBe(status);
    expect(call.join('cat', 'cat-2')).toBe('ok');
    expect(call.participant('cat')).toMatchObject({ status: 'CONNECTING', leftAt: null, leaveReason: null });
  });

  it('being busy is kept', () => {
    const call = ringingGroup();
    call.decline('bob', true);
    call.decline('cat', false);
    expect(call.participant('bob').declinedBusy).toBe(true);
    expect(call.participant('cat').declinedBusy).toBe(false);
  });
});

describe('the order of refusals', () => {
  it('CALL_NOT_FOUND comes before NOT_A_MEMBER', () => {
    expect(ringingPair({ members: ['ann', 'bob'] }).join('cat')).toBe('CALL_NOT_FOUND');
  });

  it('NOT_A_MEMBER comes before NOT_INVITED', () => {
    const call = activeGroup();
    call.remove('ann', 'cat');
    call.members.delete('cat');
    expect(call.join('cat')).toBe('NOT_A_MEMBER');
  });

  it('NOT_INVITED comes before CALL_EXPIRED', () => {
    const call = ringingGroup();
    call.remove('ann', 'cat');
    call.pass(LIMITS.ringTimeoutMs);
    expect(call.end.reason).toBe('NO_ANSWER');
    expect(call.join('cat')).toBe('NOT_INVITED');
    expect(call.join('dan')).toBe('NOT_INVITED');
  });

  it('NOT_A_MEMBER comes before CALL_EXPIRED, and CALL_NOT_FOUND too', () => {
    const call = rangOut();
    call.members.delete('bob');
    expect(call.join('bob')).toBe('NOT_A_MEMBER');
    expect(call.join('sam')).toBe('CALL_NOT_FOUND');
  });

  it('CALL_EXPIRED comes before CALL_ENDED', () => {
    const call = rangOut();
    expect(call.join('bob')).toBe('CALL_EXPIRED');
    expect(call.join('ann', 'ann-2')).toBe('CALL_EXPIRED');
  });

  it('CALL_EXPIRED is the answer to a join alone', () => {
    const call = rangOut();
    expect([call.decline('bob'), call.leave('bob'), call.invite('ann', 'dan')]).toEqual([
      'CALL_ENDED',
      'CALL_ENDED',
      'CALL_ENDED',
    ]);
  });

  it('a call that ended for another reason is CALL_ENDED, also for one whose ring ran out', () => {
    const call = ringingGroup().connect('bob').pass(LIMITS.ringTimeoutMs);
    call.endCall('ann');
    expect(call.participant('cat').status).toBe('MISSED');
    expect(call.join('cat')).toBe('CALL_ENDED');
  });

  it('CALL_ENDED comes before ALREADY_IN_CALL: nobody is in a call that is over', () => {
    const call = activePair();
    call.endCall('ann');
    expect(call.join('bob', 'bob-1')).toBe('CALL_ENDED');
    expect(call.join('bob', 'bob-2')).toBe('CALL_ENDED');
  });

  it('CALL_EXPIRED comes before CALL_FULL', () => {
    const call = ringingGroup({ limits: { maxParticipants: 1 } });
    call.decline('bob');
    expect(call.join('bob')).toBe('CALL_EXPIRED');
    expect(call.join('cat')).toBe('CALL_FULL');
  });

  it('ALREADY_IN_CALL comes before CALL_FULL', () => {
    expect(activePair(FULL_OF_TWO).join('bob', 'bob-2')).toBe('ALREADY_IN_CALL');
  });

  it('NOT_INVITED comes before CALL_FULL', () => {
    expect(activePair(FULL_OF_TWO).join('cat')).toBe('NOT_INVITED');
  });

  it('NOT_IN_CALL comes before NOT_THE_HOST', () => {
    const call = ringingGroup({ callees: ['bob', 'cat', 'dan'] }).connect('bob');
    expect([call.endCall('cat'), call.endCall('bob')]).toEqual(['NOT_IN_CALL', 'NOT_THE_HOST']);
    expect([call.mute('cat', 'bob'), call.mute('bob', 'ann')]).toEqual(['NOT_IN_CALL', 'NOT_THE_HOST']);
    expect([call.remove('cat', 'bob'), call.remove('bob', 'cat')]).toEqual(['NOT_IN_CALL', 'NOT_THE_HOST']);
  });

  it('of a call that is over every command but its harmless repeats says so', () => {
    const call = activePair();
    call.endCall('ann');
    const before = call.call;
    expect(call.decline('bob')).toBe('CALL_ENDED');
    expect(call.invite('ann', 'cat')).toBe('CALL_ENDED');
    expect(call.remove('ann', 'bob')).toBe('CALL_ENDED');
    expect(call.mute('ann', 'bob')).toBe('CALL_ENDED');
    expect(call.setMedia('ann', { muted: true })).toBe('CALL_ENDED');
    expect(call.openStream('ann')).toBe('CALL_ENDED');
    expect(call.leave('bob', 'bob-2')).toBe('CALL_ENDED');
    expect(call.call).toEqual(before);
  });
});

describe('leaving', () => {
  it('is for the session that holds the seat; another one is STALE_SESSION and changes nothing', () => {
    const call = activeGroup();
    const before = call.view;
    expect(call.leave('bob', 'bob-2')).toBe('STALE_SESSION');
    expect(call.view).toEqual(before);
  });

  it('is no longer for the session whose seat was taken over', () => {
    const call = activePair();
    call.join('bob', 'bob-2', true);
    expect(call.leave('bob', 'bob-1')).toBe('STALE_SESSION');
    expect(call.leave('bob', 'bob-2')).toBe('ok');
  });

  it('is harmless when repeated, also once the call is over', () => {
    const call = activeGroup();
    call.leave('bob');
    const before = call.view;
    expect(call.leave('bob')).toBe('ok');
    expect(call.view).toEqual(before);
    call.endCall('ann');
    expect(call.leave('bob')).toBe('ok');
  });

  it('is NOT_IN_CALL for one who has no seat', () => {
    expect(ringingPair().leave('bob')).toBe('NOT_IN_CALL');
  });
});

describe('declining', () => {
  it('is ignored after an accept on another device', () => {
    const call = activePair();
    const before = call.view;
    expect(call.decline('bob', true)).toBe('ok');
    expect(call.view).toEqual(before);
  });

  it('is harmless when repeated, also once the call is over for it', () => {
    const call = ringingPair();
    call.decline('bob', true);
    const before = call.view;
    expect(call.decline('bob', false)).toBe('ok');
    expect(call.view).toEqual(before);
  });

  it('comes too late once the ring ran out', () => {
    const call = ringingPair().wait(LIMITS.ringTimeoutMs);
    expect(call.decline('bob')).toBe('CALL_ENDED');
    expect(call.participant('bob').status).toBe('MISSED');
  });
});

describe('inviting', () => {
  it('is for anyone with a seat', () => {
    const call = activePair();
    expect(call.invite('bob', 'cat')).toBe('ok');
    expect(call.participant('cat')).toMatchObject({
      status: 'RINGING',
      role: 'GUEST',
      invitedAt: call.now,
      ringDeadline: call.now + LIMITS.ringTimeoutMs,
    });
    expect(call.invite('cat', 'dan')).toBe('NOT_IN_CALL');
  });

  it('is for members of the conversation: one who is none refuses all', () => {
    const call = activePair();
    expect(call.invite('ann', 'cat', 'sam')).toBe('INVALID_CALLEE');
    expect(call.statuses).toEqual({ ann: 'CONNECTED', bob: 'CONNECTED' });
  });

  it('needs someone other than oneself', () => {
    expect(activePair().invite('ann', 'ann')).toBe('NO_CALLEES');
    expect(activePair().invite('ann')).toBe('NO_CALLEES');
  });

  it('leaves those alone who are in the call or being rung', () => {
    const call = ringingPair().wait(SECOND);
    const before = call.view;
    expect(call.invite('ann', 'bob')).toBe('ok');
    expect(call.view).toEqual(before);
    call.connect('bob');
    const then = call.view;
    expect(call.invite('ann', 'bob')).toBe('ok');
    expect(call.view).toEqual(then);
  });

  it('rings again, and anew, for one who declined, missed, left or was removed', () => {
    const call = activeGroup({ callees: ['bob', 'cat', 'dan'] });
    call.decline('dan', true);
    call.leave('bob');
    call.remove('ann', 'cat');
    call.wait(SECOND);
    expect(call.invite('ann', 'bob', 'cat', 'dan')).toBe('ok');
    expect(call.statuses).toMatchObject({ bob: 'RINGING', cat: 'RINGING', dan: 'RINGING' });
    expect(call.participant('dan')).toMatchObject({ invitedAt: call.now, declinedBusy: false });
  });

  it('has a largest number of people over the life of the call, gone or not', () => {
    const call = activeGroup();
    call.remove('ann', 'cat');
    expect(call.invite('ann', 'dan', 'eve')).toBe('ok');
    call.decline('dan');
    expect(call.invite('ann', 'fay')).toBe('TOO_MANY_CALLEES');
    expect(call.invite('ann', 'cat', 'dan')).toBe('ok');
    expect(call.statuses).not.toHaveProperty('fay');
  });
});

describe('what only the host may do', () => {
  it('removing: the seat goes, and the right to join', () => {
    const call = activeGroup();
    expect(call.remove('bob', 'cat')).toBe('NOT_THE_HOST');
    expect(call.remove('ann', 'cat')).toBe('ok');
    expect(call.participant('cat')).toMatchObject({
      status: 'LEFT',
      sessionId: null,
      leaveReason: 'REMOVED',
      leftAt: call.now,
    });
  });

  it('removing is harmless when repeated, is not for oneself, and is for those who were invited', () => {
    const call = activeGroup();
    call.remove('ann', 'cat');
    const before = call.view;
    expect(call.remove('ann', 'cat')).toBe('ok');
    expect(call.remove('ann', 'ann')).toBe('INVALID_INPUT');
    expect(call.remove('ann', 'dan')).toBe('INVALID_INPUT');
    expect(call.view).toEqual(before);
  });

  it('muting', () => {
    const call = activeGroup();
    expect(call.mute('bob', 'cat')).toBe('NOT_THE_HOST');
    expect(call.mute('ann', 'cat')).toBe('ok');
    expect(call.participant('cat').media).toEqual({ muted: true, videoOn: true, screenOn: false });
  });

  it('muting is harmless when repeated, and needs someone who is in the call', () => {
    const call = ringingGroup().connect('bob');
    call.mute('ann', 'bob');
    const before = call.view;
    expect(call.mute('ann', 'bob')).toBe('ok');
    expect(call.view).toEqual(before);
    expect(call.mute('ann', 'cat')).toBe('RECIPIENT_NOT_IN_CALL');
  });

  it('ending a group', () => {
    const call = activeGroup();
    expect(call.endCall('bob')).toBe('NOT_THE_HOST');
    expect(call.call.status).toBe('ACTIVE');
    expect(call.endCall('ann')).toBe('ok');
  });

  it('goes with the role, not with having called', () => {
    const call = activeGroup();
    call.leave('ann');
    call.join('ann', 'ann-2');
    expect(call.mute('ann', 'cat')).toBe('NOT_THE_HOST');
    expect(call.mute('bob', 'cat')).toBe('ok');
  });
});

describe('media state', () => {
  it('is for the session that holds the seat', () => {
    const call = activePair();
    expect(call.setMedia('bob', { muted: true }, 'bob-2')).toBe('STALE_SESSION');
    expect(call.participant('bob').media.muted).toBe(false);
    expect(ringingPair().setMedia('bob', { muted: true })).toBe('NOT_IN_CALL');
  });

  it('changes what is named and keeps the rest; one who was muted by the host unmutes', () => {
    const call = activePair();
    call.mute('ann', 'bob');
    expect(call.setMedia('bob', { screenOn: true })).toBe('ok');
    expect(call.participant('bob').media).toEqual({ muted: true, videoOn: true, screenOn: true });
    expect(call.setMedia('bob', { muted: false, videoOn: false })).toBe('ok');
    expect(call.participant('bob').media).toEqual({ muted: false, videoOn: false, screenOn: true });
  });

  it('that says nothing new changes nothing', () => {
    const call = activePair();
    const { version } = call.call;
    expect(call.setMedia('bob', { videoOn: true })).toBe('ok');
    expect(call.call.version).toBe(version);
  });
});

describe('starting a call', () => {
  const input: InitiateCallInput = {
    conversationId: 'room',
    calleeIds: ['bob'],
    type: 'AUDIO',
    sessionId: 'ann-1',
    ringTimeoutSeconds: null,
    idempotencyKey: null,
  };
  const check = (change: Partial<InitiateCallInput>) =>
    checkInitiation('ann', { ...input, ...change }, LIMITS);

  it('takes each callee once, and not the caller', () => {
    expect(check({ calleeIds: ['bob', 'ann', 'cat', 'bob'] })).toEqual({
      calleeIds: ['bob', 'cat'],
      ringTimeoutMs: LIMITS.ringTimeoutMs,
    });
  });

  it('needs a callee other than the caller', () => {
    expect(check({ calleeIds: ['ann'] })).toMatchObject({ code: 'NO_CALLEES' });
    expect(check({ calleeIds: [] })).toMatchObject({ code: 'NO_CALLEES' });
  });

  it('invites MAX_INVITEES at most', () => {
    const calleeIds = ['b', 'c', 'd', 'e'];
    expect(check({ calleeIds })).toMatchObject({ calleeIds });
    expect(check({ calleeIds: [...calleeIds, 'f'] })).toMatchObject({ code: 'TOO_MANY_CALLEES' });
  });

  it('may ask for a shorter ring, not for a longer one', () => {
    expect(check({ ringTimeoutSeconds: 1 })).toMatchObject({ ringTimeoutMs: 1_000 });
    expect(check({ ringTimeoutSeconds: 300 })).toMatchObject({ ringTimeoutMs: 300_000 });
    for (const ringTimeoutSeconds of [0, -1, 1.5, 301]) {
      expect(check({ ringTimeoutSeconds })).toMatchObject({ code: 'INVALID_INPUT' });
    }
  });
});
