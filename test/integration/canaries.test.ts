import { once } from 'node:events';
import http from 'node:http';
import { print } from 'graphql';
import { Redis } from 'ioredis';
import { SignJWT } from 'jose';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import webPush from 'web-push';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import { createLogger } from '../../src/observability/logger.ts';
import samples from '../data/webrtc-samples.json' with { type: 'json' };
import { IDENTITY } from '../support/app.ts';
import { Canaries } from '../support/canaries.ts';
import { createDatabase } from '../support/database.ts';
import * as operations from '../support/operations.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { subscription } from '../support/subscriptions.ts';
import { eventually } from '../support/world.ts';

/**
 * What nobody may find in a log, a metric label, an error or a trace (semantics.md's last list) is planted in
 * every input, everything is made to fail, and then it is looked for. Spans are one more `place`.
 */

const canaries = new Canaries();
const logs: string[] = [];
/** Answers that say no, and the reasons of closes; what succeeds may bring people what they sent each other. */
const refusals: string[] = [];
const undo: (() => Promise<unknown>)[] = [];
let app: App;
let database: Database;
let redis: TestRedis;
let toDatabase: NetworkProxy;
let callId = '';

const OWN_ADDRESS = canaries.plant('the remote address', '127.0.0.42');
const FORWARDED = canaries.plant('X-Forwarded-For', '203.0.113.86');
const HEADERS = {
  'x-forwarded-for': FORWARDED,
  'x-real-ip': canaries.plant('X-Real-IP', '203.0.113.87'),
  forwarded: `for=${canaries.plant('Forwarded', '203.0.113.88')}`,
  cookie: `session=${canaries.word('a cookie')}`,
  'user-agent': canaries.word('the user agent'),
  referer: `https://app.test/${canaries.word('the referer')}`,
};
const TURN = { username: canaries.word('a TURN username'), credential: canaries.word('a TURN credential') };

async function tokenOf(userId: string, scope = ''): Promise<string> {
  const token = await new SignJWT({ scope, email: canaries.word(`a claim of ${userId}`) })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(IDENTITY.JWT_ISSUER)
    .setAudience(IDENTITY.JWT_AUDIENCE)
    .setSubject(userId)
    .setExpirationTime('10m')
    .sign(new TextEncoder().encode(IDENTITY.JWT_SECRET));
  for (const [index, part] of token.split('.').slice(1).entries()) {
    canaries.plant(`part ${index + 2} of a token of ${userId}`, part);
  }
  return token;
}

beforeAll(async () => {
  const stored = await createDatabase();
  undo.push(() => stored.drop());
  redis = await startRedis();
  undo.push(() => redis.stop());
  toDatabase = await startProxy(stored.url);
  undo.push(() => toDatabase.close());
  database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 2, timeoutMs: 20_000 });
  undo.push(() => database.close());
  const url = new URL(stored.url);
  url.port = new URL(toDatabase.url).port;
  const config = loadConfig({
    ...{ HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0', NODE_ENV: 'production', ...IDENTITY },
    JWT_PREVIOUS_SECRET: canaries.word('the previous secret') + canaries.word('more of it'),
    ...{ DATABASE_URL: url.href, DATABASE_TIMEOUT: '500ms', REDIS_URL: redis.url, INITIATE_RATE: '2' },
    ICE_SERVERS: JSON.stringify([{ urls: 'turn:turn.test', ...TURN }]),
    ...{ TURN_URLS: 'turn:turn.test', TURN_SECRETS: canaries.word('a TURN secret') },
    VAPID_PRIVATE_KEY: canaries.plant('the VAPID key', webPush.generateVAPIDKeys().privateKey),
    VAPID_SUBJECT: 'mailto:ops@example.com',
    ...{ METRICS_PER_CALL: 'true', LOG_LEVEL: 'trace' },
  });
  canaries.plant('the secret', IDENTITY.JWT_SECRET);
  app = await startApp(config, createLogger('trace', { write: (line) => void logs.push(line) }));
  undo.push(() => app.stop());
  canaries.place('the logs', () => logs.join(''));
  canaries.place('the refusals', () => refusals.join('\n'));
  canaries.place('the metrics', async () => (await fetch(`${app.metricsUrl}/metrics`)).text());
});
afterAll(async () => {
  for (const step of undo.reverse()) await step();
});

const isRefusal = (text: string) => /"errors"|"type":"error"|"code":|"error":/.test(text);

/** By the remote address that is a canary. */
async function post(path: string, body: string, token: string | null, more: http.OutgoingHttpHeaders = {}) {
  const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
  const request = http.request(`${app.url}${path}`, {
    method: 'POST',
    localAddress: OWN_ADDRESS,
    headers: { 'content-type': 'application/json', ...HEADERS, ...authorization, ...more },
  });
  const [response] = (await once(request.end(body), 'response')) as [http.IncomingMessage];
  const text = (await response.toArray()).join('');
  if (isRefusal(text)) refusals.push(JSON.stringify(response.headers), text);
  return text;
}

const graphql = (query: string, variables: unknown, token: string | null, more: object = {}) =>
  post('/graphql', JSON.stringify({ query, variables, ...more }), token);

async function open(payload: object): Promise<RawSocket> {
  const socket = await RawSocket.open(app.url, null, { localAddress: OWN_ADDRESS, headers: HEADERS });
  socket.ws.on('message', (message) => {
    if (isRefusal(String(message))) refusals.push(String(message));
  });
  socket.ws.on('close', (code, reason) => refusals.push(`${code} ${reason}`));
  const params = {
    ...payload,
    device: canaries.word(`a connection parameter ${JSON.stringify(payload).length}`),
  };
  socket.send({ type: 'connection_init', payload: params });
  return socket;
}

const [OFFER] = samples.stacks.chromium_data.offers as [string];
const sdpOf = (what: string) =>
  OFFER.replace(/ice-pwd:.*/, `ice-pwd:${canaries.word(`the ICE password of ${what}`)}`)
    .replace(/ice-ufrag:.*/, `ice-ufrag:${canaries.word(`the ufrag of ${what}`)}`)
    .replace('127.0.0.1', canaries.plant(`the address of ${what}`, `198.51.100.${100 + what.length}`))
    .replace('s=-', `s=${canaries.word(`the name of ${what}`)}`);
const candidateOf = (what: string) => ({
  candidate: `candidate:1 1 udp 2122260223 ${canaries.plant(`the address of ${what}`, `192.0.2.${100 + what.length}`)} 54321 typ host ufrag ${canaries.word(`the ufrag in ${what}`).slice(0, 26)}`,
  sdpMid: '0',
  usernameFragment: canaries.word(`the ufrag beside ${what}`),
});

let clientSeq = 0;
/** Good ones and bad ones of each kind. */
function signals(round: string): object[] {
  const good = candidateOf(`a candidate ${round}`);
  const bad = candidateOf(`a bad candidate ${round}`);
  const offer = sdpOf(`an offer ${round}`);
  return [
    { offer: { sdp: offer, generation: 1 } },
    { answer: { sdp: offer.replace('actpass', 'active'), generation: 1 } },
    { candidates: { items: [good], generation: 1 } },
    { offer: { sdp: sdpOf(`a bad offer ${round}`).replace('v=0', 'v=1'), generation: 1 } },
    { offer: { sdp: canaries.word(`a text for an SDP ${round}`), generation: 1 } },
    { offer: { sdp: `${offer}${canaries.word(`a broken line ${round}`)}`, generation: 1 } },
    { candidates: { items: [{ ...bad, candidate: `${bad.candidate}\r\na=x` }], generation: 1 } },
    { candidates: { items: [{ ...bad, candidate: bad.candidate.replace('udp', 'sctp-x') }], generation: 1 } },
    { candidates: { items: [{ ...bad, candidate: canaries.word(`no candidate ${round}`) }], generation: 1 } },
    { candidates: { items: [{ ...good, sdpMid: `${canaries.word(`a mid ${round}`)}\n` }], generation: 1 } },
    { candidates: { items: [{ ...good, usernameFragment: '!' }], generation: 1 } },
  ];
}

const SEND = print(operations.SendSignal);
const signalOf = (signal: object, sessionId: string) => ({
  input: { callId, sessionId, clientSeq: ++clientSeq, signal },
});

describe('No secret is in logs, metrics, refusals or close reasons', () => {
  let ada: string;
  let ben: string;
  let adas: RawSocket;

  it('when all goes well', async () => {
    [ada, ben] = [await tokenOf('ada'), await tokenOf('ben')];
    const service = await tokenOf('back-end', 'service');
    await graphql(print(operations.PutConversation), { id: 'room', memberIds: ['ada', 'ben'] }, service);
    const input = { conversationId: 'room', calleeIds: ['ben'], type: 'VIDEO', sessionId: 'a' };
    const started = await graphql(print(operations.InitiateCall), { input }, ada);
    callId = JSON.parse(started).data.initiateCall.call.id;
    await graphql(print(operations.JoinCall), { input: { callId, sessionId: 'b' } }, ben);
    adas = await open({ authorization: `Bearer ${ada}` });
    const bens = await open({ authorization: `Bearer ${ben}` });
    for (const [socket, sessionId] of [
      [adas, 'a'],
      [bens, 'b'],
    ] as const) {
      await socket.until(({ type }) => type === 'connection_ack');
      socket.subscribe('events', print(operations.CallEvents), { callId, sessionId, after: null });
      await socket.answer('events');
    }
    for (const [index, signal] of signals('in peace').entries()) {
      adas.subscribe(`peace-${index}`, SEND, signalOf(signal, 'a'));
      await adas.answer(`peace-${index}`);
    }
    const heard = JSON.stringify(bens.messages);
    for (const kind of ['Offer', 'Answer', 'IceCandidates']) expect(heard).toContain(`"${kind}"`);
    // Where they belong they are, so a search that finds none elsewhere says something.
    for (const what of ['an offer', 'a candidate']) {
      expect(canaries.foundIn(heard)).toContain(`the address of ${what} in peace`);
    }
    const servers = await graphql(print(operations.GetIceServers), { callId }, ada);
    expect(canaries.foundIn(servers)).toEqual(['a TURN username', 'a TURN credential']);
    expect(await canaries.escaped()).toEqual([]);
  });

  it('when the tokens are no good', async () => {
    const [head, claims] = ada.split('.') as [string, string];
    const broken = [
      `${head}.${claims}.${canaries.word('a false signature')}`,
      `eyJ${canaries.word('a broken token')}.x`,
      canaries.word('a token that is a word'),
      `${canaries.word('a long token').repeat(400)}`,
      `"${canaries.word('a token in quotes')}"`,
    ];
    for (const token of broken) {
      expect(await graphql('{ viewer { id } }', {}, token)).toContain('UNAUTHENTICATED');
      for (const authorization of [`Bearer ${token}`, token, { token }]) {
        const socket = await open({ authorization });
        expect((await socket.closed).code).toBe(4401);
      }
    }
    expect(await canaries.escaped()).toEqual([]);
  });

  it('when a browser is registered and can’t be reached, is refused, or is what nobody foresaw', async () => {
    const dora = await tokenOf('dora');
    const service = await tokenOf('back-end', 'service');
    const word = (what: string) => canaries.word(what);
    const device = (endpoint: string, over: object = {}) => {
      const { p256dh, auth } = subscription();
      canaries.plant(`p256dh of ${endpoint}`, p256dh);
      canaries.plant(`auth of ${endpoint}`, auth);
      return { webPush: { endpoint, p256dh, auth, ...over } };
    };
    const register = (input: object) => graphql(print(operations.RegisterDevice), { input }, dora);
    expect(await register(device(`https://push.test/${word('an endpoint')}`))).toContain(
      'RegisterDeviceSuccess',
    );
    const bad = [
      device(`http://push.test/${word('an endpoint without TLS')}`),
      device(`https://10.0.0.1/${word('a private endpoint')}`),
      device(word('an endpoint that is a word')),
      device(`https://push.test/${word('an endpoint with a bad key')}`, { p256dh: word('a bad key') }),
      device(`https://push.test/${word('an endpoint with a bad auth')}`, { auth: word('a bad auth') }),
      device(`https://push.test/${word('an endpoint beside an object')}`, { auth: { x: word('an object') } }),
    ];
    for (const input of bad) expect(await register(input)).toMatch(/INVALID_INPUT|BAD_USER_INPUT/);
    await sql`alter table devices add constraint planted check (name <> 'planted')`.execute(database.db);
    const unforeseen = {
      ...device(`https://push.test/${word('an endpoint in an insert')}`),
      name: 'planted',
    };
    expect(await register(unforeseen)).toContain('INTERNAL_SERVER_ERROR');
    await graphql(print(operations.PutConversation), { id: 'push', memberIds: ['ben', 'dora'] }, service);
    const input = { conversationId: 'push', calleeIds: ['dora'], type: 'VIDEO', sessionId: 'b2' };
    await graphql(print(operations.InitiateCall), { input }, ben);
    await eventually(async () => {
      const { rows } = await sql<{ text: string }>`select output::text as text from pgboss.job
        where name = 'push' and state = 'retry'`.execute(database.db);
      expect(canaries.foundIn(JSON.stringify(rows))).toEqual([]);
      return rows[0]?.text.includes('No answer');
    });
    expect(await canaries.escaped()).toEqual([]);
  });

  it('when the input is no good', async () => {
    const word = (what: string) => canaries.word(what);
    const key = word('an idempotency key');
    const start = (calleeIds: string[]) => ({
      input: { conversationId: 'room', calleeIds, type: 'VIDEO', sessionId: 'a', idempotencyKey: key },
    });
    const INITIATE = print(operations.InitiateCall);
    for (const [query, variables] of [
      [INITIATE, start(['ben'])],
      [INITIATE, start(['ben', 'cleo'])],
      [INITIATE, start([])],
      [INITIATE, { input: { ...start(['ben']).input, type: word('a value for an enum') } }],
      [INITIATE, { input: word('a value for an input') }],
      [INITIATE, { input: { ...start(['ben']).input, calleeIds: [{ x: word('an object in a list') }] } }],
      [SEND, { input: { callId, sessionId: 'a', clientSeq: word('a text for a number'), signal: {} } }],
      [
        SEND,
        { input: { callId, sessionId: 'a', clientSeq: 1, signal: { offer: word('a text for an offer') } } },
      ],
      [SEND, signalOf({ offer: { sdp: word('an SDP for a generation'), generation: word('it') } }, 'a')],
      [SEND, signalOf({ candidates: { items: word('a text for candidates'), generation: 1 } }, 'a')],
      [`{ call(id: ["${word('a literal in a list')}"]) { id } }`, {}],
      [`{ call(id: "${word('a literal that does not end')}) { id } }`, {}],
      [`{ calls(first: "${word('a literal for a number')}") { edges { cursor } } }`, {}],
      [`{ calls(filter: {statuses: [${word('a literal for an enum')}]}) { edges { cursor } } }`, {}],
      [`mutation { joinCall(input: "${word('a literal for an input')}") { __typename } }`, {}],
      [`{ calls(after: "${word('a cursor')}") { edges { cursor } } }`, {}],
      [
        `subscription { callEvents(callId: "${callId}", sessionId: "a", after: "${word('another')}") { at } }`,
        {},
      ],
    ] as const) {
      const id = `input-${Math.random()}`;
      await graphql(query, variables, ada);
      adas.subscribe(id, query, variables);
      await adas.answer(id);
    }
    for (const path of [
      `/graphql?token=${word('a query')}`,
      `/${word('a path')}`,
      `/healthz?x=${word('y')}`,
    ]) {
      await post(path, '{}', ada);
    }
    await post('/graphql', `{"query": "${word('a body that is no JSON')}`, ada);
    await post('/graphql', word('a body of another type'), ada, { 'content-type': word('a type') });
    const socket = await open({ authorization: `Bearer ${ada}` });
    socket.send(word('a message of no protocol'));
    await socket.closed;
    expect(await canaries.escaped()).toEqual([]);
  });

  it('when the database is away, or says what nobody foresaw', async () => {
    const { db } = database;
    await sql`alter table calls add constraint planted check (caller_id <> 'cleo')`.execute(db);
    const service = await tokenOf('back-end', 'service');
    await graphql(print(operations.PutConversation), { id: 'other', memberIds: ['ada', 'cleo'] }, service);
    // Postgres tells the whole row that does not fit.
    const input = { conversationId: 'other', calleeIds: ['ada'], type: 'VIDEO', sessionId: 'x' };
    const unforeseen = { input: { ...input, idempotencyKey: canaries.word('a key in an insert') } };
    const answer = await graphql(print(operations.InitiateCall), unforeseen, await tokenOf('cleo'));
    expect(answer).toContain('INTERNAL_SERVER_ERROR');
    await sql`alter table call_participants rename to hidden`.execute(db);
    const asked = await graphql(print(operations.GetCall), { id: callId }, ada);
    expect(asked).toContain('INTERNAL_SERVER_ERROR');
    await sql`alter table hidden rename to call_participants`.execute(db);
    toDatabase.refuse();
    await eventually(async () =>
      (await graphql(print(operations.GetCall), { id: callId }, ada)).includes('TIMEOUT'),
    );
    await graphql(print(operations.SetMediaState), { callId, sessionId: 'a', muted: true }, ada);
    for (const signal of signals('without a database')) await graphql(SEND, signalOf(signal, 'a'), ada);
    toDatabase.allow();
    await eventually(async () =>
      (await graphql(print(operations.GetCall), { id: callId }, ada)).includes(callId),
    );
    expect(logs.join('')).toContain('An error that nobody foresaw');
    expect(await canaries.escaped()).toEqual([]);
  });

  it('when Redis holds nonsense, when it is full, and when it is gone', async () => {
    const direct = new Redis(redis.url);
    undo.push(async () => direct.disconnect());
    const answers: string[] = [];
    // ioredis keeps what it sent beside the error, so the whole signal.
    const keys = await direct.keys(`ringdown:{${callId}}:*`);
    for (const key of keys) await direct.multi().del(key).set(key, 'of another type').exec();
    for (const [index, signal] of signals('in a broken log').entries()) {
      adas.subscribe(`broken-${index}`, SEND, signalOf(signal, 'a'));
      answers.push(JSON.stringify(await adas.answer(`broken-${index}`)));
    }
    expect(answers.join()).toContain('SIGNALING_UNAVAILABLE');
    await direct.config('SET', 'maxmemory', '1');
    for (const [index, signal] of signals('in a full Redis').entries()) {
      adas.subscribe(`full-${index}`, SEND, signalOf(signal, 'a'));
      answers.push(JSON.stringify(await adas.answer(`full-${index}`)));
    }
    direct.disconnect();
    await redis.kill();
    await eventually(() => logs.join('').includes('Redis is gone'));
    for (const [index, signal] of signals('without Redis').entries()) {
      adas.subscribe(`gone-${index}`, SEND, signalOf(signal, 'a'));
      answers.push(JSON.stringify(await adas.answer(`gone-${index}`)));
    }
    expect(answers.join()).toMatch(/SIGNALING_UNAVAILABLE|INTERNAL_SERVER_ERROR/);
    await redis.restart();
    expect(await canaries.escaped()).toEqual([]);
  });

  it('in names that a client makes up: they are told to it alone', async () => {
    const named = new Canaries();
    named.place('the logs', () => logs.join(''));
    named.place('the metrics', async () => (await fetch(`${app.metricsUrl}/metrics`)).text());
    const [operation, field, argument] = ['an operation', 'a field', 'an argument'].map((what) =>
      named.word(what),
    );
    await graphql(`query ${operation} { viewer { id } }`, {}, ada, { operationName: operation });
    await graphql('{ viewer { id } }', {}, ada, { operationName: named.word('an unknown operation') });
    await graphql(`{ viewer { ${field} } calls(${argument}: 1) { edges { cursor } } }`, {}, ada);
    expect(await named.escaped()).toEqual([]);
  });
});
