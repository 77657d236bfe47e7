import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import webPush from 'web-push';
import { ownPrivateKey } from '../../src/devices/own-keys.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { subscription } from '../support/subscriptions.ts';
import { codeOf, createWorld, success, type World } from '../support/world.ts';

/** Browsers that a user registers to be rung by web push. */

const KEYS = webPush.generateVAPIDKeys();
const VAPID = { VAPID_PRIVATE_KEY: KEYS.privateKey, VAPID_SUBJECT: 'mailto:ops@example.com' };
let world: World;
beforeAll(async () => {
  world = await createWorld({ instances: 2, env: { ...VAPID, MAX_DEVICES: '3' } });
});
afterAll(() => world?.close());

let made = 0;
const someone = (instance = 0) => world.client(`owner-${++made}`, instance);
const register = async (client: Client, webPushOf = subscription(), name?: string) =>
  (await client.mutate(operations.RegisterDevice, { input: { webPush: webPushOf, ...(name && { name }) } }))
    .registerDevice;
const devices = async (client: Client) => (await client.query(operations.Devices, {})).devices;

describe('A device', () => {
  it('is registered, listed and unregistered, and tells nobody where it is', async () => {
    const ada = await someone();
    expect((await ada.query(operations.Devices, {})).webPushKey).toBe(KEYS.publicKey);
    const { device } = success(await register(ada, subscription(), 'Firefox on the laptop'));
    expect(device).toMatchObject({ name: 'Firefox on the laptop' });
    expect(await devices(ada)).toEqual([device]);
    expect(Object.keys(device).sort()).toEqual(['createdAt', 'id', 'name', 'registeredAt']);
    expect((await ada.mutate(operations.UnregisterDevice, { id: device.id })).unregisterDevice).toBe(true);
    expect(await devices(ada)).toEqual([]);
    for (const id of [device.id, 'none', '01890000-0000-7000-8000-000000000000']) {
      expect((await ada.mutate(operations.UnregisterDevice, { id })).unregisterDevice).toBe(false);
    }
  });

  it('that registers again is the same one, with its name and keys as given then', async () => {
    const ada = await someone();
    const { endpoint } = subscription();
    const first = success(await register(ada, subscription(endpoint), 'old')).device;
    const keys = subscription(endpoint);
    const second = success(await register(ada, keys)).device;
    expect(second).toMatchObject({ id: first.id, name: null, createdAt: first.createdAt });
    expect(second.registeredAt > first.registeredAt).toBe(true);
    const stored = await world.database.db
      .selectFrom('devices')
      .selectAll()
      .where('id', '=', first.id)
      .execute();
    expect(stored).toEqual([expect.objectContaining({ p256dh: keys.p256dh, auth: keys.auth })]);
  });

  it('of another user before is theirs no more: it rings for who signed in last', async () => {
    const [ada, ben] = [await someone(), await someone(1)];
    const shared = subscription();
    const old = success(await register(ada, shared)).device;
    const { device } = success(await register(ben, shared));
    expect(device.id).not.toBe(old.id);
    expect([await devices(ada), await devices(ben)]).toEqual([[], [device]]);
    // And he can't be made to lose it by her.
    expect((await ada.mutate(operations.UnregisterDevice, { id: device.id })).unregisterDevice).toBe(false);
    expect(await devices(ben)).toHaveLength(1);
  });

  it('is one of so many: the next is refused, also where all come at once, and frees nobody’s place', async () => {
    const userId = `owner-${++made}`;
    const clients = await Promise.all([0, 1, 0, 1].map((instance) => world.client(userId, instance)));
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, i) => register(clients[i % clients.length]!)),
    );
    const codes = answers.map(codeOf).sort();
    expect(codes.slice(0, 3)).toEqual(Array(3).fill('RegisterDeviceSuccess'));
    expect(new Set(codes.slice(3))).toEqual(new Set(['TOO_MANY_DEVICES']));
    const [one] = await devices(clients[0]!);
    await clients[0]!.mutate(operations.UnregisterDevice, { id: one!.id });
    expect(codeOf(await register(clients[0]!))).toBe('RegisterDeviceSuccess');
    expect(await devices(clients[0]!)).toHaveLength(3);
  });

  it('that subscribed to a key that the server has no more makes room for one that can be reached', async () => {
    const ada = await someone();
    const { device } = success(await register(ada));
    await world.database.db
      .updateTable('devices')
      .set({ vapid_key: 'old' })
      .where('id', '=', device.id)
      .execute();
    const next = success(await register(ada)).device;
    expect(await devices(ada)).toEqual([next]);
  });

  it.each([
    ['endpoint', { endpoint: 'http://push.example.net/1' }],
    ['endpoint', { endpoint: 'https://10.0.0.1/1' }],
    ['endpoint', { endpoint: 'https://[::1]:8443/1' }],
    ['endpoint', { endpoint: 'https://user:pass@push.example.net/1' }],
    ['endpoint', { endpoint: 'javascript:alert(1)' }],
    ['p256dh', { p256dh: 'nope' }],
    ['auth', { auth: 'nope' }],
  ])('with a wrong %s is refused, changes nothing and is not repeated', async (field, over) => {
    const ada = await someone();
    const answer = await register(ada, { ...subscription(), ...over });
    expect(answer).toMatchObject({ code: 'INVALID_INPUT' });
    const { message } = answer as { message: string };
    expect(message).toMatch(`input.webPush.${field}: `);
    for (const value of Object.values(over)) expect(message).not.toContain(value);
    expect(await devices(ada)).toEqual([]);
  });
});

it('Web push that is off is said to whoever registers', async () => {
  const app = await startTestApp({ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url });
  const ada = createClient({ url: app.url, token: await tokenFor('ada') });
  expect((await ada.query(operations.Devices, {})).webPushKey).toBeNull();
  expect(await register(ada)).toMatchObject({
    code: 'WEB_PUSH_OFF',
    message: 'This server sends no web push.',
  });
  await ada.dispose();
  await app.stop();
});

it('The key that a demo makes is the same at every start, also of two at once', async () => {
  const { db } = world.database;
  const keys = await Promise.all([ownPrivateKey(db), ownPrivateKey(db)]);
  expect(new Set([...keys, await ownPrivateKey(db)]).size).toBe(1);
});
