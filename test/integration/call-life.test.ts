import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../support/client.ts';
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

/** The life of a call over the real API, with the participants on two instances. */

let world: World;
let ada: Client;
let ben: Client;
let cleo: Client;
let service: Client;
let conversationId: string;

beforeAll(async () => {
  world = await createWorld({
    instances: 2,
    env: { INITIATE_RATE: '10000', ALONE_TIMEOUT: '1s', DISCONNECT_GRACE: '20s' },
  });
  ada = await world.client('ada', 0);
  ben = await world.client('ben', 1);
  cleo = await world.client('cleo', 1);
  service = await world.client('back-end', 0, 'service admin');
});
afterAll(() => world?.close());

/** A call of ada's in a conversation of its own, with everyone else of it invited. */
async function start(members = ['ada', 'ben']) {
  conversationId = await world.conversation(members);
  const calleeIds = members.filter((id) => id !== 'ada');
  return success(await initiate(ada, { conversationId, calleeIds, sessionId: 'ada-1' }));
}

async function status(client: Client, id: string) {
  const { call } = await client.query(operations.GetCall, { id });
  if (!call) throw new Error('There is no such call');
  const people = Object.fromEntries(call.participants.map((p) => [p.userId, p.status]));
  return { status: call.status, endReason: call.endReason, people };
}

describe('a pair', () => {
  it('rings, is answered, and ends with a hang-up, with the duration from answer to end', async () => {
    const { call } = await start();
    expect(call).toMatchObject({ status: 'RINGING', version: 1, answeredAt: null, durationSeconds: null });
    const joined = success(await join(ben, call.id, 'ben-1'));
    expect(joined).toMatchObject({ rejoined: false, call: { status: 'ACTIVE' } });
    const heard = events(ada, call.id, 'ada-1');
    await heard.next((event) => event.__typename === 'CallSnapshot');

    const { leaveCall } = await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
    const ended = success(leaveCall).call;
    expect(ended).toMatchObject({ status: 'ENDED', endReason: 'HANGUP', endedBy: 'ben' });
    expect(ended.durationSeconds).toBe(
      Math.floor((Date.parse(ended.endedAt as string) - Date.parse(ended.answeredAt as string)) / 1000),
    );
    const left = await heard.next((event) => event.__typename === 'ParticipantChanged');
    expect(left).toMatchObject({ participant: { userId: 'ben', status: 'LEFT', leaveReason: 'HANGUP' } });
    expect(await heard.next()).toMatchObject({ __typename: 'CallEnded', call: { endReason: 'HANGUP' } });
    await heard.ended;
  });

  it('ends as cancelled where the caller gives up, and the callee has missed it', async () => {
    const { call } = await start();
    const { endCall } = await ada.mutate(operations.EndCall, { callId: call.id });
    expect(success(endCall).call).toMatchObject({ endReason: 'CANCELLED', durationSeconds: null });
    expect(await status(ben, call.id)).toMatchObject({ people: { ben: 'MISSED' } });
    expect(codeOf(await join(ben, call.id, 'ben-1'))).toBe('CALL_ENDED');
  });

  it('ends as declined, and keeps that the callee was busy', async () => {
    const { call } = await start();
    const { declineCall } = await ben.mutate(operations.DeclineCall, { callId: call.id, busy: true });
    const ben_ = success(declineCall).call.participants.find((p) => p.userId === 'ben');
    expect(ben_).toMatchObject({ status: 'DECLINED', declinedBusy: true });
    expect(await status(ada, call.id)).toMatchObject({ status: 'ENDED', endReason: 'DECLINED' });
  });

  it('may be ended by either; ending, leaving and declining twice are the same as once', async () => {
    const { call } = await start();
    success(await join(ben, call.id, 'ben-1'));
    for (let i = 0; i < 2; i++) {
      const { endCall } = await ben.mutate(operations.EndCall, { callId: call.id });
      expect(success(endCall).call).toMatchObject({ version: 3, endReason: 'HANGUP', endedBy: 'ben' });
      const { leaveCall } = await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
      expect(success(leaveCall).call.version).toBe(3);
    }
  });

  it('becomes a group for good with a third person', async () => {
    conversationId = await world.conversation(['ada', 'ben', 'cleo']);
    const { call } = success(await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' }));
    success(await join(ben, call.id, 'ben-1'));
    const { inviteToCall } = await ben.mutate(operations.InviteToCall, {
      callId: call.id,
      userIds: ['cleo'],
    });
    success(inviteToCall);
    success(await join(cleo, call.id, 'cleo-1'));
    await cleo.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'cleo-1' });
    expect(await status(ada, call.id)).toMatchObject({ status: 'ACTIVE' });
    const { endCall } = await ben.mutate(operations.EndCall, { callId: call.id });
    expect(codeOf(endCall)).toBe('NOT_THE_HOST');
    await ada.mutate(operations.EndCall, { callId: call.id });
    expect(await status(ben, call.id)).toMatchObject({ endReason: 'ENDED_BY_HOST' });
  });
});

describe('a group', () => {
  it('goes on when the host leaves, with whoever has been in it longest as host', async () => {
    const { call } = await start(['ada', 'ben', 'cleo']);
    success(await join(cleo, call.id, 'cleo-1'));
    success(await join(ben, call.id, 'ben-1'));
    await ada.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ada-1' });
    const { call: now } = await ben.query(operations.GetCall, { id: call.id });
    const roles = Object.fromEntries(now?.participants.map((p) => [p.userId, p.role]) ?? []);
    expect(roles).toEqual({ ada: 'GUEST', ben: 'GUEST', cleo: 'HOST' });
    // LEFT does not take away the right to join.
    expect(success(await join(ada, call.id, 'ada-2')).call.status).toBe('ACTIVE');
    await cleo.mutate(operations.EndCall, { callId: call.id });
  });

  it('ends when one has been alone for too long, and a join stops that', async () => {
    const { call } = await start(['ada', 'ben', 'cleo']);
    success(await join(ben, call.id, 'ben-1'));
    await cleo.mutate(operations.DeclineCall, { callId: call.id });
    await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
    success(await join(cleo, call.id, 'cleo-1'));
    const row = () =>
      world.database.db.selectFrom('calls').selectAll().where('id', '=', call.id).executeTakeFirstOrThrow();
    expect((await row()).alone_deadline).toBeNull();
    await cleo.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'cleo-1' });
    expect((await row()).alone_deadline).not.toBeNull();
    await eventually(async () => (await row()).end_reason === 'ALONE');
  });

  it('lets the host mute and remove, and nobody else', async () => {
    const { call } = await start(['ada', 'ben', 'cleo']);
    success(await join(ben, call.id, 'ben-1'));
    success(await join(cleo, call.id, 'cleo-1'));
    const byBen = await ben.mutate(operations.MuteParticipant, { callId: call.id, userId: 'cleo' });
    expect(codeOf(byBen.muteParticipant)).toBe('NOT_THE_HOST');
    const byAda = await ada.mutate(operations.MuteParticipant, { callId: call.id, userId: 'cleo' });
    const muted = success(byAda.muteParticipant).call.participants.find((p) => p.userId === 'cleo');
    expect(muted?.media.muted).toBe(true);
    const removed = await ada.mutate(operations.RemoveParticipant, { callId: call.id, userId: 'cleo' });
    success(removed.removeParticipant);
    expect(codeOf(await join(cleo, call.id, 'cleo-2'))).toBe('NOT_INVITED');
    const again = await ada.mutate(operations.InviteToCall, { callId: call.id, userIds: ['cleo'] });
    success(again.inviteToCall);
    success(await join(cleo, call.id, 'cleo-3'));
    await ada.mutate(operations.EndCall, { callId: call.id });
  });
});

describe('the rules of who may join', () => {
  it('C1: another session of a user is refused unless it takes over; the same session repeats harmlessly', async () => {
    const { call } = await start();
    const first = success(await join(ben, call.id, 'ben-1'));
    const seqOf = (view: typeof first.call) => view.participants.find((p) => p.userId === 'ben')?.joinSeq;
    expect(codeOf(await join(ben, call.id, 'ben-2'))).toBe('ALREADY_IN_CALL');
    const repeat = success(await join(ben, call.id, 'ben-1'));
    expect(repeat).toMatchObject({ rejoined: true, cursor: first.cursor });
    expect(seqOf(repeat.call)).toBe(seqOf(first.call));
    const taken = success(await join(ben, call.id, 'ben-2', true));
    expect(seqOf(taken.call)).toBeGreaterThan(seqOf(first.call) as number);
    const { leaveCall } = await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
    expect(codeOf(leaveCall)).toBe('STALE_SESSION');
    const [, app] = world.apps;
    expect(await metricOf(app as never, 'video_call_duplicate_join_attempt_total')).toBe(1);
    await ada.mutate(operations.EndCall, { callId: call.id });
  });

  it('H3: strangers, members who were not invited and invited people who are no members are kept out', async () => {
    const { call } = await start(['ada', 'ben']);
    const before = await metricOf(world.apps[1] as never, 'video_call_unauthorized_join_attempt_total');
    expect(codeOf(await join(cleo, call.id, 'cleo-1'))).toBe('CALL_NOT_FOUND');
    await service.mutate(operations.AddMembers, { conversationId, userIds: ['cleo'] });
    expect(codeOf(await join(cleo, call.id, 'cleo-1'))).toBe('NOT_INVITED');
    expect((await cleo.query(operations.GetCall, { id: call.id })).call).toBeNull();
    await ada.mutate(operations.InviteToCall, { callId: call.id, userIds: ['cleo'] });
    await service.mutate(operations.RemoveMembers, { conversationId, userIds: ['cleo'] });
    expect(codeOf(await join(cleo, call.id, 'cleo-1'))).toBe('NOT_A_MEMBER');
    const after = await metricOf(world.apps[1] as never, 'video_call_unauthorized_join_attempt_total');
    expect(after - before).toBe(3);
    await ada.mutate(operations.EndCall, { callId: call.id });
  });

  it('takes whoever is removed from the conversation out of its live calls', async () => {
    const { call } = await start(['ada', 'ben', 'cleo']);
    success(await join(ben, call.id, 'ben-1'));
    success(await join(cleo, call.id, 'cleo-1'));
    const heard = events(ben, call.id, 'ben-1');
    await heard.next();
    await service.mutate(operations.PutConversation, { id: conversationId, memberIds: ['ada', 'cleo'] });
    const gone = await heard.next(
      (event) => event.__typename === 'ParticipantChanged' && event.participant.leaveReason !== null,
      2_000,
    );
    expect(gone).toMatchObject({ participant: { userId: 'ben', leaveReason: 'MEMBERSHIP_LOST' } });
    await heard.ended;
    expect(await status(ada, call.id)).toMatchObject({ status: 'ACTIVE', people: { ben: 'LEFT' } });
    await ada.mutate(operations.EndCall, { callId: call.id });
  });

  it('checks callees and conversation before it rings anybody', async () => {
    conversationId = await world.conversation(['ada', 'ben']);
    const call = (calleeIds: string[], conversation = conversationId) =>
      initiate(ada, { conversationId: conversation, calleeIds, sessionId: 'ada-1' });
    expect(codeOf(await call(['cleo']))).toBe('INVALID_CALLEE');
    expect(codeOf(await call(['ada']))).toBe('NO_CALLEES');
    expect(codeOf(await call([]))).toBe('NO_CALLEES');
    expect(codeOf(await call(['ben'], 'no-such-conversation'))).toBe('NOT_A_MEMBER');
    const many = Array.from({ length: 101 }, (_, i) => `user-${i}`);
    expect(codeOf(await call(many))).toBe('TOO_MANY_CALLEES');
    const long = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1', ringTimeoutSeconds: 301 };
    expect(codeOf(await initiate(ada, long))).toBe('INVALID_INPUT');
  });
});

describe('starting a call', () => {
  it('gives the same call for the same idempotency key, and refuses it with another input', async () => {
    conversationId = await world.conversation(['ada', 'ben', 'cleo']);
    const input = { conversationId, calleeIds: ['ben'], sessionId: 'ada-1', idempotencyKey: 'once' };
    const first = success(await initiate(ada, input));
    const again = success(await initiate(ada, input));
    expect(again).toMatchObject({ call: { id: first.call.id }, cursor: first.cursor, joinedExisting: false });
    expect(codeOf(await initiate(ada, { ...input, calleeIds: ['cleo'] }))).toBe('INVALID_INPUT');
    // The key outlives the call, so a late retry does not ring anybody again.
    await ada.mutate(operations.EndCall, { callId: first.call.id });
    const late = success(await initiate(ada, input));
    expect(late.call).toMatchObject({ id: first.call.id, status: 'ENDED' });
  });

  it('lets two people who call each other at once be in one call', async () => {
    for (let round = 0; round < 20; round++) {
      conversationId = await world.conversation(['ada', 'ben']);
      const results = await Promise.all([
        initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' }),
        initiate(ben, { conversationId, calleeIds: ['ada'], sessionId: 'ben-1' }),
      ]);
      const [a, b] = results.map(success);
      expect(a?.call.id).toBe(b?.call.id);
      expect([a?.joinedExisting, b?.joinedExisting].sort()).toEqual([false, true]);
      expect(await status(ada, a?.call.id as string)).toMatchObject({ status: 'ACTIVE' });
      await ada.mutate(operations.EndCall, { callId: a?.call.id as string });
    }
  });

  it('gives the live call of the same people to the same session, and refuses another session of the user', async () => {
    const { call } = await start();
    const again = success(await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' }));
    expect(again).toMatchObject({ call: { id: call.id }, joinedExisting: false });
    const other = await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada-2' });
    expect(codeOf(other)).toBe('ALREADY_IN_CALL');
    await ada.mutate(operations.EndCall, { callId: call.id });
    const next = success(await initiate(ada, { conversationId, calleeIds: ['ben'], sessionId: 'ada-1' }));
    expect(next.call.id).not.toBe(call.id);
    await ada.mutate(operations.EndCall, { callId: next.call.id });
  });
});

describe('what can be asked of calls', () => {
  it('lists a user\u2019s own calls newest first, both ways, with filters', async () => {
    const dora = await world.client('dora', 0);
    conversationId = await world.conversation(['dora', 'ben']);
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { call } = success(
        await initiate(dora, { conversationId, calleeIds: ['ben'], sessionId: 'dora-1' }),
      );
      ids.unshift(call.id);
      if (i % 2) success(await join(ben, call.id, `ben-${i}`));
      await dora.mutate(operations.EndCall, { callId: call.id });
    }
    const first = await dora.query(operations.GetCalls, { first: 2 });
    expect(first.calls.edges.map((edge) => edge.node.id)).toEqual(ids.slice(0, 2));
    expect(first.calls.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
    const after = first.calls.pageInfo.endCursor;
    const second = await dora.query(operations.GetCalls, { first: 10, after });
    expect(second.calls.edges.map((edge) => edge.node.id)).toEqual(ids.slice(2));
    const last = await dora.query(operations.GetCalls, { last: 2 });
    expect(last.calls.edges.map((edge) => edge.node.id)).toEqual(ids.slice(3));
    const filter = { conversationId, missed: true };
    const missed = await ben.query(operations.GetCalls, { filter });
    expect(missed.calls.edges).toHaveLength(3);
    const none = await dora.query(operations.GetCalls, { filter: { outgoing: false } });
    expect(none.calls.edges).toHaveLength(0);
    await expect(dora.query(operations.GetCalls, { first: 1, last: 1 })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
    await expect(dora.query(operations.GetCalls, { after: 'nonsense' })).rejects.toMatchObject({
      code: 'BAD_USER_INPUT',
    });
  });

  it('tells what happened in a call, in order, in pages', async () => {
    const { call } = await start();
    success(await join(ben, call.id, 'ben-1'));
    await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
    const all = await ada.query(operations.GetTimeline, { id: call.id });
    const entries = all.call?.timeline.edges.map(({ node }) =>
      `${node.kind} ${node.subjectId} ${node.detail}`.trim(),
    );
    expect(entries).toEqual([
      'INITIATED ada',
      'JOINED ada',
      'INVITED ben',
      'JOINED ben',
      'ANSWERED ben',
      'LEFT ben HANGUP',
      'LEFT ada CALL_ENDED',
      'ENDED null HANGUP',
    ]);
    const page = await ada.query(operations.GetTimeline, { id: call.id, first: 3 });
    expect(page.call?.timeline.edges).toHaveLength(3);
    const after = page.call?.timeline.pageInfo.endCursor as string;
    const rest = await ada.query(operations.GetTimeline, { id: call.id, after });
    expect(rest.call?.timeline.edges).toHaveLength(5);
    expect(rest.call?.timeline.pageInfo.hasNextPage).toBe(false);
  });

  it('gives ICE servers to whoever is in the call alone', async () => {
    const { call } = await start();
    const mine = await ada.query(operations.GetIceServers, { callId: call.id });
    expect(mine.iceServers.__typename).toBe('IceServers');
    const hers = await ben.query(operations.GetIceServers, { callId: call.id });
    expect(codeOf(hers.iceServers)).toBe('NOT_IN_CALL');
    const stranger = await cleo.query(operations.GetIceServers, { callId: call.id });
    expect(codeOf(stranger.iceServers)).toBe('CALL_NOT_FOUND');
    const { viewer } = await ada.query(operations.Viewer, {});
    expect(viewer.activeCalls.map((active) => active.id)).toContain(call.id);
    await ada.mutate(operations.EndCall, { callId: call.id });
  });

  it('lets an administrator end any call', async () => {
    const { call } = await start();
    await expect(ada.mutate(operations.TerminateCall, { callId: call.id })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    });
    const { terminateCall } = await service.mutate(operations.TerminateCall, { callId: call.id });
    expect(success(terminateCall).call).toMatchObject({ status: 'ENDED', endReason: 'TERMINATED' });
  });
});

describe('what is counted', () => {
  it('M5: each step of a call’s life, once, and gauges are back at zero when it is over', async () => {
    const counters = [
      'video_call_created_total',
      'video_call_joined_total',
      'video_call_left_total',
      'video_call_ended_total',
      'video_call_initiate_total',
      'video_call_duration_seconds_count',
      'video_call_ringing_duration_seconds_count',
      'video_call_end_duration_seconds_count',
    ];
    // Both instances together: which of them took a step does not matter.
    const read = async (name: string) => {
      const each = await Promise.all(world.apps.map((app) => metricOf(app, name)));
      return each.reduce((a, b) => a + b);
    };
    const readAll = async () => Promise.all(counters.map(read));
    const before = await readAll();
    const { call } = await start();
    success(await join(ben, call.id, 'ben-1'));
    const heard = [events(ada, call.id, 'ada-1'), events(ben, call.id, 'ben-1')];
    for (const stream of heard) await stream.next();
    expect(await read('video_active_calls')).toBe(1);
    expect(await read('video_active_participants')).toBe(2);
    expect(await read('video_call_active_participants')).toBe(2);
    expect(await read('video_ws_connections_by_call')).toBe(2);
    await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' });
    for (const stream of heard) await stream.ended;
    const after = await readAll();
    const grown = Object.fromEntries(counters.map((name, i) => [name, (after[i] ?? 0) - (before[i] ?? 0)]));
    expect(grown).toEqual({
      video_call_created_total: 1,
      video_call_joined_total: 2,
      video_call_left_total: 2,
      video_call_ended_total: 1,
      video_call_initiate_total: 1,
      video_call_duration_seconds_count: 1,
      video_call_ringing_duration_seconds_count: 1,
      video_call_end_duration_seconds_count: 1,
    });
    for (const gauge of [
      'video_active_calls',
      'video_active_participants',
      'video_call_active_participants',
    ]) {
      expect(await read(gauge)).toBe(0);
    }
  });
});

describe('conversations', () => {
  it('keep the newer version, and grow and shrink', async () => {
    const id = 'versions';
    const put = async (memberIds: string[], version: number | null) =>
      (await service.mutate(operations.PutConversation, { id, memberIds, version })).putConversation;
    expect(await put(['a', 'b'], 5)).toMatchObject({ memberIds: ['a', 'b'], version: 5 });
    expect(await put(['a'], 4)).toMatchObject({ memberIds: ['a', 'b'], version: 5 });
    expect(await put(['a'], null)).toMatchObject({ memberIds: ['a'], version: 6 });
    const added = await service.mutate(operations.AddMembers, { conversationId: id, userIds: ['c', 'a'] });
    expect(added.addMembers).toMatchObject({ memberIds: ['a', 'c'], version: 7 });
    const removed = await service.mutate(operations.RemoveMembers, { conversationId: id, userIds: ['a'] });
    expect(removed.removeMembers).toMatchObject({ memberIds: ['c'], version: 8 });
    expect((await service.mutate(operations.DeleteConversation, { id })).deleteConversation).toBe(true);
    expect((await service.mutate(operations.DeleteConversation, { id })).deleteConversation).toBe(false);
    await expect(
      service.mutate(operations.AddMembers, { conversationId: id, userIds: ['c'] }),
    ).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });
});
