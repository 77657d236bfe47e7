import type { ServerResponse } from 'node:http';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import type { Client } from '../support/client.ts';
import { createClient } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { fine, Receiver, verified, WEBHOOK_SECRET } from '../support/receiver.ts';
import {
  codeOf,
  createWorld,
  eventually,
  initiate,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/** What the app's back end hears of calls, over real HTTP, from two instances on a real Postgres. */

const OLD_SECRET = `whsec_${Buffer.from('the one before, of thirty bytes').toString('base64')}`;
let receiver: Receiver;
let world: World;
let ada: Client;
let ben: Client;
let admin: Client;

const envFor = (url: string) => ({
  WEBHOOK_URL: url,
  WEBHOOK_SECRETS: `${WEBHOOK_SECRET},${OLD_SECRET}`,
  WEBHOOK_ALLOW_HTTP: 'true',
  WEBHOOK_ALLOW_PRIVATE: 'true',
});

beforeAll(async () => {
  receiver = await Receiver.start();
  world = await createWorld({ instances: 2, env: envFor(receiver.url) });
  ada = await world.client('ada');
  ben = await world.client('ben', 1);
  admin = await world.client('root', 0, 'admin');
});
beforeEach(() => {
  receiver.behave = fine;
});
afterAll(async () => {
  await world?.close();
  await receiver?.close();
});

async function call(callees = ['ben']): Promise<string> {
  const conversationId = await world.conversation(['ada', 'ben', 'cleo']);
  return success(await initiate(ada, { conversationId, calleeIds: callees, sessionId: 'ada-1' })).call.id;
}
const leave = async (client: Client, callId: string, sessionId: string) =>
  success((await client.mutate(operations.LeaveCall, { callId, sessionId })).leaveCall);
const kinds = (callId: string, expected: string[], timeout = 5_000) =>
  expect.poll(() => receiver.kinds(callId), { timeout }).toEqual(expected);
const outcome = async (name: string) => {
  const text = await (await fetch(`${world.apps[0]!.metricsUrl}/metrics`)).text();
  const more = await (await fetch(`${world.apps[1]!.metricsUrl}/metrics`)).text();
  const series = new RegExp(
    `^ringdown_notification_deliveries_total\\{channel="webhook",outcome="${name}"\\} (\\d+)$`,
    'gm',
  );
  return [...text.matchAll(series), ...more.matchAll(series)].reduce(
    (sum, match) => sum + Number(match[1]),
    0,
  );
};
/** What waits for its next attempt waits no longer. */
const hurry = () =>
  sql`update pgboss.job set start_after = now() where state = 'retry'`.execute(world.database.db);

describe('the life of a call', () => {
  it('is told from its ring to its end, signed with each secret, in order', async () => {
    const callId = await call();
    await kinds(callId, ['call.incoming']);
    success(await join(ben, callId, 'ben-1'));
    await leave(ben, callId, 'ben-1');
    await kinds(callId, ['call.incoming', 'call.answered_elsewhere', 'call.ended']);

    const [ring, answer, end] = receiver.messages(callId);
    expect(ring?.data).toMatchObject({
      userIds: ['ben'],
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
      call: { id: callId, callerId: 'ada', type: 'VIDEO', status: 'RINGING', durationSeconds: null },
    });
    expect(answer?.data).toMatchObject({ userIds: ['ben'], expiresAt: null, call: { status: 'ACTIVE' } });
    expect(end?.data).toMatchObject({
      userIds: ['ada', 'ben'],
      call: { status: 'ENDED', endReason: 'HANGUP', endedBy: 'ben', durationSeconds: expect.any(Number) },
    });
    const numbers = receiver.messages(callId).map(({ data }) => data.sequence);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    for (const { headers, body } of receiver.all) {
      expect(verified(headers, body, OLD_SECRET)).toEqual(JSON.parse(body));
      expect(headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Ringdown' });
      expect(body).not.toMatch(/ada-1|ben-1/);
    }
    const ids = receiver.all.map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is told of a caller who gives up, of a decline and of a ring that runs out', async () => {
    const cancelled = await call();
    await kinds(cancelled, ['call.incoming']);
    await leave(ada, cancelled, 'ada-1');
    await kinds(cancelled, ['call.incoming', 'call.cancelled', 'call.ended']);

    const declined = await call();
    success((await ben.mutate(operations.DeclineCall, { callId: declined })).declineCall);
    await kinds(declined, ['call.incoming', 'call.declined', 'call.ended']);

    const conversationId = await world.conversation(['ada', 'ben']);
    const input = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1', ringTimeoutSeconds: 1 };
    const missed = success(await initiate(ada, input)).call.id;
    await kinds(missed, ['call.incoming', 'call.missed', 'call.ended']);
    expect(receiver.messages(missed).at(-1)?.data.call).toMatchObject({ endReason: 'NO_ANSWER' });
  });

  it('arrives within a moment of the command', async () => {
    const startedAt = Date.now();
    const callId = await call();
    await kinds(callId, ['call.incoming']);
    const took = receiver.all.at(-1)!.at - startedAt;
    expect(took).toBeLessThan(1_000);
    await leave(ada, callId, 'ada-1');
  });
});

describe('a receiver that fails', () => {
  it('is asked again with the same id, and the rest of the call waits its turn, others do not', async () => {
    const failing = await call();
    await kinds(failing, ['call.incoming']);
    receiver.behave = (response, { body }) =>
      response.writeHead(JSON.parse(body).data.callId === failing ? 500 : 200).end();
    success(await join(ben, failing, 'ben-1'));
    await leave(ben, failing, 'ben-1');
    const other = await call(['cleo']);
    await kinds(other, ['call.incoming']);
    await kinds(failing, ['call.incoming', 'call.answered_elsewhere']);
    receiver.behave = fine;
    await hurry();
    await kinds(failing, [
      'call.incoming',
      'call.answered_elsewhere',
      'call.answered_elsewhere',
      'call.ended',
    ]);
    const ids = receiver.all
      .filter(({ body }) => body.includes(failing) && body.includes('answered_elsewhere'))
      .map(({ headers }) => headers['webhook-id']);
    expect(new Set(ids).size).toBe(1);
    expect(await outcome('retried')).toBeGreaterThan(0);
    await leave(ada, other, 'ada-1');
  });

  it('that hangs holds up no call, and no command', async () => {
    const hanging = await call(['ben']);
    await kinds(hanging, ['call.incoming']);
    const unanswered: ServerResponse[] = [];
    receiver.behave = (response, { body }) => {
      if (body.includes(hanging)) unanswered.push(response);
      else response.writeHead(200).end();
    };
    await leave(ada, hanging, 'ada-1');
    await expect.poll(() => unanswered).toHaveLength(1);
    const next = await call(['cleo']);
    // A ring that is over before it was sent is not sent.
    await kinds(next, ['call.incoming']);
    await leave(ada, next, 'ada-1');
    await kinds(next, ['call.incoming', 'call.cancelled', 'call.ended']);
    expect(
      unanswered.map(({ destroyed }) => destroyed),
      'it is still waited for',
    ).toEqual([false]);
    receiver.behave = fine;
    // Its attempt ends after 5 s.
    await expect.poll(hurry, { timeout: 8_000 }).toMatchObject({ numAffectedRows: 1n });
    await kinds(hanging, ['call.incoming', 'call.cancelled', 'call.cancelled', 'call.ended']);
  });
});

describe('a ring', () => {
  it('is not sent once it is over: by its answer, its end or its deadline', async () => {
    receiver.behave = (response) => response.writeHead(503).end();
    const [over, late] = [await call(), await call(['cleo'])];
    await kinds(over, ['call.incoming']);
    await kinds(late, ['call.incoming']);
    await leave(ada, over, 'ada-1');
    await sql`update pgboss.job set data = jsonb_set(data, '{notice,expiresAt}', '1000')
      where data->'notice'->>'callId' = ${late} and data->'notice'->>'kind' = 'incoming'`.execute(
      world.database.db,
    );
    receiver.behave = fine;
    const before = [await outcome('over'), await outcome('expired')];
    await hurry();
    await kinds(over, ['call.incoming', 'call.cancelled', 'call.ended']);
    await eventually(async () => (await outcome('expired')) === before[1]! + 1);
    expect(await outcome('over')).toBe(before[0]! + 1);
    expect(receiver.kinds(late)).toEqual(['call.incoming']);
    await leave(ada, late, 'ada-1');
  });

  it('of several goes to those who are still rung', async () => {
    receiver.behave = (response) => response.writeHead(503).end();
    const callId = await call(['ben', 'cleo']);
    await kinds(callId, ['call.incoming']);
    success((await ben.mutate(operations.DeclineCall, { callId })).declineCall);
    receiver.behave = fine;
    await hurry();
    await kinds(callId, ['call.incoming', 'call.incoming', 'call.declined']);
    expect(receiver.messages(callId).map(({ data }) => data.userIds)).toEqual([
      ['ben', 'cleo'],
      ['cleo'],
      ['ben'],
    ]);
    await leave(ada, callId, 'ada-1');
  });
});

describe('what could not be delivered', () => {
  it('is a dead letter that the operator sees and sends again', async () => {
    receiver.behave = (response) => response.writeHead(410).end();
    const callId = await call();
    await kinds(callId, ['call.incoming']);
    await leave(ada, callId, 'ada-1');
    // As if a day had passed: the ring is over, its end has one attempt left.
    const lastAttempt = () =>
      sql`update pgboss.job set retry_count = 149, started_on = now(), start_after = now()
        where data->'notice'->>'callId' = ${callId} and state in ('created', 'retry')`.execute(
        world.database.db,
      );
    const letters = async () =>
      (await admin.query(operations.DeadLetters, {})).deadLetters.filter(
        (letter) => letter.callId === callId,
      );
    await lastAttempt();
    await eventually(async () => {
      await lastAttempt();
      return (await letters()).length === 2;
    }, 8_000);
    const [cancelled, ended] = await letters();
    expect(cancelled).toMatchObject({
      channel: 'webhook',
      receiver: 'webhook',
      kind: 'cancelled',
      attempts: 151,
      error: 'The receiver answered 410',
    });
    expect(ended?.kind).toBe('ended');
    receiver.behave = fine;
    receiver.all.length = 0;
    const { redeliver } = await admin.mutate(operations.Redeliver, { ids: [cancelled!.id, ended!.id] });
    expect(redeliver).toBe(2);
    await kinds(callId, ['call.cancelled', 'call.ended']);
    expect(receiver.all[0]?.headers['webhook-id']).toBe(cancelled?.notificationId);
    expect(await letters()).toEqual([]);
  });

  it('is for the operator alone, and asked for in the right form', async () => {
    for (const wrong of [{ first: 0 }, { first: 501 }, { after: 'x' }]) {
      await expect(admin.query(operations.DeadLetters, wrong)).rejects.toThrow(
        /first: give|not an id of a dead letter/,
      );
    }
    const after = '01890000-0000-7000-8000-000000000000';
    await expect(admin.query(operations.DeadLetters, { after })).rejects.toThrow('no such dead letter');
    await expect(admin.mutate(operations.Redeliver, { ids: ['x'] })).rejects.toThrow(
      'not an id of a dead letter',
    );
    expect(await admin.mutate(operations.Redeliver, { ids: [after] })).toEqual({ redeliver: 0 });
    await expect(ada.query(operations.DeadLetters, {})).rejects.toThrow('scope "admin"');
  });
});

describe('an instance', () => {
  it('on the embedded database tells as much', async () => {
    const app: App = await startTestApp(envFor(receiver.url));
    const client = async (user: string, scope = '') =>
      createClient({ url: app.url, token: await tokenFor(user, scope) });
    const [service, caller] = [await client('back-end', 'service'), await client('ada')];
    await service.mutate(operations.PutConversation, { id: 'room', memberIds: ['ada', 'ben'] });
    const input = { conversationId: 'room', calleeIds: ['ben'], sessionId: 'ada-1' };
    const { call: made } = success(await initiate(caller, input));
    await leave(caller, made.id, 'ada-1');
    await expect.poll(() => receiver.kinds(made.id).at(-1)).toBe('call.ended');
    await Promise.all([service.dispose(), caller.dispose()]);
    await app.stop();
  });

  it('that nobody told of a receiver writes nothing down', async () => {
    const { rows } = await sql<{ count: number }>`select count(*)::int4 as count from pgboss.job`.execute(
      world.database.db,
    );
    const app = await startTestApp({ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url });
    const quiet = createClient({ url: app.url, token: await tokenFor('ada') });
    const conversationId = await world.conversation(['ada', 'ben']);
    const input = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' };
    const { call: made } = success(await initiate(quiet, input));
    await leave(quiet, made.id, 'ada-1');
    expect(codeOf(await join(ben, made.id, 'ben-1'))).toBe('CALL_ENDED');
    const after = await sql<{ count: number }>`select count(*)::int4 as count from pgboss.job`.execute(
      world.database.db,
    );
    expect(after.rows[0]).toEqual(rows[0]);
    expect(receiver.kinds(made.id)).toEqual([]);
    expect(await metricOf(app, 'ringdown_notification_deliveries_total')).toBe(0);
    await quiet.dispose();
    await app.stop();
  });

  it('that stops leaves what it is at to the next, at once', async () => {
    // Nobody of it takes notifications: so the one that makes the call takes its ring, and not who looks just then.
    const alone = await createWorld();
    const env = { DATABASE_URL: alone.databaseUrl, REDIS_URL: alone.redis.url, ...envFor(receiver.url) };
    const stopping = await startTestApp(env);
    receiver.behave = () => {};
    const caller = createClient({ url: stopping.url, token: await tokenFor('ada') });
    const conversationId = await alone.conversation(['ada', 'ben']);
    const input = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' };
    const { call: made } = success(await initiate(caller, input));
    await kinds(made.id, ['call.incoming']);
    await caller.dispose();
    const next = await startTestApp(env);
    // As if it had just spoken of it: that it is silent now is not how the next one learns of it.
    await sql`update pgboss.job set heartbeat_on = now() + interval '1 hour'`.execute(alone.database.db);
    const stopped = stopping.stop();
    receiver.behave = fine;
    await stopped;
    await kinds(made.id, ['call.incoming', 'call.incoming']);
    await next.stop();
    await alone.close();
  });
});
