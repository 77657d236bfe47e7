import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Call, type CallLimits, seated } from '../../src/calls/call.ts';
import { nextDeadline } from '../../src/calls/deadlines.ts';
import { CallModel } from '../support/call-model.ts';
import { LIMITS, LiveCall, MEMBERS, MINUTE, SECOND } from '../support/call-states.ts';

/**
 * Random lives of calls, held against a model that was written from the design. Commands come at whole
 * seconds, and each kind of deadline ends in milliseconds of its own: what is due at the same millisecond
 * has no order.
 */

const TIMES: CallLimits = {
  ...LIMITS,
  maxInvitees: 3,
  maxCallDurationMs: 4 * MINUTE + 500,
  callDurationWarningMs: MINUTE + 7,
  ringTimeoutMs: MINUTE + 10,
  disconnectGraceMs: 30 * SECOND + 1,
  aloneTimeoutMs: 20 * SECOND + 100,
};

const user = fc.constantFrom(...MEMBERS.slice(0, 5), 'sam');
const near = fc.constantFrom<string>('ann', 'bob', 'cat', 'dan');
const who = fc.oneof({ weight: 9, arbitrary: near }, { weight: 1, arbitrary: user });
const session = fc.constantFrom(1, 1, 1, 2);
const instance = fc.constantFrom('one', 'two');
const stream = fc.constantFrom('a', 'b');

/** Mostly what keeps a call going: lives that end at once have little to tell. */
function command<T extends object>(weight: number, name: string, given: T) {
  return { weight, arbitrary: fc.record({ do: fc.constant(name), ...given }) };
}
const step = fc.record({
  /** Seconds that pass before it. */
  after: fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 1, max: 5 }) },
    { weight: 1, arbitrary: fc.integer({ min: 6, max: 70 }) },
  ),
  command: fc.oneof(
    command(12, 'arrive', { who, session, takeOver: fc.boolean(), stream, instance }),
    command(4, 'join', { who, session, takeOver: fc.boolean() }),
    command(8, 'openStream', { who, session, stream, instance }),
    command(3, 'loseStream', { who, stream }),
    command(1, 'loseInstance', { instance }),
    command(3, 'leave', { who, session }),
    command(2, 'decline', { who }),
    command(8, 'invite', { who, target: who }),
    command(2, 'remove', { who, target: who }),
    command(2, 'mute', { who, target: who }),
    command(2, 'setMuted', { who, session, muted: fc.boolean() }),
    command(1, 'endCall', { who }),
    command(2, 'addMember', { who: user }),
    command(1, 'dropMember', { who: user }),
    command(4, 'sweep', {}),
    { weight: 1, arbitrary: fc.constantFrom({ do: 'terminate' }, ...Array(9).fill({ do: 'sweep' })) },
  ),
});

type Step = { after: number; command: { do: string } & Partial<Record<string, unknown>> };

/** Does the same to the call and to the model, and gives both answers. */
function run(call: LiveCall, model: CallModel, { after, command }: Step): [string, string] {
  call.wait(after * SECOND);
  model.now = call.now;
  const c = command as Record<'who' | 'target' | 'stream' | 'instance', string> & {
    do: string;
    session: number;
    takeOver: boolean;
    muted: boolean;
  };
  const id = `${c.who}-${c.session}`;
  const streamId = `${c.who}-${c.stream}`;
  // The design leaves open what comes first where a member goes and a deadline passes unseen.
  if (c.do === 'dropMember') call.sweep();
  model.catchUp();
  switch (c.do) {
    case 'arrive': {
      const joined = [call.join(c.who, id, c.takeOver), model.join(c.who, id, c.takeOver)];
      const opened = [
        call.openStream(c.who, streamId, id, c.instance),
        model.openStream(c.who, id, streamId, c.instance),
      ];
      return [`${joined[0]}, ${opened[0]}`, `${joined[1]}, ${opened[1]}`];
    }
    case 'join':
      return [call.join(c.who, id, c.takeOver), model.join(c.who, id, c.takeOver)];
    case 'leave':
      return [call.leave(c.who, id), model.leave(c.who, id)];
    case 'decline':
      return [call.decline(c.who), model.decline(c.who)];
    case 'endCall':
      return [call.endCall(c.who), model.endCall(c.who)];
    case 'invite':
      return [call.invite(c.who, c.target), model.invite(c.who, c.target)];
    case 'remove':
      return [call.remove(c.who, c.target), model.remove(c.who, c.target)];
    case 'mute':
      return [call.mute(c.who, c.target), model.mute(c.who, c.target)];
    case 'setMuted':
      return [call.setMedia(c.who, { muted: c.muted }, id), model.setMuted(c.who, id, c.muted)];
    case 'openStream':
      return [
        call.openStream(c.who, streamId, id, c.instance),
        model.openStream(c.who, id, streamId, c.instance),
      ];
    case 'loseStream':
      call.loseStream(c.who, streamId);
      model.loseStream(c.who, streamId);
      break;
    case 'loseInstance':
      call.loseInstance(c.instance);
      model.loseInstance(c.instance);
      break;
    case 'addMember':
      if (c.who !== 'sam') {
        call.members.add(c.who);
        model.members.add(c.who);
      }
      call.sweep();
      break;
    case 'dropMember':
      call.dropMember(c.who);
      model.dropMember(c.who);
      break;
    case 'terminate':
      call.terminate();
      model.terminate();
      break;
    default:
      call.sweep();
  }
  return ['done', 'done'];
}

function stateOf(call: LiveCall) {
  const { status, endReason, answeredAt, endedAt } = call.view;
  return {
    status,
    endReason,
    answeredAt,
    endedAt,
    hosts: call.hosts,
    aloneUntil: call.call.aloneDeadline,
    warned: call.facts.some(({ kind }) => kind === 'EXPIRING'),
    statuses: call.statuses,
    muted: call.view.participants.filter(({ media }) => media.muted).map(({ userId }) => userId),
  };
}

function stateOfModel(model: CallModel, order: readonly string[]) {
  const { status, endReason, answeredAt, endedAt, aloneUntil, warned } = model;
  return {
    status,
    endReason,
    answeredAt,
    endedAt,
    hosts: status === 'ENDED' ? [] : [model.host],
    aloneUntil,
    warned,
    statuses: Object.fromEntries([...model.guests.keys()].map((id) => [id, model.statusOf(id)])),
    muted: order.filter((id) => model.muted.has(id)),
  };
}

/** The checks of migrations/0001_calls.ts, and what else has to hold of any call. */
function checkInvariants(call: Call, limits: CallLimits): void {
  const seats = seated(call);
  expect(seats.length).toBeLessThanOrEqual(limits.maxParticipants);
  expect(seats.filter(({ role }) => role === 'HOST').length).toBe(seats.length > 0 ? 1 : 0);
  expect(call.status === 'ENDED').toBe(seats.length === 0);
  expect(call.status === 'ENDED').toBe(call.endedAt !== null && call.endReason !== null);
  expect(call.participants.length - 1).toBeLessThanOrEqual(limits.maxInvitees);
  if (call.participants.length > 2) expect(call.isGroup).toBe(true);
  if (call.status === 'ENDED') {
    expect([call.warnAt, call.aloneDeadline, call.peopleKey]).toEqual([null, null, null]);
  }
  const joinSeqs = seats.map(({ seat }) => seat!.joinSeq);
  expect(new Set(joinSeqs).size).toBe(joinSeqs.length);
  for (const joinSeq of joinSeqs) expect(joinSeq).toBeLessThan(call.nextJoinSeq);
  expect(new Set(call.participants.map(({ userId }) => userId)).size).toBe(call.participants.length);
  for (const {
    invitation,
    ringDeadline,
    seat,
    lastSessionId,
    joinedAt,
    leftAt,
    leaveReason,
  } of call.participants) {
    expect(invitation === 'RINGING').toBe(ringDeadline !== null);
    if (seat) {
      expect(seat.state === 'CONNECTED').toBe(seat.deadline === null);
      expect(seat.state === 'CONNECTED').toBe(seat.streamId !== null && seat.instanceId !== null);
      expect([lastSessionId, leftAt, leaveReason]).toEqual([seat.sessionId, null, null]);
      expect(invitation).toBe('ANSWERED');
      expect(joinedAt).not.toBeNull();
    }
    if (call.status === 'ENDED') expect(invitation).not.toBe('RINGING');
  }
}

/** What the versions told so far: each participant as last told is the participant as it is. */
function checkTold(call: LiveCall): void {
  expect(call.changes.length).toBe(call.call.version);
  let told = new Map<string, unknown>();
  const seats = new Map<string, number>();
  let highest = 0;
  call.changes.forEach((change, index) => {
    const version = index + 1;
    for (const event of change.events) {
      if (event.__typename === 'CallChanged' || event.__typename === 'CallEnded') {
        expect(event.call.version).toBe(version);
        told = new Map(event.call.participants.map((participant) => [participant.userId, participant]));
      }
      if (event.__typename === 'ParticipantChanged') {
        expect(event.version).toBe(version);
        told.set(event.participant.userId, event.participant);
      }
    }
    const joined: number[] = [];
    for (const [userId, seat] of Object.entries(change.seats)) {
      if (seat) {
        joined.push(seat.joinSeq);
        seats.set(userId, seat.joinSeq);
      } else seats.delete(userId);
    }
    for (const joinSeq of joined) expect(joinSeq).toBeGreaterThan(highest);
    highest = Math.max(highest, ...joined);
    expect(change.ended).toBe(change.events.at(-1)?.__typename === 'CallEnded');
    if (change.ended) expect(version).toBe(call.changes.length);
  });
  expect([...told.values()]).toEqual(call.view.participants);
  expect([...seats]).toHaveLength(seated(call.call).length);
  for (const { userId, seat } of seated(call.call)) expect(seats.get(userId)).toBe(seat?.joinSeq);
}

describe('any life of a call', () => {
  const callees = fc.constantFrom(['bob'], ['bob'], ['bob', 'cat'], ['bob', 'cat', 'dan']);
  it('is the one that the design tells, answer by answer', () => {
    fc.assert(
      fc.property(callees, fc.array(step, { maxLength: 60, size: 'max' }), (calls, steps) => {
        const members = MEMBERS.slice(0, 5);
        const call = new LiveCall({ callees: calls, limits: TIMES, members });
        const model = new CallModel('ann', calls, members, call.now, call.limits);
        call.openStream('ann');
        model.openStream('ann', 'ann-1', 'ann-a', 'one');
        for (const next of steps) {
          const before = call.call;
          const [answer, expected] = run(call, model, next as Step);
          expect(answer).toBe(expected);
          const order = call.view.participants.map(({ userId }) => userId);
          expect(stateOf(call)).toEqual(stateOfModel(model, order));
          checkInvariants(call.call, call.limits);
          if (before.status === 'ENDED') {
            const still = before.participants.map((p) => ({ ...p, member: call.members.has(p.userId) }));
            expect(call.call).toEqual({ ...before, participants: still });
          }
          const due = nextDeadline(call.call);
          if (call.call.status === 'ENDED') expect(due).toBeNull();
          else expect(due).toBeGreaterThan(call.now);
        }
        checkTold(call);
      }),
      { numRuns: 150 },
    );
  }, 30_000);
});
