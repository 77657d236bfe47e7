import { afterEach, describe, expect, it } from 'vitest';
import { believed, inCall, leave, next, of, told } from '../support/in-call.ts';
import * as operations from '../support/operations.ts';
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

/** Milliseconds past a deadline within which everyone is told: the sweeper's lag, and the way to the client. */
const LAG = 2_500;

let world: World;
afterEach(async () => {
  await expectPromptSweeps();
  await world.close();
});

async function start(env: Record<string, string>): Promise<void> {
  world = await createWorld({ instances: 2, env });
}

/** Over all instances. */
async function total(metric: string): Promise<number> {
  const values = await Promise.all(world.apps.map((app) => metricOf(app, metric)));
  return values.reduce((a, b) => a + b);
}

/** p99 of the lag is under 2 s; with the few deadlines of a test that is: each. */
async function expectPromptSweeps(): Promise<void> {
  let sweeps = 0;
  let prompt = 0;
  for (const app of world.apps) {
    const { values } = await app.metrics.registry.getSingleMetric('ringdown_sweeper_lag_seconds')!.get();
    for (const { labels, value } of values) {
      const { le } = labels as { le?: number | string };
      if (le === 2) prompt += value;
      if (le === '+Inf') sweeps += value;
    }
  }
  expect(sweeps).toBeGreaterThan(0);
  expect(prompt / sweeps).toBeGreaterThanOrEqual(0.99);
}

/** Ada and Cleo on instance 0, Ben on instance 1. */
async function threeInCall() {
  return inCall(world, {
    ada: await world.client('ada', 0),
    ben: await world.client('ben', 1),
    cleo: await world.client('cleo', 0),
  });
}

describe('M2: a ring that nobody answers', () => {
  it('ends the call as NO_ANSWER, which can be joined no more', async () => {
    await start({ RING_TIMEOUT: '1s' });
    const [ada, ben] = [await world.client('ada', 0), await world.client('ben', 1)];
    const rings = ben.subscribe(operations.IncomingCalls, {});
    await rings.next((event) => event.__typename === 'IncomingSnapshot');
    const conversationId = await world.conversation(['ada', 'ben']);
    const { call } = success(await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada' }));
    const stream = events(ada, call.id, 'ada');

    const stopped = await rings.next((event) => event.__typename === 'RingStopped', 1_000 + LAG);
    expect(stopped).toMatchObject({ reason: 'NO_ANSWER', call: { status: 'ENDED', endReason: 'NO_ANSWER' } });
    await stream.ended;
    expect(stream.events.filter((event) => event.__typename === 'CallEnded')).toMatchObject([
      { call: { endReason: 'NO_ANSWER', endedBy: null, answeredAt: null, durationSeconds: null } },
    ]);
    expect(await join(ben, call.id, 'ben')).toMatchObject({ code: 'CALL_EXPIRED' });
    expect(rings.events.map((event) => event.__typename)).toEqual([
      'IncomingSnapshot',
      'CallRinging',
      'RingStopped',
    ]);
    expect(await total('video_call_expired_join_attempt_total')).toBe(1);
    expect(await total('video_call_ended_total')).toBe(1);
    expect(await total('video_call_ringing_duration_seconds_count')).toBe(1);
    expect(await total('video_call_ringing_duration_seconds_sum')).toBeGreaterThanOrEqual(1);
  });

  it('does not bar from a call that goes on', async () => {
    await start({ RING_TIMEOUT: '1s' });
    const { ada, ben, cleo, callId } = await threeInCall();
    const back = await world.client('back-end', 0, 'service');
    const { call } = await ada.client.query(operations.GetCall, { id: callId });
    await back.mutate(operations.AddMembers, { conversationId: call!.conversationId, userIds: ['dan'] });
    success((await ada.client.mutate(operations.InviteToCall, { callId, userIds: ['dan'] })).inviteToCall);
    for (const peer of [ada, ben, cleo]) {
      await eventually(() => told(peer, 'dan', 'MISSED').length === 1, 1_000 + LAG);
    }
    // He missed the ring, not the call.
    expect(codeOf(await join(await world.client('dan', 1), callId, 'dan'))).toBe('JoinCallSuccess');
    expect(await total('video_call_expired_join_attempt_total')).toBe(0);
  });
});

describe('C2: a call that lasts too long', () => {
  it('is warned of once, and ended once, on every instance', async () => {
    await start({ MAX_CALL_DURATION: '3s', CALL_DURATION_WARNING: '2s' });
    const { ada, ben, cleo } = await threeInCall();
    for (const peer of [ada, ben, cleo]) {
      const { call } = await next('CallEnded', peer, 3_000 + LAG);
      expect(call).toMatchObject({ endReason: 'MAX_DURATION', endedBy: null });
      const [created, expires, ended] = [call.createdAt, call.expiresAt, call.endedAt!].map(Date.parse);
      expect(expires! - created!).toBe(3_000);
      expect(ended! - expires!).toBeGreaterThanOrEqual(0);
      expect(ended! - expires!).toBeLessThan(LAG);

      await peer.stream.ended;
      expect(of('CallEnded', peer)).toHaveLength(1);
      expect(of('CallExpiring', peer)).toMatchObject([{ expiresAt: call.expiresAt }]);
      const warnedAt = Date.parse(of('CallExpiring', peer)[0]!.at);
      expect(warnedAt - created!).toBeGreaterThanOrEqual(1_000);
      expect(warnedAt - created!).toBeLessThan(1_000 + LAG);
    }
    expect(await total('video_call_auto_terminated_total')).toBe(1);
    expect(await total('video_call_ended_total')).toBe(1);
    expect(await total('video_call_duration_seconds_count')).toBe(1);
  });
});

describe('seats and their deadlines', () => {
  it('ALONE: the last one in a group is not left there', async () => {
    await start({ ALONE_TIMEOUT: '1s' });
    const { ada, ben, cleo, callId } = await threeInCall();
    success(await leave(ada));
    success(await leave(cleo));
    await eventually(() => believed(ben).get('cleo')?.status === 'LEFT');
    expect((await next('CallEnded', ben, 1_000 + LAG)).call).toMatchObject({
      endReason: 'ALONE',
      endedBy: null,
    });
    await ben.stream.ended;
    expect(of('CallEnded', ben)).toHaveLength(1);
    const { call } = await ada.client.query(operations.GetCall, { id: callId });
    expect(call).toMatchObject({ status: 'ENDED', endReason: 'ALONE' });
  });

  it('ALONE: somebody who comes in time stops it', async () => {
    await start({ ALONE_TIMEOUT: '1s' });
    const first = await threeInCall();
    const second = await threeInCall();
    for (const { ada, cleo } of [first, second]) {
      success(await leave(ada));
      success(await leave(cleo));
    }
    success(await join(first.cleo.client, first.callId, 'cleo-again'));
    // The second call's deadline is the later one.
    expect((await next('CallEnded', second.ben, 1_000 + LAG)).call).toMatchObject({ endReason: 'ALONE' });
    const { call } = await first.ben.client.query(operations.GetCall, { id: first.callId });
    expect(call).toMatchObject({ status: 'ACTIVE', endReason: null });
    expect(of('CallEnded', first.ben)).toEqual([]);
  });

  it('NEVER_CONNECTED: a seat without a stream is left, and every other participant is told once', async () => {
    await start({ DISCONNECT_GRACE: '1s' });
    const { ada, ben, cleo, callId } = await threeInCall();
    success(await leave(cleo));
    for (const peer of [ada, ben]) await eventually(() => told(peer, 'cleo', 'LEFT').length === 1);
    success(await join(cleo.client, callId, 'cleo-again'));
    for (const peer of [ada, ben]) {
      await eventually(() => told(peer, 'cleo', 'LEFT').length === 2, 1_000 + LAG);
      expect(told(peer, 'cleo', 'CONNECTING').at(-1)).toMatchObject({ sessionId: 'cleo-again' });
    }
    success((await ada.client.mutate(operations.EndCall, { callId })).endCall);
    for (const peer of [ada, ben]) {
      await peer.stream.ended;
      expect(told(peer, 'cleo', 'LEFT').map(({ leaveReason }) => leaveReason)).toEqual([
        'HANGUP',
        'NEVER_CONNECTED',
      ]);
    }
    expect(await total('video_call_ghost_participant_total')).toBe(0);
  });

  it('DISCONNECTED: M1, a lost connection is a leave after the grace, and every other participant is told once', async () => {
    await start({ DISCONNECT_GRACE: '1s' });
    const { ada, ben, cleo } = await threeInCall();
    cleo.client.terminate();
    for (const peer of [ada, ben]) await eventually(() => told(peer, 'cleo', 'LEFT').length > 0, 1_000 + LAG);
    // With its end nothing more can come.
    success((await ada.client.mutate(operations.EndCall, { callId: ada.callId })).endCall);
    for (const peer of [ada, ben]) {
      await peer.stream.ended;
      expect(told(peer, 'cleo', 'RECONNECTING')).toHaveLength(1);
      expect(told(peer, 'cleo', 'LEFT')).toMatchObject([{ leaveReason: 'DISCONNECTED', joinSeq: null }]);
    }
    expect(await total('video_call_cleanup_on_disconnect_total')).toBe(1);
    expect(await total('video_call_ghost_participant_total')).toBe(0);
  });

  it('CONNECTION_LOST: in a pair the call ends with it', async () => {
    await start({ DISCONNECT_GRACE: '1s' });
    const { ada, ben } = await inCall(world, {
      ada: await world.client('ada', 0),
      ben: await world.client('ben', 1),
    });
    ada.client.terminate();
    expect((await next('CallEnded', ben, 1_000 + LAG)).call).toMatchObject({ endReason: 'CONNECTION_LOST' });
    await ben.stream.ended;
    expect(told(ben, 'ada', 'LEFT')).toMatchObject([{ leaveReason: 'DISCONNECTED' }]);
    expect(of('CallEnded', ben)).toHaveLength(1);
  });
});
