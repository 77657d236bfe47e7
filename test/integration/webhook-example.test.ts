import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createServer as createHttp2Server, type Http2Server, type IncomingHttpHeaders } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { decodeJwt } from 'jose';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createReceiver, type Device } from '../../docs/examples/webhook-receiver.ts';
import { WEBHOOK_SECRET } from '../support/receiver.ts';

/** The example of docs/webhooks.md, between real webhooks and FAKES of Google's and Apple's servers, which can't be had. */

const pem = { type: 'pkcs8', format: 'pem' } as const;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem) as string;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem) as string;

interface Pushed {
  readonly to: string;
  readonly headers: IncomingHttpHeaders;
  readonly payload: Record<string, unknown>;
}
const pushed: Pushed[] = [];
/** What the next pushes to a token are answered; 200 unless said. */
const answers = new Map<string, number>();
const forgotten: string[] = [];
let grants = 0;
let google: Server;
let apple: Http2Server;
let example: Server;

const urlOf = (server: Server | Http2Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeAll(async () => {
  google = createServer(async (request, response) => {
    const body = await text(request);
    if (request.url === '/token') {
      grants++;
      const assertion = new URLSearchParams(body).get('assertion') as string;
      expect(decodeJwt(assertion)).toMatchObject({ iss: 'robot@example.com', aud: `${urlOf(google)}/token` });
      return response.end(JSON.stringify({ access_token: 'granted', expires_in: 3600 }));
    }
    expect(request.url).toBe('/v1/projects/app/messages:send');
    expect(request.headers.authorization).toBe('Bearer granted');
    const { message } = JSON.parse(body);
    pushed.push({ to: message.token, headers: request.headers, payload: message });
    return response.writeHead(answers.get(message.token) ?? 200).end('{}');
  }).listen(0, '127.0.0.1');
  apple = createHttp2Server().listen(0, '127.0.0.1');
  apple.on('stream', async (stream, headers) => {
    const to = String(headers[':path']).replace('/3/device/', '');
    pushed.push({ to, headers, payload: JSON.parse(await text(stream)) });
    stream.respond({ ':status': answers.get(to) ?? 200 });
    stream.end();
  });
  const devices: Record<string, Device[]> = {
    ben: [
      { platform: 'android', token: 'pixel' },
      { platform: 'ios', voipToken: 'voip', alertToken: 'alert' },
    ],
  };
  await Promise.all([once(google, 'listening'), once(apple, 'listening')]);
  example = createReceiver({
    secrets: [`whsec_${Buffer.from('an older one, of thirty bytes.').toString('base64')}`, WEBHOOK_SECRET],
    devicesOf: async (userId) => devices[userId] ?? [],
    forget: async (token) => void forgotten.push(token),
    fcm: {
      projectId: 'app',
      clientEmail: 'robot@example.com',
      privateKey: rsa,
      tokenUrl: `${urlOf(google)}/token`,
      url: urlOf(google),
    },
    apns: { teamId: 'TEAM', keyId: 'KEY', privateKey: ec, bundleId: 'com.example.app', url: urlOf(apple) },
  }).listen(0, '127.0.0.1');
  await once(example, 'listening');
});
afterAll(async () => {
  for (const server of [example, google]) {
    server.close();
    server.closeAllConnections();
  }
  await once(example, 'close');
  apple.close();
});
beforeEach(() => {
  pushed.length = 0;
  forgotten.length = 0;
  answers.clear();
});

async function send(
  type: string,
  options: { id?: string; expiresInMs?: number | null; secret?: string } = {},
) {
  const {
    id = randomUUID(),
    expiresInMs = type === 'call.incoming' ? 30_000 : null,
    secret = WEBHOOK_SECRET,
  } = options;
  const call = { callerId: 'ada', conversationId: 'room', type: 'VIDEO' };
  const expiresAt = expiresInMs === null ? null : new Date(Date.now() + expiresInMs).toISOString();
  const data = { callId: 'c-1', sequence: 6, userIds: ['ben', 'nobody'], expiresAt, call };
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  const now = new Date();
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, now, body),
  };
  return (await fetch(urlOf(example), { method: 'POST', headers, body })).status;
}
const to = (token: string) => pushed.filter((push) => push.to === token);

describe('the example receiver', () => {
  it('wakes each device of who is rung, an iPhone by a VoIP push, until the ring is over', async () => {
    expect(await send('call.incoming')).toBe(204);
    expect(to('pixel')[0]?.payload).toMatchObject({
      data: { type: 'call.incoming', callId: 'c-1', sequence: '6', callerId: 'ada', callType: 'VIDEO' },
      android: { priority: 'HIGH', ttl: '30s' },
    });
    const [voip] = to('voip');
    expect(voip?.headers).toMatchObject({
      'apns-push-type': 'voip',
      'apns-topic': 'com.example.app.voip',
      'apns-priority': '10',
    });
    expect(Number(voip?.headers['apns-expiration'])).toBeLessThanOrEqual(Date.now() / 1000 + 31);
    expect(decodeJwt(String(voip?.headers.authorization).replace('bearer ', ''))).toMatchObject({
      iss: 'TEAM',
    });
    expect(to('alert')).toEqual([]);
  });

  it.each(['call.answered_elsewhere', 'call.declined', 'call.cancelled', 'call.missed', 'call.ended'])(
    'sends no VoIP push for %s',
    async (type) => {
      expect(await send(type)).toBe(204);
      expect(to('voip')).toEqual([]);
      expect(to('alert')[0]?.headers['apns-push-type']).toMatch(/^(alert|background)$/);
      expect(to('alert')[0]?.headers['apns-topic']).toBe('com.example.app');
      expect(to('pixel')).toHaveLength(1);
    },
  );

  it('takes what comes twice once, and what failed in part again in part', async () => {
    const id = randomUUID();
    answers.set('voip', 503);
    expect(await send('call.incoming', { id })).toBe(503);
    answers.clear();
    expect(await send('call.incoming', { id })).toBe(204);
    expect(await send('call.incoming', { id })).toBe(204);
    expect(to('pixel')).toHaveLength(1);
    expect(to('voip')).toHaveLength(2);
    expect(grants).toBe(1);
  });

  it('rings nobody for a call that is over, and forgets devices that are gone', async () => {
    expect(await send('call.incoming', { expiresInMs: -1_000 })).toBe(204);
    expect(pushed).toEqual([]);
    answers.set('pixel', 404).set('voip', 410);
    expect(await send('call.incoming')).toBe(204);
    expect(forgotten.sort()).toEqual(['pixel', 'voip']);
  });

  it('believes nobody who does not have the secret', async () => {
    const secret = `whsec_${Buffer.from('somebody else, of thirty bytes').toString('base64')}`;
    expect(await send('call.incoming', { secret })).toBe(401);
    expect(pushed).toEqual([]);
  });
});
