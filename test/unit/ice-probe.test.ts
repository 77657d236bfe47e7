import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { IceConfig } from '../../src/config-ice.ts';
import { startIceProbe } from '../../src/ice-servers/ice-probe.ts';
import { IceServerFault, type OpenStunSession } from '../../src/ice-servers/ice-server-check.ts';
import {
  ATTRIBUTES,
  decodeMessage,
  encodeRequest,
  longTermKey,
  METHODS,
  withIntegrity,
} from '../../src/ice-servers/stun-message.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const EVERY = 60_000;
const LATE = 5_000;
const STUN: IceConfig = {
  servers: [{ urls: ['stun:a.example'], username: null, credential: null }],
  turn: null,
  problems: [],
};
const A = 'stun:a.example:3478?transport=udp';

type Attributes = readonly (readonly [number, Buffer])[];

/** What a server writes: a request's bytes, of another class. */
function answerTo(
  request: Buffer,
  kind: 'success' | 'error',
  attributes: Attributes,
  key: Buffer | null = null,
) {
  const { method, transactionId } = decodeMessage(request)!;
  const encoded = encodeRequest(method, transactionId, attributes);
  encoded[0]! |= 1;
  if (kind === 'error') encoded[1]! |= 0x10;
  return decodeMessage(key === null ? encoded : withIntegrity(encoded, key))!;
}

const ADDRESS = Buffer.from('000113371234abcd', 'hex');
const error = (code: number) =>
  [ATTRIBUTES.errorCode, Buffer.from([0, 0, Math.floor(code / 100), code % 100])] as const;

/** A FAKE network: what a test lets it do; a session that hangs goes on until it is aborted. */
function setUp(ice: IceConfig = STUN) {
  const seen: string[] = [];
  const network = {
    answer: (request: Buffer): ReturnType<typeof answerTo> | 'nothing' =>
      answerTo(request, 'success', [[ATTRIBUTES.xorMappedAddress, ADDRESS]]),
    refuse: null as Error | null,
    open: 0,
    opened: 0,
  };
  const open: OpenStunSession = async (_address, signal) => {
    network.opened++;
    if (network.refuse) throw network.refuse;
    network.open++;
    return {
      async request(message) {
        const answer = network.answer(message);
        if (answer !== 'nothing') return answer;
        return new Promise((_resolve, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason)),
        );
      },
      close: () => void network.open--,
    };
  };
  const probe = startIceProbe({
    ice,
    open,
    everyMs: EVERY,
    answerMs: LATE,
    now: () => 0,
    probed: (server, roundTrip) => seen.push(`${server} ${roundTrip === null ? 'down' : 'up'}`),
    wentDown: (server, reason) => seen.push(`${server} went down: ${reason}`),
    cameBack: (server) => seen.push(`${server} came back`),
  });
  return { seen, network, probe };
}

describe('the probe of ICE servers', () => {
  it('begins at once, and comes again each minute', async () => {
    const { seen, network, probe } = setUp();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual([`${A} up`]);
    await vi.advanceTimersByTimeAsync(2 * EVERY);
    expect(seen).toHaveLength(3);
    expect(network.open).toBe(0);
    await probe.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tells of a change once', async () => {
    const { seen, network, probe } = setUp();
    await vi.advanceTimersByTimeAsync(0);
    network.refuse = Object.assign(new Error('connect ECONNREFUSED 192.0.2.7:3478'), {
      code: 'ECONNREFUSED',
    });
    await vi.advanceTimersByTimeAsync(2 * EVERY);
    network.refuse = null;
    await vi.advanceTimersByTimeAsync(2 * EVERY);
    expect(seen).toEqual([
      ...[`${A} up`, `${A} down`, `${A} went down: ECONNREFUSED`, `${A} down`],
      ...[`${A} up`, `${A} came back`, `${A} up`],
    ]);
    await probe.stop();
  });

  it('takes a server for down that does not answer in time, and begins no second round before', async () => {
    const { seen, network, probe } = setUp();
    network.answer = () => 'nothing';
    await vi.advanceTimersByTimeAsync(LATE - 1);
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen).toEqual([`${A} down`, `${A} went down: it did not answer in time`]);
    expect(network.opened).toBe(1);
    expect(network.open).toBe(0);
    await probe.stop();
  });

  it('is broken off by a stop, and then tells nothing', async () => {
    const { seen, network, probe } = setUp();
    network.answer = () => 'nothing';
    await vi.advanceTimersByTimeAsync(0);
    expect(network.open).toBe(1);
    await probe.stop();
    expect(network.open).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(seen).toEqual([]);
  });

  it('probes nothing where nothing is configured', async () => {
    const { network, probe } = setUp({ servers: [], turn: null, problems: [] });
    await vi.advanceTimersByTimeAsync(EVERY);
    expect(network.opened).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    await probe.stop();
  });

  it('takes one URL in two spellings for one server, each of whose credentials has to do, and skips DTLS', async () => {
    const turn = {
      urls: ['turn:b.example', 'turns:b.example?transport=udp'],
      secrets: ['s'],
      lifetimeMs: 60_000,
    };
    const fixed = {
      urls: ['TURN:B.example:3478?transport=UDP', 'stun:b.example'],
      username: 'u',
      credential: 'p',
    };
    const { seen, network, probe } = setUp({ servers: [fixed, fixed], turn, problems: [] });
    const users: string[] = [];
    network.answer = (request) => {
      const { attributes, method } = decodeMessage(request)!;
      if (method === METHODS.binding)
        return answerTo(request, 'success', [[ATTRIBUTES.xorMappedAddress, ADDRESS]]);
      const user = attributes.get(ATTRIBUTES.username)?.toString();
      if (user !== undefined && method === METHODS.allocate) users.push(user);
      if (user === 'u') {
        const key = longTermKey('u', 'r', 'p');
        return answerTo(request, 'success', [[ATTRIBUTES.xorRelayedAddress, ADDRESS]], key);
      }
      return answerTo(request, 'error', [
        error(401),
        [ATTRIBUTES.realm, Buffer.from('r')],
        [ATTRIBUTES.nonce, ADDRESS],
      ]);
    };
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual([
      'stun:b.example:3478?transport=udp up',
      'turn:b.example:3478?transport=udp down',
      expect.stringMatching(/^turn:b.example:3478\?transport=udp went down: .*401/),
    ]);
    expect(users.sort()).toEqual(['60:ringdown-probe', 'u', 'u']);
    expect(probe.skipped).toEqual(['turns:b.example:5349?transport=udp']);
    await probe.stop();
  });
});

it('leaves nothing of a round behind, where one credential fails and the other is not answered', async () => {
  const one = { urls: ['turn:b.example'], username: 'u', credential: 'p' };
  const { seen, network, probe } = setUp({ servers: [one, one], turn: null, problems: [] });
  network.answer = (request) => (network.opened++ > 2 ? 'nothing' : answerTo(request, 'error', [error(508)]));
  await vi.advanceTimersByTimeAsync(LATE);
  expect(seen).toHaveLength(2);
  expect(network.open).toBe(0);
  await probe.stop();
});

describe('a TURN server', () => {
  const TURN: IceConfig = {
    servers: [{ urls: ['turn:b.example'], username: 'u', credential: 'p' }],
    turn: null,
    problems: [],
  };
  const KEY = longTermKey('u', 'r', 'p');
  const login = (nonce: string) =>
    [
      [ATTRIBUTES.realm, Buffer.from('r')],
      [ATTRIBUTES.nonce, Buffer.from(nonce)],
    ] as const;
  const relayed = [[ATTRIBUTES.xorRelayedAddress, ADDRESS]] as const;

  /** What becomes of a probe that is answered in this way; and the methods that were asked for. */
  async function probe(answers: ((request: Buffer) => ReturnType<typeof answerTo>)[]) {
    const { seen, network, probe } = setUp(TURN);
    const asked: string[] = [];
    network.answer = (request) => {
      const { method, attributes } = decodeMessage(request)!;
      const nonce = attributes.get(ATTRIBUTES.nonce)?.toString() ?? '-';
      asked.push(`${method === METHODS.refresh ? 'refresh' : 'allocate'} ${nonce}`);
      return (answers[asked.length - 1] ?? (() => 'nothing' as never))(request);
    };
    await vi.advanceTimersByTimeAsync(0);
    await probe.stop();
    return { asked, result: seen.join().replaceAll('turn:b.example:3478?transport=udp ', '') };
  }

  it('is up where it relays for the credential, which is given back', async () => {
    expect(
      await probe([
        (request) => answerTo(request, 'error', [error(401), ...login('n1')]),
        (request) => answerTo(request, 'success', relayed, KEY),
        (request) => answerTo(request, 'success', [], KEY),
      ]),
    ).toEqual({ asked: ['allocate -', 'allocate n1', 'refresh n1'], result: 'up' });
  });

  it('is given another try where its nonce has run out', async () => {
    const { asked, result } = await probe([
      (request) => answerTo(request, 'error', [error(401), ...login('n1')]),
      (request) => answerTo(request, 'error', [error(438), ...login('n2')]),
      (request) => answerTo(request, 'success', relayed, KEY),
      (request) => answerTo(request, 'error', [error(437)]),
    ]);
    expect({ asked, result }).toEqual({
      asked: ['allocate -', 'allocate n1', 'allocate n2', 'refresh n2'],
      result: 'up',
    });
  });

  it.each([
    ['is full', [error(508)], null, /error 508$/],
    ['refuses the credential', [error(401), ...login('n2')], null, /refuses the credential \(401\)/],
    ['gives no relay', [], KEY, /no address in it$/],
    ['does not know the credential itself', relayed, longTermKey('u', 'r', 'other'), /not signed/],
  ] as const)('is down where it %s', async (_name, attributes, key, reason) => {
    const { result } = await probe([
      (request) => answerTo(request, 'error', [error(401), ...login('n1')]),
      (request) =>
        answerTo(
          request,
          'length' in attributes && attributes[0]?.[0] === ATTRIBUTES.errorCode ? 'error' : 'success',
          attributes,
          key,
        ),
    ]);
    expect(result).toMatch(/^down,went down: /);
    expect(result).toMatch(reason);
  });

  it('is down where it challenges with nothing, and where what it gives is unforeseen', async () => {
    expect((await probe([(request) => answerTo(request, 'error', [error(401)])])).result).toMatch(
      /error 401$/,
    );
    expect((await probe([(request) => answerTo(request, 'error', [])])).result).toMatch(
      /error of no number$/,
    );
    const broken = () => {
      throw new TypeError('of ours');
    };
    expect((await probe([broken])).result).toBe('down,went down: an unforeseen error');
    const faulty = () => {
      throw new IceServerFault('it has closed the connection');
    };
    expect((await probe([faulty])).result).toMatch(/closed the connection$/);
  });
});
