import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import webPush from 'web-push';
import type { Config } from '../../src/config.ts';
import { createPushChannel } from '../../src/devices/push-channel.ts';
import { publicKeyOf } from '../../src/devices/subscription.ts';
import { noticesBetween } from '../../src/notifications/notice.ts';
import { createOutsidePost } from '../../src/notifications/outside-post.ts';
import { LiveCall } from '../support/call-states.ts';
import { Callers } from '../support/callers.ts';
import type { Client } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { type PushService, startPushService, type TestBrowser } from '../support/push-service.ts';
import { createWorld, eventually, initiate, join, success, type World } from '../support/world.ts';

/** Rings by web push, to a push service of our own whose browsers decrypt what they get. */

const { privateKey } = webPush.generateVAPIDKeys();
const VAPID = { VAPID_PRIVATE_KEY: privateKey, VAPID_SUBJECT: 'mailto:ops@example.com' };
/** That service is on this machine, where no endpoint may lead otherwise. */
const onThisMachine = (config: Config): Config => ({
  ...config,
  webPush: config.webPush && { ...config.webPush, endpoints: { allowHttp: true, allowPrivate: true } },
});

let world: World;
let callers: Callers;
let service: PushService;
beforeAll(async () => {
  service = await startPushService();
  world = await createWorld({ instances: 2, env: VAPID, change: onThisMachine });
  callers = new Callers(world);
});
afterAll(async () => {
  await world?.close();
  await service?.close();
});

interface Callee {
  readonly userId: string;
  readonly client: Client;
  readonly browsers: TestBrowser[];
}

async function callee(browsers: number): Promise<Callee> {
  const userId = callers.names(1)[0]!;
  const client = await world.client(userId, 1);
  const made = Array.from({ length: browsers }, () => service.browser());
  for (const browser of made) await register(client, browser);
  return { userId, client, browsers: made };
}

async function register(client: Client, browser: TestBrowser): Promise<string> {
  const input = { webPush: browser.subscription };
  return success((await client.mutate(operations.RegisterDevice, { input })).registerDevice).device.id;
}

async function ring(callees: readonly Callee[], ringTimeoutSeconds = 300) {
  const caller = callers.names(1)[0]!;
  const calleeIds = callees.map(({ userId }) => userId);
  const conversationId = await world.conversation([caller, ...calleeIds]);
  const client = await world.client(caller);
  const input = { conversationId, calleeIds, sessionId: 'a', ringTimeoutSeconds };
  const { call } = success(await initiate(client, input));
  return { caller, client, call, conversationId };
}

const kinds = (browser: TestBrowser) => browser.got.map(({ message }) => message.kind);

describe('A ring', () => {
  it('reaches each browser of each callee, signed, encrypted, and kept for no longer than it rings', async () => {
    const [ben, cleo] = [await callee(2), await callee(1)];
    const { call, caller, conversationId } = await ring([ben, cleo], 60);
    for (const { userId, browsers } of [ben, cleo]) {
      for (const browser of browsers) {
        const { message, headers, sender } = await browser.next('incoming');
        const deadline = call.participants.find((p) => p.userId === userId)?.ringDeadline;
        expect(message).toEqual({
          id: expect.stringContaining(call.id),
          kind: 'incoming',
          seq: expect.any(Number),
          userId,
          callId: call.id,
          conversationId,
          type: 'VIDEO',
          callerId: caller,
          at: call.createdAt,
          ringDeadline: deadline,
        });
        expect(headers).toMatchObject({
          'content-encoding': 'aes128gcm',
          urgency: 'high',
          topic: call.id.replaceAll('-', ''),
        });
        expect(Number(headers.ttl)).toBeGreaterThan(50);
        expect(Number(headers.ttl)).toBeLessThanOrEqual(60);
        expect(sender).toMatchObject({
          key: publicKeyOf(privateKey),
          aud: service.url,
          sub: VAPID.VAPID_SUBJECT,
        });
        // RFC 8292, section 2: a day at most.
        expect(sender.exp * 1000 - Date.now()).toBeLessThanOrEqual(86_400_000);
      }
    }
  });

  it('that stops is told after it, each browser its own end', async () => {
    const [ben, cleo] = [await callee(1), await callee(1)];
    const { call, client } = await ring([ben, cleo]);
    // A ring that is over before it was sent is not sent.
    await Promise.all([ben, cleo].map(({ browsers }) => browsers[0]!.next('incoming')));
    success(await join(ben.client, call.id, 'b'));
    await cleo.client.mutate(operations.DeclineCall, { callId: call.id });
    await ben.browsers[0]!.next('answered_elsewhere');
    await cleo.browsers[0]!.next('declined');
    expect(kinds(ben.browsers[0]!)).toEqual(['incoming', 'answered_elsewhere']);
    const [first, second] = cleo.browsers[0]!.got.map(({ message }) => Number(message.seq));
    expect(second).toBeGreaterThan(first as number);
    await client.mutate(operations.EndCall, { callId: call.id });
  });

  it('that the caller takes back, or that runs out, is a missed one', async () => {
    const [ben, cleo] = [await callee(1), await callee(1)];
    const { call, client } = await ring([ben]);
    await ben.browsers[0]!.next('incoming');
    await client.mutate(operations.EndCall, { callId: call.id });
    await ben.browsers[0]!.next('cancelled');
    await ring([cleo], 1);
    const { headers } = await cleo.browsers[0]!.next('missed');
    expect(headers).toMatchObject({ urgency: 'normal', ttl: '86400' });
  });

  it('reaches no browser of who blocked the caller, or muted the conversation; nor of who is not called', async () => {
    const [ben, cleo, dan] = [await callee(1), await callee(1), await callee(1)];
    const caller = callers.names(1)[0]!;
    const own = service.browser();
    await register(await world.client(caller), own);
    const calleeIds = [ben, cleo, dan].map(({ userId }) => userId);
    const conversationId = await world.conversation([caller, ...calleeIds]);
    const backEnd = await world.client('back-end', 0, 'service');
    await backEnd.mutate(operations.BlockUsers, { userId: ben.userId, blockedIds: [caller] });
    await cleo.client.mutate(operations.MuteConversation, { conversationId });
    const client = await world.client(caller);
    const { call } = success(await initiate(client, { conversationId, calleeIds, sessionId: 'a' }));
    await dan.browsers[0]!.next('incoming');
    await client.mutate(operations.EndCall, { callId: call.id });
    await dan.browsers[0]!.next('cancelled');
    const all = [ben, cleo, dan].map(({ browsers }) => kinds(browsers[0]!));
    expect([...all, kinds(own)]).toEqual([[], [], ['incoming', 'cancelled'], []]);
  });
});

describe('A browser', () => {
  it.each([404, 410])(
    'of which its push service says %d is a device no more, and the others are rung',
    async (status) => {
      const ben = await callee(2);
      const [gone, there] = ben.browsers as [TestBrowser, TestBrowser];
      gone.status = status;
      const { call, client } = await ring([ben]);
      await there.next('incoming');
      const left = await eventually(async () => {
        const { devices } = await ben.client.query(operations.Devices, {});
        return devices.length === 1 && devices;
      });
      await client.mutate(operations.EndCall, { callId: call.id });
      await there.next('cancelled');
      expect([left.length, gone.asked]).toEqual([1, 1]);
    },
  );

  it('whose push service fails hears of it once that works again, in the order in which it happened', async () => {
    const ben = await callee(1);
    const browser = ben.browsers[0]!;
    browser.status = 503;
    const { call, client } = await ring([ben]);
    await eventually(() => browser.asked > 0);
    browser.status = 201;
    await browser.next('incoming');
    await client.mutate(operations.EndCall, { callId: call.id });
    await browser.next('cancelled');
    expect(kinds(browser)).toEqual(['incoming', 'cancelled']);
  });

  it('that is refused for good is a dead letter, which names no endpoint, and stays a device', async () => {
    const ben = await callee(1);
    const browser = ben.browsers[0]!;
    browser.status = 403;
    const { call } = await ring([ben]);
    const letter = await eventually(async () => {
      const { rows } = await sql<{ data: { error: string } }>`select data from pgboss.job
        where name = 'dead-letters' and data->'notice'->>'callId' = ${call.id}`.execute(world.database.db);
      return rows[0];
    });
    expect(letter.data.error).toBe('The push service answered 403');
    expect(JSON.stringify(letter)).not.toContain(browser.subscription.endpoint);
    expect((await ben.client.query(operations.Devices, {})).devices).toHaveLength(1);
  });

  it('is not rung any more once it is unregistered', async () => {
    const ben = await callee(2);
    const [first] = (await ben.client.query(operations.Devices, {})).devices;
    await ben.client.mutate(operations.UnregisterDevice, { id: first!.id });
    await ring([ben]);
    await ben.browsers[1]!.next('incoming');
    expect(ben.browsers[0]!.asked).toBe(0);
  });

  it('whose endpoint has a name that leads into a private network is not asked', async () => {
    const ben = await callee(0);
    const browser = service.browser();
    const endpoint = browser.subscription.endpoint.replace('127.0.0.1', 'localhost');
    const id = await register(ben.client, {
      ...browser,
      subscription: { ...browser.subscription, endpoint },
    });
    const post = createOutsidePost({ allowHttp: true, allowPrivate: false, timeoutMs: 5_000 });
    const vapid = { subject: VAPID.VAPID_SUBJECT, privateKey, publicKey: publicKeyOf(privateKey) as string };
    const channel = createPushChannel({ db: world.database.db, vapid, post, now: Date.now });
    const [notice] = noticesBetween(null, new LiveCall({ callees: [ben.userId] }).call, Date.now());
    const sent = channel.deliver(notice!, { id, userId: ben.userId }, new AbortController().signal);
    await expect(sent).rejects.toThrow('The address of the receiver is in a private network');
    expect(browser.asked).toBe(0);
    post.close();
  });

  it('that another user has registered meanwhile is gone for the one before', async () => {
    const [ben, cleo] = [await callee(0), await callee(0)];
    const browser = service.browser();
    browser.status = 503;
    const id = await register(ben.client, browser);
    await ring([ben]);
    await eventually(() => browser.asked > 0);
    expect(await register(cleo.client, browser)).not.toBe(id);
    browser.status = 201;
    await ring([cleo]);
    const { message } = await browser.next('incoming');
    expect(message.userId).toBe(cleo.userId);
    await eventually(async () => {
      const { rows } = await sql`select from pgboss.job where data->'receiver'->>'id' = ${id}`.execute(
        world.database.db,
      );
      return rows.length === 0;
    });
    expect(browser.got).toHaveLength(1);
  });
});
