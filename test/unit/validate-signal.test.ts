import { describe, expect, it } from 'vitest';
import type { SignalInput } from '../../src/graphql/services.ts';
import { MAX_CANDIDATES, MAX_GENERATION, validateSignal } from '../../src/signals/validate-signal.ts';
import data from '../data/webrtc-samples.json' with { type: 'json' };

const { offers, answers } = data.stacks.chromium_av;
const GOOD = { candidate: 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host', sdpMid: '0' };
const BAD = { ...GOOD, candidate: GOOD.candidate.replace('54321', '70000') };
const problemOf = (input: SignalInput) => {
  const result = validateSignal(input);
  return 'problem' in result ? result.problem : null;
};

describe('validateSignal', () => {
  it('takes an offer and an answer as they are', () => {
    expect(validateSignal({ offer: { sdp: offers[0]!, generation: 3 } })).toEqual({
      signal: { __typename: 'Offer', sdp: offers[0], generation: 3 },
      valid: 0,
      invalid: 0,
    });
    expect(validateSignal({ offer: null, answer: { sdp: answers[0]!, generation: 3 } })).toEqual({
      signal: { __typename: 'Answer', sdp: answers[0], generation: 3 },
      valid: 0,
      invalid: 0,
    });
  });

  it('checks an answer as an answer', () => {
    expect(problemOf({ answer: { sdp: offers[0]!, generation: 1 } })).toMatch(
      /^signal\.answer\.sdp: line \d+: setup of an answer/,
    );
  });

  it('names the sdp that is wrong', () => {
    expect(problemOf({ offer: { sdp: '', generation: 1 } })).toMatch(/^signal\.offer\.sdp: /);
  });

  it('takes candidates, with null for what is not there, and counts them', () => {
    const items = [
      GOOD,
      { candidate: '' },
      { candidate: GOOD.candidate, sdpMLineIndex: 0, usernameFragment: 'abcd' },
    ];
    expect(validateSignal({ candidates: { items, generation: 1 } })).toEqual({
      signal: {
        __typename: 'IceCandidates',
        items: [
          { candidate: GOOD.candidate, sdpMid: '0', sdpMLineIndex: null, usernameFragment: null },
          { candidate: '', sdpMid: null, sdpMLineIndex: null, usernameFragment: null },
          { candidate: GOOD.candidate, sdpMid: null, sdpMLineIndex: 0, usernameFragment: 'abcd' },
        ],
        generation: 1,
      },
      valid: 3,
      invalid: 0,
    });
  });

  it('keeps nothing of a candidate but its four fields', () => {
    const item = { ...GOOD, extra: 'x' };
    const result = validateSignal({ candidates: { items: [item], generation: 1 } });
    expect(JSON.stringify(result)).not.toContain('extra');
  });

  it('refuses all for one bad candidate, names the first one and counts both kinds', () => {
    const items = [GOOD, GOOD, GOOD, BAD, { ...GOOD, sdpMid: '' }];
    expect(validateSignal({ candidates: { items, generation: 1 } })).toEqual({
      problem: 'signal.candidates.items[3].candidate: port out of range',
      valid: 3,
      invalid: 2,
    });
  });

  it('takes 1 to 32 candidates', () => {
    const many = (count: number) => ({ candidates: { items: Array(count).fill(GOOD), generation: 1 } });
    expect(problemOf(many(MAX_CANDIDATES))).toBeNull();
    expect(MAX_CANDIDATES).toBe(32);
    for (const count of [0, MAX_CANDIDATES + 1]) {
      expect(validateSignal(many(count))).toEqual({
        problem: 'signal.candidates.items: not 1 to 32 of them',
        valid: 0,
        invalid: 0,
      });
    }
  });

  it.each([-1, MAX_GENERATION + 1, 1.5, Number.NaN])('refuses generation %s', (generation) => {
    expect(problemOf({ offer: { sdp: offers[0]!, generation } })).toMatch(/^signal\.offer\.generation: /);
    expect(problemOf({ answer: { sdp: answers[0]!, generation } })).toMatch(/^signal\.answer\.generation: /);
    expect(validateSignal({ candidates: { items: [GOOD, BAD], generation } })).toEqual({
      problem: expect.stringMatching(/^signal\.candidates\.generation: /),
      valid: 1,
      invalid: 1,
    });
  });

  it.each([0, 1, MAX_GENERATION])('takes generation %s', (generation) => {
    expect(problemOf({ candidates: { items: [GOOD], generation } })).toBeNull();
  });

  it('takes a request to renegotiate', () => {
    expect(validateSignal({ renegotiate: { iceRestart: true } })).toEqual({
      signal: { __typename: 'Renegotiate', iceRestart: true },
      valid: 0,
      invalid: 0,
    });
  });

  it.each<[string, SignalInput]>([
    ['none', {}],
    ['only null', { offer: null, answer: null, candidates: null, renegotiate: null }],
    ['two', { offer: { sdp: offers[0]!, generation: 1 }, renegotiate: { iceRestart: false } }],
  ])('refuses %s of the fields', (_name, input) => {
    expect(problemOf(input)).toMatch(/^signal: exactly one/);
  });
});
