import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import candidates from '../data/ice-candidates.json' with { type: 'json' };
import samples from '../data/webrtc-samples.json' with { type: 'json' };
import {
  Callers,
  isNumbered,
  isSignal,
  numbered,
  numbersOf,
  RENEGOTIATE,
  sendSignal,
  signalsOf,
} from '../support/callers.ts';
import type { SignalInput } from '../support/generated/graphql.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, eventually, metricOf, success, type World } from '../support/world.ts';

/** Signals between people on two instances, over the API as an app uses it. */

let world: World;
let callers: Callers;
beforeAll(async () => {
  world = await createWorld({ instances: 2 });
  callers = new Callers(world);
});
afterAll(() => world?.close());
afterEach(() => callers.goAway());

const { chromium_av: chromium } = samples.stacks;
const [offer, answer] = [chromium.offers[0]!, chromium.answers[0]!];
const GOOD = { candidate: 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host', sdpMid: '0' };
const BAD = { ...GOOD, candidate: GOOD.candidate.replace('54321', '70000') };

/** A signal as it is received: null for what was left out. */
function asReceived(sent: SignalInput): object {
  if (sent.offer) return { __typename: 'Offer', ...sent.offer };
  if (sent.answer) return { __typename: 'Answer', ...sent.answer };
  if (sent.renegotiate) return { __typename: 'Renegotiate', ...sent.renegotiate };
  const { items = [], generation } = sent.candidates ?? {};
  const blank = { sdpMid: null, sdpMLineIndex: null, usernameFragment: null };
  const received = [items].flat().map((item) => ({ ...blank, ...item }));
  return { __typename: 'IceCandidates', items: received, generation };
}

const counted = async (name: string) =>
  (await metricOf(world.apps[0]!, name)) + (await metricOf(world.apps[1]!, name));

describe('A signal', () => {
  it.each<[string, SignalInput]>([
    ['an offer', { offer: { sdp: offer, generation: 1 } }],
    ['an answer', { answer: { sdp: answer, generation: 1 } }],
    [
      'candidates',
      {
        candidates: {
          items: [
            GOOD,
            { candidate: GOOD.candidate, sdpMLineIndex: 1, usernameFragment: 'abCD+/12' },
            { candidate: '', sdpMid: '1' },
          ],
          generation: 7,
        },
      },
    ],
    ['a request for a new offer', { renegotiate: { iceRestart: true } }],
  ])('crosses from instance to instance both ways, unchanged: %s', async (_name, signal) => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const taken = await from.send(signal, { to: to.userId, toJoinSeq: to.joinSeq });
      const received = await to.stream.next(isSignal);
      expect(received).toEqual({
        __typename: 'SignalReceived',
        cursor: expect.any(String),
        callId,
        at: taken.__typename === 'SendSignalSuccess' ? taken.at : null,
        from: from.userId,
        fromJoinSeq: from.joinSeq,
        to: to.userId,
        signal: asReceived(signal),
      });
    }
  });

  it.each(Object.entries(samples.stacks).map(([stack, sample]) => [stack, sample] as const))(
    'of a real stack is delivered unchanged: %s',
    async (_stack, { offers, answers, candidates: trickled }) => {
      const { peers } = await callers.call(2);
      const [a, b] = [peers[0]!, peers[1]!];
      const signals: SignalInput[] = [
        ...offers.map((sdp) => ({ offer: { sdp, generation: 1 } })),
        ...answers.map((sdp) => ({ answer: { sdp, generation: 1 } })),
      ];
      for (const signal of signals) {
        success(await a.send(signal));
        const received = await b.stream.next(isSignal);
        expect(isSignal(received) && received.signal).toEqual(asReceived(signal));
      }
      // node-datachannel writes `a=` before a candidate, which RFC 8839 section 5.1 does not have.
      const items = trickled.filter((item) => item.candidate.startsWith('candidate:'));
      if (items.length > 0) {
        const signal = { candidates: { items, generation: 1 } };
        success(await a.send(signal));
        const received = await b.stream.next(isSignal);
        expect(isSignal(received) && received.signal).toEqual(asReceived(signal));
      }
    },
  );
});

describe('Who receives', () => {
  it('with `to`: that seat alone, of three', async () => {
    const { peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    success(await a.send({ offer: { sdp: offer, generation: 1 } }, { to: b.userId, toJoinSeq: b.joinSeq }));
    // Told to all, so whoever was to get the one before has it by now.
    success(await a.send(RENEGOTIATE));
    success(await b.send(RENEGOTIATE));
    for (const { stream } of [a, b, c])
      await stream.next(
        (event) =>
          isSignal(event) &&
          event.from === (stream === b.stream ? a : b).userId &&
          event.signal.__typename === 'Renegotiate',
      );
    expect(signalsOf(a.stream).map(({ from }) => from)).toEqual([b.userId]);
    expect(signalsOf(b.stream).map(({ signal }) => signal.__typename)).toEqual(['Offer', 'Renegotiate']);
    expect(signalsOf(c.stream).map(({ from, signal }) => [from, signal.__typename])).toEqual([
      [a.userId, 'Renegotiate'],
      [b.userId, 'Renegotiate'],
    ]);
  });

  it('without `to`: every other seat, never the sender, never a seat that joined after it', async () => {
    const late = callers.names(1)[0]!;
    const { callId, peers } = await callers.call(3, { ringing: [late] });
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    success(await a.send({ renegotiate: { iceRestart: true } }));
    const d = await callers.enter(callId, late, 1);
    success(await b.send(RENEGOTIATE));
    const fence = (event: Parameters<typeof isSignal>[0]) => isSignal(event) && event.from === b.userId;
    for (const { stream } of [a, c, d]) await stream.next(fence);
    expect(signalsOf(a.stream).map(({ from }) => from)).toEqual([b.userId]);
    expect(signalsOf(c.stream).map(({ from, to }) => [from, to])).toEqual([
      [a.userId, null],
      [b.userId, null],
    ]);
    expect(signalsOf(d.stream).map(({ from }) => from)).toEqual([b.userId]);
    expect(signalsOf(b.stream).map(({ from }) => from)).toEqual([a.userId]);
  });

  it('an offer without `to` is for the only other one, and for nobody of three', async () => {
    const signal = { offer: { sdp: offer, generation: 1 } };
    const two = await callers.call(2);
    expect(codeOf(await two.peers[0]!.send(signal))).toBe('SendSignalSuccess');
    await two.peers[1]!.stream.next(isSignal);

    const three = await callers.call(3);
    const [a, b, c] = [three.peers[0]!, three.peers[1]!, three.peers[2]!];
    for (const one of [signal, { answer: { sdp: answer, generation: 1 } }, numbered(1)]) {
      const refused = await a.send(one);
      expect(refused).toMatchObject({ code: 'INVALID_SIGNAL', message: expect.stringContaining('input.to') });
    }
    success(await a.send(RENEGOTIATE));
    for (const { stream } of [b, c]) {
      await stream.next(isSignal);
      expect(signalsOf(stream)).toHaveLength(1);
    }
  });

  it('a recipient who is a stranger, alone, gone, or on another device by now is not in the call', async () => {
    const invited = callers.names(1)[0]!;
    const { callId, peers } = await callers.call(3, { ringing: [invited] });
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const to = async (userId: string, toJoinSeq: number | null = null) =>
      codeOf(await a.send(numbered(1), { to: userId, toJoinSeq }));
    expect(await to('nobody-at-all')).toBe('RECIPIENT_NOT_IN_CALL');
    expect(await to(invited)).toBe('RECIPIENT_NOT_IN_CALL');
    expect(await to(b.userId, b.joinSeq)).toBe('SendSignalSuccess');
    expect(await to(b.userId, b.joinSeq + 100)).toBe('RECIPIENT_NOT_IN_CALL');

    const elsewhere = await callers.enter(callId, b.userId, 0, { sessionId: 'phone', takeOver: true });
    expect(elsewhere.joinSeq).toBeGreaterThan(b.joinSeq);
    expect(await to(b.userId, b.joinSeq)).toBe('RECIPIENT_NOT_IN_CALL');
    expect(await to(b.userId, elsewhere.joinSeq)).toBe('SendSignalSuccess');
    await elsewhere.stream.next(isSignal);
    expect(signalsOf(elsewhere.stream)).toHaveLength(1);

    await c.client.mutate(operations.LeaveCall, { callId, sessionId: c.sessionId });
    expect(await to(c.userId, c.joinSeq)).toBe('RECIPIENT_NOT_IN_CALL');
    expect(await to(c.userId)).toBe('RECIPIENT_NOT_IN_CALL');
  });

  it('nobody while the caller is alone', async () => {
    const { peers } = await callers.call(1, { ringing: callers.names(1) });
    expect(codeOf(await peers[0]!.send(RENEGOTIATE))).toBe('RECIPIENT_NOT_IN_CALL');
  });
});

describe('Who may send', () => {
  it('the session that holds the seat, and no other of that user', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    expect(codeOf(await a.send(numbered(1), { sessionId: 'another' }))).toBe('STALE_SESSION');
    await callers.enter(callId, a.userId, 1, { sessionId: 'phone', takeOver: true });
    expect(codeOf(await a.send(numbered(2)))).toBe('STALE_SESSION');
    success(await sendSignal(a.client, { callId, sessionId: 'phone', clientSeq: 1, signal: numbered(3) }));
    await b.stream.next(isNumbered(3));
    expect(numbersOf(b.stream)).toEqual([3]);
  });

  it('nobody any more once the call has ended', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    await b.client.mutate(operations.EndCall, { callId });
    for (const peer of [a, b]) expect(codeOf(await peer.send(numbered(1)))).toBe('CALL_ENDED');
  });
});

describe('clientSeq', () => {
  it('is taken once, also where the repeat goes to the other instance', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const input = { callId, sessionId: a.sessionId, clientSeq: 7, signal: numbered(7) };
    const first = success(await sendSignal(a.client, input));
    expect(first.duplicate).toBe(false);
    const onOther = await callers.client(a.userId, 1);
    for (const client of [a.client, onOther]) {
      expect(success(await sendSignal(client, input))).toEqual({ ...first, duplicate: true });
    }
    success(await a.send(numbered(8), { clientSeq: 8 }));
    await b.stream.next(isNumbered(8));
    expect(numbersOf(b.stream)).toEqual([7, 8]);
  });

  it('is taken once where both instances get it at the same time', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const onOther = await callers.client(a.userId, 1);
    await onOther.connect();
    const ROUNDS = 20;
    for (let clientSeq = 1; clientSeq <= ROUNDS; clientSeq++) {
      const input = { callId, sessionId: a.sessionId, clientSeq, signal: numbered(clientSeq) };
      const answers = await Promise.all([a.client, onOther].map((client) => sendSignal(client, input)));
      expect(new Set(answers.map((taken) => success(taken).at)).size).toBe(1);
      expect(answers.filter((taken) => 'duplicate' in taken && taken.duplicate)).toHaveLength(1);
    }
    await b.stream.next(isNumbered(ROUNDS));
    expect(numbersOf(b.stream)).toEqual(Array.from({ length: ROUNDS }, (_, index) => index + 1));
  });

  it('far below those taken is INVALID_SIGNAL, and at the end of the window it is taken', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    success(await a.send(numbered(1), { clientSeq: 1 }));
    success(await a.send(numbered(2), { clientSeq: 300 }));
    for (const clientSeq of [1, 2, 44]) {
      const refused = await a.send(numbered(3), { clientSeq });
      expect(refused).toMatchObject({
        code: 'INVALID_SIGNAL',
        message: expect.stringContaining('clientSeq'),
      });
    }
    success(await a.send(numbered(4), { clientSeq: 45 }));
    await b.stream.next(isNumbered(4));
    expect(numbersOf(b.stream)).toEqual([1, 2, 4]);
  });

  it.each([0, -1])('%i is INVALID_SIGNAL', async (clientSeq) => {
    const { peers } = await callers.call(2);
    expect(codeOf(await peers[0]!.send(numbered(1), { clientSeq }))).toBe('INVALID_SIGNAL');
  });

  it('is not used up by a signal that is refused', async () => {
    const { peers } = await callers.call(3);
    const [a, b] = [peers[0]!, peers[1]!];
    const clientSeq = 5;
    const refused = [
      await a.send({ candidates: { items: [BAD], generation: 1 } }, { clientSeq, to: b.userId }),
      await a.send({ offer: { sdp: 'v=0', generation: 1 } }, { clientSeq, to: b.userId }),
      await a.send(numbered(1), { clientSeq }),
      await a.send(numbered(1), { clientSeq, to: 'nobody' }),
      await a.send(numbered(1), { clientSeq, to: b.userId, toJoinSeq: b.joinSeq + 1 }),
      await a.send(numbered(1), { clientSeq, to: a.userId }),
      await a.send(numbered(1), { clientSeq, to: b.userId, sessionId: 'another' }),
    ];
    expect(refused.map(codeOf)).toEqual([
      'INVALID_SIGNAL',
      'INVALID_SIGNAL',
      'INVALID_SIGNAL',
      'RECIPIENT_NOT_IN_CALL',
      'RECIPIENT_NOT_IN_CALL',
      'INVALID_SIGNAL',
      'STALE_SESSION',
    ]);
    expect(success(await a.send(numbered(2), { clientSeq, to: b.userId })).duplicate).toBe(false);
    await b.stream.next(isNumbered(2));
    expect(numbersOf(b.stream)).toEqual([2]);
  });

  it('is counted by each session for itself', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    success(await a.send(numbered(1), { clientSeq: 400 }));
    const phone = await callers.enter(callId, a.userId, 1, { sessionId: 'phone', takeOver: true });
    expect(success(await phone.send(numbered(2), { clientSeq: 1 })).duplicate).toBe(false);
    await b.stream.next(isNumbered(2));
  });
});

describe('Order', () => {
  it('300 signals of one socket, none waited for, arrive on the other instance as they were sent', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const sent = Array.from({ length: 300 }, (_, index) => index + 1);
    const answers = await Promise.all(sent.map((number) => a.send(numbered(number))));
    expect(new Set(answers.map(codeOf))).toEqual(new Set(['SendSignalSuccess']));
    await b.stream.next(isNumbered(300));
    expect(numbersOf(b.stream)).toEqual(sent);
  });

  it('is one for all: two users who send at once are seen in the same order everywhere', async () => {
    const { peers } = await callers.call(4);
    const [a, b, c, d] = [peers[0]!, peers[1]!, peers[2]!, peers[3]!];
    const EACH = 100;
    const answers = await Promise.all(
      Array.from({ length: EACH }, () => [a.send(RENEGOTIATE), b.send(RENEGOTIATE)]).flat(),
    );
    for (const taken of answers) success(taken);
    const cursors = (peer: typeof a) => signalsOf(peer.stream).map(({ cursor }) => cursor);
    await eventually(() => cursors(c).length >= 2 * EACH && cursors(d).length >= 2 * EACH);
    await eventually(() => cursors(a).length >= EACH && cursors(b).length >= EACH);
    expect(new Set(cursors(c)).size).toBe(2 * EACH);
    expect(cursors(d)).toEqual(cursors(c));
    const of = (userId: string) =>
      signalsOf(c.stream).flatMap(({ from, cursor }) => (from === userId ? [cursor] : []));
    expect(cursors(a)).toEqual(of(b.userId));
    expect(cursors(b)).toEqual(of(a.userId));
  });
});

describe('M6: candidates are validated before anyone sees them', () => {
  it('an invalid one is seen by nobody, with all that came with it, and is counted', async () => {
    const { peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const before = {
      valid: await counted('video_ice_candidate_valid_total'),
      invalid: await counted('video_ice_candidate_invalid_total'),
    };
    const refused = await a.send(
      { candidates: { items: [GOOD, BAD, GOOD], generation: 1 } },
      { to: b.userId },
    );
    expect(refused).toMatchObject({
      code: 'INVALID_SIGNAL',
      message: expect.stringContaining('input.signal.candidates.items[1].candidate'),
    });
    expect(JSON.stringify(refused)).not.toContain('192.0.2.1');
    success(await a.send({ candidates: { items: [GOOD, GOOD], generation: 2 } }, { to: b.userId }));
    success(await a.send(RENEGOTIATE));
    for (const { stream } of [b, c]) {
      await stream.next((event) => isSignal(event) && event.signal.__typename === 'Renegotiate');
    }
    expect(numbersOf(b.stream)).toEqual([2]);
    expect(numbersOf(c.stream)).toEqual([]);
    expect(await counted('video_ice_candidate_valid_total')).toBe(before.valid + 4);
    expect(await counted('video_ice_candidate_invalid_total')).toBe(before.invalid + 1);
  });

  const decided = candidates.candidates.filter(({ valid }) => valid !== null);
  it('each row of the table is decided as it says', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const answers: [string, string][] = [];
    for (const [index, { name, candidate }] of decided.entries()) {
      const signal = { candidates: { items: [{ candidate, sdpMid: '0' }], generation: index } };
      answers.push([name, codeOf(await a.send(signal))]);
    }
    expect(answers).toEqual(
      decided.map(({ name, valid }) => [name, valid ? 'SendSignalSuccess' : 'INVALID_SIGNAL']),
    );
    success(await a.send(numbered(decided.length)));
    await b.stream.next(isNumbered(decided.length));
    const seen = signalsOf(b.stream).map(({ signal }) => signal);
    const expected = decided.flatMap(({ candidate, valid }, index) =>
      valid ? [asReceived({ candidates: { items: [{ candidate, sdpMid: '0' }], generation: index } })] : [],
    );
    expect(seen.slice(0, -1)).toEqual(expected);
  });

  it.each<[string, SignalInput]>([
    ['no candidates', { candidates: { items: [], generation: 1 } }],
    ['33 candidates', { candidates: { items: Array.from({ length: 33 }, () => GOOD), generation: 1 } }],
    [
      'one with neither mid nor index',
      { candidates: { items: [{ candidate: GOOD.candidate }], generation: 1 } },
    ],
    ['an SDP with a line that is broken', { offer: { sdp: `${offer}a=x\0y\r\n`, generation: 1 } }],
    [
      'an SDP without ICE credentials',
      { offer: { sdp: offer.replace(/a=ice-pwd:.*\r\n/g, ''), generation: 1 } },
    ],
    ['an offer that is an answer', { answer: { sdp: offer, generation: 1 } }],
    ['a generation below 0', { offer: { sdp: offer, generation: -1 } }],
  ])('INVALID_SIGNAL, and nobody sees it: %s', async (_name, signal) => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const refused = await a.send(signal);
    expect(refused).toMatchObject({
      code: 'INVALID_SIGNAL',
      message: expect.stringMatching(/^input\.signal/),
    });
    success(await a.send(numbered(2)));
    await b.stream.next(isSignal);
    expect(numbersOf(b.stream)).toEqual([2]);
  });

  it('32 candidates at once are taken', async () => {
    const { peers } = await callers.call(2);
    const items = Array.from({ length: 32 }, () => GOOD);
    success(await peers[0]!.send({ candidates: { items, generation: 1 } }));
    await peers[1]!.stream.next(isNumbered(1));
  });
});

describe('A log that vanished', () => {
  it('is made anew from the database: streams are told, and signals go on', async () => {
    const { callId, peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    success(await a.send(RENEGOTIATE));
    for (const { stream } of [b, c]) await stream.next(isSignal);
    const redis = new Redis(world.redis.url);
    try {
      const keys = await redis.keys(`ringdown:{${callId}}:*`);
      expect(keys).toHaveLength(3);
      await redis.del(...keys);
    } finally {
      redis.disconnect();
    }
    success(await a.send(RENEGOTIATE));
    for (const { stream } of peers) {
      const told = await stream.next((event) => event.__typename === 'CallSnapshot');
      expect(told).toMatchObject({ recovered: false, call: { id: callId, status: 'ACTIVE' } });
    }
    success(await a.send(numbered(1), { to: b.userId, toJoinSeq: b.joinSeq }));
    success(await b.send(numbered(2), { to: c.userId, toJoinSeq: c.joinSeq }));
    success(await c.send(numbered(3), { to: a.userId, toJoinSeq: a.joinSeq }));
    await b.stream.next(isNumbered(1));
    await c.stream.next(isNumbered(2));
    await a.stream.next(isNumbered(3));
    const muted = await a.client.mutate(operations.SetMediaState, {
      callId,
      sessionId: a.sessionId,
      muted: true,
    });
    expect(codeOf(muted.setMediaState)).toBe('CallSuccess');
    for (const { stream } of peers) {
      await stream.next(
        (event) => event.__typename === 'ParticipantChanged' && event.participant.media.muted,
      );
    }
  });
});
