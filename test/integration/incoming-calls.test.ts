import type { ResultOf } from '@graphql-typed-document-node/core';
import { print } from 'graphql';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { tokenFor } from '../support/app.ts';
import { Callers, channelsOf } from '../support/callers.ts';
import type { Client, Subscription } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, eventually, initiate, join, success, type World } from '../support/world.ts';

/** Rings, on every device of those who are called, on two instances. */

type Incoming = NonNullable<ResultOf<typeof operations.IncomingCalls>['incomingCalls']>;
type Device = Subscription<Incoming>;

let world: World;
let callers: Callers;
beforeAll(async () => {
  world = await createWorld({ instances: 2 });
  callers = new Callers(world);
});
afterAll(() => world?.close());
afterEach(() => callers.goAway());

/** A device that listens, past its first snapshot. */
async function device(userId: string, instance: number): Promise<Device> {
  const client = await callers.client(userId, instance);
  const stream = client.subscribe(operations.IncomingCalls, {});
  await stream.next((event) => event.__typename === 'IncomingSnapshot');
  return stream;
}

/** A device on each instance, and a second one on the first. */
const devices = (userId: string) => Promise.all([0, 1, 0].map((instance) => device(userId, instance)));

/** What a device was told, in short. */
function told(stream: Device): string[][] {
  return stream.events.map((event) => {
    if (event.__typename === 'IncomingSnapshot') return ['snapshot', ...event.calls.map(({ id }) => id)];
    if (event.__typename === 'CallRinging') return ['ringing', event.call.id];
    return ['stopped', event.call.id, event.reason];
  });
}

interface Ring {
  readonly callId: string;
  readonly conversationId: string;
  readonly caller: string;
  readonly client: Client;
}

async function ring(caller: string, calleeIds: string[], others: string[] = []): Promise<Ring> {
  const conversationId = await world.conversation([caller, ...calleeIds, ...others]);
  const client = await callers.client(caller);
  const sessionId = `${caller}-a`;
  const { call } = success(await initiate(client, { conversationId, calleeIds, sessionId }));
  return { callId: call.id, conversationId, caller, client };
}

/**
 * Every device has heard exactly this of one call: what came after was another ring, which ends the look.
 * The devices are on both instances, so it is also the proof that nothing is told twice by two ways.
 */
async function expectTold(streams: Device[], callee: string, callId: string, ...expected: string[][]) {
  const mine = (stream: Device) => told(stream).filter(([, id]) => id === callId);
  for (const stream of streams) await eventually(() => mine(stream).length >= expected.length);
  const fence = await ring(callers.names(1)[0]!, [callee]);
  for (const stream of streams) {
    await stream.next((event) => event.__typename === 'CallRinging' && event.call.id === fence.callId);
    expect(mine(stream)).toEqual(expected.map(([kind, ...rest]) => [kind, callId, ...rest]));
  }
}

describe('A ring', () => {
  it('comes to each device of the callee, on both instances, with the call; to no device of the caller', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const own = await device(caller, 1);
    for (const stream of [...streams, own]) expect(told(stream)).toEqual([['snapshot']]);
    const { callId, conversationId, client } = await ring(caller, [callee]);
    for (const stream of streams) {
      const event = await stream.next();
      expect(event).toMatchObject({
        __typename: 'CallRinging',
        call: { id: callId, conversationId, status: 'RINGING', callerId: caller, type: 'VIDEO' },
      });
      const { call } = await client.query(operations.GetCall, { id: callId });
      expect(event.__typename === 'CallRinging' && event.call).toEqual(call);
    }
    await expectTold(streams, callee, callId, ['ringing']);
    // A ring for the caller: what he was told before it is all that he was told.
    await expectTold([own], caller, callId);
  });

  it('that began before the subscription is in the snapshot, and does not ring again', async () => {
    const [caller, other, callee] = callers.names(3) as [string, string, string];
    const one = await ring(caller, [callee]);
    const two = await ring(other, [callee]);
    const over = await ring(callers.names(1)[0]!, [callee]);
    await over.client.mutate(operations.EndCall, { callId: over.callId });
    const streams = await devices(callee);
    for (const stream of streams) {
      const [, ...ids] = told(stream)[0] as string[];
      expect(new Set(ids)).toEqual(new Set([one.callId, two.callId]));
    }
    const fence = await ring(callers.names(1)[0]!, [callee]);
    for (const stream of streams) {
      await stream.next();
      expect(told(stream).slice(1)).toEqual([['ringing', fence.callId]]);
    }
    await one.client.mutate(operations.EndCall, { callId: one.callId });
    for (const stream of streams) {
      await stream.next();
      expect(told(stream).slice(2)).toEqual([['stopped', one.callId, 'CANCELLED']]);
    }
  });

  it('is lost by none of many subscriptions that open while it begins', async () => {
    const callee = callers.names(1)[0]!;
    for (let round = 0; round < 10; round++) {
      const client = await callers.client(callee, round % 2);
      await client.connect();
      const stream = client.subscribe(operations.IncomingCalls, {});
      const { callId, client: owner } = await ring(callers.names(1)[0]!, [callee]);
      await eventually(() => told(stream).some(([, ...ids]) => ids.includes(callId)));
      await owner.mutate(operations.EndCall, { callId });
      await stream.next((event) => event.__typename === 'RingStopped' && event.call.id === callId);
      const mentions = told(stream)
        .flat()
        .filter((id) => id === callId);
      // Once as ringing, in the snapshot or by itself, and once as stopped.
      expect(mentions).toHaveLength(2);
      await client.dispose();
    }
  });

  it('of someone who is invited later comes then, and again when they are invited again', async () => {
    const [caller, guest, late] = callers.names(3) as [string, string, string];
    const streams = await devices(late);
    const { callId, client } = await ring(caller, [guest], [late]);
    const invite = async () => {
      const result = await client.mutate(operations.InviteToCall, { callId, userIds: [late] });
      expect(codeOf(result.inviteToCall)).toBe('CallSuccess');
    };
    await invite();
    // Somebody who is rung already is not rung anew.
    await invite();
    const decline = await callers.client(late, 1);
    expect(codeOf((await decline.mutate(operations.DeclineCall, { callId })).declineCall)).toBe(
      'CallSuccess',
    );
    await invite();
    await expectTold(streams, late, callId, ['ringing'], ['stopped', 'DECLINED_ELSEWHERE'], ['ringing']);
  });

  it('comes over SSE too, with its end', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const abort = new AbortController();
    const response = await fetch(`${world.apps[1]!.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${await tokenFor(callee)}`,
      },
      body: JSON.stringify({ query: print(operations.IncomingCalls) }),
      signal: abort.signal,
    });
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
    const seen: Incoming[] = [];
    const reading = (async () => {
      let text = '';
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const blocks = text.split('\n\n');
        text = blocks.pop() as string;
        for (const block of blocks) {
          const data = /^data: (.+)$/m.exec(block)?.[1];
          if (data) seen.push((JSON.parse(data) as { data: { incomingCalls: Incoming } }).data.incomingCalls);
        }
      }
    })().catch((error: unknown) => {
      if (!abort.signal.aborted) throw error;
    });
    try {
      await eventually(() => seen.length === 1);
      const { callId, client } = await ring(caller, [callee]);
      await eventually(() => seen.length === 2);
      await client.mutate(operations.EndCall, { callId });
      await eventually(() => seen.length === 3);
      expect(seen).toMatchObject([
        { __typename: 'IncomingSnapshot', calls: [] },
        { __typename: 'CallRinging', call: { id: callId } },
        { __typename: 'RingStopped', call: { id: callId }, reason: 'CANCELLED' },
      ]);
    } finally {
      abort.abort();
      await reading;
    }
    // The stream is over with its request: `goAway` fails where the instance still listened.
  });
});

describe('A ring stops once on each device', () => {
  it('ANSWERED_ELSEWHERE where one of them answers, on any instance', async () => {
    for (const instance of [0, 1]) {
      const [caller, callee] = callers.names(2) as [string, string];
      const streams = await devices(callee);
      const { callId } = await ring(caller, [callee]);
      success(await join(await callers.client(callee, instance), callId, 'phone'));
      await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'ANSWERED_ELSEWHERE']);
    }
  });

  it('ANSWERED_ELSEWHERE where the callee has called the caller at the same time, and so is in his call', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const { callId, conversationId } = await ring(caller, [callee]);
    const client = await callers.client(callee, 1);
    const own = success(await initiate(client, { conversationId, calleeIds: [caller], sessionId: 'phone' }));
    expect([own.call.id, own.joinedExisting]).toEqual([callId, true]);
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'ANSWERED_ELSEWHERE']);
  });

  it('DECLINED_ELSEWHERE where one of them declines', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const { callId } = await ring(caller, [callee]);
    const client = await callers.client(callee, 1);
    const declined = await client.mutate(operations.DeclineCall, { callId, busy: true });
    expect(codeOf(declined.declineCall)).toBe('CallSuccess');
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'DECLINED_ELSEWHERE']);
  });

  it.each(['endCall', 'leaveCall'] as const)('CANCELLED where the caller gives up: %s', async (way) => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const { callId, client } = await ring(caller, [callee]);
    if (way === 'endCall') await client.mutate(operations.EndCall, { callId });
    else await client.mutate(operations.LeaveCall, { callId, sessionId: `${caller}-a` });
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'CANCELLED']);
  });

  it('CANCELLED where the host takes the invitation back, and the others ring on', async () => {
    const [caller, callee, other] = callers.names(3) as [string, string, string];
    const streams = await devices(callee);
    const others = await devices(other);
    const { callId, client } = await ring(caller, [callee, other]);
    await client.mutate(operations.RemoveParticipant, { callId, userId: callee });
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'CANCELLED']);
    await expectTold(others, other, callId, ['ringing']);
  });

  it('CANCELLED where the callee is taken out of the conversation, though the call goes on', async () => {
    const [caller, callee, other] = callers.names(3) as [string, string, string];
    const streams = await devices(callee);
    const { callId, conversationId } = await ring(caller, [callee, other]);
    const service = await callers.client('back-end', 0, 'service');
    await service.mutate(operations.RemoveMembers, { conversationId, userIds: [callee] });
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'CANCELLED']);
  });

  it('ENDED where the call was answered by others and is over', async () => {
    const [caller, guest, callee] = callers.names(3) as [string, string, string];
    const streams = await devices(callee);
    const { callId, client } = await ring(caller, [guest, callee]);
    success(await join(await callers.client(guest, 1), callId, 'g'));
    const ended = await client.mutate(operations.EndCall, { callId });
    expect(codeOf(ended.endCall)).toBe('CallSuccess');
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'ENDED']);
  });

  it('ENDED where an administrator ends the call', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const { callId } = await ring(caller, [callee]);
    const admin = await callers.client('admin', 1, 'admin');
    await admin.mutate(operations.TerminateCall, { callId });
    await expectTold(streams, callee, callId, ['ringing'], ['stopped', 'ENDED']);
  });
});

describe('RING_TIMEOUT', () => {
  let short: World;
  beforeAll(async () => {
    short = await createWorld({ instances: 2, env: { RING_TIMEOUT: '1s' } });
  });
  afterAll(() => short?.close());

  it('stops the ring as NO_ANSWER, once on each device: the only one, and one of a call that goes on', async () => {
    const people = new Callers(short);
    const [caller, guest, callee] = people.names(3) as [string, string, string];
    const streams: Device[] = [];
    for (const instance of [0, 1]) {
      const stream = (await people.client(callee, instance)).subscribe(operations.IncomingCalls, {});
      await stream.next();
      streams.push(stream);
    }
    const client = await people.client(caller);
    const start = async (calleeIds: string[]) => {
      const conversationId = await short.conversation([caller, ...calleeIds]);
      return success(await initiate(client, { conversationId, calleeIds, sessionId: 's' })).call.id;
    };
    const alone = await start([callee]);
    const group = await start([guest, callee]);
    success(await join(await people.client(guest, 1), group, 'g'));
    for (const stream of streams) await eventually(() => stream.events.length === 5, 6_000);
    for (const callId of [alone, group]) {
      for (const stream of streams) {
        expect(told(stream).filter(([, id]) => id === callId)).toEqual([
          ['ringing', callId],
          ['stopped', callId, 'NO_ANSWER'],
        ]);
      }
    }
    const { call } = await client.query(operations.GetCall, { id: group });
    expect(call?.status).toBe('ACTIVE');
    await people.goAway();
  });
});

describe('Listening', () => {
  it('holds no seat, needs a token, and leaves nothing behind', async () => {
    const [caller, callee] = callers.names(2) as [string, string];
    const streams = await devices(callee);
    const redis = new Redis(world.redis.url);
    try {
      expect(await channelsOf(redis)).toEqual([`ringdown:user:${callee}`]);
      streams[0]!.close();
      streams[2]!.close();
      // The one on the other instance still hears.
      const { callId } = await ring(caller, [callee]);
      await streams[1]!.next((event) => event.__typename === 'CallRinging' && event.call.id === callId);
      streams[1]!.close();
      await eventually(async () => (await channelsOf(redis)).length === 0);
    } finally {
      redis.disconnect();
    }
    const response = await fetch(`${world.apps[0]!.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
      body: JSON.stringify({ query: print(operations.IncomingCalls) }),
    });
    expect(await response.text()).toContain('UNAUTHENTICATED');
  });
});
