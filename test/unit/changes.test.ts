import { describe, expect, it } from 'vitest';
import type { StateEvent } from '../../src/calls/call-view.ts';
import { changeBetween } from '../../src/calls/changes.ts';
import {
  activeGroup,
  activePair,
  HOUR,
  LIMITS,
  LiveCall,
  ringingGroup,
  ringingPair,
  SECOND,
} from '../support/call-states.ts';

/** `bob` for a change of bob, else the kind of event. */
function told(call: LiveCall): string[] {
  return call.lastChange.events.map((event: StateEvent) =>
    event.__typename === 'ParticipantChanged' ? event.participant.userId : event.__typename,
  );
}

/** Whose ring the newest version started or stopped. */
function rung(call: LiveCall): readonly string[] {
  return call.lastChange.rings?.userIds ?? [];
}

describe('what participants are told', () => {
  it('of a new call: the call', () => {
    const call = new LiveCall();
    expect(call.lastChange.events).toEqual([{ __typename: 'CallChanged', call: call.view }]);
  });

  it('of the answer: who joined, and that the call is active', () => {
    const call = ringingPair();
    call.join('bob');
    expect(told(call)).toEqual(['bob', 'CallChanged']);
    expect(call.lastChange.events.at(-1)).toEqual({ __typename: 'CallChanged', call: call.view });
  });

  it.each<[string, (call: LiveCall) => unknown, string[]]>([
    ['a stream that opens', (call) => call.openStream('cat'), ['cat']],
    ['a stream that is lost', (call) => call.loseStream('bob'), ['bob']],
    ['an instance that is dead', (call) => call.loseInstance(), ['ann', 'bob']],
    ['a takeover', (call) => call.join('bob', 'bob-2', true), ['bob']],
    ['an invitation', (call) => call.invite('ann', 'dan', 'eve'), ['dan', 'eve']],
    ['a decline', (call) => call.decline('dan'), ['dan']],
    ['a mute', (call) => call.mute('ann', 'bob'), ['bob']],
    ['media state', (call) => call.setMedia('bob', { screenOn: true }), ['bob']],
    ['a removal', (call) => call.remove('ann', 'cat'), ['cat']],
    ['a leave', (call) => call.leave('bob'), ['bob']],
    ['a leave of the host: of the new one too', (call) => call.leave('ann'), ['ann', 'bob']],
  ])('of %s: each participant who changed, and no other', (_name, change, users) => {
    const call = ringingGroup({ callees: ['bob', 'cat'] }).connect('bob');
    call.join('cat');
    if (users.includes('dan') && users.length === 1) call.invite('ann', 'dan');
    const { version } = call.call;
    change(call);
    expect(told(call)).toEqual(users);
    expect(call.call.version).toBe(version + 1);
    for (const event of call.lastChange.events) {
      if (event.__typename !== 'ParticipantChanged') continue;
      expect(event).toMatchObject({
        participant: call.participant(event.participant.userId),
        version: version + 1,
      });
    }
  });

  it('of the end of a pair: who left, and the end; what the end did to the other stands in it', () => {
    const call = activePair();
    call.leave('bob');
    expect(told(call)).toEqual(['bob', 'CallEnded']);
    expect(call.lastChange).toMatchObject({
      ended: true,
      events: [{ participant: { leaveReason: 'HANGUP' } }, { __typename: 'CallEnded', call: call.view }],
    });
  });

  it('of the end of a group by its host: the end alone, last on the stream', () => {
    const call = ringingGroup().connect('bob');
    call.endCall('ann');
    expect(call.lastChange.events).toEqual([{ __typename: 'CallEnded', call: call.view }]);
  });

  it('of a call that expires: when; it is no other change of the call', () => {
    const call = activePair().pass(23 * HOUR);
    expect(call.lastChange.events).toEqual([{ __typename: 'CallExpiring', expiresAt: call.view.expiresAt }]);
    expect(call.lastChange).toMatchObject({ seats: {}, rings: null, ended: false });
  });

  it('of what the public does not see: nothing, and no version', () => {
    const call = activePair();
    const { version } = call.call;
    call.openStream('bob', 'bob-b', 'bob-1', 'two');
    expect(call.call.participants[1]?.seat).toMatchObject({ streamId: 'bob-b', instanceId: 'two' });
    expect(call.call.version).toBe(version);
    expect(changeBetween(call.call, call.call, [])).toEqual({
      events: [],
      seats: {},
      rings: null,
      ended: false,
    });
  });

  it('is the same when derived once more from the same states', () => {
    const call = ringingGroup();
    const before = structuredClone(call.call);
    call.wait(SECOND).connect('bob');
    const facts = [...call.facts];
    const once = changeBetween(before, call.call, facts);
    expect(changeBetween(structuredClone(before), structuredClone(call.call), facts)).toEqual(once);
    expect(JSON.parse(JSON.stringify(once))).toEqual(once);
  });

  it('carries the participant’s fields, and no seat of who is not in the call', () => {
    const call = activeGroup();
    call.leave('cat');
    expect(call.participant('cat')).toEqual({
      id: `${call.call.id}:cat`,
      userId: 'cat',
      role: 'GUEST',
      status: 'LEFT',
      sessionId: null,
      joinSeq: null,
      media: { muted: false, videoOn: true, screenOn: false },
      invitedAt: call.call.createdAt,
      ringDeadline: null,
      declinedBusy: false,
      joinedAt: call.call.createdAt + 2 * SECOND,
      leftAt: call.now,
      leaveReason: 'HANGUP',
    });
  });
});

describe('the seats of the log', () => {
  it('are told of each new tenure and of each seat that is given up', () => {
    const call = new LiveCall();
    expect(call.lastChange.seats).toEqual({ ann: { joinSeq: 1, sessionId: 'ann-1' } });
    call.join('bob');
    expect(call.lastChange.seats).toEqual({ bob: { joinSeq: 2, sessionId: 'bob-1' } });
    call.join('bob', 'bob-2', true);
    expect(call.lastChange.seats).toEqual({ bob: { joinSeq: 3, sessionId: 'bob-2' } });
    call.leave('bob', 'bob-2');
    expect(call.lastChange.seats).toEqual({ ann: null, bob: null });
  });

  it('stay where only their stream comes and goes', () => {
    const call = activePair().loseStream('bob');
    expect(call.lastChange.seats).toEqual({});
    call.openStream('bob', 'bob-b');
    expect(call.lastChange.seats).toEqual({});
  });

  it('are kept for any user id', () => {
    const odd = ['__proto__', 'constructor'];
    const call = ringingPair({ callees: odd, members: ['ann', ...odd] });
    call.join('__proto__');
    call.join('constructor');
    call.leave('__proto__');
    const changes = JSON.parse(JSON.stringify(call.changes)) as typeof call.changes;
    expect(changes.slice(-3).map(({ seats }) => Object.entries(seats))).toEqual([
      [['__proto__', { joinSeq: 2, sessionId: '__proto__-1' }]],
      [['constructor', { joinSeq: 3, sessionId: 'constructor-1' }]],
      [['__proto__', null]],
    ]);
    expect(call.lastChange.events).toMatchObject([{ participant: { userId: '__proto__' } }]);
  });
});

describe('rings', () => {
  it('start for whoever is called or invited', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    expect(call.lastChange.rings).toEqual({ userIds: ['bob', 'cat'], call: call.view });
    call.invite('ann', 'dan');
    expect(rung(call)).toEqual(['dan']);
  });

  it.each<[string, (call: LiveCall) => unknown]>([
    ['an accept', (call) => call.join('bob')],
    ['a decline', (call) => call.decline('bob')],
    ['a removal', (call) => call.remove('ann', 'bob')],
    ['a lost membership', (call) => call.dropMember('bob')],
  ])('stop with %s, for that user alone', (_name, stop) => {
    const call = ringingGroup();
    stop(call);
    expect(rung(call)).toEqual(['bob']);
  });

  it('stop for all when the call ends, or they run out', () => {
    const cancelled = ringingGroup();
    cancelled.leave('ann');
    expect(rung(cancelled)).toEqual(['bob', 'cat']);
    expect(rung(ringingGroup().pass(LIMITS.ringTimeoutMs))).toEqual(['bob', 'cat']);
  });

  it('are nobody’s where no ring started or stopped', () => {
    const call = activePair();
    call.mute('ann', 'bob');
    expect(call.lastChange.rings).toBeNull();
    call.endCall('ann');
    expect(call.lastChange.rings).toBeNull();
  });
});
