import { describe, expect, it } from 'vitest';
import { nextDeadline } from '../../src/calls/deadlines.ts';
import {
  activeGroup,
  activePair,
  aloneInGroup,
  HOUR,
  LIMITS,
  LiveCall,
  MINUTE,
  ringingGroup,
  ringingPair,
  SECOND,
  START,
} from '../support/call-states.ts';

const DAY = 24 * HOUR;
const { disconnectGraceMs: GRACE, aloneTimeoutMs: ALONE, ringTimeoutMs: RING } = LIMITS;

/** Kinds of facts about a call, in the order in which they came about. */
function kinds(call: LiveCall, ...of: string[]): string[] {
  return call.facts.map(({ kind }) => kind as string).filter((kind) => of.includes(kind));
}

describe('the longest duration of a call (C2)', () => {
  it('C2: it ends, from its start and not from its answer, with what it had', () => {
    const call = activePair().pass(24 * HOUR - SECOND - 1);
    expect(call.call.status).toBe('ACTIVE');
    call.pass(1);
    expect(call.call.endedAt).toBe(START + 24 * HOUR);
    expect(call.end).toEqual({ reason: 'MAX_DURATION', by: null });
    expect(call.participant('bob').leaveReason).toBe('CALL_ENDED');
    expect(call.facts.at(-1)).toMatchObject({ kind: 'ENDED', detail: 'MAX_DURATION' });
  });

  it('C2: it is warned of an hour before, once', () => {
    const call = activePair().pass(23 * HOUR - SECOND - 1);
    expect(kinds(call, 'EXPIRING')).toEqual([]);
    call.pass(1);
    expect(kinds(call, 'EXPIRING')).toEqual(['EXPIRING']);
    expect(call.lastChange.events).toEqual([{ __typename: 'CallExpiring', expiresAt: START + 24 * HOUR }]);
    call.pass(MINUTE).pass(MINUTE);
    call.mute('ann', 'bob');
    expect(kinds(call, 'EXPIRING')).toEqual(['EXPIRING']);
  });

  it('C2: a sweeper that is late warns first, and then ends', () => {
    const call = activePair().pass(25 * HOUR);
    expect(kinds(call, 'EXPIRING', 'ENDED')).toEqual(['EXPIRING', 'ENDED']);
    expect(call.lastChange.events.map((event) => event.__typename)).toEqual(['CallExpiring', 'CallEnded']);
  });

  it('C2: a command finds the call over, whether the sweeper was there or not', () => {
    const call = activePair().wait(24 * HOUR);
    expect(call.setMedia('ann', { muted: true })).toBe('CALL_ENDED');
    expect(call.end.reason).toBe('MAX_DURATION');
  });
});

describe('a lost connection (M1)', () => {
  it('M1: becomes a leave once the grace is over, not before', () => {
    const call = activeGroup();
    call.loseStream('bob').pass(GRACE - 1);
    expect(call.participant('bob')).toMatchObject({ status: 'RECONNECTING', leftAt: null });
    call.pass(1);
    expect(call.participant('bob')).toMatchObject({
      status: 'LEFT',
      leaveReason: 'DISCONNECTED',
      leftAt: call.now,
      sessionId: null,
    });
  });

  it('M1: the others are told for each participant, not only for the last', () => {
    const call = activeGroup({ limits: { maxParticipants: 4 } });
    call.invite('ann', 'dan');
    call.connect('dan');
    for (const userId of ['bob', 'cat']) {
      call.loseStream(userId).pass(GRACE);
      expect(call.lastChange.events).toEqual([
        {
          __typename: 'ParticipantChanged',
          participant: call.participant(userId),
          version: call.call.version,
        },
      ]);
    }
    call.loseStream('dan').loseStream('ann').pass(GRACE);
    expect(call.lastChange.events.map((event) => event.__typename)).toContain('CallEnded');
    expect(call.view.participants.map((p) => p.leaveReason)).toEqual([
      'DISCONNECTED',
      'DISCONNECTED',
      'DISCONNECTED',
      'DISCONNECTED',
    ]);
  });

  it('M1: of two at once both are told, in one version', () => {
    const call = activeGroup();
    call.loseStream('bob').loseStream('cat').pass(GRACE);
    expect(
      call.lastChange.events.map((event) =>
        event.__typename === 'ParticipantChanged' ? event.participant.userId : event.__typename,
      ),
    ).toEqual(['bob', 'cat']);
  });

  it('M1: a seat whose stream was never opened is left as NEVER_CONNECTED', () => {
    const call = ringingGroup();
    call.join('bob');
    call.pass(GRACE - 1);
    expect(call.participant('bob').status).toBe('CONNECTING');
    call.pass(1);
    expect(call.participant('bob')).toMatchObject({ status: 'LEFT', leaveReason: 'NEVER_CONNECTED' });
  });

  it('M1: a repeated join does not stretch the grace', () => {
    const call = ringingGroup();
    call.join('bob');
    call.pass(GRACE - 1);
    call.join('bob');
    call.pass(1);
    expect(call.participant('bob').status).toBe('LEFT');
  });

  it('M1: a stream that is open has no deadline', () => {
    const call = activeGroup().pass(4 * MINUTE);
    expect(call.statuses).toEqual({ ann: 'CONNECTED', bob: 'CONNECTED', cat: 'CONNECTED' });
  });
});

describe('a ring that runs out (M2)', () => {
  it('M2: each invitation has its own deadline', () => {
    const call = ringingPair().wait(MINUTE);
    call.invite('ann', 'cat');
    call.pass(RING - MINUTE - 1);
    expect(call.statuses).toMatchObject({ bob: 'RINGING', cat: 'RINGING' });
    call.pass(1);
    expect(call.statuses).toMatchObject({ bob: 'MISSED', cat: 'RINGING' });
    expect(call.participant('bob').ringDeadline).toBeNull();
    call.connect('cat');
    expect(call.call.status).toBe('ACTIVE');
  });

  it('M2: the call is ended as missed, and the caller is out of it', () => {
    const call = ringingPair().pass(RING);
    expect(call.view).toMatchObject({
      status: 'ENDED',
      endReason: 'NO_ANSWER',
      endedBy: null,
      answeredAt: null,
    });
    expect(call.statuses).toEqual({ ann: 'LEFT', bob: 'MISSED' });
  });

  it('M2: a call may ask for less', () => {
    const call = ringingPair({ ringTimeoutMs: 30 * SECOND });
    expect(call.pass(30 * SECOND - 1).call.status).toBe('RINGING');
    expect(call.pass(1).end.reason).toBe('NO_ANSWER');
  });

  it('M2: a ring that runs out in an active call ends that ring alone', () => {
    const call = ringingGroup().connect('bob').pass(RING);
    expect(call.statuses).toEqual({ ann: 'CONNECTED', bob: 'CONNECTED', cat: 'MISSED' });
  });

  it('one who answered is not missed when the deadline passes', () => {
    const call = activePair().pass(RING);
    expect(call.statuses).toEqual({ ann: 'CONNECTED', bob: 'CONNECTED' });
  });
});

describe('being alone in a group', () => {
  it('ends the call after a while', () => {
    const call = aloneInGroup();
    expect(call.call.aloneDeadline).toBe(call.now + ALONE);
    call.pass(ALONE - 1);
    expect(call.call.status).toBe('ACTIVE');
    call.pass(1);
    expect(call.end).toEqual({ reason: 'ALONE', by: null });
  });

  it('does not begin while two are in it', () => {
    const call = activeGroup();
    call.leave('cat');
    expect(call.call.aloneDeadline).toBeNull();
  });

  it('does not begin while someone is being rung, and begins when the last ring ends', () => {
    const ends: Record<string, (call: LiveCall) => unknown> = {
      declined: (call) => call.decline('cat'),
      'ran out': (call) => call.pass(RING),
      'taken back': (call) => call.remove('ann', 'cat'),
      'no member': (call) => call.dropMember('cat'),
    };
    for (const [how, stop] of Object.entries(ends)) {
      const call = ringingGroup().connect('bob');
      call.leave('bob');
      expect(call.call.aloneDeadline).toBeNull();
      stop(call);
      expect(call.call.aloneDeadline, how).toBe(call.now + ALONE);
      expect(call.call.status).toBe('ACTIVE');
    }
  });

  it.each([
    ['a join', (call: LiveCall) => call.join('bob')],
    ['an invitation', (call: LiveCall) => call.invite('ann', 'dan')],
  ])('is stopped by %s', (_name, stop) => {
    const call = aloneInGroup();
    expect(call.wait(ALONE - 1).call.aloneDeadline).not.toBeNull();
    expect(stop(call)).toBe('ok');
    expect(call.call.aloneDeadline).toBeNull();
    call.openStream('bob');
    call.pass(ALONE);
    expect(call.call.status).toBe('ACTIVE');
  });

  it('begins anew after a join, with all of its time', () => {
    const call = aloneInGroup().wait(ALONE - 1);
    call.join('bob');
    call.leave('bob');
    call.pass(ALONE - 1);
    expect(call.call.status).toBe('ACTIVE');
    expect(call.pass(1).end.reason).toBe('ALONE');
  });

  it('is not stretched by a takeover or a repeated join', () => {
    const call = aloneInGroup();
    const { aloneDeadline } = call.call;
    call.wait(SECOND).join('ann', 'ann-2', true);
    call.join('ann', 'ann-2');
    expect(call.call.aloneDeadline).toBe(aloneDeadline);
  });

  it('counts one who reconnects as there', () => {
    const call = activeGroup();
    call.leave('cat');
    call.loseStream('bob');
    expect(call.call.aloneDeadline).toBeNull();
    call.pass(GRACE);
    expect(call.call.aloneDeadline).toBe(call.now + ALONE);
  });

  it('is not for a pair, whose caller waits alone', () => {
    expect(ringingPair().pass(ALONE).call.status).toBe('RINGING');
    expect(ringingGroup().pass(ALONE).call.status).toBe('RINGING');
  });
});

describe('a sweeper that was late', () => {
  it('applies deadlines in the order in which they passed', () => {
    const call = ringingPair();
    call.loseStream('ann');
    call.pass(HOUR);
    expect(call.end.reason).toBe('CONNECTION_LOST');

    const other = ringingPair().wait(RING - GRACE + 1);
    other.loseStream('ann');
    other.pass(HOUR);
    expect(other.end.reason).toBe('NO_ANSWER');
  });

  it('ends a group for the first thing that ended it', () => {
    const call = aloneInGroup();
    call.wait(ALONE - GRACE - 1).loseStream('ann');
    expect(call.pass(DAY).end.reason).toBe('CONNECTION_LOST');
  });

  it('does each thing once', () => {
    const call = ringingGroup().wait(HOUR).sweep().sweep();
    expect(kinds(call, 'MISSED', 'ENDED')).toEqual(['MISSED', 'MISSED', 'ENDED']);
  });
});

describe('a time in which nobody could reach the database', () => {
  /** `bob` loses his stream, and his deadline passes unseen; `away` is when, from his loss on. */
  function lostMeanwhile(away: { from: number; to: number }): LiveCall {
    const call = activeGroup();
    call.loseStream('bob');
    call.outage = { from: call.now + away.from, to: call.now + away.to };
    return call.pass(away.to);
  }

  it('M1: gives one more grace to seats whose deadline passed in it', () => {
    const call = lostMeanwhile({ from: SECOND, to: HOUR });
    expect(call.participant('bob').status).toBe('RECONNECTING');
    expect(call.pass(GRACE - 1).participant('bob').status).toBe('RECONNECTING');
    expect(call.pass(1).participant('bob')).toMatchObject({ status: 'LEFT', leaveReason: 'DISCONNECTED' });
    expect(call.facts.at(-1)).toMatchObject({ kind: 'LEFT', detail: 'DISCONNECTED GHOST' });
  });

  it('M1: and who comes back within it is in the call', () => {
    const call = lostMeanwhile({ from: SECOND, to: HOUR });
    call.wait(GRACE - 1);
    expect(call.openStream('bob', 'bob-b')).toBe('ok');
    expect(call.pass(GRACE).participant('bob').status).toBe('CONNECTED');
  });

  it('M1: does nothing for seats whose deadline had passed before', () => {
    const call = lostMeanwhile({ from: GRACE + 1, to: HOUR });
    expect(call.participant('bob')).toMatchObject({ status: 'LEFT', leaveReason: 'DISCONNECTED' });
  });

  it('M1: nor for those whose deadline passed after it', () => {
    const call = lostMeanwhile({ from: SECOND, to: GRACE - 1 });
    expect(call.pass(1).participant('bob').status).toBe('LEFT');
  });

  it('M1: counts for a seat whose stream was never opened too', () => {
    const call = ringingGroup();
    call.join('bob');
    call.outage = { from: call.now, to: call.now + GRACE };
    expect(call.pass(GRACE).participant('bob').status).toBe('CONNECTING');
    expect(call.pass(GRACE).participant('bob').leaveReason).toBe('NEVER_CONNECTED');
  });

  it('M2: lets no ring go on', () => {
    const call = ringingPair();
    call.outage = { from: START, to: START + HOUR };
    expect(call.pass(HOUR).end.reason).toBe('NO_ANSWER');
  });
});

describe('the next deadline', () => {
  it('is the earliest of all', () => {
    const call = new LiveCall();
    expect(nextDeadline(call.call)).toBe(START + GRACE);
    call.openStream('ann');
    expect(nextDeadline(call.call)).toBe(START + RING);
    call.connect('bob');
    expect(nextDeadline(call.call)).toBe(START + 23 * HOUR);
    call.pass(23 * HOUR);
    expect(nextDeadline(call.call)).toBe(START + DAY);
    call.loseStream('bob');
    expect(nextDeadline(call.call)).toBe(call.now + GRACE);
    const alone = aloneInGroup();
    expect(nextDeadline(alone.call)).toBe(alone.now + ALONE);
  });

  it('is null once the call is over', () => {
    const call = activePair();
    call.endCall('ann');
    expect(nextDeadline(call.call)).toBeNull();
  });
});
