import { afterEach, describe, expect, it } from 'vitest';
import * as rules from '../../src/calls/call-rules.ts';
import { CallUnit } from '../../src/calls/call-unit.ts';
import type { Outbox } from '../../src/calls/outbox.ts';
import { loadConfig } from '../../src/config.ts';
import { IDENTITY, tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import {
  believed,
  inCall,
  next,
  numbers,
  of,
  type Peer,
  resume,
  send,
  setMuted,
  told,
} from '../support/in-call.ts';
import { endInstances, type Instance, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { startProxy } from '../support/proxy.ts';
import { codeOf, createWorld, eventually, metricOf, success, type World } from '../support/world.ts';

/** Milliseconds until a dead instance is known: it is silent for 3 s, and there is a sweep each second. */
const FOUND_DEAD = 5_000;
/** Longest way of a signal or a change between instances. */
const CROSSED = 2_000;

let world: World;
/** The instance that things are done to; `world.apps[0]`, in this process, survives. */
let victim: Instance;
const clients: Client[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.dispose()));
  await endInstances();
  await world.close();
});

async function start(env: Record<string, string>): Promise<void> {
  world = await createWorld({ env });
  victim = await startInstance({ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url, ...env });
}

async function onVictim(userId: string): Promise<Client> {
  const client = createClient({ url: victim.url, token: await tokenFor(userId) });
  clients.push(client);
  return client;
}

/** Ada on the instance that survives, Ben on the other. */
async function pair() {
  return inCall(world, { ada: await world.client('ada'), ben: await onVictim('ben') });
}

/** The peer knows the user as connected, and did not when it was last lost. */
const isBack = (peer: Peer, userId: string) => believed(peer).get(userId)?.status === 'CONNECTED';

async function statusOf({ client, callId }: Peer) {
  return (await client.query(operations.GetCall, { id: callId })).call?.status;
}

describe('C1, M1: an instance that is killed', () => {
  it('ends a pair whose other half it held, after the grace', async () => {
    await start({ DISCONNECT_GRACE: '1s' });
    const { ada } = await pair();
    victim.signal('SIGKILL');
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, FOUND_DEAD);
    const { call } = await next('CallEnded', ada, 1_000 + 5_000);
    expect(call).toMatchObject({ status: 'ENDED', endReason: 'CONNECTION_LOST', endedBy: null });
    expect(await metricOf(world.apps[0]!, 'video_call_ghost_participant_total')).toBe(1);
  });

  it('loses a group those whose streams it held, and nobody else', async () => {
    await start({ DISCONNECT_GRACE: '1s' });
    const { ada, cleo } = await inCall(world, {
      ada: await world.client('ada'),
      ben: await onVictim('ben'),
      cleo: await world.client('cleo'),
      dan: await onVictim('dan'),
    });
    victim.signal('SIGKILL');
    for (const peer of [ada, cleo]) {
      for (const lost of ['ben', 'dan']) {
        await eventually(() => told(peer, lost, 'LEFT').length === 1, FOUND_DEAD + 1_000 + 5_000);
        expect(told(peer, lost, 'RECONNECTING')).toHaveLength(1);
        expect(told(peer, lost, 'LEFT')[0]).toMatchObject({ leaveReason: 'DISCONNECTED', sessionId: null });
      }
    }
    expect(codeOf(await send(ada, cleo, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(cleo).includes(1), CROSSED);
    expect([await statusOf(ada), told(ada, 'cleo', 'RECONNECTING')]).toEqual(['ACTIVE', []]);
    expect(await metricOf(world.apps[0]!, 'video_call_ghost_participant_total')).toBe(2);
  });

  it('costs those nothing who come back elsewhere within the grace', async () => {
    await start({ DISCONNECT_GRACE: '15s' });
    const { ada, ben } = await pair();
    const { joinSeq } = believed(ada).get('ben')!;
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(1), CROSSED);

    victim.signal('SIGKILL');
    await ben.client.closed;
    expect(codeOf(await send(ada, ben, 2)), 'before anyone knows').toBe('SendSignalSuccess');
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, FOUND_DEAD);
    expect(codeOf(await send(ada, ben, 3)), 'while he is away').toBe('SendSignalSuccess');

    const again = await resume(ben, await world.client('ben'));
    expect(await next('CallSnapshot', again)).toMatchObject({ recovered: true });
    await eventually(() => numbers(again).includes(3), CROSSED);
    expect(numbers(again)).toEqual([2, 3]);
    await eventually(() => isBack(ada, 'ben'), CROSSED);
    expect(believed(ada).get('ben')).toMatchObject({ joinSeq });

    expect(codeOf(await send(again, ada, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ada).includes(1), CROSSED);
    expect(await metricOf(world.apps[0]!, 'video_call_ghost_participant_total')).toBe(0);
  });
});

describe('C1, M1: an instance that stands still for 5 s', () => {
  it('takes the seats of its streams back, and the call goes on', async () => {
    await start({ DISCONNECT_GRACE: '15s' });
    const { ada, ben } = await pair();
    const { joinSeq } = believed(ada).get('ben')!;
    const stoppedAt = Date.now();
    victim.signal('SIGSTOP');
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, FOUND_DEAD);
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    await eventually(() => Date.now() - stoppedAt >= 5_000, 6_000);
    victim.signal('SIGCONT');

    await eventually(() => isBack(ada, 'ben'), FOUND_DEAD);
    expect(believed(ada).get('ben')).toMatchObject({ joinSeq });
    // Ben's stream is the one that he had, and what he missed comes on it.
    expect(codeOf(await send(ada, ben, 2))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(2), CROSSED);
    expect(numbers(ben)).toEqual([1, 2]);
    expect(of('CallSnapshot', ben).filter(({ recovered }) => !recovered)).toEqual([]);
    expect(codeOf(await send(ben, ada, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ada).includes(1), CROSSED);
    expect(await statusOf(ada)).toBe('ACTIVE');
  });
});

describe('C1, M1: an instance that is asked to stop (SIGTERM)', () => {
  it('sends its clients elsewhere, ends in time, and loses no call', async () => {
    await start({ DISCONNECT_GRACE: '15s' });
    const { ada, ben } = await pair();
    const askedAt = Date.now();
    victim.signal('SIGTERM');
    expect(await ben.client.closed).toMatchObject({ code: 1012 });
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    expect(await victim.ended).toBe(0);
    expect(Date.now() - askedAt).toBeLessThan(10_000);
    // Its last word: nobody had to find out.
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, CROSSED);

    const again = await resume(ben, await world.client('ben'));
    expect(await next('CallSnapshot', again)).toMatchObject({ recovered: true });
    await eventually(() => numbers(again).includes(1) && isBack(ada, 'ben'), CROSSED);
    expect([await statusOf(ada), of('CallEnded', ada)]).toEqual(['ACTIVE', []]);
    expect(await metricOf(world.apps[0]!, 'video_call_ghost_participant_total')).toBe(0);
  });
});

describe('an instance that dies between commit and publish', () => {
  /** Milliseconds: a row counts as left behind after 2 s, and there is a sweep each second. */
  const PUBLISHED = 3_500;

  /** Commits as an instance does, and is gone before the outbox has the row. */
  async function commitAndCrash({ callId, userId, sessionId }: Peer, muted: boolean): Promise<void> {
    const { limits } = loadConfig({ DATABASE_URL: world.databaseUrl, ...IDENTITY });
    const dead = { publish: async () => null } as unknown as Outbox;
    const unit = new CallUnit(world.database, dead, limits, { outage: () => null, changed: () => {} });
    const change = { muted, videoOn: null, screenOn: null };
    const done = await unit.change(callId, (draft) =>
      rules.setMedia(draft, { userId, isMember: true }, sessionId, change),
    );
    expect(done).not.toHaveProperty('code');
  }

  /** What a stream told of Ben's microphone. */
  const mutes = (peer: Peer) => told(peer, 'ben', 'CONNECTED').map(({ media }) => media.muted);
  const unpublished = async () =>
    world.database.db.selectFrom('call_events').select('version').where('published', '=', false).execute();

  it('leaves changes that another publishes, in order and once', async () => {
    await start({});
    const { ada, ben } = await pair();
    const before = mutes(ada).length;
    await commitAndCrash(ben, true);
    await commitAndCrash(ben, false);
    await eventually(() => mutes(ada).length >= before + 2 && mutes(ben).length >= 2, PUBLISHED);
    await eventually(async () => (await unpublished()).length === 0, PUBLISHED);
    expect(mutes(ada).slice(before)).toEqual([true, false]);
    expect(mutes(ben).slice(-2)).toEqual([true, false]);
  });

  it('by SIGKILL while its log hangs: each subscriber elsewhere hears of them, in order and once', async () => {
    world = await createWorld();
    const network = await startProxy(world.redis.url);
    const REDIS_URL = network.url.replace('http', 'redis');
    victim = await startInstance({ DATABASE_URL: world.databaseUrl, REDIS_URL });
    try {
      const { ada, ben, cleo } = await inCall(world, {
        ada: await world.client('ada'),
        ben: await onVictim('ben'),
        cleo: await world.client('cleo'),
      });
      const before = [ada, cleo].map((peer) => mutes(peer).length);
      await eventually(async () => (await unpublished()).length === 0, PUBLISHED);
      network.freeze();
      const unanswered: Promise<unknown>[] = [];
      for (const muted of [true, false, true]) {
        unanswered.push(setMuted(ben, muted).catch(() => null));
        await eventually(async () => (await unpublished()).length === unanswered.length, CROSSED);
      }
      victim.signal('SIGKILL');
      await Promise.all(unanswered);
      for (const [i, peer] of [ada, cleo].entries()) {
        await eventually(() => mutes(peer).length >= before[i]! + 3, PUBLISHED);
      }
      // What comes later, comes after them.
      await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, FOUND_DEAD);
      await eventually(() => told(cleo, 'ben', 'RECONNECTING').length === 1, CROSSED);
      for (const [i, peer] of [ada, cleo].entries()) {
        expect(mutes(peer).slice(before[i])).toEqual([true, false, true]);
      }
    } finally {
      await network.close();
    }
  });

  it('leaves changes that the next publisher of the call brings first', async () => {
    await start({});
    const { ada, ben } = await pair();
    const before = mutes(ada).length;
    await commitAndCrash(ben, true);
    await commitAndCrash(ben, false);
    success(await setMuted(ben, true));
    await eventually(() => mutes(ada).length >= before + 3, 1_000);
    // The sweeper comes later, and has nothing to add.
    await eventually(async () => (await unpublished()).length === 0, PUBLISHED);
    success(await setMuted(ada, true));
    await eventually(() => believed(ada).get('ada')?.media.muted, CROSSED);
    expect(mutes(ada).slice(before)).toEqual([true, false, true]);
  });
});
