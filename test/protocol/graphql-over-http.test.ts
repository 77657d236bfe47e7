import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { type AuditResult, auditServer } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { RawSocket } from '../support/raw-socket.ts';
import type { Answer } from '../support/two-ways.ts';

let server: FakeServer;
let closed: FakeServer;
beforeAll(async () => {
  server = await startFakeServer({ allowedOrigins: ['https://app.example', 'https://app.example:8443'] });
  closed = await startFakeServer({ introspection: false, graphiql: false });
});
afterAll(() => Promise.all([server.close(), closed.close()]));

/** Queries by GET, which the specification leaves open: a link must not run anything, and nothing needs it. */
const NO_GET = [
  'MAY accept application/x-www-form-urlencoded formatted GET requests',
  'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/graphql-response+json',
  'MAY allow URL-encoded JSON string {variables} parameter in GETs when accepting application/json',
];
/** These ask for a type of the schema, to have something to give a variable to. */
const ASKS_FOR_THE_SCHEMA = [
  'MUST allow map {variables} parameter when accepting application/json',
  'SHOULD allow map {variables} parameter when accepting application/graphql-response+json',
];

describe("The audits of graphql-http, GraphQL over HTTP's reference", () => {
  const audit = async (url: string) => auditServer({ url: `${url}/graphql` });
  const reportOf = (results: AuditResult[]) => {
    const level = (name: string) => /^(?:MUST|SHOULD|MAY)/.exec(name)![0];
    const lines = ['MUST', 'SHOULD', 'MAY'].map((one) => {
      const of = results.filter(({ name }) => level(name) === one);
      return `${one} ${of.filter(({ status }) => status === 'ok').length}/${of.length}`;
    });
    return lines.join(', ');
  };
  const failed = (results: AuditResult[]) =>
    results.filter(({ status }) => status !== 'ok').map(({ name }) => name as string);

  it('all pass, but for queries by GET', async ({ annotate }) => {
    const results = await audit(server.url);
    await annotate(`Audits that pass: ${reportOf(results)}`);
    expect(results.length).toBeGreaterThanOrEqual(61);
    expect(failed(results).toSorted()).toEqual(NO_GET.toSorted());
  });

  it('all pass where introspection is off, but for those that ask for the schema', async ({ annotate }) => {
    const results = await audit(closed.url);
    await annotate(`Audits that pass without introspection: ${reportOf(results)}`);
    expect(failed(results).toSorted()).toEqual([...NO_GET, ...ASKS_FOR_THE_SCHEMA].toSorted());
  });
});

const MUTATION = 'mutation { deleteConversation(id: "room") }';
const JSON_BODY = JSON.stringify({ query: MUTATION });

async function post(body: BodyInit, headers: Record<string, string>, url = server.url) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { authorization: 'Bearer ada+service', ...headers },
    body,
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    answer: text === '' ? {} : (JSON.parse(text) as Answer),
  };
}

/** Runs nothing: neither the answer nor the service shows a deletion. */
async function expectNothingRun(asked: Promise<{ status: number; answer: Answer }>, status: number) {
  server.fake.lastDelete = null;
  const { status: answered, answer } = await asked;
  expect(answered).toBe(status);
  expect(answer.data ?? null).toBeNull();
  expect(answer.errors).toHaveLength(1);
  expect(server.fake.lastDelete).toBeNull();
  return answer.errors![0]!;
}

/** 5 MB, packed. */
const BOMB = gzipSync(JSON.stringify({ query: MUTATION, variables: { padding: 'x'.repeat(5_000_000) } }));

describe('A body', () => {
  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'Application/JSON;charset="UTF-8"',
    'application/json ; charset=utf-8',
    'application/json;',
  ])('of the type %s is read', async (type) => {
    const { answer } = await post(JSON_BODY, { 'content-type': type });
    expect(answer).toEqual({ data: { deleteConversation: true } });
  });

  // What a page elsewhere can send unasked has one of the first three types, or none.
  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain; a=application/json',
    'application/json, text/plain',
    'application/jsonp',
    'application/json; charset=utf-16',
    'application/json; charset=iso-8859-1',
    'application/graphql',
    'application/graphql-response+json',
  ])('of the type %s is not', async (type) => {
    const { message } = await expectNothingRun(post(JSON_BODY, { 'content-type': type }), 415);
    expect(message).toContain('application/json');
  });

  it('of no type is not', async () => {
    // Of bytes fetch knows no type.
    await expectNothingRun(post(new TextEncoder().encode(JSON_BODY), {}), 415);
  });

  it('of a form, with the operation in its fields or in the address, is not', async () => {
    const form = new URLSearchParams({ query: MUTATION });
    await expectNothingRun(post(form, {}), 415);
    const parts = new FormData();
    parts.set('operations', JSON_BODY);
    parts.set('map', '{}');
    await expectNothingRun(post(parts, {}), 415);
    const inAddress = await fetch(`${server.url}/graphql?${form}`, { method: 'POST' });
    expect(inAddress.status).toBe(415);
  });

  it.each(['gzip', 'br', 'deflate', 'gzip, identity'])(
    'that is packed (%s) is not unpacked',
    async (encoding) => {
      expect(BOMB.length).toBeLessThan(64 * 1024);
      const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
      const { message } = await expectNothingRun(post(BOMB, headers), 415);
      expect(message).toContain('content encoding');
    },
  );

  it('in chunks that go on past 64 KiB is cut off, whoever sends it', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const chunk = `4000\r\n${' '.repeat(0x4000)}\r\n`;
    for (let sent = 0; sent < 6; sent++) socket.write(chunk);
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(String(head)).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  it('that is a batch is refused, also an empty one', async () => {
    for (const batch of [`[${JSON_BODY}]`, `[${JSON_BODY},${JSON_BODY}]`, '[]']) {
      const { message } = await expectNothingRun(post(batch, { 'content-type': 'application/json' }), 400);
      expect(message).toContain('Batching is not supported');
    }
  });
});

describe('Anything but POST', () => {
  it.each(['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'])('%s runs no operation', async (method) => {
    server.fake.lastDelete = null;
    for (const query of [MUTATION, '{ __typename }']) {
      const response = await fetch(`${server.url}/graphql?${new URLSearchParams({ query })}`, {
        method,
        headers: { authorization: 'Bearer ada+service', 'content-type': 'application/json' },
      });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('POST');
      expect(await response.text()).not.toContain('"data"');
    }
    expect(server.fake.lastDelete).toBeNull();
  });

  it('a browser is told that there is no page, where GraphiQL is off', async () => {
    const get = (url: string) => fetch(`${url}/graphql`, { headers: { accept: 'text/html' } });
    const off = await get(closed.url);
    expect(off.status).toBe(405);
    expect(((await off.json()) as Answer).errors?.[0]?.message).toContain('POST');
  });
});

describe('Origins', () => {
  const own = () => server.url;
  /** As a browser sends it, by each of the ways; true where it is let in. */
  async function letIn(origin: string, headers: Record<string, string> = {}): Promise<boolean> {
    const all = { origin, 'content-type': 'application/json', ...headers };
    const { status, headers: answered } = await post(JSON_BODY, all);
    const preflight = await fetch(`${server.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin, ...headers },
    });
    const socket = new RawSocket(server.url, { headers: { origin, ...headers } });
    const opened = await Promise.race([
      once(socket.ws, 'open').then(() => true),
      socket.closed.then(() => false),
    ]);
    await socket.close();
    const ways = [
      status === 200,
      answered.get('access-control-allow-origin') === origin,
      preflight.headers.get('access-control-allow-origin') === origin,
      opened,
    ];
    expect(new Set(ways), `${origin}: ${ways}`).toHaveLength(1);
    return opened;
  }

  it('are let in by their exact name, and none else, on every way', async () => {
    for (const origin of ['https://app.example', 'https://app.example:8443', own()]) {
      expect(await letIn(origin), origin).toBe(true);
    }
    for (const origin of [
      'http://app.example',
      'https://app.example:444',
      'https://APP.example',
      'https://app.example.evil.example',
      'https://evil-app.example',
      'https://sub.app.example',
      'https://app.example/',
      'null',
      '',
      own().replace(/\d+$/, '1'),
      own().replace('127.0.0.1', 'localhost'),
      own().replace('http', 'app'),
      `${own()}/`,
      `http://x@${own().slice('http://'.length)}`,
    ]) {
      expect(await letIn(origin), origin).toBe(false);
    }
  });

  it('the own one is of the scheme that a proxy says it was asked by', async () => {
    const secure = own().replace('http', 'https');
    expect(await letIn(secure)).toBe(true);
    for (const told of ['https', 'wss', 'https, http']) {
      expect(await letIn(secure, { 'x-forwarded-proto': told }), told).toBe(true);
      expect(await letIn(own(), { 'x-forwarded-proto': told }), told).toBe(false);
    }
    expect(await letIn(own(), { 'x-forwarded-proto': 'http' })).toBe(true);
    expect(await letIn(secure, { 'x-forwarded-proto': 'http' })).toBe(false);
  });

  it('a page of another one runs nothing, and is told the setting', async () => {
    const headers = { origin: 'https://evil.example', 'content-type': 'application/json' };
    const { message } = await expectNothingRun(post(JSON_BODY, headers), 403);
    expect(message).toContain('ALLOWED_ORIGINS');
    await expectNothingRun(post(JSON_BODY, { ...headers, 'content-type': 'text/plain' }), 403);
  });
});
