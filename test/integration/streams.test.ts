import { print } from 'graphql';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import samples from '../data/webrtc-samples.json' with { type: 'json' };
import { tokenFor } from '../support/app.ts';
import {
  type CallEvent,
  Callers,
  channelsOf,
  type Event,
  isNumbered,
  isSignal,
  numbered,
  numbersOf,
  type Peer,
  RENEGOTIATE,
  shows,
  signalsOf,
} from '../support/callers.ts';
import { type Client, GraphQLFailure } from '../support/client.ts';
import * as operations from '../support/operations.ts';
import { RawSocket } from '../support/raw-socket.ts';
import {
  codeOf,
  createWorld,
  events,
  eventually,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/** What callEvents tells, and how it holds a seat, on two instances. */

let world: World;
let callers: Callers;
beforeAll(async () => {
  world = await createWorld({ instances: 2 });
  callers = new Callers(world);
});
afterAll(() => world?.close());
afterEach(() => callers.goAway());

const lastCursor = (peer: Peer) => peer.stream.events.at(-1)?.cursor as string;
const statusOf = async (client: Client, callId: string, userId: string) => {
  const { call } = await client.query(operations.GetCall, { id: callId });
  return call?.participants.find((participant) => participant.userId === userId)?.status;
};
const openSockets = (instance: number) => metricOf(world.apps[instance]!, 'video_ws_connections_total');

/** Cuts a peer's socket, and waits until the others have heard of it. */
async function cut(peer: Peer, witness: Peer): Promise<void> {
  peer.client.terminate();
  await witness.stream.next(shows(peer.userId, 'RECONNECTING'));
}

/** The same session again, on a new socket. */
async function comeBack(peer: Peer, instance: number, after: string | null): Promise<Peer> {
  const client = await callers.client(peer.userId, instance);
  return callers.sit(client, peer.callId, peer.userId, peer.sessionId, after);
}

/** The code with which a stream is refused, and the field that is at fault. */
async function refusalOf(client: Client, callId: string, sessionId: string, after: string | null = null) {
  const error = await events(client, callId, sessionId, after).ended.catch((reason: unknown) => reason);
  if (!(error instanceof GraphQLFailure)) throw new Error('It was not refused', { cause: error });
  const { code, field } = error.errors[0]?.extensions ?? {};
  return field === undefined ? code : [code, field];
}

const first = (peer: Peer) => peer.stream.events[0] as Event<'CallSnapshot'>;
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** Numbered signals, no more than 100 of them at once. */
async function sendAll(from: Peer, all: number[]): Promise<void> {
  for (let i = 0; i < all.length; i += 100) {
    const batch = all.slice(i, i + 100);
    for (const taken of await Promise.all(batch.map((number) => from.send(numbered(number))))) success(taken);
  }
}

describe('A stream', () => {
  it('starts with the call as it is, and tells what follows from there', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    await a.stream.next(shows(b.userId, 'CONNECTED'));
    const { call } = await a.client.query(operations.GetCall, { id: callId });
    const late = await comeBack(b, 0, null);
    expect(first(late)).toMatchObject({
      __typename: 'CallSnapshot',
      callId,
      recovered: true,
      call: { ...call, version: first(late).call.version },
    });
    const states = a.stream.events.flatMap((event) =>
      event.__typename === 'ParticipantChanged' ? [event.participant.status] : [],
    );
    // The guest's join, and then her stream; the caller's own was in the snapshot.
    expect(states).toEqual(['CONNECTING', 'CONNECTED']);
    expect(a.stream.events.filter((event) => event.__typename === 'CallChanged')).toHaveLength(1);
  });

  it('has each version once, in order, on both instances the same', async () => {
    const { callId, peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const ROUNDS = 10;
    for (let round = 0; round < ROUNDS; round++) {
      const muted = round % 2 === 0;
      await Promise.all(
        [a, b].map((peer) =>
          peer.client.mutate(operations.SetMediaState, { callId, sessionId: peer.sessionId, muted }),
        ),
      );
    }
    const { call } = await a.client.query(operations.GetCall, { id: callId });
    const versions = (peer: Peer) =>
      peer.stream.events.flatMap((event) =>
        event.__typename === 'ParticipantChanged' ? [event.version] : [],
      );
    for (const peer of peers) {
      await eventually(() => versions(peer).at(-1) === call?.version);
      const from = first(peer).call.version;
      const expected = numbers(from + 1, call!.version);
      expect([...new Set(versions(peer))]).toEqual(expected);
    }
    // Later ones are told to all in the same entries.
    const places = (peer: Peer) =>
      new Map(
        peer.stream.events.flatMap((e) =>
          e.__typename === 'ParticipantChanged' ? [[e.version, e.cursor]] : [],
        ),
      );
    for (const [version, cursor] of places(c)) expect(places(a).get(version)).toBe(cursor);
  });

  it('of a seat that joined later has nothing from before, not even with an old cursor', async () => {
    const [d, e] = callers.names(2) as [string, string];
    const { callId, peers } = await callers.call(3, { ringing: [d, e] });
    const [a, b] = [peers[0]!, peers[1]!];
    success(await a.send(numbered(1), { to: b.userId }));
    await b.stream.next(isNumbered(1));
    const old = first(a).cursor;
    success(await a.send(RENEGOTIATE));
    const late = await callers.enter(callId, d, 0);
    const client = await callers.client(e, 1);
    success(await join(client, callId, 'e'));
    const later = await callers.sit(client, callId, e, 'e', old);
    success(await b.send(RENEGOTIATE));
    for (const peer of [late, later]) {
      await peer.stream.next(isSignal);
      expect(signalsOf(peer.stream).map(({ from }) => from)).toEqual([b.userId]);
    }
  });
});

describe('A stream that is resumed', () => {
  it.each([0, 1])('has what followed its cursor, once and in order, on instance %i', async (instance) => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    success(await a.send(numbered(1)));
    await b.stream.next(isNumbered(1));
    const cursor = lastCursor(b);
    success(await a.send(numbered(2)));
    await b.stream.next(isNumbered(2));
    await cut(b, a);
    success(await a.send(numbered(3)));
    await a.client.mutate(operations.SetMediaState, { callId, sessionId: a.sessionId, muted: true });
    success(await a.send(numbered(4)));
    const back = await comeBack(b, instance, cursor);
    expect(back.joinSeq).toBe(b.joinSeq);
    success(await a.send(numbered(5)));
    await back.stream.next(isNumbered(5));
    expect(first(back).recovered).toBe(true);
    const muted = first(back).call.participants.find((participant) => participant.userId === a.userId);
    expect(muted?.media.muted).toBe(true);
    // The snapshot is of now: no change of state that it has in it is told again.
    expect(back.stream.events.slice(1).every(isSignal)).toBe(true);
    expect(numbersOf(back.stream)).toEqual([2, 3, 4, 5]);
  });

  it('from any of its cursors goes on right after it', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    for (const number of numbers(1, 5)) success(await a.send(numbered(number)));
    await b.stream.next(isNumbered(5));
    const cursors = signalsOf(b.stream).map(({ cursor }) => cursor);
    for (const [index, cursor] of cursors.entries()) {
      const back = await comeBack(b, index % 2, cursor);
      success(await a.send(numbered(6 + index)));
      await back.stream.next(isNumbered(6 + index));
      expect(numbersOf(back.stream)).toEqual(numbers(index + 2, 6 + index));
    }
  });

  it('reads in pages what is more: 300 signals, and those that come meanwhile', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const cursor = lastCursor(b);
    await cut(b, a);
    await Promise.all(numbers(1, 300).map((number) => a.send(numbered(number))));
    const more = Promise.all(numbers(301, 400).map((number) => a.send(numbered(number))));
    const back = await comeBack(b, 0, cursor);
    await more;
    await back.stream.next(isNumbered(400));
    expect(first(back).recovered).toBe(true);
    expect(numbersOf(back.stream)).toEqual(numbers(1, 400));
  });

  it('says recovered: false where more has passed than the log keeps, and goes on from now', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const cursor = lastCursor(b);
    await cut(b, a);
    await sendAll(a, numbers(1, 510));
    const back = await comeBack(b, 1, cursor);
    expect(first(back).recovered).toBe(false);
    success(await a.send(numbered(511)));
    await back.stream.next(isNumbered(511));
    expect(numbersOf(back.stream)).toEqual([511]);
  });

  it('without a cursor says recovered: false where the log no longer reaches back to the join', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    await sendAll(a, numbers(1, 510));
    await b.stream.next(isNumbered(510));
    const back = await comeBack(b, 0, null);
    expect(first(back).recovered).toBe(false);
  });

  it('from before its join has all since the join: that loses nothing', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    for (const number of numbers(1, 3)) success(await a.send(numbered(number)));
    await b.stream.next(isNumbered(3));
    const back = await comeBack(b, 0, '1.abcdef');
    await back.stream.next(isNumbered(3));
    expect(numbersOf(back.stream)).toEqual([1, 2, 3]);
  });

  it.each([
    ['the last cursor', true],
    ['no cursor', false],
  ])(
    'says recovered: false where the log was lost and made anew meanwhile: %s',
    async (_name, withCursor) => {
      const { callId, peers } = await callers.call(2);
      const [a, b] = [peers[0]!, peers[1]!];
      await cut(b, a);
      // Taken, and lost with the log before anyone read it.
      success(await a.send(numbered(1)));
      const redis = new Redis(world.redis.url);
      try {
        await redis.del(...(await redis.keys(`ringdown:{${callId}}:*`)));
      } finally {
        redis.disconnect();
      }
      success(await a.send(numbered(2)));
      const back = await comeBack(b, 1, withCursor ? lastCursor(b) : null);
      expect(first(back).recovered).toBe(false);
      success(await a.send(numbered(3)));
      await back.stream.next(isNumbered(3));
    },
  );

  it('says recovered: false for a cursor that is made up, or of another call', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const elsewhere = await callers.call(2);
    success(await a.send(numbered(1)));
    await b.stream.next(isNumbered(1));
    const [seq] = lastCursor(b).split('.') as [string];
    const madeUp = [`${seq}.AAAAAAAA`, `${Number(seq) + 1000}.abcdef`, lastCursor(elsewhere.peers[0]!)];
    for (const [index, cursor] of madeUp.entries()) {
      const back = await comeBack(b, index % 2, cursor);
      expect([cursor, first(back).recovered]).toEqual([cursor, false]);
      success(await a.send(numbered(2 + index)));
      await back.stream.next(isNumbered(2 + index));
      expect(numbersOf(back.stream)).toEqual([2 + index]);
    }
  });

  it('with a cursor of an earlier tenure has nothing from before the new one', async () => {
    const { callId, peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const cursor = lastCursor(c);
    success(await a.send(numbered(1), { to: c.userId }));
    await c.stream.next(isNumbered(1));
    success(await a.send(RENEGOTIATE));
    await c.client.mutate(operations.LeaveCall, { callId, sessionId: c.sessionId });
    success(await a.send(RENEGOTIATE));
    success(await join(c.client, callId, c.sessionId));
    const back = await callers.sit(c.client, callId, c.userId, c.sessionId, cursor);
    expect(back.joinSeq).toBeGreaterThan(c.joinSeq);
    success(await b.send(RENEGOTIATE));
    await back.stream.next(isSignal);
    expect(signalsOf(back.stream).map(({ from }) => from)).toEqual([b.userId]);
  });

  it.each([
    '',
    'garbage',
    '1',
    '1.',
    '.abc',
    '01.abc',
    '1.abc.d',
    '-1.abc',
    '1.\u0000',
    `1.${'a'.repeat(300)}`,
  ])('refuses what is no cursor: %j', async (cursor) => {
    const { callId, peers } = await callers.call(2);
    const b = peers[1]!;
    expect(await refusalOf(b.client, callId, b.sessionId, cursor)).toEqual(['BAD_USER_INPUT', 'after']);
    // The stream that was open holds the seat as before.
    expect(await statusOf(b.client, callId, b.userId)).toBe('CONNECTED');
  });
});

describe('A stream is refused', () => {
  it('over SSE, with a word that says so', async () => {
    const { callId, peers } = await callers.call(2);
    const b = peers[1]!;
    const response = await fetch(`${world.apps[0]!.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${await tokenFor(b.userId)}`,
      },
      body: JSON.stringify({
        query: print(operations.CallEvents),
        variables: { callId, sessionId: b.sessionId },
      }),
    });
    const text = await response.text();
    expect(text).toContain('BAD_USER_INPUT');
    expect(text).toContain('WebSocket');
    expect(await statusOf(b.client, callId, b.userId)).toBe('CONNECTED');
  });

  it('to whoever has no seat, by who they are', async () => {
    const [ringing, member, stranger] = callers.names(3) as [string, string, string];
    const { callId, conversationId, peers } = await callers.call(3, { ringing: [ringing], others: [member] });
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const as = async (userId: string) => refusalOf(await callers.client(userId, 1), callId, 'a-session');
    expect(await as(stranger)).toBe('CALL_NOT_FOUND');
    expect(await as(member)).toBe('NOT_INVITED');
    expect(await as(ringing)).toBe('NOT_IN_CALL');
    expect(await as(b.userId)).toBe('STALE_SESSION');
    const nowhere = '01890000-0000-7000-8000-000000000000';
    expect(await refusalOf(a.client, nowhere, a.sessionId)).toBe('CALL_NOT_FOUND');
    expect(await refusalOf(a.client, 'no-uuid', a.sessionId)).toBe('CALL_NOT_FOUND');
    await c.client.mutate(operations.LeaveCall, { callId, sessionId: c.sessionId });
    expect(await refusalOf(c.client, callId, c.sessionId)).toBe('NOT_IN_CALL');
    const service = await callers.client('back-end', 0, 'service');
    await service.mutate(operations.RemoveMembers, { conversationId, userIds: [ringing] });
    expect(await as(ringing)).toBe('NOT_A_MEMBER');
    for (const { userId } of [a, b]) expect(await statusOf(a.client, callId, userId)).toBe('CONNECTED');
  });

  it('of a call that has ended to those who were only invited; those who were in it hear that it has', async () => {
    const [ringing, stranger] = callers.names(2) as [string, string];
    const { callId, peers } = await callers.call(3, { ringing: [ringing] });
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    await c.client.mutate(operations.LeaveCall, { callId, sessionId: c.sessionId });
    const cursor = lastCursor(b);
    await a.client.mutate(operations.EndCall, { callId });
    for (const { stream } of [a, b]) {
      await stream.ended;
      expect(stream.events.at(-1)).toMatchObject({
        __typename: 'CallEnded',
        call: { status: 'ENDED', endReason: 'ENDED_BY_HOST', endedBy: a.userId },
      });
    }
    for (const [peer, after] of [
      [a, null],
      [b, cursor],
      [c, null],
    ] as const) {
      const client = await callers.client(peer.userId, 1);
      const again = events(client, callId, peer.sessionId, after);
      await again.ended;
      expect(again.events.map((event) => event.__typename)).toEqual(['CallEnded']);
    }
    expect(await refusalOf(await callers.client(ringing, 1), callId, 'x')).toBe('CALL_ENDED');
    expect(await refusalOf(await callers.client(stranger, 1), callId, 'x')).toBe('CALL_NOT_FOUND');
  });
});

describe('M1: a seat and its stream', () => {
  it('a cut socket shows as RECONNECTING, and the same session back within the grace as CONNECTED', async () => {
    const { peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    b.client.terminate();
    for (const { stream } of [a, c]) await stream.next(shows(b.userId, 'RECONNECTING'));
    const back = await comeBack(b, 0, lastCursor(b));
    for (const { stream } of [a, c]) {
      const connected = (await stream.next(shows(b.userId, 'CONNECTED'))) as Event<'ParticipantChanged'>;
      expect(connected.participant).toMatchObject({
        joinSeq: b.joinSeq,
        sessionId: b.sessionId,
        leftAt: null,
      });
    }
    expect(back.joinSeq).toBe(b.joinSeq);
  });

  it('unsubscribing begins the grace too, with the socket open', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    b.stream.close();
    await a.stream.next(shows(b.userId, 'RECONNECTING'));
    await callers.sit(b.client, callId, b.userId, b.sessionId);
    await a.stream.next(shows(b.userId, 'CONNECTED'));
  });

  it.each([
    ['the same instance', 1],
    ['the other instance', 0],
  ])(
    'a newer stream of the session wins, and the late end of the older one changes nothing: %s',
    async (_name, instance) => {
      const { callId, peers } = await callers.call(2);
      const [a, b] = [peers[0]!, peers[1]!];
      const sockets = await openSockets(1);
      const newer = await comeBack(b, instance, null);
      if (instance === 1) await b.stream.ended;
      b.client.terminate();
      await eventually(async () => (await openSockets(1)) === sockets - (instance === 1 ? 0 : 1));
      // What is changed after it comes after it.
      await newer.client.mutate(operations.SetMediaState, { callId, sessionId: b.sessionId, screenOn: true });
      await a.stream.next(
        (event) => event.__typename === 'ParticipantChanged' && event.participant.media.screenOn,
      );
      const lost = a.stream.events.filter(shows(b.userId, 'RECONNECTING'));
      expect(lost).toEqual([]);
      expect(await statusOf(a.client, callId, b.userId)).toBe('CONNECTED');
      success(await a.send(numbered(1)));
      await newer.stream.next(isNumbered(1));
    },
  );

  it('is counted once over the instances while an older stream of the session has not ended', async () => {
    const { callId, peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    await comeBack(b, 0, null);
    expect(await statusOf(a.client, callId, b.userId)).toBe('CONNECTED');
    await eventually(async () => {
      const seats = await Promise.all(world.apps.map((app) => metricOf(app, 'video_active_participants')));
      return seats.reduce((sum, seat) => sum + seat) === 2;
    });
  });

  it('a second device that takes over gets a new joinSeq; the first hears of it and its stream ends', async () => {
    const { callId, peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    const phone = await callers.client(b.userId, 0);
    expect(codeOf(await join(phone, callId, 'phone'))).toBe('ALREADY_IN_CALL');
    const joined = success(await join(phone, callId, 'phone', true));
    expect(joined.rejoined).toBe(false);
    await b.stream.ended;
    const last = b.stream.events.at(-1) as Event<'ParticipantChanged'>;
    expect(last).toMatchObject({
      __typename: 'ParticipantChanged',
      participant: { userId: b.userId, sessionId: 'phone', status: 'CONNECTING' },
    });
    expect(last.participant.joinSeq).toBeGreaterThan(b.joinSeq);
    const moved = await callers.sit(phone, callId, b.userId, 'phone', joined.cursor);
    expect(moved.joinSeq).toBe(last.participant.joinSeq);
    for (const { stream } of [a, c]) {
      for (const status of ['CONNECTING', 'CONNECTED']) {
        await stream.next(
          (event) =>
            shows(b.userId, status)(event) &&
            (event as Event<'ParticipantChanged'>).participant.joinSeq === moved.joinSeq,
        );
      }
    }
    const leave = await b.client.mutate(operations.LeaveCall, { callId, sessionId: b.sessionId });
    expect(codeOf(leave.leaveCall)).toBe('STALE_SESSION');
    expect(await refusalOf(b.client, callId, b.sessionId)).toBe('STALE_SESSION');
    expect(await statusOf(a.client, callId, b.userId)).toBe('CONNECTED');
  });

  it('whoever leaves hears it as the last event', async () => {
    const { callId, peers } = await callers.call(3);
    const c = peers[2]!;
    await c.client.mutate(operations.LeaveCall, { callId, sessionId: c.sessionId });
    await c.stream.ended;
    expect(c.stream.events.at(-1)).toMatchObject({
      __typename: 'ParticipantChanged',
      participant: { userId: c.userId, status: 'LEFT', leaveReason: 'HANGUP' },
    });
  });

  it('a participant who is removed hears it as the last event', async () => {
    const { callId, peers } = await callers.call(3);
    const [a, b, c] = [peers[0]!, peers[1]!, peers[2]!];
    await a.client.mutate(operations.RemoveParticipant, { callId, userId: b.userId });
    await b.stream.ended;
    expect(b.stream.events.at(-1)).toMatchObject({
      __typename: 'ParticipantChanged',
      participant: { userId: b.userId, status: 'LEFT', leaveReason: 'REMOVED' },
    });
    for (const { stream } of [a, c]) await stream.next(shows(b.userId, 'LEFT'));
    expect(codeOf(await join(b.client, callId, b.sessionId))).toBe('NOT_INVITED');
  });
});

describe('A socket that stops reading', () => {
  it('is closed with 4008, delays nobody, and comes back with its cursor to all that it missed', async () => {
    const { callId, peers } = await callers.call(2, { ringing: ['slow', 'other'] });
    const [a, b] = [peers[0]!, peers[1]!];
    const other = await callers.enter(callId, 'other', 1);
    const token = await tokenFor('slow');
    const joining = await callers.client('slow', 1);
    success(await join(joining, callId, 'slow-a'));
    const slow = await RawSocket.open(world.apps[1]!.url, token);
    try {
      slow.subscribe('events', print(operations.CallEvents), { callId, sessionId: 'slow-a', after: null });
      await slow.until((message) => message.type === 'next');
      await a.stream.next(shows('slow', 'CONNECTED'));
      slow.ws.pause();

      // Each is 40 KB to the slow one; every fifth is told to everyone else as well.
      const [head] = samples.stacks.chromium_data.offers as [string];
      const sdp = head + `a=x-padding:${'x'.repeat(1000)}\r\n`.repeat(40);
      const LIMIT = 1_000;
      let sent = 0;
      let shown = 0;
      const lost = () => a.stream.events.some(shows('slow', 'RECONNECTING'));
      while (!lost() && sent < LIMIT) {
        const batch = numbers(sent + 1, sent + 20);
        const answers = await Promise.all(
          batch.map((generation) => a.send({ offer: { sdp, generation } }, { to: 'slow' })),
        );
        for (const taken of answers) success(taken);
        sent += batch.length;
        success(await a.send(numbered(++shown), { to: b.userId }));
        success(await a.send(numbered(shown), { to: other.userId }));
        // While the slow one stands still, each of the others has all that was sent to it.
        for (const { stream } of [b, other]) await stream.next(isNumbered(shown), 1_000);
      }
      expect(sent).toBeGreaterThan(256);
      expect(lost()).toBe(true);

      slow.ws.resume();
      expect(await slow.closed).toEqual({ code: 4008, reason: expect.any(String) });
      const received = slow.messages.flatMap((message) =>
        message.type === 'next'
          ? [(message.payload as { data: { callEvents: CallEvent } }).data.callEvents]
          : [],
      );
      const generations = (seen: readonly CallEvent[]) =>
        seen.flatMap((event) =>
          isSignal(event) && event.signal.__typename === 'Offer' ? [event.signal.generation] : [],
        );
      const had = generations(received);
      expect(had).toEqual(numbers(1, had.length));

      const back = await callers.sit(joining, callId, 'slow', 'slow-a', received.at(-1)!.cursor);
      expect(first(back).recovered).toBe(true);
      await eventually(() => generations(back.stream.events).at(-1) === sent);
      expect(generations(back.stream.events)).toEqual(numbers(had.length + 1, sent));
    } finally {
      slow.ws.terminate();
    }
  });
});

describe('A socket that reads', () => {
  it('is not closed for a burst, be it its own or of another: 900 signals at once', async () => {
    const { peers } = await callers.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    const sameInstance = await comeBack(b, 0, null);
    for (const [from, to] of [
      [a, sameInstance],
      [sameInstance, a],
    ] as const) {
      const answers = await Promise.all(numbers(1, 900).map((number) => from.send(numbered(number))));
      for (const taken of answers) success(taken);
      await to.stream.next(isNumbered(900));
      expect(numbersOf(to.stream)).toEqual(numbers(1, 900));
    }
    const other = await comeBack(b, 1, lastCursor(sameInstance));
    const answers = await Promise.all(numbers(901, 1_800).map((number) => a.send(numbered(number))));
    for (const taken of answers) success(taken);
    await other.stream.next(isNumbered(1_800));
    expect(numbersOf(other.stream)).toEqual(numbers(901, 1_800));
  });
});

describe('Afterwards', () => {
  it('nothing is left behind: no seat held, no channel, no feed', async () => {
    const { callId, peers } = await callers.call(4);
    const held = async () => {
      const seats = await Promise.all(world.apps.map((app) => metricOf(app, 'video_active_participants')));
      return seats.reduce((sum, seat) => sum + seat);
    };
    expect(await held()).toBe(4);
    const redis = new Redis(world.redis.url);
    try {
      expect(await channelsOf(redis)).toEqual([`call:${callId}`]);
      // Each in a way of its own.
      peers[0]!.client.terminate();
      peers[1]!.stream.close();
      await peers[2]!.client.mutate(operations.LeaveCall, { callId, sessionId: peers[2]!.sessionId });
      await peers[3]!.client.dispose();
      await eventually(async () => (await held()) === 0);
      await eventually(async () => (await channelsOf(redis)).length === 0);
    } finally {
      redis.disconnect();
    }
  });
});

describe('M1: past the grace', () => {
  let short: World;
  let people: Callers;
  beforeAll(async () => {
    short = await createWorld({ instances: 2, env: { DISCONNECT_GRACE: '1s' } });
    people = new Callers(short);
  });
  afterAll(() => short?.close());
  afterEach(() => people.goAway());

  it('a lost connection becomes a leave, for each participant and not only for the last', async () => {
    const { callId, peers } = await people.call(4);
    const [a, b, c, d] = [peers[0]!, peers[1]!, peers[2]!, peers[3]!];
    const cleaned = async () => {
      const name = 'video_call_cleanup_on_disconnect_total';
      return (await metricOf(short.apps[0]!, name)) + (await metricOf(short.apps[1]!, name));
    };
    const before = await cleaned();
    b.client.terminate();
    c.client.terminate();
    for (const lost of [b, c]) {
      for (const { stream } of [a, d]) {
        await eventually(() => stream.events.some(shows(lost.userId, 'LEFT')), 4_000);
      }
    }
    const { call } = await a.client.query(operations.GetCall, { id: callId });
    const states = call?.participants.map(({ userId, status, leaveReason }) => [userId, status, leaveReason]);
    expect(new Set(states)).toEqual(
      new Set([
        [a.userId, 'CONNECTED', null],
        [b.userId, 'LEFT', 'DISCONNECTED'],
        [c.userId, 'LEFT', 'DISCONNECTED'],
        [d.userId, 'CONNECTED', null],
      ]),
    );
    expect(await cleaned()).toBe(before + 2);
    expect(await refusalFor(b)).toBe('NOT_IN_CALL');
  });

  it('in a pair it ends the call as CONNECTION_LOST', async () => {
    const { peers } = await people.call(2);
    const [a, b] = [peers[0]!, peers[1]!];
    b.client.terminate();
    const ended = await a.stream.next((event) => event.__typename === 'CallEnded', 4_000);
    expect(ended).toMatchObject({ call: { endReason: 'CONNECTION_LOST', endedBy: null } });
    await a.stream.ended;
  });

  it('a seat whose stream was never opened is left as NEVER_CONNECTED', async () => {
    const late = people.names(1)[0]!;
    const { callId, peers } = await people.call(2, { ringing: [late] });
    const client = await people.client(late, 1);
    success(await join(client, callId, 's'));
    const left = await peers[0]!.stream.next(shows(late, 'LEFT'), 4_000);
    expect(left).toMatchObject({ participant: { leaveReason: 'NEVER_CONNECTED' } });
  });

  async function refusalFor(peer: Peer) {
    return refusalOf(await people.client(peer.userId, 0), peer.callId, peer.sessionId);
  }
});
