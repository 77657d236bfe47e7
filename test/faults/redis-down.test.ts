import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import {
  type Event,
  inCall,
  isUpToDate,
  next,
  numbers,
  of,
  type Peer,
  send,
  setMuted,
  told,
} from '../support/in-call.ts';
import * as operations from '../support/operations.ts';
import {
  codeOf,
  createWorld,
  events,
  eventually,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/** Milliseconds: until an outage is told, until state crosses through Postgres, until all is well again. */
const TOLD = 2_000;
const THROUGH_POSTGRES = 2_000;
const HEALED = 3_000;

const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);
beforeAll(() => void process.on('unhandledRejection', note));
afterAll(() => void process.off('unhandledRejection', note));

let world: World;
afterEach(async () => {
  await world.close();
  expect(unhandled).toEqual([]);
});

/** Ada and Ben on instance 0, Cleo on instance 1, Dan nowhere yet: all may call each other. */
async function threeInCall() {
  world = await createWorld({ instances: 2 });
  return inCall(world, {
    ada: await world.client('ada', 0),
    ben: await world.client('ben', 0),
    cleo: await world.client('cleo', 1),
  });
}

async function redisIsKilled(peers: readonly Peer[]): Promise<void> {
  await world.redis.kill();
  await Promise.all(peers.map((peer) => next('SignalingDegraded', peer, TOLD)));
}

/** On every stream, in this order; whether continuity was proven. */
async function restored(peers: readonly Peer[]): Promise<boolean[]> {
  return Promise.all(
    peers.map(async (peer) => {
      await next('SignalingRestored', peer, HEALED);
      const following = await peer.stream.next(() => true, HEALED);
      expect(following.__typename).toBe('CallSnapshot');
      return (following as Extract<Event, { __typename: 'CallSnapshot' }>).recovered;
    }),
  );
}

describe('M3: Redis killed in mid-call', () => {
  it('tells every stream, and carries signals within one instance alone', async () => {
    const { ada, ben, cleo } = await threeInCall();
    expect(codeOf(await send(ada, cleo, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(cleo).includes(1), TOLD);
    await redisIsKilled([ada, ben, cleo]);

    expect(codeOf(await send(ada, ben, 2))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(2), TOLD);

    const refused = await send(ada, cleo, 3);
    expect(refused).toMatchObject({ code: 'SIGNALING_UNAVAILABLE', retryAfterMs: expect.any(Number) });
    // Refused whole: Ben, who could be reached, hears nothing of it.
    expect(codeOf(await send(ada, null, 3))).toBe('SIGNALING_UNAVAILABLE');
    // Neither took the number.
    expect(await send(ada, ben, 3)).toMatchObject({ duplicate: false });
    await eventually(() => numbers(ben).includes(3), TOLD);
    expect(of('SignalReceived', ben).map(({ signal }) => signal.__typename)).not.toContain('Renegotiate');
    expect(numbers(cleo)).toEqual([1]);
  });

  it('brings changes of state, rings, joins and new streams through Postgres', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    const dan = await world.client('dan', 0);
    const back = await world.client('back-end', 0, 'service');
    const { call } = await ada.client.query(operations.GetCall, { id: callId });
    await back.mutate(operations.AddMembers, { conversationId: call!.conversationId, userIds: ['dan'] });
    const rings = dan.subscribe(operations.IncomingCalls, {});
    await rings.next((event) => event.__typename === 'IncomingSnapshot');
    await redisIsKilled([ada, ben, cleo]);

    success(await setMuted(cleo, true));
    await eventually(() => told(ada, 'cleo', 'CONNECTED').some(({ media }) => media.muted), THROUGH_POSTGRES);

    success((await cleo.client.mutate(operations.InviteToCall, { callId, userIds: ['dan'] })).inviteToCall);
    await rings.next((event) => event.__typename === 'CallRinging', THROUGH_POSTGRES);

    success(await join(dan, callId, 'dan'));
    const peer: Peer = {
      userId: 'dan',
      sessionId: 'dan',
      callId,
      client: dan,
      stream: events(dan, callId, 'dan'),
    };
    await rings.next((event) => event.__typename === 'RingStopped', THROUGH_POSTGRES);
    expect((await peer.stream.next()).__typename).toBe('CallSnapshot');
    await next('SignalingDegraded', peer);
    await eventually(() => told(cleo, 'dan', 'CONNECTED').length === 1, THROUGH_POSTGRES);
    expect(codeOf(await send(ada, peer, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(peer).includes(1), TOLD);

    for (const one of [ada, ben, cleo, peer]) await eventually(() => isUpToDate(one), THROUGH_POSTGRES);
    expect(rings.events.map((event) => event.__typename)).toEqual([
      'IncomingSnapshot',
      'CallRinging',
      'RingStopped',
    ]);
  });

  it('heals by itself when an empty Redis is back, and has lost no change of state', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    const peers = [ada, ben, cleo];
    await redisIsKilled(peers);
    success(await setMuted(cleo, true));
    for (const peer of peers) await eventually(() => isUpToDate(peer), THROUGH_POSTGRES);
    expect(codeOf(await send(ada, cleo, 1))).toBe('SIGNALING_UNAVAILABLE');
    expect(codeOf(await send(ada, ben, 2))).toBe('SendSignalSuccess');

    await world.redis.restart();
    // What an empty Redis holds proves nothing.
    expect(await restored(peers)).toEqual([false, false, false]);

    expect(await send(ada, cleo, 1)).toMatchObject({ duplicate: false });
    expect(await send(ada, cleo, 3)).toMatchObject({ duplicate: false });
    expect(await send(cleo, ben, 1, 4)).toMatchObject({ duplicate: false });
    await eventually(() => numbers(cleo).includes(3) && numbers(ben).includes(4), HEALED);
    expect([numbers(cleo), numbers(ben)]).toEqual([
      [1, 3],
      [2, 4],
    ]);

    success(await setMuted(ben, true));
    await eventually(() => told(cleo, 'ben', 'CONNECTED').some(({ media }) => media.muted), TOLD);
    const { version } = await world.database.db
      .selectFrom('calls')
      .select('version')
      .where('id', '=', callId)
      .executeTakeFirstOrThrow();
    for (const peer of peers) {
      await eventually(() => isUpToDate(peer));
      expect(of('ParticipantChanged', peer).at(-1)?.version).toBe(version);
      // Each once: the sweeper of either instance may publish again what the outage held up.
      expect(told(peer, 'cleo', 'CONNECTED').filter(({ media }) => media.muted)).toHaveLength(1);
    }
    expect(await metricOf(world.apps[0]!, 'video_redis_pubsub_error_total')).toBeGreaterThan(0);
  });
});

describe('M3: a signal that is sent again with its clientSeq', () => {
  it('was taken by the log, and is a duplicate in the outage', async () => {
    const { ada, ben, cleo } = await threeInCall();
    expect(await send(ada, ben, 1)).toMatchObject({ duplicate: false });
    expect(await send(ada, ben, 2)).toMatchObject({ duplicate: false });
    await eventually(() => numbers(ben).includes(2), TOLD);
    await redisIsKilled([ada, ben, cleo]);
    expect(await send(ada, ben, 1)).toMatchObject({ duplicate: true });
    expect(await send(ada, ben, 2)).toMatchObject({ duplicate: true });
    expect(await send(ada, ben, 3)).toMatchObject({ duplicate: false });
    await eventually(() => numbers(ben).includes(3), TOLD);
    expect(numbers(ben)).toEqual([1, 2, 3]);
  });

  it('was taken locally in the outage, and is a duplicate after it', async () => {
    const { ada, ben, cleo } = await threeInCall();
    const peers = [ada, ben, cleo];
    await redisIsKilled(peers);
    expect(await send(ada, ben, 1)).toMatchObject({ duplicate: false });
    expect(await send(ada, ben, 1)).toMatchObject({ duplicate: true });
    await world.redis.restart();
    await restored(peers);
    expect(await send(ada, ben, 1)).toMatchObject({ duplicate: true });
    expect(await send(ada, ben, 2)).toMatchObject({ duplicate: false });
    await eventually(() => numbers(ben).includes(2), TOLD);
    expect(numbers(ben)).toEqual([1, 2]);
  });

  it('was on its way to a Redis that stood still, and arrives once whoever takes it', async () => {
    const { ada, ben, cleo } = await threeInCall();
    const peers = [ada, ben, cleo];
    world.redis.pause();
    // Redis will take it as soon as it goes on, whatever it answered.
    expect(codeOf(await send(ada, ben, 1))).toBe('SIGNALING_UNAVAILABLE');
    await Promise.all(peers.map((peer) => next('SignalingDegraded', peer, TOLD)));
    await send(ada, ben, 1);
    world.redis.resume();
    await restored(peers);
    await eventually(async () => codeOf(await send(ada, ben, 1)) === 'SendSignalSuccess', HEALED);
    expect(codeOf(await send(ada, ben, 2))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(2), TOLD);
    expect(numbers(ben)).toEqual([1, 2]);
  });
});

describe('M3: connections of Redis Pub/Sub cut in a burst of signals', () => {
  const BURST = 200;
  const CUT_AT = 80;

  /** The answers to a burst of signals, all sent before the first was awaited; `cut` is called in its midst. */
  async function burst(from: Peer, to: Peer, cut: () => void): Promise<string[]> {
    const answers: Promise<string>[] = [];
    for (let number = 1; number <= BURST; number++) {
      if (number === CUT_AT) cut();
      answers.push(send(from, to, number).then(codeOf));
      // A turn of the event loop each, so that the cut falls into it.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return Promise.all(answers);
  }

  async function subscribers(admin: Redis): Promise<number[]> {
    const list = String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub'));
    return [...list.matchAll(/^id=(\d+)/gm)].map((match) => Number(match[1])).sort((a, b) => a - b);
  }

  /** What arrived is what was taken, once and in order, unless a snapshot says that some may be missing. */
  function expectNoSilentHole(peer: Peer, taken: readonly number[]): void {
    const holes = of('CallSnapshot', peer).filter(({ recovered }) => !recovered);
    const arrived = numbers(peer);
    expect(new Set(arrived).size, 'each once').toBe(arrived.length);
    if (holes.length === 0) expect(arrived).toEqual(taken);
  }

  it('of all instances: what was taken arrives once and in order, what was refused can be sent again', async () => {
    const { ada, cleo } = await threeInCall();
    const admin = new Redis(world.redis.url);
    const answers = await burst(ada, cleo, () => void admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'));
    const numbered = answers.map((code, i) => ({ code, number: i + 1 }));
    const taken = numbered.filter(({ code }) => code === 'SendSignalSuccess').map(({ number }) => number);
    const refused = numbered.filter(({ code }) => code !== 'SendSignalSuccess');
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['SIGNALING_UNAVAILABLE']));
    expect(taken.length).toBeGreaterThanOrEqual(CUT_AT / 2);

    expect(await restored([ada, cleo])).toEqual([true, true]);
    for (const { number } of refused) {
      await eventually(async () => codeOf(await send(ada, cleo, number)) === 'SendSignalSuccess', HEALED);
      taken.push(number);
    }
    await eventually(() => numbers(cleo).length >= BURST, HEALED);
    expectNoSilentHole(cleo, taken);
    admin.disconnect();
  });

  it("of the recipient's instance alone: all are taken, and what it missed comes from the log", async () => {
    const { ada, cleo } = await threeInCall();
    const admin = new Redis(world.redis.url);
    // Instance 1 was the last to connect.
    const last = (await subscribers(admin)).at(-1) as number;
    const answers = await burst(ada, cleo, () => void admin.call('CLIENT', 'KILL', 'ID', last));
    expect(new Set(answers)).toEqual(new Set(['SendSignalSuccess']));
    expect(await restored([cleo])).toEqual([true]);
    await eventually(() => numbers(cleo).length >= BURST, HEALED);
    expectNoSilentHole(
      cleo,
      Array.from({ length: BURST }, (_, i) => i + 1),
    );
    expect(of('SignalingDegraded', ada)).toEqual([]);
    admin.disconnect();
  });
});

describe('M3: Redis that comes after the instances', () => {
  it('is found: until then calls work within one instance', async () => {
    world = await createWorld();
    await world.redis.kill();
    const late: App = await startTestApp({ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url });
    const clients: Client[] = [];
    try {
      const onLate = async (userId: string) => {
        const client = createClient({ url: late.url, token: await tokenFor(userId) });
        clients.push(client);
        return client;
      };
      const { ada, ben, cleo } = await inCall(world, {
        ada: await onLate('ada'),
        ben: await onLate('ben'),
        cleo: await world.client('cleo'),
      });
      for (const peer of [ada, ben, cleo]) await next('SignalingDegraded', peer, TOLD);
      expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
      await eventually(() => numbers(ben).includes(1), TOLD);
      expect(codeOf(await send(ada, cleo, 2))).toBe('SIGNALING_UNAVAILABLE');

      await world.redis.restart();
      await restored([ada, ben, cleo]);
      expect(codeOf(await send(ada, cleo, 2))).toBe('SendSignalSuccess');
      await eventually(() => numbers(cleo).includes(2), TOLD);
    } finally {
      await Promise.all(clients.map((client) => client.dispose()));
      await late.stop();
    }
  });
});
