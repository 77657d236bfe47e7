import { once } from 'node:events';
import { connect } from 'node:net';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createMetricsServer } from '../../src/http/health.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { eventually } from '../support/raw-socket.ts';

let server: FakeServer;
beforeAll(async () => {
  server = await startFakeServer();
});
afterAll(() => server.close());

const others: FakeServer[] = [];
afterEach(async () => {
  for (const other of others.splice(0)) await other.close();
});
const startOther = async (...args: Parameters<typeof startFakeServer>) => {
  const other = await startFakeServer(...args);
  others.push(other);
  return other;
};

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: { message: string; extensions: Record<string, unknown> }[];
}

function post(body: string, headers: Record<string, string> = {}, url = server.url): Promise<Response> {
  return fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
}

async function run(
  query: string,
  { token = 'ada' as string | null, variables = {}, url = server.url } = {},
): Promise<Answer> {
  const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
  return (await post(JSON.stringify({ query, variables }), headers, url)).json() as Promise<Answer>;
}

const codeOf = (answer: Answer) => answer.errors?.[0]?.extensions.code;

describe('Who may ask', () => {
  it.each([
    [null, 'Authorization: Bearer'],
    ['bad', 'not valid'],
    ['expired', 'run out'],
  ])('with the token %j every field is UNAUTHENTICATED, and says why', async (token, why) => {
    for (const query of [
      '{ viewer { id } }',
      '{ call(id: "c") { id } }',
      '{ calls { edges { cursor } } }',
      '{ iceServers(callId: "c") { __typename } }',
      'mutation { endCall(callId: "c") { __typename } }',
      'mutation { sendSignal(input: {callId: "c", sessionId: "s", clientSeq: 1, signal: {renegotiate: {iceRestart: true}}}) { __typename } }',
      'mutation { putConversation(id: "c", memberIds: []) { id } }',
      'mutation { terminateCall(callId: "c") { __typename } }',
    ]) {
      const answer = await run(query, { token });
      expect(codeOf(answer), query).toBe('UNAUTHENTICATED');
      expect(answer.errors?.[0]?.message).toContain(why);
    }
  });

  it('introspection and __typename need no token', async () => {
    expect(await run('{ __typename __schema { queryType { name } } }', { token: null })).toEqual({
      data: { __typename: 'Query', __schema: { queryType: { name: 'Query' } } },
    });
  });

  it.each([
    ['service', 'mutation { putConversation(id: "c", memberIds: ["a"]) { id } }'],
    ['service', 'mutation { addMembers(conversationId: "c", userIds: ["a"]) { id } }'],
    ['service', 'mutation { removeMembers(conversationId: "c", userIds: ["a"]) { id } }'],
    ['service', 'mutation { deleteConversation(id: "c") }'],
    ['admin', 'mutation { terminateCall(callId: "c") { __typename } }'],
  ])('without the scope %s it is FORBIDDEN, which names the scope: %s', async (scope, query) => {
    const wrong = scope === 'admin' ? 'ada+service' : 'ada+admin';
    const answer = await run(query, { token: wrong });
    expect(codeOf(answer)).toBe('FORBIDDEN');
    expect(answer.errors?.[0]?.message).toContain(scope);
    expect((await run(query, { token: `ada+${scope}` })).errors).toBeUndefined();
  });

  it('a fault of the keys is not taken for a fault of the token', async () => {
    const other = await startOther();
    expect(codeOf(await run('{ viewer { id } }', { token: 'down', url: other.url }))).toBe(
      'INTERNAL_SERVER_ERROR',
    );
    expect(other.observed.internalErrors).toBe(1);
  });
});

describe('Input', () => {
  it.each([
    ['endCall(callId: $id)', 'callId'],
    ['leaveCall(callId: "c", sessionId: $id)', 'sessionId'],
    ['inviteToCall(callId: "c", userIds: [$id])', 'userIds'],
    ['removeParticipant(callId: "c", userId: $id)', 'userId'],
    ['joinCall(input: {callId: "c", sessionId: $id})', 'input.sessionId'],
    [
      'initiateCall(input: {conversationId: "c", calleeIds: [$id], type: AUDIO, sessionId: "s"})',
      'input.calleeIds',
    ],
    [
      'initiateCall(input: {conversationId: "c", calleeIds: [], type: AUDIO, sessionId: "s", idempotencyKey: $id})',
      'input.idempotencyKey',
    ],
    [
      'sendSignal(input: {callId: "c", sessionId: "s", to: $id, clientSeq: 1, signal: {renegotiate: {iceRestart: true}}})',
      'input.to',
    ],
  ])('a malformed id is a Rejection that names the field: %s', async (field, name) => {
    for (const id of ['', 'x'.repeat(129), 'a\u0000b']) {
      const answer = await run(`mutation ($id: ID!) { ${field} { ... on Rejection { code message } } }`, {
        variables: { id },
      });
      expect(Object.values(answer.data!)[0]).toEqual({
        code: 'INVALID_INPUT',
        message: expect.stringContaining(name),
      });
    }
  });

  it.each([
    ['query ($id: ID!) { call(id: $id) { id } }', 'id'],
    [
      'query ($id: ID!) { calls(filter: {conversationId: $id}) { edges { cursor } } }',
      'filter.conversationId',
    ],
    ['mutation ($id: ID!) { deleteConversation(id: $id) }', 'id'],
    ['mutation ($id: ID!) { putConversation(id: "c", memberIds: [$id]) { id } }', 'memberIds'],
  ])('where there is no Rejection it is BAD_USER_INPUT with the field: %s', async (query, field) => {
    const answer = await run(query, { token: 'ada+service', variables: { id: '' } });
    expect(answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field });
  });

  it('lists are bounded', async () => {
    const ids = Array.from({ length: 1_001 }, (_, index) => `u${index}`);
    const answer = await run(
      'mutation ($ids: [ID!]!) { inviteToCall(callId: "c", userIds: $ids) { ... on Rejection { code message } } }',
      { variables: { ids } },
    );
    expect(answer.data).toEqual({
      inviteToCall: { code: 'INVALID_INPUT', message: expect.stringContaining('1000') },
    });
    const timeline = await run(
      'query ($id: ID!) { call(id: $id) { timeline(first: 501) { edges { cursor } } } }',
      {
        variables: { id: server.fake.call.id },
      },
    );
    expect(timeline.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', field: 'first' });
  });

  it('a refusal of a service is told with its code and field', async () => {
    const answer = await run('{ calls(first: 1, last: 1) { edges { cursor } } }');
    expect(answer.errors?.[0]).toMatchObject({
      message: 'first or last, not both.',
      extensions: { code: 'BAD_USER_INPUT', field: 'last' },
    });
  });

  it('a Rejection of a service is data', async () => {
    expect(
      await run(
        'mutation { leaveCall(callId: "c", sessionId: "s") { ... on Rejection { code message retryAfterMs } } }',
      ),
    ).toEqual({ data: { leaveCall: { code: 'TIMEOUT', message: expect.any(String), retryAfterMs: 250 } } });
  });
});

describe('What is not foreseen', () => {
  it('is masked with an id, logged under it, and counted', async () => {
    const other = await startOther();
    const answer = await run('mutation { setMediaState(callId: "c", sessionId: "s") { __typename } }', {
      url: other.url,
    });
    expect(codeOf(answer)).toBe('INTERNAL_SERVER_ERROR');
    expect(JSON.stringify(answer)).not.toMatch(/192\.0\.2|candidate|stack/);
    const id = answer.errors?.[0]?.extensions.errorId;
    expect(other.observed.errors).toHaveLength(1);
    expect(JSON.stringify(other.observed.errors)).toContain(id as string);
    expect(other.observed.internalErrors).toBe(1);
  });

  it('a bad document is not logged, and where introspection is off suggests nothing', async () => {
    const other = await startOther({ introspection: false });
    const answer = await run('{ viewr { id } }', { url: other.url });
    expect(answer.errors?.[0]).toMatchObject({
      message: 'Cannot query field "viewr" on type "Query".',
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED' },
    });
    expect(codeOf(await run('{', { url: other.url }))).toBe('GRAPHQL_PARSE_FAILED');
    expect(other.observed.errors).toEqual([]);
    expect((await run('{ viewr { id } }')).errors?.[0]?.message).toContain('Did you mean');
  });
});

describe('Requests', () => {
  it('of more than 64 KiB are refused, whether or not they say how long they are', async () => {
    const body = JSON.stringify({ query: '{ __typename }', variables: { padding: 'x'.repeat(64 * 1024) } });
    const known = await post(body);
    expect(known.status).toBe(413);
    expect(codeOf((await known.json()) as Answer)).toBe('BAD_USER_INPUT');

    const chunked = await fetch(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: new Blob([body]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(chunked.status).toBe(413);
    expect(((await chunked.json()) as Answer).errors).toHaveLength(1);
  });

  it('that announce a huge body are answered before it comes, and the connection is closed', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n{',
    );
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    await once(socket, 'close');
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toMatch(/connection: close/i);
  });

  it.each([
    'text/plain',
    'application/graphql',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/graphql+json',
  ])('of the content type %s are refused', async (type) => {
    const response = await post('{"query":"{__typename}"}', { 'content-type': type });
    expect(response.status).toBe(415);
    expect(((await response.json()) as Answer).errors?.[0]?.message).toContain('application/json');
  });

  it.each(['GET', 'PUT', 'DELETE'])('with %s carry no operation', async (method) => {
    const response = await fetch(`${server.url}/graphql?query={__typename}`, {
      method,
      headers: { accept: 'application/json' },
    });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('POST');
    expect(((await response.json()) as Answer).errors).toHaveLength(1);
  });

  it('in batches, and what is no request of GraphQL, are refused', async () => {
    for (const body of [
      '[{"query":"{__typename}"}]',
      '"x"',
      'null',
      '{}',
      '{"query":1}',
      'x',
      '{"query":"{__typename}","extra":1}',
    ]) {
      const response = await post(body, { accept: 'application/graphql-response+json' });
      expect(response.status, body).toBe(400);
      expect(((await response.json()) as Answer).errors, body).toHaveLength(1);
    }
  });

  it('with a document of too many tokens are refused', async () => {
    const answer = await run(`{ ${'viewer { id } '.repeat(600)} }`);
    expect(answer.errors?.[0]?.message).toContain('tokens');
  });
});

describe('Origins', () => {
  const origin = async (url: string, from: string, method = 'POST') => {
    const response = await fetch(`${url}/graphql`, {
      method,
      headers: { origin: from, 'content-type': 'application/json' },
      ...(method === 'POST' && { body: '{"query":"{__typename}"}' }),
    });
    await response.text();
    return response.headers.get('access-control-allow-origin');
  };

  it('are let in by name, and the own one always', async () => {
    const other = await startOther({ allowedOrigins: ['https://app.example', 'https://b.example'] });
    expect(await origin(other.url, 'https://app.example')).toBe('https://app.example');
    expect(await origin(other.url, 'https://b.example', 'OPTIONS')).toBe('https://b.example');
    expect(await origin(other.url, other.url)).toBe(other.url);
    expect(await origin(other.url, 'https://evil.example')).toBeNull();
    expect(await origin(other.url, 'null', 'OPTIONS')).toBeNull();
  });

  it('but the own one are not let in where none is named', async () => {
    expect(await origin(server.url, 'https://app.example')).toBeNull();
    expect(await origin(server.url, server.url)).toBe(server.url);
  });
});

describe('Server-sent events', () => {
  const stream = async (query: string, token: string) => {
    const response = await post(JSON.stringify({ query }), {
      accept: 'text/event-stream',
      authorization: `Bearer ${token}`,
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    return {
      async until(part: string) {
        while (!text.includes(part)) {
          const { value, done } = await reader.read();
          if (done) throw new Error(`The stream ended: ${text}`);
          text += value;
        }
      },
      async toTheEnd() {
        for (;;) if ((await reader.read()).done) return;
      },
      cancel: () => reader.cancel(),
    };
  };

  it('carry incomingCalls, and let it go when the client does', async () => {
    const events = await stream('subscription { incomingCalls { __typename } }', 'ada');
    await events.until('IncomingSnapshot');
    for (const ring of server.fake.rings)
      ring.push({ __typename: 'CallRinging', call: server.fake.call, at: 0 });
    await events.until('CallRinging');
    await events.cancel();
    await eventually(() => server.fake.rings.size === 0);
  });

  it('end with the token', async () => {
    const events = await stream('subscription { incomingCalls { __typename } }', `ada~${Date.now() + 300}`);
    await events.until('IncomingSnapshot');
    await expect(events.toTheEnd()).rejects.toThrow();
    await eventually(() => server.fake.rings.size === 0);
  });

  it('do not carry callEvents: the service is told that there is no socket', async () => {
    const events = await stream(
      `subscription { callEvents(callId: "${server.fake.call.id}", sessionId: "s") { cursor } }`,
      'ada',
    );
    await events.until('BAD_USER_INPUT');
    await events.cancel();
  });
});

describe('Beside GraphQL', () => {
  const get = (url: string) => fetch(url, { headers: { accept: 'text/html' } });

  it('/healthz says that the process answers', async () => {
    const response = await get(`${server.url}/healthz`);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ok: true });
  });

  it('/readyz says whether it may be sent clients, and why not', async () => {
    const state = { ok: true, degraded: true, reasons: ['Redis is out of reach.'] };
    const other = await startOther({ ready: async () => state });
    expect(await (await get(`${other.url}/readyz`)).json()).toEqual(state);
    state.ok = false;
    expect((await get(`${other.url}/readyz`)).status).toBe(503);
    const broken = await startOther({ ready: () => Promise.reject(new Error('x')) });
    expect((await get(`${broken.url}/readyz`)).status).toBe(503);
  });

  it('anything else is 404 in JSON, the page too where there is no demo', async () => {
    for (const path of ['/', '/demo.json', '/assets/index.js', '/metrics', '/graphql/', '/favicon.ico']) {
      const response = await get(`${server.url}${path}`);
      expect(response.status, path).toBe(404);
      expect(await response.json()).toEqual({ error: 'Not found' });
    }
  });

  it('/metrics is on a server of its own', async () => {
    const registry = new Registry();
    const metrics = createMetricsServer(registry).listen(0, '127.0.0.1');
    await once(metrics, 'listening');
    const { port } = metrics.address() as { port: number };
    const response = await get(`http://127.0.0.1:${port}/metrics`);
    expect(response.headers.get('content-type')).toBe(registry.contentType);
    expect((await get(`http://127.0.0.1:${port}/`)).status).toBe(404);
    metrics.close();
    metrics.closeAllConnections();
  });
});

describe('GraphiQL', () => {
  const page = (headers: Record<string, string> = {}) =>
    fetch(`${server.url}/graphql`, { headers: { accept: 'text/html', ...headers } });

  it('is a page that loads nothing from elsewhere, compressed, and sent once', async () => {
    const response = await page();
    expect(response.headers.get('content-encoding')).toBe('gzip');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await response.text();
    expect(html).toContain('renderYogaGraphiQL');
    expect(html).not.toMatch(/<(?:script|link)[^>]*(?:src|href)="https?:/);
    const again = await page({ 'if-none-match': response.headers.get('etag')! });
    expect(again.status).toBe(304);
  });

  it('is sent as it is to one that takes no gzip', async () => {
    const response = await page({ 'accept-encoding': 'identity' });
    expect(response.headers.get('content-encoding')).toBeNull();
    expect(await response.text()).toContain('renderYogaGraphiQL');
  });
});
