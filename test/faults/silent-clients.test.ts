import { print } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import samples from '../data/webrtc-samples.json' with { type: 'json' };
import { tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import { believed, inCall, next, numbers, of, type Peer, resume, send, told } from '../support/in-call.ts';
import { type Inspector, inspectable } from '../support/inspector.ts';
import { endInstances, type Instance, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';
import { RawSocket } from '../support/raw-socket.ts';
import {
  codeOf,
  createWorld,
  events,
  eventually,
  initiate,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/**
 * Clients that are there for the network and for nobody else: half-open sockets, and sockets that never
 * read. With the timings of production, so what the server does about the first is looked at after the second.
 */

/** Milliseconds within which a half-open socket is found. */
const FOUND = 25_000;
type Pair = { readonly ada: Peer; readonly ben: Peer; readonly callId: string };

/** Longest way of a signal or a change to whoever listens. */
const CROSSED = 2_000;

let world: World;
let network: NetworkProxy;
const clients: Client[] = [];
beforeAll(async () => {
  // What happens to a seat in the end is not looked at here.
  world = await createWorld({ instances: 2, env: { DISCONNECT_GRACE: '2m' } });
  network = await startProxy(world.apps[1]!.url);
});
afterAll(async () => {
  // First, or the clients behind it would wait for an answer to their goodbye.
  await network?.close();
  await Promise.all(clients.map((client) => client.dispose()));
  await world?.close();
});

async function clientOf(url: string, userId: string, scope = ''): Promise<Client> {
  const client = createClient({ url, token: await tokenFor(userId, scope) });
  clients.push(client);
  return client;
}

const socketsOf = async (metricsUrl: string) => metricOf({ metricsUrl } as App, 'video_ws_connections_total');

/** Three calls whose half on instance 1 is behind a network that carries nothing any more. */
let lost: Pair;
let moved: Pair;
let back: Pair;
let frozenAt = 0;
let socketsBefore = 0;
beforeAll(async () => {
  const pair = async () =>
    inCall(world, { ada: await world.client('ada', 0), ben: await clientOf(network.url, 'ben') });
  [lost, moved, back] = [await pair(), await pair(), await pair()];
  socketsBefore = await socketsOf(world.apps[1]!.metricsUrl);
  network.freeze();
  frozenAt = Date.now();
});

describe('a half-open socket that nobody has found yet', () => {
  it('does not keep another device from taking the seat over at once', async () => {
    const { ada, ben, callId } = moved;
    const phone = await world.client('ben', 1);
    expect(codeOf(await join(phone, callId, 'phone'))).toBe('ALREADY_IN_CALL');
    const { cursor } = success(await join(phone, callId, 'phone', true));
    moved = {
      ...moved,
      ben: { ...ben, sessionId: 'phone', client: phone, stream: events(phone, callId, 'phone', cursor) },
    };
    await eventually(() => believed(ada).get('ben')?.sessionId === 'phone', CROSSED);
    expect(codeOf(await send(ada, moved.ben, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(moved.ben).includes(1), CROSSED);
  });

  it('does not keep the same session from coming back on a new one, to all that it missed', async () => {
    const { ada, ben } = back;
    for (const number of [1, 2, 3]) expect(codeOf(await send(ada, ben, number))).toBe('SendSignalSuccess');
    back = { ...back, ben: await resume(ben, await world.client('ben', 0)) };
    expect(await next('CallSnapshot', back.ben)).toMatchObject({ recovered: true });
    await eventually(() => numbers(back.ben).includes(3), CROSSED);
    expect(numbers(back.ben)).toEqual([1, 2, 3]);
  });

  it('has signals for it taken, which wait in the log', async () => {
    expect(codeOf(await send(lost.ada, lost.ben, 1))).toBe('SendSignalSuccess');
  });
});

describe('1,000 sockets that never read', () => {
  const CALLS = 100;
  const SILENT = 10;
  const ROUNDS = 40;
  const MiB = 1_048_576;
  /** What the operating system keeps for a socket differs; past this none takes more. */
  const MOST_OFFERS = 1_000;

  let instance: Instance;
  let metricsUrl: string;
  let inspector: Inspector;
  let service: Client;
  beforeAll(async () => {
    const port = await freePort();
    metricsUrl = `http://127.0.0.1:${port}`;
    const inside = await inspectable();
    instance = await startInstance({
      ...inside.env,
      DATABASE_URL: world.databaseUrl,
      REDIS_URL: world.redis.url,
      METRICS_PORT: String(port),
      // The caller, one who reads, and the others.
      MAX_PARTICIPANTS: String(SILENT + 2),
    });
    inspector = await inside.open();
    service = await clientOf(instance.url, 'back-end', 'service');
  });
  afterAll(async () => {
    inspector?.close();
    await endInstances();
  });

  /** MiB in RAM of the instance without its garbage: how much of that lies about is V8's choice. */
  const resident = async () => (await inspector.memory()).rss / MiB;

  interface Crowd {
    readonly caller: Peer;
    readonly reader: Peer;
    readonly silent: readonly { readonly userId: string; readonly socket: RawSocket }[];
  }

  /** In a call of its own, with its stream open. */
  async function sit(client: Client, userId: string, callId: string): Promise<Peer> {
    const stream = events(client, callId, userId);
    await stream.next((event) => event.__typename === 'CallSnapshot');
    return { userId, sessionId: userId, callId, client, stream };
  }

  async function crowd(n: number, silentOnes: number): Promise<Crowd> {
    const named = (what: string) => `${what}-${n}`;
    const [caller, reader] = (await Promise.all(
      ['caller', 'reader'].map((what) => clientOf(instance.url, named(what))),
    )) as [Client, Client];
    const names = Array.from({ length: silentOnes }, (_, i) => named(`silent-${i}`));
    const calleeIds = [named('reader'), ...names];
    await service.mutate(operations.PutConversation, {
      id: named('crowd'),
      memberIds: [named('caller'), ...calleeIds],
    });
    const input = { conversationId: named('crowd'), calleeIds, sessionId: named('caller') };
    const callId = success(await initiate(caller, input)).call.id;
    success(await join(reader, callId, named('reader')));
    return {
      caller: await sit(caller, named('caller'), callId),
      reader: await sit(reader, named('reader'), callId),
      silent: await Promise.all(
        names.map(async (userId) => {
          const socket = await RawSocket.open(instance.url, await tokenFor(userId));
          socket.subscribe('join', print(operations.JoinCall), { input: { callId, sessionId: userId } });
          await socket.answer('join');
          socket.subscribe('events', print(operations.CallEvents), {
            callId,
            sessionId: userId,
            after: null,
          });
          await socket.until(({ id, type }) => id === 'events' && type === 'next');
          return { userId, socket };
        }),
      ),
    };
  }

  /** Something for everyone, and something by which the reader's delivery can be seen. */
  async function round({ caller, reader }: Crowd, number: number): Promise<void> {
    const answers = [send(caller, null, 2 * number - 1), send(caller, reader, 2 * number, number)];
    for (const answer of await Promise.all(answers)) success(answer);
  }

  it('cost less than 200 MB, delay nobody, and those that are told too much are closed with 4008', async () => {
    const warm = await crowd(CALLS, 0);
    for (let number = 1; number <= ROUNDS; number++) await round(warm, number);
    const before = await resident();
    const cost = async () => (await resident()) - before;

    const crowds: Crowd[] = [];
    for (let n = 0; n < CALLS; n += 4) {
      crowds.push(...(await Promise.all([0, 1, 2, 3].map((i) => crowd(n + i, SILENT)))));
    }
    const all = crowds.flatMap(({ silent }) => silent);
    expect(all).toHaveLength(1_000);
    const [full, ...others] = crowds as [Crowd, ...Crowd[]];
    for (const { socket } of others.flatMap(({ silent }) => silent)) socket.ws.pause();
    try {
      expect(await cost()).toBeLessThan(200);
      for (let number = 1; number <= ROUNDS; number++) {
        await Promise.all(crowds.map((one) => round(one, number)));
        // While the others stand still, whoever reads has all of it before anything else is sent.
        for (const { reader } of crowds) await eventually(() => numbers(reader).at(-1) === number, CROSSED);
      }
      for (const { reader } of crowds) expect(numbers(reader)).toHaveLength(ROUNDS);

      // More than both systems' buffers hold, to each of one call.
      const { caller, reader, silent } = full;
      for (const { socket } of silent) socket.ws.pause();
      const [head] = samples.stacks.chromium_data.offers as [string];
      const sdp = head + `a=x-padding:${'x'.repeat(1000)}\r\n`.repeat(40);
      let clientSeq = 2 * ROUNDS;
      let shown = ROUNDS;
      const isLost = ({ userId }: { userId: string }) => told(caller, userId, 'RECONNECTING').length > 0;
      for (let offers = 0; !silent.every(isLost) && offers < MOST_OFFERS; offers++) {
        const { callId, sessionId } = caller;
        // They do say that they live, or a slow machine would have them cut for that first.
        for (const { socket } of silent) socket.send({ type: 'pong' });
        const answers = silent
          .filter((one) => !isLost(one))
          .map(({ userId }) =>
            caller.client.mutate(operations.SendSignal, {
              input: {
                callId,
                sessionId,
                to: userId,
                clientSeq: ++clientSeq,
                signal: { offer: { sdp, generation: 1 } },
              },
            }),
          );
        for (const { sendSignal } of await Promise.all(answers)) success(sendSignal);
        success(await send(caller, reader, ++clientSeq, ++shown));
        await eventually(() => numbers(reader).at(-1) === shown, CROSSED);
        const closing = silent.filter(isLost);
        if (closing.length > 0) expect(await cost()).toBeLessThan(200);
        for (const { socket } of closing) socket.ws.resume();
      }
      for (const { socket } of silent) {
        socket.ws.resume();
        expect(await socket.closed).toEqual({ code: 4008, reason: expect.any(String) });
      }

      // The others answer no ping either, and are found by that.
      const lively = clients.length;
      await eventually(async () => (await socketsOf(metricsUrl)) <= lively, FOUND);
    } finally {
      for (const { socket } of all) socket.ws.terminate();
    }
  }, 90_000);
});

describe('a half-open socket', () => {
  it('is found within 25 s, and told of; its session loses nothing', async () => {
    const { ada, ben } = lost;
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1, FOUND);
    const toldOf = of('ParticipantChanged', ada).find(
      ({ participant }) => participant.status === 'RECONNECTING',
    )!;
    expect(Date.parse(toldOf.at) - frozenAt).toBeLessThan(FOUND);
    const again = await resume(ben, await world.client('ben', 0));
    expect(await next('CallSnapshot', again)).toMatchObject({ recovered: true });
    await eventually(() => numbers(again).includes(1), CROSSED);
  });

  it('that is found late changes nothing of a seat that has moved on', async () => {
    await eventually(
      async () => (await socketsOf(world.apps[1]!.metricsUrl)) <= socketsBefore - 3 + 1,
      FOUND,
    );
    for (const { ada, ben } of [moved, back]) {
      expect(codeOf(await send(ada, ben, 10))).toBe('SendSignalSuccess');
      await eventually(() => numbers(ben).includes(10), CROSSED);
      expect([told(ada, 'ben', 'RECONNECTING'), told(ada, 'ben', 'LEFT'), of('CallEnded', ada)]).toEqual([
        [],
        [],
        [],
      ]);
    }
  });
});
