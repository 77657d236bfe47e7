import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Callers } from '../support/callers.ts';
import type { Client } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, events, initiate, join, success, type World } from '../support/world.ts';

/** Blocked people and muted conversations, on two instances: what each side sees of a ring that reaches nobody. */

let world: World;
let callers: Callers;
let service: Client;
beforeAll(async () => {
  world = await createWorld({ instances: 2 });
  callers = new Callers(world);
  service = await world.client('back-end', 1, 'service');
});
afterAll(() => world?.close());

async function people() {
  const [ann, bob] = callers.names(2) as [string, string];
  const conversationId = await world.conversation([ann, bob]);
  const [anns, bobs] = [await world.client(ann), await world.client(bob, 1)];
  const rings = bobs.subscribe(operations.IncomingCalls, {});
  await rings.next((event) => event.__typename === 'IncomingSnapshot');
  const call = async (ringTimeoutSeconds = 300) => {
    const input = { conversationId, calleeIds: [bob], sessionId: `${ann}-a`, ringTimeoutSeconds };
    return success(await initiate(anns, input)).call;
  };
  /** What was told of calls in the conversation, before a ring elsewhere. */
  const fence = async () => {
    const stranger = callers.names(1)[0]!;
    const id = await world.conversation([stranger, bob]);
    const client = await world.client(stranger);
    const given = { conversationId: id, calleeIds: [bob], sessionId: 's' };
    const { call: loud } = success(await initiate(client, given));
    await rings.next((event) => event.__typename === 'CallRinging' && event.call.id === loud.id);
    const told = rings.events.flatMap((event) => ('call' in event ? [event.call] : []));
    return told.filter((one) => one.conversationId === conversationId);
  };
  return { ann, bob, conversationId, anns, bobs, rings, call, fence };
}

const shown = async (client: Client, filter: { missed?: boolean } | null = null) =>
  (await client.query(operations.GetCalls, { first: 100, filter })).calls.edges.map(({ node }) => node.id);

describe('The ring of a blocked person', () => {
  it('reaches nobody, is missed, and looks to them like any other', async () => {
    const { ann, bob, anns, bobs, call, fence } = await people();
    const blocked = await service.mutate(operations.BlockUsers, { userId: bob, blockedIds: [ann, ann] });
    expect(blocked.blockUsers).toEqual(expect.objectContaining({ userId: bob, blockedIds: [ann] }));
    const made = await call(1);
    expect(made.participants.map(({ userId, status }) => [userId, status])).toEqual([
      [ann, 'CONNECTING'],
      [bob, 'RINGING'],
    ]);
    expect(await fence()).toEqual([]);
    const stream = anns.subscribe(operations.CallEvents, {
      callId: made.id,
      sessionId: `${ann}-a`,
      after: null,
    });
    const ended = await stream.next((event) => event.__typename === 'CallEnded');
    expect(ended).toMatchObject({ call: { endReason: 'NO_ANSWER' } });
    expect(await fence()).toEqual([]);
    expect(await shown(anns)).toEqual([made.id]);
    // To the one who blocked there was no call, and so none that he missed.
    expect([await shown(bobs), await shown(bobs, { missed: true })].flat()).not.toContain(made.id);
    expect((await bobs.query(operations.GetCall, { id: made.id })).call).toBeNull();
  });

  it('can’t be joined, and a device that comes later is not told of it either', async () => {
    const { ann, bob, bobs, call } = await people();
    await service.mutate(operations.BlockUsers, { userId: bob, blockedIds: [ann] });
    const made = await call();
    expect(codeOf(await join(bobs, made.id, 'b'))).toBe('NOT_INVITED');
    const late = (await world.client(bob)).subscribe(operations.IncomingCalls, {});
    expect(await late.next()).toMatchObject({ __typename: 'IncomingSnapshot', calls: [] });
  });

  it('is loud again once they are not blocked any more', async () => {
    const { ann, bob, rings, call } = await people();
    await service.mutate(operations.BlockUsers, { userId: bob, blockedIds: [ann, 'other'] });
    const left = await service.mutate(operations.UnblockUsers, { userId: bob, blockedIds: [ann, 'nobody'] });
    expect(left.unblockUsers.blockedIds).toEqual(['other']);
    expect((await service.query(operations.BlockedUsers, { userId: bob })).blockedUsers.blockedIds).toEqual([
      'other',
    ]);
    const made = await call();
    await rings.next((event) => event.__typename === 'CallRinging' && event.call.id === made.id);
  });

  it('is heard once another invites too, and they can’t tell that from anything they see', async () => {
    const [ann, bob, cat] = callers.names(3) as [string, string, string];
    const conversationId = await world.conversation([ann, bob, cat]);
    await service.mutate(operations.BlockUsers, { userId: bob, blockedIds: [ann] });
    const [anns, bobs, cats] = [
      await world.client(ann),
      await world.client(bob, 1),
      await world.client(cat, 1),
    ];
    const rings = bobs.subscribe(operations.IncomingCalls, {});
    await rings.next();
    const input = { conversationId, calleeIds: [bob, cat], sessionId: 'a' };
    const { call } = success(await initiate(anns, input));
    const seen = events(anns, call.id, 'a');
    await seen.next();
    success(await join(cats, call.id, 'c'));
    await seen.next((event) => event.__typename === 'CallChanged');
    const before = seen.events.length;
    success((await cats.mutate(operations.InviteToCall, { callId: call.id, userIds: [bob] })).inviteToCall);
    await rings.next((event) => event.__typename === 'CallRinging' && event.call.id === call.id);
    success(await join(bobs, call.id, 'b'));
    const next = await seen.next((event) => event.__typename === 'ParticipantChanged');
    expect(next).toMatchObject({ participant: { userId: bob, status: 'CONNECTING' } });
    expect(seen.events.slice(before)).toHaveLength(1);
  });

  it('is for the back end to say: nobody blocks themselves, or as a user', async () => {
    const self = service.mutate(operations.BlockUsers, { userId: 'a', blockedIds: ['a'] });
    await expect(self).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
    const user = await world.client('a');
    const own = user.mutate(operations.BlockUsers, { userId: 'a', blockedIds: ['b'] });
    await expect(own).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('A muted conversation', () => {
  it('does not ring, and its calls can be seen, joined and missed', async () => {
    const { bobs, anns, ann, conversationId, call, fence } = await people();
    const muted = await bobs.mutate(operations.MuteConversation, { conversationId });
    expect(muted.muteConversation).toMatchObject({ conversationId, muted: true });
    expect((await bobs.query(operations.MutedConversations, {})).mutedConversations).toEqual([
      conversationId,
    ]);
    const first = await call();
    expect(await shown(bobs)).toContain(first.id);
    await anns.mutate(operations.LeaveCall, { callId: first.id, sessionId: `${ann}-a` });
    expect(await shown(bobs, { missed: true })).toEqual([first.id]);
    const second = await call();
    expect(success(await join(bobs, second.id, 'b')).call.status).toBe('ACTIVE');
    expect(await fence()).toEqual([]);
  });

  it('rings again when its mute is taken back, or its members are named anew', async () => {
    const { ann, bob, bobs, rings, conversationId, call } = await people();
    await bobs.mutate(operations.MuteConversation, { conversationId });
    // Whoever stays a member stays muted.
    await service.mutate(operations.PutConversation, { id: conversationId, memberIds: [ann, bob, 'cat'] });
    expect((await bobs.query(operations.MutedConversations, {})).mutedConversations).toEqual([
      conversationId,
    ]);
    await bobs.mutate(operations.MuteConversation, { conversationId, muted: false });
    expect((await bobs.query(operations.MutedConversations, {})).mutedConversations).toEqual([]);
    const made = await call();
    await rings.next((event) => event.__typename === 'CallRinging' && event.call.id === made.id);
  });

  it('is for its members', async () => {
    const stranger = await world.client('stranger');
    const conversationId = await world.conversation(['a', 'b']);
    for (const id of [conversationId, 'no-such']) {
      const { muteConversation } = await stranger.mutate(operations.MuteConversation, { conversationId: id });
      expect(codeOf(muteConversation)).toBe('NOT_A_MEMBER');
    }
  });
});
