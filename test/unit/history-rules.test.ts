import { describe, expect, it } from 'vitest';
import type { Call } from '../../src/calls/call.ts';
import { firstCallId } from '../../src/history/history.service.ts';
import { historyChanges, outcomeOf } from '../../src/history/history-rules.ts';
import { LiveCall, MINUTE } from '../support/call-states.ts';

/** What a call is to those who were asked to it: their outcome, and whether they have missed it. */

const outcomes = (call: LiveCall) =>
  Object.fromEntries(
    call.call.participants.map((participant) => [
      participant.userId,
      outcomeOf(call.call, participant.userId, participant.invitation === 'MISSED'),
    ]),
  );

/** Everyone's row after all that a call went through, as the repository would have it. */
class Histories {
  readonly rows = new Map<string, { outgoing: boolean; missedAt: number | null }>();
  readonly call: LiveCall;
  #before: Call | null = null;

  constructor(call: LiveCall) {
    this.call = call;
    this.save();
  }

  /** How many rows were written. */
  save(): number {
    const changes = historyChanges(this.#before, this.call.call, this.call.now);
    for (const { userId, ...row } of changes) this.rows.set(userId, row);
    this.#before = structuredClone(this.call.call);
    return changes.length;
  }
}

describe('a history', () => {
  it('has a row for each from the invitation on, and it is written again only where they miss the call', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    const histories = new Histories(call);
    expect(Object.fromEntries(histories.rows)).toEqual({
      ann: { outgoing: true, missedAt: null },
      bob: { outgoing: false, missedAt: null },
      cat: { outgoing: false, missedAt: null },
    });
    call.join('bob');
    call.connect('ann', 'bob');
    expect(histories.save()).toBe(0);
    call.pass(6 * MINUTE);
    expect(histories.save()).toBe(1);
    expect(histories.rows.get('cat')).toEqual({ outgoing: false, missedAt: call.now });
    // She comes after all: nothing is missed any more.
    call.join('cat');
    expect(histories.save()).toBe(1);
    expect(histories.rows.get('cat')?.missedAt).toBeNull();
  });

  it('says missed of a call that was taken back while it rang, and not of one that was declined', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    const histories = new Histories(call);
    call.decline('cat', true);
    histories.save();
    call.leave('ann');
    histories.save();
    expect(histories.rows.get('bob')?.missedAt).toBe(call.now);
    expect(histories.rows.get('cat')?.missedAt).toBeNull();
    expect(outcomes(call)).toEqual({ ann: 'UNANSWERED', bob: 'MISSED', cat: 'DECLINED' });
  });
});

it('one who blocked the caller has no row of the call, missed or not, until somebody else asks them to it', () => {
  const call = new LiveCall({ callees: ['bob', 'cat'], silences: { bob: 'BLOCKED' } });
  const histories = new Histories(call);
  call.join('cat');
  call.connect('ann', 'cat');
  histories.save();
  expect([...histories.rows.keys()]).toEqual(['ann', 'cat']);
  call.pass(6 * MINUTE);
  histories.save();
  expect(histories.rows.has('bob')).toBe(false);
  call.silences.clear();
  call.invite('cat', 'bob');
  histories.save();
  expect(histories.rows.get('bob')).toEqual({ outgoing: false, missedAt: null });
});

describe('an outcome', () => {
  it('is each one’s own, while the call goes on and afterwards', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'] });
    expect(outcomes(call)).toEqual({ ann: 'ONGOING', bob: 'RINGING', cat: 'RINGING' });
    call.join('bob');
    call.remove('ann', 'cat');
    expect(outcomes(call)).toEqual({ ann: 'ONGOING', bob: 'ONGOING', cat: 'REMOVED' });
    call.leave('bob');
    expect(outcomes(call)).toMatchObject({ ann: 'ONGOING', bob: 'ANSWERED' });
    call.leave('ann');
    expect(outcomes(call)).toEqual({ ann: 'ANSWERED', bob: 'ANSWERED', cat: 'REMOVED' });
  });
});

describe('the lowest id of an instant', () => {
  it('sorts before each id that a call of then may have, and after those of before', () => {
    expect(firstCallId(0x0190_0000_0001)).toBe('01900000-0001-0000-0000-000000000000');
    expect(firstCallId(-1)).toBe('00000000-0000-0000-0000-000000000000');
    expect(firstCallId(8.64e15)).toBe('ffffffff-ffff-0000-0000-000000000000');
  });
});
