import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';

const USERS = [
  { id: 'ada', name: 'Ada', token: 'token-of-ada' },
  { id: 'ben', name: 'Ben', token: 'token-of-ben' },
];
const SCRIPT = '/assets/index-B3x.js';

let folder: string;
const servers: FakeServer[] = [];

async function startDemo(at: string, host = '127.0.0.1'): Promise<FakeServer> {
  const demo = { users: USERS, operatorToken: 'operator+service+admin', conversationId: 'demo', host };
  const server = await startFakeServer({
    demo: { ...demo, folder: pathToFileURL(`${at}/`) },
    allowedOrigins: ['https://app.example'],
  });
  servers.push(server);
  return server;
}

let server: FakeServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringdown-demo-'));
  await mkdir(join(folder, 'dist/assets'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"secret":1}');
  await writeFile(join(folder, 'dist/index.html'), '<!doctype html><title>Demo</title>');
  await writeFile(join(folder, 'dist/.made-of'), 'hash');
  await writeFile(join(folder, 'dist/favicon.svg'), '<svg/>');
  await writeFile(join(folder, 'dist', SCRIPT), 'export {};');
  server = await startDemo(join(folder, 'dist'));
});
afterAll(async () => {
  for (const one of servers) await one.close();
  await rm(folder, { recursive: true, force: true });
});

/** With the path and the headers just as they are: `fetch` would tidy both. */
async function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number | undefined;
    headers: Record<string, string | string[] | undefined>;
    body: string;
  }>();
  request({ host: '127.0.0.1', port: server.port, path, agent: false, ...options }, (response) => {
    const { statusCode: status, headers } = response;
    text(response).then((body) => resolve({ status, headers, body }), reject);
  })
    .on('error', reject)
    .end();
  return promise;
}

describe('The page of a demo', () => {
  it('is at /, asked for anew each time and sent once', async () => {
    const { status, headers, body } = await ask('/');
    expect(status).toBe(200);
    expect(body).toContain('<title>Demo</title>');
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['cache-control']).toBe('no-cache');
    const again = await ask('/', { headers: { 'if-none-match': String(headers.etag) } });
    expect([again.status, again.body]).toEqual([304, '']);
    expect((await ask('/?user=ada')).status).toBe(200);
  });

  it('loads nothing from elsewhere, is in no frame, and alone may have the camera', async () => {
    const { headers } = await ask('/');
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'self'");
    expect(policy).not.toContain('unsafe');
    expect(policy).toContain("frame-ancestors 'none'");
    expect(headers['permissions-policy']).toBe('camera=(self), microphone=(self), display-capture=(self)');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['referrer-policy']).toBe('no-referrer');
  });

  it('has files that may be kept for good, since their names change with them', async () => {
    const { status, headers, body } = await ask(SCRIPT);
    expect([status, body]).toEqual([200, 'export {};']);
    expect(headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const icon = await ask('/favicon.svg');
    expect([icon.headers['content-type'], icon.headers['cache-control']]).toEqual([
      'image/svg+xml',
      'no-cache',
    ]);
  });

  it.each(['/', SCRIPT, '/demo.json'])('answers HEAD for %s as GET, without the body', async (path) => {
    const { headers, body } = await ask(path);
    const head = await ask(path, { method: 'HEAD' });
    expect([head.status, head.body]).toEqual([200, '']);
    const { date: _date, 'x-request-id': _id, 'transfer-encoding': _chunked, ...same } = headers;
    expect(body).not.toBe('');
    expect(head.headers).toMatchObject(same);
  });

  it.each([
    '/assets/../../package.json',
    '/assets/..%2f..%2fpackage.json',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/..\\package.json',
    '//package.json',
    '/package.json',
    '/.made-of',
    '/assets',
    '/assets/',
    '/assets/none.js',
    '/%',
    '/%00',
    '/__proto__',
  ])('has nothing at %s', async (path) => {
    const { status, body } = await ask(path);
    expect([status, body]).toEqual([404, '{"error":"Not found"}']);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('takes no %s', async (method) => {
    for (const path of ['/', SCRIPT, '/demo.json']) expect((await ask(path, { method })).status).toBe(404);
  });

  it('that is not built says how to build it, and is there as soon as it is', async () => {
    const later = join(folder, 'later');
    const { url } = await startDemo(later);
    const missing = await fetch(url);
    expect(missing.status).toBe(503);
    expect(missing.headers.get('content-type')).toContain('text/plain');
    expect(await missing.text()).toContain('npm run build:demo');
    expect((await fetch(`${url}/assets/x.js`)).status).toBe(404);
    expect((await fetch(`${url}/demo.json`)).status).toBe(200);
    await mkdir(later);
    await writeFile(join(later, 'index.html'), 'built');
    expect(await (await fetch(url)).text()).toBe('built');
  });
});

describe('/demo.json', () => {
  it('has the users with their tokens, and is kept nowhere', async () => {
    const { headers, body } = await ask('/demo.json');
    expect(JSON.parse(body)).toEqual({
      users: USERS,
      operatorToken: 'operator+service+admin',
      conversationId: 'demo',
    });
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['cross-origin-resource-policy']).toBe('same-origin');
  });

  it('is for no other origin, an allowed one neither', async () => {
    for (const origin of ['https://app.example', 'https://evil.example', 'null']) {
      const { headers } = await ask('/demo.json', { headers: { origin } });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });

  it.each(['127.0.0.1:4000', 'localhost', 'LOCALHOST:80', '[::1]:4000', '192.0.2.7'])(
    'is given to a page at %s',
    async (host) => {
      expect((await ask('/demo.json', { headers: { host } })).status).toBe(200);
    },
  );

  it.each([
    'evil.example',
    'evil.example:4000',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'demo.lan',
    'x y',
  ])(
    'is not given to a page at %j, whose name may point here for a moment; nor is GraphiQL',
    async (host) => {
      for (const path of ['/demo.json', '/graphql?user=ada']) {
        const { status, headers, body } = await ask(path, { headers: { host, accept: 'text/html' } });
        expect(status).toBe(403);
        expect(headers['content-type']).toContain('application/json');
        expect(JSON.parse(body).error).toContain('localhost');
        expect(body).not.toContain('token-of');
      }
    },
  );

  it('is given by the name that HOST is set to', async () => {
    const { port } = await startDemo(folder, 'Demo.lan');
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      request(
        { host: '127.0.0.1', port, path: '/demo.json', headers: { host: `demo.lan:${port}` } },
        (response) => resolve(response.resume().statusCode),
      )
        .on('error', reject)
        .end();
    });
    expect(answer).toBe(200);
  });

  it('has tokens that open the API of the real thing', async () => {
    const app = await startApp(loadConfig({ PORT: '0', METRICS_PORT: '0' }), createLogger('fatal'));
    try {
      const { users, conversationId } = (await (await fetch(`${app.url}/demo.json`)).json()) as {
        users: typeof USERS;
        conversationId: string;
      };
      expect(conversationId).toBe('demo');
      expect(users.length).toBeGreaterThan(2);
      for (const { id, token } of users) {
        const response = await fetch(`${app.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
          body: '{"query":"{ viewer { id } }"}',
        });
        expect(await response.json()).toEqual({ data: { viewer: { id } } });
      }
    } finally {
      await app.stop();
    }
  });
});
