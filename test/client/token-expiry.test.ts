import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CallEvent, CallStream } from '../../client/src/call-stream.ts';
import { Connection, type ConnectionState } from '../../client/src/connection.ts';
import {
  ActiveCallsDocument,
  CallEventsDocument,
  InitiateCallDocument,
  JoinCallDocument,
  SendSignalDocument,
} from '../../client/src/generated/graphql.ts';
import { SignalOutbox } from '../../client/src/signal-outbox.ts';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { PutConversation } from '../support/operations.ts';
import { eventually, success } from '../support/world.ts';

/** Tokens run out in the middle of a call, on the SDK's own parts: nobody who is in it notices. */

let app: App;
const undo: (() => unknown)[] = [];
beforeAll(async () => {
  app = await startTestApp();
  const service = createClient({ url: app.url, token: await tokenFor('back-end', 'service') });
  undo.push(() => service.dispose());
  await service.mutate(PutConversation, { id: 'room', memberIds: ['ada', 'ben'] });
});
afterAll(async () => {
  for (const step of undo.reverse()) await step();
  await app?.stop();
});

/** Its tokens last as long as it is told, one after the other, and a day from then on. */
function phone(userId: string, lifetimes: number[]) {
  const tokens: number[] = [];
  const states: ConnectionState[] = [];
  const connection = new Connection({
    url: app.url,
    token: () => {
      const lifetimeMs = lifetimes.shift() ?? 86_400_000;
      // Seconds are all that `exp` can say.
      tokens.push(Math.floor((Date.now() + lifetimeMs) / 1_000) * 1_000);
      return tokenFor(userId, '', lifetimeMs);
    },
  });
  connection.on('state', (state) => states.push(state));
  connection.open();
  undo.push(() => connection.close());
  return { userId, connection, tokens, states };
}
type Phone = ReturnType<typeof phone>;

function sit({ userId, connection }: Phone, callId: string) {
  const seen: CallEvent[] = [];
  const losses: string[] = [];
  const stream = new CallStream({
    subscribe: (after, sink) =>
      connection.subscribe(CallEventsDocument, () => ({ callId, sessionId: userId, after: after() }), {
        next: ({ callEvents }) => sink.next(callEvents),
        over: (error) => sink.over(error),
      }),
    receive: (event) => seen.push(event),
    lost: (why) => losses.push(why),
  });
  const outbox = new SignalOutbox({
    callId,
    sessionId: userId,
    send: async (input) => (await connection.request(SendSignalDocument, { input }, null)).sendSignal,
    failed: (error) => losses.push(error.message),
  });
  connection.on('state', (state) => {
    if (state === 'connected') outbox.resume();
  });
  stream.open();
  undo.push(() => {
    stream.close();
    outbox.close();
  });
  const signals = () =>
    seen.flatMap((event) =>
      event.__typename === 'SignalReceived' && event.signal.__typename === 'IceCandidates'
        ? [event.signal.generation]
        : [],
    );
  return { seen, losses, outbox, signals };
}

it('a socket is closed within a second of its token’s end, and what is sent around it arrives once and in order', async () => {
  const ada = phone('ada', [2_000, 2_000]);
  const ben = phone('ben', [3_000]);
  const input = { conversationId: 'room', calleeIds: ['ben'], sessionId: 'ada', type: 'AUDIO' as const };
  const { call } = success((await ada.connection.request(InitiateCallDocument, { input })).initiateCall);
  const joining = { callId: call.id, sessionId: 'ben', takeOver: false };
  const joined = success((await ben.connection.request(JoinCallDocument, { input: joining })).joinCall);
  const seqOf = (userId: string) =>
    joined.call.participants.find((one) => one.userId === userId)?.joinSeq as number;
  const closedAt: number[] = [];
  for (const { connection } of [ada, ben]) {
    connection.on('state', (state) => {
      if (state === 'reconnecting') closedAt.push(Date.now());
    });
  }
  const [adas, bens] = [sit(ada, call.id), sit(ben, call.id)];

  // Without a pause, in both directions, until both have lost what they had and are connected with a token that lasts.
  let sent = 0;
  const lasts = ({ tokens, states }: Phone) =>
    (tokens.at(-1) ?? 0) > Date.now() + 60_000 && states.at(-1) === 'connected';
  while (!lasts(ada) || !lasts(ben)) {
    sent += 1;
    const signal = { candidates: { items: [{ candidate: '', sdpMid: '0' }], generation: sent } };
    adas.outbox.push('ben', seqOf('ben'), signal);
    bens.outbox.push('ada', seqOf('ada'), signal);
    await sleep(5);
  }
  await eventually(() => adas.signals().length >= sent && bens.signals().length >= sent);
  const all = Array.from({ length: sent }, (_, index) => index + 1);
  expect(adas.signals()).toEqual(all);
  expect(bens.signals()).toEqual(all);

  // Nobody lost the seat, or had to ask what was missed.
  expect([...adas.losses, ...bens.losses]).toEqual([]);
  for (const { seen } of [adas, bens]) {
    const snapshots = seen.filter((event) => event.__typename === 'CallSnapshot').slice(1);
    expect(snapshots.map((event) => event.recovered)).toEqual(snapshots.map(() => true));
    const seats = seen.flatMap((event) =>
      event.__typename === 'ParticipantChanged' ? [event.participant.joinSeq] : [],
    );
    expect(new Set(seats).size).toBeLessThanOrEqual(2);
  }
  const ends = [...ada.tokens.slice(0, -1), ...ben.tokens.slice(0, -1)].sort((one, other) => one - other);
  expect(closedAt).toHaveLength(3);
  for (const [index, end] of ends.entries()) {
    expect(closedAt[index]! - end).toBeGreaterThanOrEqual(0);
    expect(closedAt[index]! - end).toBeLessThan(1_000);
  }
});

it('a client whose app gives it the same token again within the tolerance is let in, and stays', async () => {
  const old = await tokenFor('ada', '', -5_000);
  const states: ConnectionState[] = [];
  const connection = new Connection({ url: app.url, token: () => old });
  undo.push(() => connection.close());
  connection.on('state', (state) => states.push(state));
  connection.open();
  await eventually(() => states.at(-1) === 'connected');
  await connection.request(ActiveCallsDocument, {});
  expect(states).toEqual(['connecting', 'connected']);
});
