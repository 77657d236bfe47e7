import { describe, expect, it } from 'vitest';
import { clockOf, ladderOf, verdictOf } from '../../demo/src/ladder.ts';

/** The demo's ladder of a call: what it draws, and what it says of why a call failed. */

type Info = Parameters<typeof ladderOf>[0];
type Entry = Parameters<typeof ladderOf>[1][number];

const START = Date.parse('2026-01-31T12:00:00.000Z');
const at = (seconds: number) => new Date(START + seconds * 1_000).toISOString();
const names = (id: string) => `${id[0]?.toUpperCase()}${id.slice(1)}`;

const callOf = (over: Partial<Info> = {}): Info =>
  ({
    id: 'c',
    callerId: 'ada',
    status: 'ENDED',
    createdAt: at(0),
    answeredAt: at(5),
    endedAt: at(30),
    endReason: 'HANGUP',
    durationSeconds: 25,
    participants: [{ userId: 'ada' }, { userId: 'ben' }],
    ...over,
  }) as Info;

const entry = (seconds: number, kind: string, over: Partial<Entry> = {}): Entry => ({
  ...{
    at: at(seconds),
    kind,
    actorId: null,
    subjectId: null,
    detail: '',
    count: null,
    until: null,
    quality: null,
  },
  ...over,
});
const quality = (outcome: 'CONNECTED' | 'LOST' | 'FAILED', over = {}) => ({
  outcome,
  connectedAfterMs: outcome === 'FAILED' ? null : 400,
  relayed: outcome === 'FAILED' ? null : false,
  localCandidate: null,
  remoteCandidate: null,
  lossPercent: null,
  jitterMs: null,
  roundTripMs: null,
  reconnects: 0,
  ...over,
});
const signals = (kind: string, actorId: string, subjectId: string | null, count = 1) =>
  entry(6, kind, { actorId, subjectId, count });
const measured = (actorId: string, subjectId: string, outcome: 'CONNECTED' | 'LOST' | 'FAILED', over = {}) =>
  entry(30, 'QUALITY', { actorId, subjectId, quality: quality(outcome, over) });

describe('the ladder', () => {
  it('has a lane for the caller, one for the server, and one for each other', () => {
    const { lanes } = ladderOf(
      callOf({ participants: [{ userId: 'ben' }, { userId: 'ada' }] as Info['participants'] }),
      [],
    );
    expect(lanes).toEqual(['ada', null, 'ben']);
  });

  it('draws who did what to whom, in order, and leaves out what goes without saying', () => {
    const { rungs } = ladderOf(callOf(), [
      entry(0, 'INITIATED', { actorId: 'ada', subjectId: 'ada' }),
      entry(0, 'JOINED', { actorId: 'ada', subjectId: 'ada' }),
      entry(0, 'INVITED', { actorId: 'ada', subjectId: 'ben' }),
      entry(5, 'JOINED', { actorId: 'ben', subjectId: 'ben' }),
      entry(5, 'ANSWERED', { actorId: 'ben', subjectId: 'ben' }),
      signals('OFFERS', 'ben', 'ada'),
      signals('CANDIDATES', 'ada', 'ben', 7),
      signals('RENEGOTIATIONS', 'ada', null),
      measured('ada', 'ben', 'CONNECTED', { roundTripMs: 20.4, lossPercent: 0.1 }),
      entry(30, 'LEFT', { actorId: 'ben', subjectId: 'ben', detail: 'HANGUP' }),
      entry(30, 'LEFT', { subjectId: 'ada', detail: 'CALL_ENDED' }),
      entry(30, 'ENDED', { actorId: 'ben', detail: 'HANGUP' }),
      entry(30, 'SOMETHING_NEW', { actorId: 'ben' }),
    ]);
    expect(rungs.map(({ time, from, to, label, tone }) => [time, from, to, label, tone])).toEqual([
      ['0 s', 0, 1, 'calls', 'plain'],
      ['0 s', 1, 2, 'rings', 'waiting'],
      ['5 s', 2, 1, 'joins', 'good'],
      ['5 s', -1, -1, 'Answered', 'good'],
      ['6 s', 2, 0, 'offer', 'plain'],
      ['6 s', 0, 2, 'ways to reach me ×7', 'plain'],
      ['6 s', 0, -1, 'asks for an offer', 'plain'],
      ['30 s', 0, 2, 'connected in 0.4 s · direct · 20 ms · 0.1 % lost', 'good'],
      ['30 s', 2, 1, 'hangs up', 'plain'],
      ['30 s', -1, -1, 'The end', 'plain'],
    ]);
  });
});

describe('the verdict', () => {
  const title = (call: Partial<Info>, ...entries: Entry[]) => verdictOf(callOf(call), entries, names).title;
  const because = (...entries: Entry[]) => verdictOf(callOf(), entries, names).because;
  const unanswered = { answeredAt: null, durationSeconds: null };
  const failed = measured('ada', 'ben', 'FAILED');

  it('names why nobody answered', () => {
    expect(title({ ...unanswered, endReason: 'DECLINED' })).toBe('Ben declined');
    const busy = entry(3, 'DECLINED', { subjectId: 'ben', detail: 'BUSY' });
    expect(title({ ...unanswered, endReason: 'DECLINED' }, busy)).toBe('Ben was busy');
    expect(title({ ...unanswered, endReason: 'NO_ANSWER' })).toBe('Nobody answered');
    expect(title({ ...unanswered, endReason: 'CANCELLED' })).toBe('Taken back');
    const gone = entry(9, 'LEFT', { subjectId: 'ada', detail: 'DISCONNECTED' });
    expect(title({ ...unanswered, endReason: 'CONNECTION_LOST' }, gone)).toBe('Ada was lost');
  });

  it('says at which step two were not connected', () => {
    expect(title({}, failed)).toBe('Ada and Ben were never connected');
    expect(because(failed)).toMatch('Neither of them ever sent an offer');
    const offer = signals('OFFERS', 'ben', 'ada');
    expect(because(failed, offer)).toMatch('Ben sent an offer, and Ada never sent an answer');
    const answer = signals('ANSWERS', 'ada', 'ben');
    expect(because(failed, offer, answer)).toMatch('found no way between their networks');
  });

  it('tells a lost participant from a lost way between two', () => {
    const left = (detail: string) => entry(20, 'LEFT', { subjectId: 'ben', detail });
    expect(title({ endReason: 'CONNECTION_LOST' }, left('NEVER_CONNECTED'))).toBe('Ben never got through');
    expect(title({ endReason: 'CONNECTION_LOST' }, left('DISCONNECTED GHOST'))).toBe('Ben was lost');
    expect(title({}, measured('ada', 'ben', 'LOST'))).toBe('Ada and Ben lost each other');
  });

  it('says that it worked, and that it goes on', () => {
    expect(title({}, measured('ada', 'ben', 'CONNECTED'))).toBe('It worked');
    expect(title({ status: 'ACTIVE', endedAt: null })).toBe('The call goes on');
  });
});

it('times are as short as they can be', () => {
  expect([0, 4.24, 59.9, 60, 3_725].map(clockOf)).toEqual(['0 s', '4.2 s', '59 s', '1:00', '1:02:05']);
});
