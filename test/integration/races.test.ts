import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, initiate, join, metricOf, success, type World } from '../support/world.ts';

/** What two or more do at once, over two instances on real Postgres. */

let world: World;

beforeAll(async () => {
  world = await createWorld({ instances: 2, env: { INITIATE_RATE: '500' } });
});
afterAll(() => world?.close());

describe('at once', () => {
  it('H1: of 30 invited who join at once, over two instances, exactly as many are in as may be', async () => {
    const guests = Array.from({ length: 30 }, (_, i) => `guest-${i}`);
    const clients = await Promise.all(guests.map((id, i) => world.client(id, i % 2)));
    const host = await world.client('host');
    for (let round = 0; round < 5; round++) {
      const conversationId = await world.conversation(['host', ...guests]);
      const { call } = success(
        await initiate(host, { conversationId, calleeIds: guests, sessionId: 'host-1' }),
      );
      const results = await Promise.all(clients.map((client, i) => join(client, call.id, `s-${i}`)));
      const codes = results.map(codeOf);
      expect(codes.filter((code) => code === 'JoinCallSuccess')).toHaveLength(9);
      expect(codes.filter((code) => code === 'CALL_FULL')).toHaveLength(21);
      const { count } = await world.database.db
        .selectFrom('call_participants')
        .select((eb) => eb.fn.countAll().as('count'))
        .where('call_id', '=', call.id)
        .where('seat', 'is not', null)
        .executeTakeFirstOrThrow();
      expect(Number(count)).toBe(10);
      await host.mutate(operations.EndCall, { callId: call.id });
    }
    const refused = await Promise.all(
      world.apps.map((app) => metricOf(app, 'video_call_participant_limit_exceeded_total')),
    );
    expect(refused.reduce((a, b) => a + b)).toBe(5 * 21);
  });

  it('C1: of two devices that answer at once the first wins, 200 times out of 200', async () => {
    const caller = await world.client('caller');
    const devices: [Client, Client] = [await world.client('callee', 0), await world.client('callee', 1)];
    const conversationId = await world.conversation(['caller', 'callee']);
    for (let round = 0; round < 200; round++) {
      const { call } = success(
        await initiate(caller, { conversationId, calleeIds: ['callee'], sessionId: `c-${round}` }),
      );
      const results = await Promise.all(devices.map((device, i) => join(device, call.id, `device-${i}`)));
      expect(results.map(codeOf).sort()).toEqual(['ALREADY_IN_CALL', 'JoinCallSuccess']);
      await caller.mutate(operations.EndCall, { callId: call.id });
    }
  });

  it('a join and the caller\u2019s cancel leave either an answered call or a cancelled one, never half of each', async () => {
    const caller = await world.client('caller');
    const callee = await world.client('callee', 1);
    const conversationId = await world.conversation(['caller', 'callee']);
    for (let round = 0; round < 50; round++) {
      const { call } = success(
        await initiate(caller, { conversationId, calleeIds: ['callee'], sessionId: `x-${round}` }),
      );
      const [joined] = await Promise.all([
        join(callee, call.id, 'callee-1'),
        caller.mutate(operations.EndCall, { callId: call.id }),
      ]);
      const answered = joined.__typename === 'JoinCallSuccess';
      const { call: after } = await caller.query(operations.GetCall, { id: call.id });
      expect(after).toMatchObject({ status: 'ENDED', endReason: answered ? 'HANGUP' : 'CANCELLED' });
      expect(after?.answeredAt === null).toBe(!answered);
    }
  });

  it('H2: starting calls is limited for a user across the instances', async () => {
    const limited = await createWorld({ instances: 2, env: { INITIATE_RATE: '10' } });
    try {
      const clients = [await limited.client('ada', 0), await limited.client('ada', 1)];
      const conversationId = await limited.conversation(['ada', 'ben']);
      const results = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          initiate(clients[i % 2] as Client, { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' }),
        ),
      );
      const refused = results.filter((result) => codeOf(result) === 'RATE_LIMITED');
      expect(refused).toHaveLength(20);
      expect(refused.every((result) => 'retryAfterMs' in result && (result.retryAfterMs ?? 0) > 0)).toBe(
        true,
      );
      const counted = await Promise.all(
        limited.apps.map((app) => metricOf(app, 'video_call_initiate_rate_limit_exceeded_total')),
      );
      expect(counted.reduce((a, b) => a + b)).toBe(20);
      const attempts = await Promise.all(
        limited.apps.map((app) => metricOf(app, 'video_call_initiate_total')),
      );
      expect(attempts.reduce((a, b) => a + b)).toBe(30);
    } finally {
      await limited.close();
    }
  });

  it('H2: the same idempotency key does not count again', async () => {
    const limited = await createWorld({ env: { INITIATE_RATE: '1' } });
    try {
      const ada = await limited.client('ada');
      const conversationId = await limited.conversation(['ada', 'ben']);
      const input = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1', idempotencyKey: 'once' };
      const { call } = success(await initiate(ada, input));
      for (let i = 0; i < 3; i++) expect(success(await initiate(ada, input)).call.id).toBe(call.id);
      expect(codeOf(await initiate(ada, { ...input, idempotencyKey: 'twice' }))).toBe('RATE_LIMITED');
    } finally {
      await limited.close();
    }
  });

  it('every change of a call stands in its log in the order of its versions, without a gap', async () => {
    const members = ['host', ...Array.from({ length: 8 }, (_, i) => `guest-${i}`)];
    const conversationId = await world.conversation(members);
    const host = await world.client('host');
    const { call, cursor } = success(
      await initiate(host, { conversationId, calleeIds: members.slice(1), sessionId: 'host-1' }),
    );
    const heard = host.subscribe(operations.CallEvents, {
      callId: call.id,
      sessionId: 'host-1',
      after: cursor,
    });
    await heard.next();
    const clients = await Promise.all(members.slice(1).map((id, i) => world.client(id, i % 2)));
    await Promise.all(
      clients.map(async (client, i) => {
        const sessionId = `s-${i}`;
        success(await join(client, call.id, sessionId));
        await client.mutate(operations.SetMediaState, { callId: call.id, sessionId, muted: true });
        await client.mutate(operations.SetMediaState, { callId: call.id, sessionId, muted: false });
        await client.mutate(operations.LeaveCall, { callId: call.id, sessionId });
      }),
    );
    await host.mutate(operations.EndCall, { callId: call.id });
    await heard.ended;
    const versions = heard.events.flatMap((event) =>
      event.__typename === 'ParticipantChanged'
        ? [event.version]
        : 'call' in event
          ? [event.call.version]
          : [],
    );
    const distinct = [...new Set(versions)];
    const last = distinct.at(-1) as number;
    expect(distinct).toEqual(
      Array.from({ length: last - (distinct[0] as number) + 1 }, (_, i) => (distinct[0] as number) + i),
    );
    expect(last).toBe(2 + 8 * 4 + 1);
  });
});
