import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { IDENTITY, tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { createDatabase } from '../support/database.ts';
import * as operations from '../support/operations.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { codeOf, events, eventually, initiate, join, success } from '../support/world.ts';

/** What stands in the log of a real instance, by level, while two people call each other. */

type Line = Readonly<Record<string, unknown>>;

const CANDIDATE = 'candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host';

let stored: TestDatabase;
beforeAll(async () => {
  stored = await createDatabase();
});
afterAll(() => stored.drop());

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(
  level: 'info' | 'debug' | 'trace',
  more: Readonly<Record<string, string>> = {},
): Promise<{ app: App; lines: Line[] }> {
  const lines: Line[] = [];
  const env = { HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0', LOG_LEVEL: level, INITIATE_RATE: '100' };
  const app = await startApp(
    loadConfig({ ...env, ...IDENTITY, DATABASE_URL: stored.url, ...more }),
    createLogger(level, { write: (line) => void lines.push(JSON.parse(line) as Line) }),
  );
  undo.push(() => app.stop());
  return { app, lines };
}

/** Ada calls Ben, sends him a candidate, a third is refused, and she ends it. */
async function aCall(app: App): Promise<{ callId: string; ada: Client }> {
  const client = async (userId: string, scope = '') => {
    const made = createClient({ url: app.url, token: await tokenFor(userId, scope) });
    undo.push(() => made.dispose());
    return made;
  };
  const [service, ada, ben] = [await client('back-end', 'service'), await client('ada'), await client('ben')];
  await service.mutate(operations.PutConversation, { id: 'room', memberIds: ['ada', 'ben', 'cem'] });
  const input = { conversationId: 'room', calleeIds: ['ben'], sessionId: 's-ada' };
  const { call } = success(await initiate(ada, input));
  success(await join(ben, call.id, 's-ben'));
  const stream = events(ben, call.id, 's-ben');
  await stream.next();
  expect(codeOf(await join(await client('cem'), call.id, 's-cem'))).toBe('NOT_INVITED');
  await ada.mutate(operations.SendSignal, {
    input: {
      ...{ callId: call.id, sessionId: 's-ada', to: 'ben', clientSeq: 1 },
      signal: { candidates: { items: [{ candidate: CANDIDATE, sdpMid: '0' }], generation: 1 } },
    },
  });
  await stream.next((event) => event.__typename === 'SignalReceived');
  success((await ada.mutate(operations.EndCall, { callId: call.id })).endCall);
  await stream.ended;
  return { callId: call.id, ada };
}

const about = (lines: readonly Line[], msg: string, fields: Line = {}) =>
  lines.filter(
    (line) => line.msg === msg && Object.entries(fields).every(([name, value]) => line[name] === value),
  );

describe('the log', () => {
  it('at info has the life of a call, and nothing of each command or signal', async () => {
    const { app, lines: all } = await start('info');
    const { callId } = await aCall(app);
    // The start warns that there is no TURN server.
    const lines = all.filter(({ msg }) => !/TURN/.test(String(msg)));
    expect(lines.every(({ level }) => level === 'info')).toBe(true);
    const [created] = about(lines, 'A call was created');
    expect(created).toMatchObject({ callId, callerId: 'ada', conversationId: 'room', type: 'VIDEO' });
    const [ended] = about(lines, 'A call ended');
    expect(ended).toMatchObject({ callId, reason: 'HANGUP', endedBy: 'ada' });
    expect(lines.map(({ msg }) => msg)).toEqual(['Ready', 'A call was created', 'A call ended']);
  });

  it('at trace has commands with their outcome, sockets, streams and signals, by ids and kinds alone', async () => {
    const { app, lines } = await start('trace');
    const { callId, ada } = await aCall(app);
    await ada.dispose();
    await eventually(() => about(lines, 'A socket closed', { userId: 'ada' }).length === 1);

    const [joined] = about(lines, 'Operation', { operation: 'joinCall', userId: 'ben' });
    expect(joined).toMatchObject({ level: 'debug', outcome: 'ok', code: null, callId });
    expect(joined?.ms).toBeGreaterThan(0);
    expect(joined?.requestId).toMatch(/^[\w-]+$/);
    const [refused] = about(lines, 'Operation', { operation: 'joinCall', userId: 'cem' });
    expect(refused).toMatchObject({ outcome: 'rejected', code: 'NOT_INVITED', callId });

    const [user] = about(lines, 'A socket has a user', { userId: 'ada' });
    const { socketId } = user as Line;
    expect(about(lines, 'A socket opened', { socketId })).toHaveLength(1);
    expect(about(lines, 'A socket closed', { socketId, userId: 'ada' })).toMatchObject([{ code: 1000 }]);
    expect(about(lines, 'Operation', { socketId, operation: 'endCall' })).toHaveLength(1);
    const [stream] = about(lines, 'A stream of a call opened', { userId: 'ben' });
    expect(about(lines, 'A stream of a call ended', { streamId: stream?.streamId })).toHaveLength(1);
    expect(about(lines, 'A subscription ended', { userId: 'ben' })).toHaveLength(1);

    // A line each is enough.
    expect(about(lines, 'Operation', { operation: 'sendSignal' })).toEqual([]);
    const [taken] = about(lines, 'Signal taken');
    expect(taken).toMatchObject({ level: 'trace', callId, from: 'ada', to: 'ben', kind: 'candidates' });
    const [delivered] = about(lines, 'Entry delivered', { kind: 'candidates' });
    expect(delivered).toMatchObject({ level: 'trace', callId, userId: 'ben', seq: taken?.seq });

    const text = JSON.stringify(lines);
    for (const secret of ['candidate:', '192.0.2.7', 'eyJ']) expect(text).not.toContain(secret);
  });

  it('names a request as its client does, where that is an id, and else by one of its own', async () => {
    const { app, lines } = await start('debug');
    const ask = async (requestId?: string) => {
      const response = await fetch(`${app.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${await tokenFor('ada')}`,
          ...(requestId !== undefined && { 'x-request-id': requestId }),
        },
        body: JSON.stringify({ query: '{ viewer { id } }' }),
      });
      return response.headers.get('x-request-id') as string;
    };
    expect(await ask('req_42-a')).toBe('req_42-a');
    const own = [await ask(), await ask('a b'), await ask(CANDIDATE), await ask('x'.repeat(65))];
    for (const id of own) expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(new Set(own).size).toBe(4);
    const logged = about(lines, 'Operation', { operation: 'viewer' }).map(({ requestId }) => requestId);
    expect(logged).toEqual(['req_42-a', ...own]);
    expect(JSON.stringify(lines)).not.toContain('candidate:');
  });
});

it('an instance that can not reach Redis says why before it says that it is ready', async () => {
  const redis = await startRedis();
  undo.push(() => redis.stop());
  const admin = new Redis(redis.url);
  await admin.config('SET', 'requirepass', 'another');
  admin.disconnect();
  const { lines } = await start('info', { REDIS_URL: redis.url.replace('//', '//:mistaken@') });
  const told = lines.map(({ msg }) => String(msg));
  const warned = told.findIndex((msg) => msg.startsWith('Redis (REDIS_URL) can not be reached'));
  expect(lines[warned]).toMatchObject({ level: 'warn', reason: expect.stringContaining('WRONGPASS') });
  expect(warned).toBeLessThan(told.indexOf('Ready'));
  expect(JSON.stringify(lines)).not.toContain('mistaken');
});
