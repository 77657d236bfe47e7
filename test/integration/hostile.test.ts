import { once } from 'node:events';
import http from 'node:http';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { App } from '../../src/app.ts';
import { tokenFor } from '../support/app.ts';
import { channelsOf } from '../support/callers.ts';
import * as operations from '../support/operations.ts';
import {
  createWorld,
  events,
  eventually,
  initiate,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/** Clients that do what none should, and names that nobody has; nothing may be left of them. */

let world: World;
let redis: Redis;
beforeAll(async () => {
  world = await createWorld({ env: { DISCONNECT_GRACE: '1s' } });
  redis = new Redis(world.redis.url);
});
afterAll(async () => {
  redis?.disconnect();
  await world?.close();
});

async function openSocket(userId: string): Promise<WebSocket> {
  const url = (world.apps[0] as App).url.replace('http', 'ws');
  const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  const authorization = `Bearer ${await tokenFor(userId)}`;
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  await once(socket, 'message');
  return socket;
}

const sockets = () => metricOf(world.apps[0] as App, 'video_ws_connections_total');

describe('a user with a name like those of an object\u2019s own', () => {
  it.each(['constructor', '__proto__', 'toString'])('%s is in a call like anybody', async (name) => {
    const ada = await world.client('ada');
    const other = await world.client(name);
    const conversationId = await world.conversation(['ada', name]);
    const { call } = success(await initiate(ada, { conversationId, calleeIds: [name], sessionId: 'ada-1' }));
    success(await join(other, call.id, 'other-1'));
    const heard = events(other, call.id, 'other-1');
    await heard.next();
    for (const muted of [true, false]) {
      await ada.mutate(operations.SetMediaState, { callId: call.id, sessionId: 'ada-1', muted });
      await heard.next(
        (event) => event.__typename === 'ParticipantChanged' && event.participant.userId === 'ada',
      );
    }
    await ada.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ada-1' });
    await heard.next((event) => event.__typename === 'CallEnded');
  });
});

describe('a socket', () => {
  it('that uses an id again before its operation is over is closed, and leaves no stream and no seat behind', async () => {
    const before = await sockets();
    const ada = await world.client('eve');
    const conversationId = await world.conversation(['eve', 'ben']);
    const { call } = success(await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'eve-1' }));
    await ada.dispose();
    const socket = await openSocket('eve');
    const closed = once(socket, 'close');
    const query = `subscription { callEvents(callId: "${call.id}", sessionId: "eve-1") { __typename } }`;
    for (const message of [
      { id: 'x', type: 'subscribe', payload: { query } },
      { id: 'x', type: 'complete' },
      { id: 'x', type: 'subscribe', payload: { query: 'subscription { incomingCalls { __typename } }' } },
    ]) {
      socket.send(JSON.stringify(message));
    }
    expect((await closed)[0]).toBe(4409);
    await eventually(async () => (await channelsOf(redis)).length === 0);
    const row = () =>
      world.database.db.selectFrom('calls').selectAll().where('id', '=', call.id).executeTakeFirstOrThrow();
    await eventually(async () => (await row()).end_reason === 'CONNECTION_LOST');
    await eventually(async () => (await sockets()) === before);
  });

  it.each([
    ['a frame of a kind that there is not', [0x83, 0x80, 0, 0, 0, 0], 1002],
    ['text that is not UTF-8', [0x81, 0x81, 0, 0, 0, 0, 0xff], 1007],
  ])('that sends %s is closed', async (_what, bytes, code) => {
    const socket = await openSocket('eve');
    const closed = once(socket, 'close');
    (socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(Buffer.from(bytes));
    expect((await closed)[0]).toBe(code);
  });

  it('that sends and does not read is closed before what it is told piles up', async () => {
    const before = await sockets();
    const socket = await openSocket('eve');
    (socket as unknown as { _socket: { pause(): void } })._socket.pause();
    const ping = JSON.stringify({ type: 'ping', payload: { filler: 'x'.repeat(60_000) } });
    // Far more than the buffers of both systems hold: 60 MB.
    for (let i = 0; i < 1_000; i++) socket.send(ping);
    // Sooner than the pings of the server find it.
    await eventually(async () => (await sockets()) === before, 8_000);
    socket.terminate();
  });
});

describe('a request for incomingCalls over SSE', () => {
  it('that is gone before its stream is open leaves nothing behind', async () => {
    const { hostname, port } = new URL((world.apps[0] as App).url);
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream' };
    for (let i = 0; i < 40; i++) {
      const authorization = `Bearer ${await tokenFor(`zoe-${i}`)}`;
      const options = { hostname, port, path: '/graphql', method: 'POST', agent: false };
      const request = http.request({ ...options, headers: { ...headers, authorization } });
      request.on('error', () => {});
      request.end(JSON.stringify({ query: 'subscription { incomingCalls { __typename } }' }));
      // At another moment of its opening each time.
      await new Promise((resolve) => setTimeout(resolve, i % 12));
      request.destroy();
    }
    await eventually(async () => (await channelsOf(redis)).length === 0);
  });
});
