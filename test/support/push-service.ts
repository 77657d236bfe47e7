import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { importJWK, jwtVerify } from 'jose';
import { type BrowserKeys, browserKeys } from './subscriptions.ts';
import { eventually } from './world.ts';

/**
 * A push service of our own (RFC 8030) with browsers behind it: it checks who sends (RFC 8292), and each browser
 * decrypts what it gets (RFC 8291), by this file's own reading of the RFCs and not by the library that encrypted it.
 */

export interface PushedMessage {
  readonly message: Record<string, unknown> & { readonly kind: string; readonly callId: string };
  readonly headers: Readonly<Record<string, string>>;
  /** Of the token that the server signed. */
  readonly sender: {
    readonly key: string;
    readonly aud: unknown;
    readonly sub: unknown;
    readonly exp: number;
  };
}

export interface TestBrowser {
  /** As `PushSubscription.toJSON()` has it, flat. */
  readonly subscription: { readonly endpoint: string; readonly p256dh: string; readonly auth: string };
  /** What it got, in order. */
  readonly got: PushedMessage[];
  /** What its push service answers; 201 unless set. */
  status: number;
  /** How often somebody sent. */
  asked: number;
  /** Called with each message, once it is decrypted. */
  onMessage: ((text: string) => void) | null;
  /** The next message of this kind, or one that came already. */
  next(kind: string): Promise<PushedMessage>;
}

export interface PushService {
  readonly url: string;
  browser(): TestBrowser;
  close(): Promise<void>;
}

export async function startPushService(): Promise<PushService> {
  const browsers = new Map<string, { keys: BrowserKeys; browser: TestBrowser }>();
  const server = createServer(async (request, response) => {
    const known = browsers.get(request.url ?? '');
    if (!known) return void response.writeHead(404).end();
    const { browser, keys } = known;
    browser.asked += 1;
    const body = await bytesOf(request);
    if (browser.status !== 201) return void response.writeHead(browser.status).end('no');
    try {
      const sender = await senderOf(request);
      const text = decrypt(body, keys);
      browser.got.push({
        message: JSON.parse(text),
        headers: request.headers as Record<string, string>,
        sender,
      });
      browser.onMessage?.(text);
      response.writeHead(201, { location: `${url}/receipt` }).end();
    } catch (error) {
      response.writeHead(400).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    browser() {
      const keys = browserKeys();
      const path = `/push/${randomBytes(16).toString('base64url')}`;
      const browser: TestBrowser = {
        subscription: { endpoint: `${url}${path}`, ...keys.told },
        got: [],
        status: 201,
        asked: 0,
        onMessage: null,
        next: (kind) => eventually(() => browser.got.find(({ message }) => message.kind === kind), 10_000),
      };
      browsers.set(path, { keys, browser });
      return browser;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** RFC 8292: `vapid t=<token>, k=<public key>`, and the key has to be the one that signed. */
async function senderOf({ headers }: IncomingMessage): Promise<PushedMessage['sender']> {
  const [, token, key] = /^vapid t=([^,]+), ?k=(.+)$/.exec(headers.authorization ?? '') ?? [];
  const point = Buffer.from(key ?? '', 'base64url');
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString('base64url'));
  const jwk = await importJWK({ kty: 'EC', crv: 'P-256', x: x as string, y: y as string }, 'ES256');
  const audience = `http://${headers.host}`;
  const { payload } = await jwtVerify(token ?? '', jwk, { algorithms: ['ES256'], audience });
  return { key: key as string, aud: payload.aud, sub: payload.sub, exp: payload.exp as number };
}

/** RFC 8291, section 3.4, over RFC 8188 with one record. */
function decrypt(body: Buffer, { privateKey, auth, told }: BrowserKeys): string {
  const salt = body.subarray(0, 16);
  const senderLength = body[20] as number;
  const sender = body.subarray(21, 21 + senderLength);
  const record = body.subarray(21 + senderLength);
  const pair = createECDH('prime256v1');
  pair.setPrivateKey(privateKey);
  const shared = pair.computeSecret(sender);
  const own = Buffer.from(told.p256dh, 'base64url');
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), own, sender]);
  const secret = Buffer.from(hkdfSync('sha256', shared, auth, info, 32));
  const derive = (name: string, length: number) =>
    Buffer.from(hkdfSync('sha256', secret, salt, Buffer.from(`Content-Encoding: ${name}\0`), length));
  const decipher = createDecipheriv('aes-128-gcm', derive('aes128gcm', 16), derive('nonce', 12));
  decipher.setAuthTag(record.subarray(-16));
  const padded = Buffer.concat([decipher.update(record.subarray(0, -16)), decipher.final()]);
  // The last record's delimiter is 2, and zeros may follow.
  const end = padded.lastIndexOf(2);
  return padded.subarray(0, end).toString('utf8');
}
