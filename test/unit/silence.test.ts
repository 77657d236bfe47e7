import { describe, expect, it } from 'vitest';
import { ringViewOf } from '../../src/calls/changes.ts';
import { LIMITS, LiveCall, ringingGroup } from '../support/call-states.ts';

/** Rings that reach nobody: of a muted conversation, and of somebody who is blocked. */

/** Who hears a ring begin or stop, change by change. */
const heard = (call: LiveCall) => call.changes.map(({ rings }) => rings?.userIds ?? []);
const blocked = () => new LiveCall({ silences: { bob: 'BLOCKED' } });

describe('a ring by somebody who is blocked', () => {
  it('looks to everyone like any other, until it is missed', () => {
    const [loud, silent] = [new LiveCall().connect('ann'), blocked().connect('ann')];
    expect(silent.view).toEqual(loud.view);
    expect(silent.changes.map(({ events }) => events)).toEqual(loud.changes.map(({ events }) => events));
    for (const call of [loud, silent]) call.pass(LIMITS.ringTimeoutMs);
    expect(silent.view).toEqual(loud.view);
    expect(silent.view).toMatchObject({ status: 'ENDED', endReason: 'NO_ANSWER' });
    expect(silent.facts).toEqual(loud.facts);
    expect(silent.changes.map(({ events }) => events)).toEqual(loud.changes.map(({ events }) => events));
  });

  it('is heard by nobody, and neither is its end', () => {
    const call = blocked().pass(LIMITS.ringTimeoutMs);
    expect(heard(call)).toEqual([[], []]);
    const group = new LiveCall({ callees: ['bob', 'cat'], silences: { bob: 'BLOCKED' } });
    group.endCall('ann');
    expect(heard(group)).toEqual([['cat'], ['cat']]);
  });

  it('is no invitation to who is called: he can neither join nor decline', () => {
    const call = blocked();
    const before = call.view;
    expect([call.join('bob'), call.decline('bob'), call.leave('bob')]).toEqual([
      'NOT_INVITED',
      'NOT_INVITED',
      'NOT_INVITED',
    ]);
    expect(call.view).toEqual(before);
  });

  it('becomes one where another, who is not blocked, invites him too; the blocked one sees no difference', () => {
    const call = ringingGroup({ silences: { bob: 'BLOCKED' } });
    call.join('cat');
    const before = call.view;
    const events = call.changes.flatMap((change) => change.events);
    call.silences.clear();
    expect(call.invite('cat', 'bob')).toBe('ok');
    expect(call.changes.at(-1)).toMatchObject({ events: [], rings: { userIds: ['bob'] } });
    expect({ ...call.view, version: 0 }).toEqual({ ...before, version: 0 });
    expect(call.changes.flatMap((change) => change.events)).toEqual(events);
    expect(call.join('bob')).toBe('ok');
  });

  it('is answered by a call to the same people, for that is a call of his own', () => {
    const call = blocked();
    expect(call.callAgain('bob')).toBe('joinedExisting');
    expect(call.statuses.bob).toBe('CONNECTING');
  });
});

describe('a ring in a conversation that is muted', () => {
  it('is heard by nobody, can be answered all the same, and is missed', () => {
    const call = new LiveCall({ silences: { bob: 'MUTED' } });
    const other = new LiveCall({ silences: { bob: 'MUTED' } }).pass(LIMITS.ringTimeoutMs);
    expect(call.join('bob')).toBe('ok');
    expect([heard(call), heard(other)].flat(2)).toEqual([]);
    expect(other.statuses.bob).toBe('MISSED');
  });

  it('is loud again where it is no longer muted', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'], silences: { bob: 'MUTED' } });
    call.decline('bob');
    call.silences.clear();
    expect(call.invite('ann', 'bob')).toBe('ok');
    expect(heard(call)).toEqual([['cat'], [], ['bob']]);
  });
});

it('A device that is told of the call for another reason does not ring', () => {
  const told = ringViewOf(blocked().call).participants.map(({ userId, silenced }) => [userId, silenced]);
  expect(told).toEqual([
    ['ann', undefined],
    ['bob', true],
  ]);
});
