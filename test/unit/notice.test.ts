import { describe, expect, it } from 'vitest';
import type { Call } from '../../src/calls/call.ts';
import {
  NOTICE_KINDS,
  type Notice,
  narrowed,
  noticesBetween,
  stillTrue,
} from '../../src/notifications/notice.ts';
import {
  activePair,
  LIMITS,
  LiveCall,
  MINUTE,
  ringingGroup,
  ringingPair,
  SECOND,
} from '../support/call-states.ts';

/** What `change` makes to be told, as `kind: users`. */
function told(call: LiveCall, change: (call: LiveCall) => unknown): string[] {
  return noticesOf(call, change).map(({ kind, userIds }) => `${kind}: ${userIds.join(' ')}`);
}

function noticesOf(call: LiveCall, change: (call: LiveCall) => unknown): Notice[] {
  const before: Call = structuredClone(call.call);
  change(call);
  return noticesBetween(before, call.call, call.now);
}

describe('who is told of what', () => {
  it('of a new call: those who are rung, until when', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    const [incoming, ...more] = noticesBetween(null, call.call, call.now);
    expect(more).toEqual([]);
    expect(incoming).toMatchObject({
      kind: 'incoming',
      userIds: ['bob', 'cat'],
      at: call.now,
      expiresAt: call.now + LIMITS.ringTimeoutMs,
      call: { callerId: 'ann', status: 'RINGING', durationSeconds: null },
    });
  });

  it.each<[string, LiveCall, (call: LiveCall) => unknown, string[]]>([
    ['an answer', ringingPair(), (call) => call.join('bob'), ['answered_elsewhere: bob']],
    ['a decline that ends it', ringingPair(), (call) => call.decline('bob'), ['declined: bob', 'ended: ann']],
    ['a decline in a group', ringingGroup(), (call) => call.decline('bob'), ['declined: bob']],
    ['a caller who gives up', ringingPair(), (call) => call.leave('ann'), ['cancelled: bob', 'ended: ann']],
    [
      'a caller whose connection is lost',
      ringingPair(),
      (call) => call.loseStream('ann').pass(MINUTE),
      ['cancelled: bob', 'ended: ann'],
    ],
    ['nobody who answers', ringingPair(), (call) => call.pass(10 * MINUTE), ['missed: bob', 'ended: ann']],
    ['an end of both', activePair(), (call) => call.leave('bob'), ['ended: ann bob']],
    ['an invitation', activePair(), (call) => call.invite('ann', 'cat', 'dan'), ['incoming: cat dan']],
    [
      'an end while somebody is rung',
      withCatRung(),
      (call) => call.endCall('ann'),
      ['cancelled: cat', 'ended: ann bob'],
    ],
    [
      'an invitation that is taken back',
      withCatRung(),
      (call) => call.remove('ann', 'cat'),
      ['cancelled: cat'],
    ],
    [
      'a loss of membership',
      withCatRung(),
      (call) => {
        call.members.delete('cat');
        call.sweep();
      },
      ['cancelled: cat'],
    ],
    ['a ring of several that runs out', withCatRung(), (call) => call.pass(6 * MINUTE), ['missed: cat']],
    [
      'a ring that ran out and begins again in one change',
      withCatRung(),
      (call) => call.wait(6 * MINUTE).invite('ann', 'cat'),
      ['incoming: cat'],
    ],
    ['a mute', activePair(), (call) => call.setMedia('bob', { muted: true }), []],
    ['a stream that is lost', activePair(), (call) => call.loseStream('bob'), []],
    ['a join of who was not rung any more', rejoinable(), (call) => call.join('cat', 'cat-2'), []],
  ])('%s', (_name, call, change, expected) => {
    expect(told(call, change)).toEqual(expected);
  });

  it('says how long a call lasted, from its answer', () => {
    const call = activePair();
    call.wait(90 * SECOND);
    const [ended] = noticesOf(call, () => call.leave('ann'));
    expect(ended?.call).toMatchObject({ status: 'ENDED', endReason: 'HANGUP', endedBy: 'ann' });
    expect(ended?.call.durationSeconds).toBe(Math.floor((call.now - call.call.answeredAt!) / 1000));
  });

  it('numbers them so that each is above those before it, and names each once', () => {
    const call = ringingGroup({ callees: ['bob', 'cat'] });
    const all = [...noticesBetween(null, { ...call.call, version: 1 }, call.now)];
    for (const change of [
      () => call.join('bob'),
      () => call.decline('cat'),
      () => call.invite('ann', 'cat', 'dan'),
      () => call.endCall('ann'),
    ]) {
      all.push(...noticesOf(call, change));
    }
    const seqs = all.map(({ seq }) => seq);
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(all.at(-1)?.kind).toBe('ended');
    // The signature's parts are joined by full stops.
    for (const { id } of all) expect(id).not.toContain('.');
    expect(all.every(({ kind }) => NOTICE_KINDS.includes(kind))).toBe(true);
  });

  it('shows no session', () => {
    expect(JSON.stringify(noticesOf(activePair(), (call) => call.leave('ann')))).not.toContain('ann-1');
  });
});

describe('a ring that is looked at again', () => {
  const ring = (call: LiveCall) => noticesBetween(null, call.call, call.now)[0] as Notice;

  it('goes to those alone who are still rung', () => {
    const call = ringingGroup({ callees: ['bob', 'cat'] });
    const notice = ring(call);
    expect(stillTrue(notice, call.call, call.now)).toBe(notice);
    call.join('bob');
    expect(stillTrue(notice, call.call, call.now)?.userIds).toEqual(['cat']);
    call.decline('cat');
    expect(stillTrue(notice, call.call, call.now)).toBeNull();
  });

  it('goes to nobody past the deadline, whether the sweeper was there or not, nor where there is no call', () => {
    const call = ringingPair();
    const notice = ring(call);
    expect(stillTrue(notice, call.call, call.now + LIMITS.ringTimeoutMs)).toBeNull();
    expect(stillTrue(notice, null, call.now)).toBeNull();
  });

  it('is not asked of anything else', () => {
    const [ended] = noticesOf(activePair(), (call) => call.leave('ann'));
    expect(stillTrue(ended as Notice, null, 0)).toBe(ended);
  });
});

it('a part of it names its users and the caller alone', () => {
  const call = new LiveCall({ callees: ['bob', 'cat', 'dan'] });
  const part = narrowed(noticesBetween(null, call.call, call.now)[0] as Notice, ['cat']);
  expect(part.userIds).toEqual(['cat']);
  expect(part.call.participants.map(({ userId }) => userId)).toEqual(['ann', 'cat']);
});

function withCatRung(): LiveCall {
  const call = activePair();
  call.invite('ann', 'cat');
  return call;
}

function rejoinable(): LiveCall {
  const call = withCatRung();
  call.decline('cat');
  return call;
}
