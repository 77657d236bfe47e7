import { createServer, type Server } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { text } from 'node:stream/consumers';
import { importPKCS8, SignJWT } from 'jose';
import { Webhook } from 'standardwebhooks';

/**
 * An example of a back end that takes Ringdown's webhooks and wakes phones: Android by FCM, iOS by APNs. Copy it
 * and change it. What stands in memory here (who has which device, what was done already) belongs into your
 * database, or a restart forgets it.
 *
 * The rule to remember: **a VoIP push is for rings only.** iOS ends an app that gets one and does not show a call
 * for it at once, and soon sends it none any more. So only `call.incoming` is one; that a ring is over the app
 * hears over its own connection, which the ring made it open, or from an ordinary push.
 */

/** Of a message what this needs; docs/webhooks.md has all of it. */
interface Message {
  readonly type: string;
  readonly data: {
    readonly callId: string;
    readonly sequence: number;
    readonly userIds: readonly string[];
    readonly expiresAt: string | null;
    readonly call: { readonly callerId: string; readonly conversationId: string; readonly type: string };
  };
}

export type Device =
  | { readonly platform: 'android'; readonly token: string }
  /** An app for iOS has two tokens: PushKit's for rings, and the usual one for all else. */
  | { readonly platform: 'ios'; readonly voipToken: string; readonly alertToken: string | null };

export interface Options {
  /** As in WEBHOOK_SECRETS; while they are changed either may sign. */
  readonly secrets: readonly string[];
  readonly devicesOf: (userId: string) => Promise<readonly Device[]>;
  /** The push service says that there is no such device any more. */
  readonly forget: (token: string) => Promise<void>;
  readonly fcm: {
    /** From the service account's JSON. */
    readonly projectId: string;
    readonly clientEmail: string;
    readonly privateKey: string;
    readonly tokenUrl?: string;
    readonly url?: string;
  };
  readonly apns: {
    readonly teamId: string;
    readonly keyId: string;
    /** The .p8 file. */
    readonly privateKey: string;
    readonly bundleId: string;
    readonly url?: string;
  };
}

export function createReceiver(options: Options): Server {
  const webhooks = options.secrets.map((secret) => new Webhook(secret));
  const fcm = createFcm(options.fcm);
  const apns = createApns(options.apns);
  /** By message: the tokens that were told. What is delivered again goes to those only who were not. */
  const told = new Map<string, Set<string>>();

  async function tell(id: string, message: Message): Promise<void> {
    const done = told.get(id) ?? new Set<string>();
    told.set(id, done);
    if (told.size > 10_000) told.delete(told.keys().next().value as string);
    const { userIds, expiresAt } = message.data;
    // Whoever is told of a ring that is over picks up a call that is not there.
    if (expiresAt !== null && Date.parse(expiresAt) <= Date.now()) return;
    const devices = (await Promise.all(userIds.map(options.devicesOf))).flat();
    const sent = devices.map(async (device) => {
      const name = device.platform === 'android' ? device.token : device.voipToken;
      if (done.has(name)) return;
      const gone = await (device.platform === 'android'
        ? fcm.push(device, message)
        : apns.push(device, message));
      if (gone !== null) await options.forget(gone);
      done.add(name);
    });
    const failed = (await Promise.allSettled(sent)).filter(({ status }) => status === 'rejected');
    if (failed.length > 0) throw new Error(`${failed.length} of ${devices.length} pushes failed`);
  }

  const server = createServer(async (request, response) => {
    // The signature is over these very bytes: verify before anything parses them.
    const body = await text(request);
    const headers = request.headers as Record<string, string>;
    const message = verify(webhooks, body, headers);
    if (message === null) return response.writeHead(401).end();
    try {
      await tell(headers['webhook-id'] as string, message);
      // Any 2xx, within 5 s. What takes longer belongs into a queue of your own.
      return response.writeHead(204).end();
    } catch {
      // Ringdown tries again, and keeps the rest of the call back until this one is through.
      return response.writeHead(503).end();
    }
  });
  server.on('close', () => apns.close());
  return server;
}

function verify(webhooks: readonly Webhook[], body: string, headers: Record<string, string>): Message | null {
  for (const webhook of webhooks) {
    try {
      return webhook.verify(body, headers) as Message;
    } catch {
      // Not this secret.
    }
  }
  return null;
}

/** The token that the push service does not know any more; null where all is well. */
type Gone = string | null;

/** What the app needs to show a ring and to join: it asks Ringdown for the rest. */
function payloadOf({ type, data }: Message): Record<string, string> {
  const { callId, sequence, call } = data;
  return {
    type,
    callId,
    // A push that is late is older than what the app knows: it leaves out what has a lower number.
    sequence: String(sequence),
    callerId: call.callerId,
    conversationId: call.conversationId,
    callType: call.type,
  };
}

function secondsLeft({ data }: Message): number {
  return data.expiresAt === null
    ? 60
    : Math.max(1, Math.ceil((Date.parse(data.expiresAt) - Date.now()) / 1000));
}

/** FCM, HTTP v1: https://firebase.google.com/docs/cloud-messaging/send-message */
function createFcm({ projectId, clientEmail, privateKey, tokenUrl, url }: Options['fcm']) {
  const tokens = tokenUrl ?? 'https://oauth2.googleapis.com/token';
  const target = `${url ?? 'https://fcm.googleapis.com'}/v1/projects/${projectId}/messages:send`;
  let access: { token: string; until: number } | null = null;

  async function accessToken(): Promise<string> {
    if (access !== null && access.until > Date.now()) return access.token;
    const assertion = await new SignJWT({ scope: 'https://www.googleapis.com/auth/firebase.messaging' })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(clientEmail)
      .setAudience(tokens)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(await importPKCS8(privateKey, 'RS256'));
    const grant = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
    const answer = await fetch(tokens, { method: 'POST', body: new URLSearchParams(grant) });
    const { access_token, expires_in } = (await answer.json()) as {
      access_token: string;
      expires_in: number;
    };
    access = { token: access_token, until: Date.now() + (expires_in - 60) * 1000 };
    return access_token;
  }

  return {
    async push(device: Device & { platform: 'android' }, message: Message): Promise<Gone> {
      // A ring and its end wake the device; a record of what happened may wait until it is looked at.
      const urgent = message.type !== 'call.ended' && message.type !== 'call.missed';
      const answer = await fetch(target, {
        method: 'POST',
        headers: { authorization: `Bearer ${await accessToken()}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          message: {
            token: device.token,
            data: payloadOf(message),
            android: { priority: urgent ? 'HIGH' : 'NORMAL', ttl: `${secondsLeft(message)}s` },
          },
        }),
        signal: AbortSignal.timeout(4_000),
      });
      if (answer.ok) return null;
      if (answer.status === 404) return device.token;
      throw new Error(`FCM answered ${answer.status}`);
    },
  };
}

/** APNs over HTTP/2: https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns */
function createApns({ teamId, keyId, privateKey, bundleId, url }: Options['apns']) {
  let session: ClientHttp2Session | null = null;
  let signed: { token: string; until: number } | null = null;

  function open(): ClientHttp2Session {
    if (session === null || session.closed || session.destroyed) {
      session = connect(url ?? 'https://api.push.apple.com');
      session.on('error', () => {});
    }
    return session;
  }

  /** Apple wants a new one every 20 to 60 minutes. */
  async function providerToken(): Promise<string> {
    if (signed !== null && signed.until > Date.now()) return signed.token;
    const token = await new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid: keyId })
      .setIssuer(teamId)
      .setIssuedAt()
      .sign(await importPKCS8(privateKey, 'ES256'));
    signed = { token, until: Date.now() + 40 * 60_000 };
    return token;
  }

  async function send(token: string, headers: Record<string, string>, payload: object): Promise<Gone> {
    const stream = open().request({
      ':method': 'POST',
      ':path': `/3/device/${token}`,
      authorization: `bearer ${await providerToken()}`,
      ...headers,
    });
    stream.setTimeout(4_000, () => stream.close());
    const status = await new Promise<number>((resolve, reject) => {
      stream.on('response', (answer) => resolve(Number(answer[':status'])));
      stream.on('error', reject);
      stream.on('close', () => reject(new Error('APNs did not answer')));
      stream.resume();
      stream.end(JSON.stringify(payload));
    });
    if (status === 200) return null;
    if (status === 410) return token;
    throw new Error(`APNs answered ${status}`);
  }

  return {
    async push(device: Device & { platform: 'ios' }, message: Message): Promise<Gone> {
      const payload = payloadOf(message);
      const expiration = String(Math.floor(Date.now() / 1000) + secondsLeft(message));
      if (message.type === 'call.incoming') {
        const headers = { 'apns-push-type': 'voip', 'apns-topic': `${bundleId}.voip`, 'apns-priority': '10' };
        return send(device.voipToken, { ...headers, 'apns-expiration': expiration }, { aps: {}, ...payload });
      }
      if (device.alertToken === null) return null;
      const topic = { 'apns-topic': bundleId, 'apns-expiration': expiration };
      if (message.type === 'call.missed' || message.type === 'call.cancelled') {
        const aps = { alert: { 'loc-key': 'MISSED_CALL' }, 'thread-id': payload.callId };
        const headers = { ...topic, 'apns-push-type': 'alert', 'apns-priority': '10' };
        return send(device.alertToken, headers, { aps, ...payload });
      }
      const headers = { ...topic, 'apns-push-type': 'background', 'apns-priority': '5' };
      return send(device.alertToken, headers, { aps: { 'content-available': 1 }, ...payload });
    },
    close: () => session?.close(),
  };
}
