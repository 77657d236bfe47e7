import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { freePort } from '../support/free-port.ts';
import * as operations from '../support/operations.ts';
import { endProgram, startProgram } from '../support/program.ts';
import { createWorld, events, initiate, join as joinCall, success, type World } from '../support/world.ts';

/** deploy/Caddyfile in front of two instances, as compose.yaml has them. */

const PER_ADDRESS = 4;
let world: World;
let proxy: ChildProcess;
let url: string;
const folder = mkdtempSync(join(tmpdir(), 'ringdown-proxy-'));
const clients: Client[] = [];

beforeAll(async () => {
  world = await createWorld({
    instances: 2,
    env: { TRUSTED_PROXIES: '127.0.0.1', MAX_CONNECTIONS_PER_ADDRESS: String(PER_ADDRESS) },
  });
  url = `http://127.0.0.1:${await freePort()}`;
  const config = fileURLToPath(new URL('../../deploy/Caddyfile', import.meta.url));
  // env: the program gets these and no home of anyone's.
  proxy = await startProgram(
    'env',
    [
      `HOME=${folder}`,
      `SITE=${url}`,
      `INSTANCES=${world.apps.map((app) => new URL(app.url).host).join(' ')}`,
      ...['caddy', 'run', '--adapter', 'caddyfile', '--config', config],
    ],
    () =>
      fetch(`${url}/readyz`).then(
        (response) => response.ok,
        () => false,
      ),
  );
});

afterAll(async () => {
  for (const client of clients) await client.dispose();
  await endProgram(proxy);
  await world.close();
  rmSync(folder, { recursive: true, force: true });
});

async function client(userId: string, scope = ''): Promise<Client> {
  const made = createClient({ url, token: await tokenFor(userId, scope) });
  clients.push(made);
  return made;
}

/** Whether a socket from this address of the machine is let in, or with what it is closed. */
async function knock(localAddress: string, forwardedFor: string): Promise<'in' | number> {
  const authorization = `Bearer ${await tokenFor('ada')}`;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    localAddress,
    headers: { 'x-forwarded-for': forwardedFor },
  });
  sockets.push(socket);
  socket.on('open', () =>
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } })),
  );
  return new Promise((resolve, reject) => {
    socket.on('message', () => resolve('in'));
    socket.on('close', (code) => resolve(code));
    socket.on('error', reject);
  });
}
const sockets: WebSocket[] = [];

describe('two instances behind the proxy', () => {
  it('let people call each other, over WebSocket and HTTP', async () => {
    const service = await client('back-end', 'service');
    await service.query(
      operations.PutConversation,
      { id: 'room', memberIds: ['ada', 'ben'] },
      { over: 'http' },
    );
    const [ada, ben] = [await client('ada'), await client('ben')];
    const { call } = success(
      await initiate(ada, { conversationId: 'room', calleeIds: ['ben'], sessionId: 'ada-1' }),
    );
    const stream = events(ada, call.id, 'ada-1');
    await stream.next((event) => event.__typename === 'CallSnapshot');
    success(await joinCall(ben, call.id, 'ben-1'));
    const heard = events(ben, call.id, 'ben-1');
    await heard.next((event) => event.__typename === 'CallSnapshot');
    const { sendSignal } = await ada.mutate(operations.SendSignal, {
      input: {
        callId: call.id,
        sessionId: 'ada-1',
        clientSeq: 1,
        signal: { renegotiate: { iceRestart: false } },
      },
    });
    expect(sendSignal.__typename).not.toBe('Rejection');
    await heard.next((event) => event.__typename === 'SignalReceived');
    await ben.query(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' }, { over: 'http' });
    await stream.next((event) => event.__typename === 'CallEnded');
  });

  it("see the clients' addresses, and none that a client makes up", async () => {
    const room = PER_ADDRESS * world.apps.length;
    const answers: unknown[] = [];
    for (let i = 0; i < room + 2; i++) answers.push(await knock('127.0.0.2', `203.0.113.${i}`));
    expect(answers.filter((answer) => answer !== 'in')).toEqual([1013, 1013]);
    expect(await knock('127.0.0.3', '127.0.0.2')).toBe('in');
    for (const socket of sockets) socket.terminate();
  });

  it('stand in for each other when one stops: no request is lost', async () => {
    const asked = world.apps[0]?.stop();
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => (await fetch(`${url}/healthz`)).status),
    );
    await asked;
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});
