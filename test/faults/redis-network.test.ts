import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { believed, inCall, next, numbers, of, type Peer, send, setMuted } from '../support/in-call.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';
import { codeOf, createWorld, eventually, success, type World } from '../support/world.ts';

/** M3: the network between one instance and a Redis that is well. Ada and Ben are on that instance, Cleo is not. */

/** Milliseconds: until an outage is told, until state crosses through Postgres, until all is well again. */
const TOLD = 2_000;
const THROUGH_POSTGRES = 2_000;
const HEALED = 3_000;
/** For what was sent last to arrive. */
const CROSSED = 2_000;
/** Milliseconds between two signals: two senders stay within the 500 that the log keeps, however long a fault takes. */
const PACE = 30;

const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);

let world: World;
let network: NetworkProxy;
let app: App;
const clients: Client[] = [];
beforeAll(async () => {
  process.on('unhandledRejection', note);
  world = await createWorld();
  network = await startProxy(world.redis.url);
  const REDIS_URL = network.url.replace('http', 'redis');
  app = await startTestApp({ DATABASE_URL: world.databaseUrl, REDIS_URL });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.dispose()));
  await app?.stop();
  await network?.close();
  await world?.close();
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

afterEach(() => network.delay(0));

async function threeInCall() {
  const onApp = async (userId: string) => {
    const client = createClient({ url: app.url, token: await tokenFor(userId) });
    clients.push(client);
    return client;
  };
  return inCall(world, {
    ada: await onApp('ada'),
    ben: await onApp('ben'),
    cleo: await world.client('cleo'),
  });
}

/** Signals one after the other, each sent again until it is taken. */
function flow(from: Peer, to: Peer) {
  let taken = 0;
  let stopped = false;
  onTestFinished(() => {
    stopped = true;
  });
  const done = (async () => {
    while (!stopped) {
      const result = await send(from, to, taken + 1);
      expect(['SendSignalSuccess', 'SIGNALING_UNAVAILABLE']).toContain(codeOf(result));
      if (result.__typename === 'SendSignalSuccess') taken += 1;
      await sleep(PACE);
    }
  })();
  return {
    get taken() {
      return taken;
    },
    /** So many more are taken. */
    more: (count: number, timeoutMs: number) => {
      const wanted = taken + count;
      return eventually(() => taken >= wanted, timeoutMs);
    },
    /** Stops, and waits until the recipient has had all of it: each once, in order, and without a hole. */
    async end(): Promise<void> {
      stopped = true;
      await done;
      await eventually(() => numbers(to).at(-1) === taken, CROSSED);
      expect(numbers(to)).toEqual(Array.from({ length: taken }, (_, i) => i + 1));
      expect(of('CallSnapshot', to).filter(({ recovered }) => !recovered)).toEqual([]);
    },
  };
}

const degradations = (peer: Peer) => of('SignalingDegraded', peer).length;

describe('M3: a slow way to Redis', () => {
  it('of 200 ms there and back: all signals arrive in order, and nobody is told of a fault', async () => {
    const { ada, ben, cleo } = await threeInCall();
    network.delay(100);
    const waves = Array.from({ length: 100 }, (_, i) => i + 1);
    const answers = await Promise.all(
      waves.flatMap((n) => [send(ada, cleo, n), send(cleo, ben, n)]).map(async (sent) => codeOf(await sent)),
    );
    network.delay(0);
    expect(new Set(answers)).toEqual(new Set(['SendSignalSuccess']));
    await eventually(() => numbers(cleo).length >= 100 && numbers(ben).length >= 100, CROSSED);
    expect([numbers(cleo), numbers(ben)]).toEqual([waves, waves]);
    expect([ada, ben, cleo].map(degradations)).toEqual([0, 0, 0]);
  });

  it('of 1.4 s there and back is no way: streams are told, go on locally, and heal when it is faster', async () => {
    const { ada, ben, cleo } = await threeInCall();
    const flows = [flow(ada, cleo), flow(cleo, ben)];
    for (const one of flows) await one.more(10, CROSSED);
    network.delay(700);
    for (const peer of [ada, ben]) await next('SignalingDegraded', peer, TOLD);
    expect(codeOf(await send(ben, ada, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ada).includes(1), CROSSED);
    success(await setMuted(cleo, true));
    await eventually(() => believed(ada).get('cleo')?.media.muted, THROUGH_POSTGRES);
    network.delay(0);
    for (const peer of [ada, ben]) await next('SignalingRestored', peer, HEALED);
    for (const one of flows) await one.more(10, HEALED);
    for (const one of flows) await one.end();
    expect([degradations(cleo), numbers(ada)]).toEqual([0, [1]]);
  });
});

describe('M3: connections to Redis that look open', () => {
  it.each([
    ['carry nothing any more', () => network.freeze()],
    ['lose what Redis answers, and take what it is asked', () => network.loseReplies()],
  ])('and %s: are found, replaced, and have cost nobody a signal', async (_what, breakIt) => {
    const { ada, ben, cleo } = await threeInCall();
    const flows = [flow(ada, cleo), flow(cleo, ben)];
    for (const one of flows) await one.more(10, CROSSED);
    breakIt();
    for (const peer of [ada, ben]) await next('SignalingDegraded', peer, TOLD);
    for (const peer of [ada, ben]) await next('SignalingRestored', peer, HEALED);
    for (const one of flows) await one.more(10, HEALED);
    for (const one of flows) await one.end();
    expect(degradations(cleo)).toBe(0);
  });
});

describe('M3: connections of Redis Pub/Sub killed again and again under signals', () => {
  const TIMES = 10;

  it('cost nobody a signal, and nothing is doubled', async () => {
    const { ada, ben, cleo } = await threeInCall();
    const admin = new Redis(world.redis.url);
    const flows = [flow(ada, cleo), flow(cleo, ben)];
    for (let time = 0; time < TIMES; time++) {
      // At another moment of healing each time.
      for (const one of flows) await one.more(time % 5, HEALED);
      await eventually(async () => Number(await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')) > 0, HEALED);
    }
    for (const one of flows) await one.more(10, HEALED);
    for (const one of flows) await one.end();
    for (const peer of [ada, ben, cleo]) {
      await eventually(() => of('SignalingRestored', peer).length === degradations(peer), HEALED);
      expect(degradations(peer)).toBeGreaterThan(0);
    }
    admin.disconnect();
  });
});
