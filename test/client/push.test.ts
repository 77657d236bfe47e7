import { describe, expect, it } from 'vitest';
import type { Connection } from '../../client/src/connection.ts';
import { registerPush, unregisterPush } from '../../client/src/push.ts';
import { readPush } from '../../client/src/worker.ts';

/** A browser that subscribes to push and registers, over FAKE ends: what it asks of both is what counts. */

const KEYS = ['BAAA', 'BBBB'] as const;
const bytes = (key: string) => Uint8Array.from(Buffer.from(key, 'base64url')).buffer;

function setUp({
  serverKey = KEYS[0] as string | null,
  subscribedTo = null as string | null,
  refuse = '',
} = {}) {
  const done: string[] = [];
  const made = (key: string) => ({
    options: { applicationServerKey: bytes(key) },
    toJSON: () => ({ endpoint: `https://push.test/${key}`, keys: { p256dh: 'p', auth: 'a' } }),
    async unsubscribe() {
      done.push('unsubscribed');
      subscription = null;
      return true;
    },
  });
  let subscription = subscribedTo === null ? null : made(subscribedTo);
  const pushManager = {
    getSubscription: async () => subscription,
    async subscribe(options: { userVisibleOnly: boolean; applicationServerKey: string }) {
      done.push(`subscribed to ${options.applicationServerKey}, ${options.userVisibleOnly}`);
      subscription = made(options.applicationServerKey);
      return subscription;
    },
  };
  const connection = {
    async request(document: unknown, variables: { input?: { webPush: object }; id?: string }) {
      const [, name] = /(?:query|mutation) (\w+)/.exec(String(document)) ?? [];
      if (name === 'WebPushKey') return { webPushKey: serverKey };
      if (name === refuse) throw new Error('no answer');
      done.push(`${name} ${JSON.stringify(variables)}`);
      if (name === 'UnregisterDevice') return { unregisterDevice: true };
      return { registerDevice: { __typename: 'RegisterDeviceSuccess', device: { id: 'd1' } } };
    },
  } as unknown as Connection;
  return { done, connection, registration: { pushManager } as unknown as ServiceWorkerRegistration };
}

const registered = (key: string, name?: string) =>
  `RegisterDevice ${JSON.stringify({ input: { webPush: { endpoint: `https://push.test/${key}`, p256dh: 'p', auth: 'a' }, ...(name && { name }) } })}`;

describe('A browser', () => {
  it('subscribes with the key of the server, and registers', async () => {
    const { done, connection, registration } = setUp();
    await registerPush(connection, registration, { name: 'laptop' });
    expect(done).toEqual(['subscribed to BAAA, true', registered('BAAA', 'laptop')]);
  });

  it('that has subscribed registers again, and keeps its subscription', async () => {
    const { done, connection, registration } = setUp({ subscribedTo: 'BAAA' });
    await registerPush(connection, registration);
    expect(done).toEqual([registered('BAAA')]);
  });

  it('that has subscribed to another key of the server does so anew', async () => {
    const { done, connection, registration } = setUp({ subscribedTo: 'BBBB' });
    await registerPush(connection, registration);
    expect(done).toEqual(['unsubscribed', 'subscribed to BAAA, true', registered('BAAA')]);
  });

  it('is told where there is no web push, in it or at the server', async () => {
    const { done, connection, registration } = setUp({ serverKey: null });
    await expect(registerPush(connection, registration)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    const without = {} as ServiceWorkerRegistration;
    await expect(registerPush(connection, without)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await unregisterPush(connection, without);
    expect(done).toEqual([]);
  });

  it('unregisters and unsubscribes; the latter also where the server can’t be reached', async () => {
    const there = setUp({ subscribedTo: 'BAAA' });
    await unregisterPush(there.connection, there.registration);
    expect(there.done).toEqual([registered('BAAA'), 'UnregisterDevice {"id":"d1"}', 'unsubscribed']);
    const away = setUp({ subscribedTo: 'BAAA', refuse: 'RegisterDevice' });
    await expect(unregisterPush(away.connection, away.registration)).rejects.toThrow('no answer');
    expect(away.done).toEqual(['unsubscribed']);
  });
});

describe('A push', () => {
  const read = (text: string) => readPush({ json: () => JSON.parse(text) });

  it('of Ringdown is read, of others it is none', () => {
    expect(read('{"kind":"incoming","callId":"c"}')).toMatchObject({ kind: 'incoming' });
    for (const text of ['{}', 'null', '7', 'no JSON', '{"kind":"incoming"}', '{"kind":"new","callId":"c"}']) {
      expect(read(text)).toBeNull();
    }
    expect(readPush(null)).toBeNull();
  });
});
