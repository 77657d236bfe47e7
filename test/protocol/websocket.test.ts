import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { CLOSE } from '../../src/errors.ts';
import type { HttpServerDeps } from '../../src/http/server.ts';
import { MAX_SUBSCRIPTIONS } from '../../src/http/socket-operations.ts';
import { createClient } from '../support/client.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { CallEvents, IncomingCalls, Viewer } from '../support/operations.ts';
import { eventually, RawSocket } from '../support/raw-socket.ts';

const servers: FakeServer[] = [];
const start = async (overrides?: Partial<HttpServerDeps>) => {
  const server = await startFakeServer(overrides);
  servers.push(server);
  return server;
};
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const closeOf = ({ code, reason }: { code: number; reason: string }) => ({ code, reason });
const SEND = 'mutation ($input: SendSignalInput!) { sendSignal(input: $input) { __typename } }';
const STREAM = 'subscription ($id: ID!) { callEvents(callId: $id, sessionId: "s") { cursor } }';
const signal = (clientSeq: number, sessionId = 's1') => ({
  input: { callId: 'c', sessionId, clientSeq, signal: { renegotiate: { iceRestart: false } } },
});

describe('How a socket is closed', () => {
  it('4401 without a token, and with one that is not valid', async () => {
    const { url } = await start();
    for (const payload of [
      undefined,
      {},
      { authorization: 'bad' },
      { authorization: 'Bearer bad' },
      { authorization: 1 },
    ]) {
      const socket = await RawSocket.open(url, null);
      socket.send({ type: 'connection_init', payload });
      expect(await socket.closed).toEqual(closeOf(CLOSE.UNAUTHORIZED));
    }
  });

  it('4401 where an operation comes before connection_init', async () => {
    const { url } = await start();
    const socket = await RawSocket.open(url, null);
    socket.subscribe('1', '{ viewer { id } }');
    expect(await socket.closed).toEqual(closeOf(CLOSE.UNAUTHORIZED));
  });

  it('4403 with a token that has run out, and when it runs out on an open socket', async () => {
    const { url } = await start();
    const late = await RawSocket.open(url, null);
    late.send({ type: 'connection_init', payload: { authorization: 'Bearer expired' } });
    expect(await late.closed).toEqual(closeOf(CLOSE.TOKEN_EXPIRED));

    const socket = await RawSocket.open(url, `ada~${Date.now() + 300}`);
    socket.subscribe('1', '{ viewer { id } }');
    expect(await socket.answer('1')).toEqual({ data: { viewer: { id: 'ada' } } });
    expect(await socket.closed).toEqual(closeOf(CLOSE.TOKEN_EXPIRED));
  });

  it('never where the token outlives the longest timer of Node', async () => {
    const { url } = await start();
    const warnings: string[] = [];
    const note = (warning: Error) => warnings.push(warning.name);
    process.on('warning', note);
    const socket = await RawSocket.open(url, `ada~${Date.now() + 100 * 86_400_000}`);
    socket.subscribe('1', '{ viewer { id } }');
    expect(await socket.answer('1')).toEqual({ data: { viewer: { id: 'ada' } } });
    await socket.close();
    process.off('warning', note);
    expect(warnings).not.toContain('TimeoutOverflowWarning');
  });

  it("1013 where the token can't be checked now, which is counted", async () => {
    const { url, observed } = await start();
    const socket = await RawSocket.open(url, null);
    socket.send({ type: 'connection_init', payload: { authorization: 'Bearer down' } });
    expect((await socket.closed).code).toBe(1013);
    expect(observed.internalErrors).toBe(1);
  });

  it('4400 on a message that the protocol does not know', async () => {
    const { url } = await start();
    for (const message of [
      '',
      '{',
      'null',
      '[]',
      '{"type":"start"}',
      '{"type":"subscribe","id":"","payload":{}}',
    ]) {
      const socket = await RawSocket.open(url, 'ada');
      socket.send(message);
      expect(await socket.closed).toEqual(closeOf(CLOSE.BAD_MESSAGE));
    }
  });

  it('4406 without the subprotocol graphql-transport-ws', async () => {
    const { url } = await start();
    const none = new RawSocket(url, {}, []);
    expect(await none.closed).toEqual(closeOf(CLOSE.BAD_SUBPROTOCOL));
    // A client of the older protocol ends a socket that does not speak it by itself.
    const legacy = new RawSocket(url, {}, ['graphql-ws']);
    expect((await legacy.closed).code).toBe(1006);
  });

  it('4408 without connection_init in time', async () => {
    const { url } = await start({ socketTimings: { initMs: 50 } });
    const socket = await RawSocket.open(url, null);
    expect(await socket.closed).toEqual(closeOf(CLOSE.INIT_TIMEOUT));
  });

  it('4409 on an operation id that is in use, without repeating the id', async () => {
    const { url } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('same', 'subscription { incomingCalls { __typename } }');
    socket.subscribe('same', 'subscription { incomingCalls { __typename } }');
    expect(await socket.closed).toEqual(closeOf(CLOSE.DUPLICATE_ID));
  });

  it('4429 on connection_init twice', async () => {
    const { url } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.send({ type: 'connection_init', payload: { authorization: 'Bearer ada' } });
    expect(await socket.closed).toEqual(closeOf(CLOSE.DOUBLE_INIT));
  });

  it('never for a packed message: no compression is agreed upon, so none can be a bomb', async () => {
    const { url } = await start();
    const socket = await RawSocket.open(url, 'ada', { perMessageDeflate: true });
    expect(socket.ws.extensions).toBe('');
    await socket.close();
  });

  it('1009 on a message of more than 64 KiB', async () => {
    const { url } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('1', '{ viewer { id } }', { padding: 'x'.repeat(64 * 1024) });
    expect((await socket.closed).code).toBe(1009);
  });

  it('1013 where there are as many as there may be, until one of them is gone', async () => {
    const { url, observed } = await start({ maxConnections: 2 });
    const first = await RawSocket.open(url, 'ada');
    const second = await RawSocket.open(url, 'ben');
    expect(await new RawSocket(url).closed).toEqual(closeOf(CLOSE.FULL));
    expect(observed.sockets).toBe(2);
    await first.close();
    await eventually(() => observed.sockets === 1);
    const third = await RawSocket.open(url, 'cleo');
    await second.close();
    await third.close();
  });

  it('1013 where one user has as many as one may have; others are taken', async () => {
    const { url } = await start({ maxConnectionsPerUser: 2 });
    const first = await RawSocket.open(url, 'ada');
    const second = await RawSocket.open(url, 'ada');
    const refused = await RawSocket.open(url, null);
    refused.send({ type: 'connection_init', payload: { authorization: 'Bearer ada' } });
    expect(await refused.closed).toEqual(closeOf(CLOSE.FULL));
    const other = await RawSocket.open(url, 'ben');
    await first.close();
    const third = await RawSocket.open(url, 'ada');
    for (const socket of [second, third, other]) await socket.close();
  });

  it('1013 where one address has as many as one may have, from the upgrade on; others are taken', async () => {
    const { url, observed } = await start({ maxConnectionsPerAddress: 2 });
    const from = (localAddress: string) => RawSocket.open(url, null, { localAddress });
    const first = await from('127.0.0.1');
    const second = await from('127.0.0.1');
    expect(await (await from('127.0.0.1')).closed).toEqual(closeOf(CLOSE.FULL));
    const other = await from('127.0.0.2');
    // Gone without a word.
    first.ws.terminate();
    await eventually(() => observed.sockets === 2);
    const third = await from('127.0.0.1');
    expect(await (await from('127.0.0.1')).closed).toEqual(closeOf(CLOSE.FULL));
    expect(observed.warnings).toEqual([]);
    for (const socket of [second, third, other]) await socket.close();
  });

  it('1013 for the address that a trusted proxy tells', async () => {
    const { url } = await start({ maxConnectionsPerAddress: 1, trustedProxies: ['loopback'] });
    const by = (forwarded: string) =>
      RawSocket.open(url, null, { headers: { 'x-forwarded-for': forwarded } });
    const sockets = [await by('192.0.2.1'), await by('192.0.2.2'), await by('2001:db8::1')];
    for (const same of ['192.0.2.1', '192.0.2.9, 192.0.2.1', '::ffff:192.0.2.2', '2001:db8::2']) {
      expect(await (await by(same)).closed).toEqual(closeOf(CLOSE.FULL));
    }
    for (const socket of sockets) await socket.close();
  });

  it('1013 for a forged header too, and the operator is told once that it may be a proxy', async () => {
    const { url, observed } = await start({ maxConnectionsPerAddress: 1 });
    const as = (forwarded: string) =>
      RawSocket.open(url, null, { headers: { 'x-forwarded-for': forwarded } });
    const first = await as('192.0.2.1');
    for (const forged of ['192.0.2.2', '127.0.0.1', '']) {
      expect(await (await as(forged)).closed).toEqual(closeOf(CLOSE.FULL));
    }
    expect(observed.warnings).toEqual([expect.stringContaining('TRUSTED_PROXIES')]);
    await first.close();
  });

  it('with what a subscription asks for; its streams end at once, whenever the peer answers', async () => {
    const { url, fake, observed } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('1', STREAM, { id: fake.call.id });
    await socket.answer('1');
    socket.ws.pause();
    fake.lastSocket?.close(CLOSE.TOO_SLOW);
    await eventually(() => fake.streams.size === 0);
    expect(observed.sockets).toBe(1);
    socket.ws.resume();
    expect(await socket.closed).toEqual(closeOf(CLOSE.TOO_SLOW));
    await eventually(() => observed.sockets === 0);
  });

  it('1012 one after the other, so that not all come back elsewhere at once', async () => {
    const server = await start({ maxConnectionsPerUser: 1_000 });
    const sockets = await Promise.all(Array.from({ length: 300 }, () => RawSocket.open(server.url, 'ada')));
    const closing = server.close();
    await Promise.race(sockets.map(({ closed }) => closed));
    // Those whose turn has not come are served as before.
    expect(server.observed.sockets).toBeGreaterThan(100);
    const closes = await Promise.all(sockets.map(({ closed }) => closed));
    expect(new Set(closes.map(({ code }) => code))).toEqual(new Set([1012]));
    await closing;
    servers.splice(servers.indexOf(server), 1);
  });

  it('1012 when the server closes, which takes no new one and ends in a few seconds', async () => {
    const server = await start({ socketTimings: { closeMs: 200 } });
    const polite = await RawSocket.open(server.url, 'ada');
    const silent = await RawSocket.open(server.url, 'ben');
    // One that never answers the close.
    silent.ws.pause();
    const closing = server.close();
    expect(await polite.closed).toEqual(closeOf(CLOSE.RESTARTING));
    await closing;
    expect(server.observed.sockets).toBe(0);
    await expect(RawSocket.open(server.url, 'ada')).rejects.toThrow();
    silent.ws.terminate();
    servers.splice(servers.indexOf(server), 1);
  });
});

describe('A socket', () => {
  it('is cut where its peer does not answer pings, and kept where it does', async () => {
    const { url, observed } = await start({ socketTimings: { pingMs: 60 } });
    const alive = await RawSocket.open(url, 'ada');
    const gone = await RawSocket.open(url, 'ben', { autoPong: false });
    expect((await gone.closed).code).toBe(1006);
    await once(alive.ws, 'ping');
    await once(alive.ws, 'ping');
    expect(observed.sockets).toBe(1);
    expect(alive.ws.readyState).toBe(alive.ws.OPEN);
    await alive.close();
  });

  it.each([
    ['another origin', { origin: 'https://evil.example' }, 403],
    ['one that is no URL', { headers: { origin: 'null' } }, 403],
  ])('is refused to %s', async (_what, options, status) => {
    const { url } = await start({ allowedOrigins: ['https://app.example'] });
    const ws = new WebSocket(`${url.replace('http', 'ws')}/graphql`, ['graphql-transport-ws'], options);
    const [error] = await once(ws, 'error');
    expect(String(error)).toContain(String(status));
  });

  it('is open to the listed origins, to its own and to what sends none', async () => {
    const { url } = await start({ allowedOrigins: ['https://app.example'] });
    for (const options of [{ origin: 'https://app.example' }, { origin: url }, {}]) {
      const socket = await RawSocket.open(url, 'ada', options);
      await socket.close();
    }
  });

  it('is not served on another path', async () => {
    const { url } = await start();
    const ws = new WebSocket(`${url.replace('http', 'ws')}/other`, ['graphql-transport-ws']);
    const [error] = await once(ws, 'error');
    expect(String(error)).toContain('404');
  });

  it('carries a bounded number of subscriptions, and takes a new one when one has ended', async () => {
    const { url, fake } = await start();
    const socket = await RawSocket.open(url, 'ada');
    const SUBSCRIBE = 'subscription { incomingCalls { __typename } }';
    for (let id = 0; id <= MAX_SUBSCRIPTIONS; id++) socket.subscribe(`${id}`, SUBSCRIBE);
    const refused = await socket.answer(`${MAX_SUBSCRIPTIONS}`);
    expect(refused.errors?.[0]?.extensions).toEqual({ code: 'RATE_LIMITED' });
    expect(fake.rings.size).toBe(MAX_SUBSCRIPTIONS);
    socket.send({ id: '0', type: 'complete' });
    await eventually(() => fake.rings.size === MAX_SUBSCRIPTIONS - 1);
    socket.subscribe('again', SUBSCRIBE);
    expect(await socket.answer('again')).toEqual({
      data: { incomingCalls: { __typename: 'IncomingSnapshot' } },
    });
    await socket.close();
    await eventually(() => fake.rings.size === 0);
  });

  it('answers a message that comes while it closes with nothing, and does nothing for it', async () => {
    const { url, fake } = await start();
    const socket = await RawSocket.open(url, 'ada+service');
    socket.subscribe('1', STREAM, { id: fake.call.id });
    await socket.answer('1');
    socket.ws.pause();
    fake.lastSocket?.close(CLOSE.TOO_SLOW);
    socket.subscribe('late', 'mutation { deleteConversation(id: "late") }');
    socket.ws.resume();
    expect(await socket.closed).toEqual(closeOf(CLOSE.TOO_SLOW));
    expect(fake.lastDelete).toBeNull();
  });

  it('is not asked for more events than its network takes', async () => {
    const { url, fake } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe(
      '1',
      'subscription ($id: ID!) { callEvents(callId: $id, sessionId: "s") { ... on SignalingDegraded { reason } } }',
      {
        id: fake.call.id,
      },
    );
    await socket.answer('1');
    socket.ws.pause();
    const [stream] = fake.streams;
    const COUNT = 2_000;
    const reason = 'x'.repeat(10_000);
    for (let n = 0; n < COUNT; n++) {
      stream!.push({ __typename: 'SignalingDegraded', cursor: `${n}`, callId: fake.call.id, at: 0, reason });
    }
    let pulled = -1;
    await eventually(() => {
      const still = pulled === stream!.pulled && pulled > 1;
      pulled = stream!.pulled;
      return still;
    });
    expect(stream!.pulled).toBeLessThan(COUNT);
    expect(fake.lastSocket!.unsentBytes()).toBeLessThan(200_000);
    socket.ws.resume();
    await eventually(() => socket.messages.length > COUNT, 15_000);
    await socket.close();
  });
});

describe('The signals of a socket', () => {
  it('are taken in the order in which they arrived, 200 at once, each after a wait of its own', async () => {
    const { url, fake } = await start();
    fake.beforeAppend = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    const socket = await RawSocket.open(url, 'ada');
    for (let seq = 1; seq <= 200; seq++) {
      // The first ones bring a document each that has not been read yet.
      socket.subscribe(`${seq}`, seq <= 20 ? `${SEND} # ${seq}` : SEND, signal(seq));
    }
    await socket.answer('200');
    expect(fake.appended).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
    await socket.close();
  });

  it('are not held up by one that fails, whichever way it does', async () => {
    const { url, fake } = await start();
    const failing = 5;
    fake.beforeAppend = async ({ clientSeq }) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      if (clientSeq === failing) throw new Error('The log is gone');
    };
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('1', SEND, signal(1));
    socket.subscribe('syntax', 'mutation { sendSignal(');
    socket.subscribe('invalid', 'mutation { sendSignal { __typename } }');
    socket.subscribe('variables', SEND, { input: { callId: 'c' } });
    socket.subscribe('rejected', SEND, signal(4, 'a\nb'));
    socket.subscribe('5', SEND, signal(failing));
    socket.subscribe(
      'twice',
      'mutation ($input: SendSignalInput!) { a: sendSignal(input: $input) { __typename } b: sendSignal(input: $input) { __typename } }',
      signal(6),
    );
    socket.subscribe('7', SEND, signal(7));
    expect(await socket.answer('7')).toEqual({ data: { sendSignal: { __typename: 'SendSignalSuccess' } } });
    expect(fake.appended).toEqual([1, 6, 6, 7]);
    expect((await socket.answer('rejected')).data).toEqual({ sendSignal: { __typename: 'Rejection' } });
    await socket.close();
  });

  it('do not wait for commands before them', async () => {
    const { url, fake } = await start();
    const held = Promise.withResolvers<never>();
    fake.services.calls.endCall = () => held.promise;
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('end', 'mutation { endCall(callId: "c") { __typename } }');
    socket.subscribe('1', SEND, signal(1));
    expect(await socket.answer('1')).toHaveProperty('data');
    await socket.close();
  });
});

describe('Operations of a socket', () => {
  it('have errors with a code, and nothing of Yoga in them', async () => {
    const { url, observed } = await start();
    const socket = await RawSocket.open(url, 'ada');
    socket.subscribe('syntax', '{');
    socket.subscribe('field', '{ nothing }');
    socket.subscribe('name', 'query A { viewer { id } } query B { viewer { id } }');
    socket.subscribe('scope', 'mutation { terminateCall(callId: "c") { __typename } }');
    socket.subscribe('fault', 'mutation { setMediaState(callId: "c", sessionId: "s") { __typename } }');
    socket.subscribe('long', `{ ${'viewer { id } '.repeat(600)} }`);
    const codes = await Promise.all(
      ['syntax', 'field', 'name', 'scope', 'fault', 'long'].map(
        async (id) => (await socket.answer(id)).errors?.[0]?.extensions,
      ),
    );
    expect(codes).toEqual([
      { code: 'GRAPHQL_PARSE_FAILED' },
      { code: 'GRAPHQL_VALIDATION_FAILED' },
      { code: 'BAD_USER_INPUT' },
      { code: 'FORBIDDEN' },
      { code: 'INTERNAL_SERVER_ERROR', errorId: expect.any(String) },
      { code: 'BAD_USER_INPUT', limit: 'tokens' },
    ]);
    expect(observed.internalErrors).toBe(1);
    expect(JSON.stringify(socket.messages)).not.toMatch(/192\.0\.2|secret/);
    await socket.close();
  });

  it('end a refused subscription with its code, and a broken one with a masked error', async () => {
    const { url, fake } = await start();
    const client = createClient({ url, token: 'ada' });
    const refused = client.subscribe(CallEvents, {
      callId: '5b3f4a0e-0000-4000-8000-000000000000',
      sessionId: 's',
    });
    await expect(refused.ended).rejects.toMatchObject({ code: 'CALL_NOT_FOUND' });
    const events = client.subscribe(CallEvents, { callId: fake.call.id, sessionId: 's' });
    await events.next();
    for (const stream of fake.streams) stream.fail(new Error('v=0 192.0.2.7'));
    await expect(events.ended).rejects.toMatchObject({ code: 'INTERNAL_SERVER_ERROR' });
    await client.dispose();
  });

  it('give each subscriber its events, with unions and instants as the schema has them', async () => {
    const { url, fake } = await start();
    const client = createClient({ url, token: 'ada' });
    const events = client.subscribe(CallEvents, { callId: fake.call.id, sessionId: 's', after: 'c9' });
    expect(await events.next()).toMatchObject({
      __typename: 'CallSnapshot',
      cursor: 'c9',
      at: '2026-01-31T12:00:00.000Z',
      call: { id: fake.call.id, participants: [{ userId: 'ada', media: { videoOn: true } }] },
    });
    for (const stream of fake.streams) {
      stream.push({
        __typename: 'SignalReceived',
        cursor: 'c10',
        callId: fake.call.id,
        at: 0,
        from: 'ben',
        fromJoinSeq: 2,
        to: null,
        signal: { __typename: 'Offer', sdp: 'v=0', generation: 1 },
        signalJson: '{"__typename":"Offer","sdp":"v=0","generation":1}',
      });
    }
    expect(await events.next()).toMatchObject({
      __typename: 'SignalReceived',
      at: '1970-01-01T00:00:00.000Z',
      signal: { __typename: 'Offer', sdp: 'v=0', generation: 1 },
    });
    const rings = client.subscribe(IncomingCalls, {});
    expect(await rings.next()).toMatchObject({ __typename: 'IncomingSnapshot', calls: [] });
    events.close();
    rings.close();
    await eventually(() => fake.streams.size === 0 && fake.rings.size === 0);
    expect((await client.query(Viewer, {})).viewer.id).toBe('ada');
    await client.dispose();
  });
});
