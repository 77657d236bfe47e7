import { describe, expect, it } from 'vitest';
import { traceOf } from '../../src/call-log/call-log.ts';
import { parseEntry } from '../../src/call-log/entry-text.ts';

/** Entries as Redis has them, while instances of two versions write and read the same logs. */

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const SIGNAL = {
  from: 'ada',
  to: 'ben',
  sessionId: 's',
  clientSeq: 7,
  signal: { __typename: 'Renegotiate', iceRestart: false },
};
const { signal: SENT, ...KNOWN } = SIGNAL;
const RECORD = { ...KNOWN, kind: 'Renegotiate', json: JSON.stringify(SENT), fromJoinSeq: 11, toJoinSeq: 12 };
const STATE = { version: 3, at: 5, events: [], seats: {}, ended: false };

describe('an entry', () => {
  it('of the version before, which knew no traces, is read as it was written', () => {
    const signal = parseEntry(`g1 token 5 11 12 ${JSON.stringify(SIGNAL)}`);
    expect(signal).toEqual({
      ...{ seq: 1, token: 'token', at: 5, kind: 'signal' },
      signal: RECORD,
    });
    const state = parseEntry(`s2 token 5 ${JSON.stringify(STATE)}`);
    expect(state).toEqual({ seq: 2, token: 'token', at: 5, kind: 'state', state: STATE });
    const origin = parseEntry('o3 token 5');
    for (const entry of [signal, state, origin]) expect(traceOf(entry)).toBeUndefined();
  });

  it('of a trace has it within the JSON: what stands before that, by which the version before reads it, is the same', () => {
    const signal = parseEntry(`g1 token 5 11 12 ${JSON.stringify({ ...KNOWN, trace: TRACE, signal: SENT })}`);
    const state = parseEntry(`s2 token 5 ${JSON.stringify({ ...STATE, trace: TRACE })}`);
    for (const entry of [signal, state]) expect(traceOf(entry)).toBe(TRACE);
    expect(signal).toMatchObject({ seq: 1, signal: RECORD });
    expect(state).toMatchObject({ seq: 2, state: STATE });
  });
});
