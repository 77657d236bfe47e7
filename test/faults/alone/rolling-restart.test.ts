import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallEvent, CallStream } from '../../../client/src/call-stream.ts';
import { Connection } from '../../../client/src/connection.ts';
import {
  CallEventsDocument,
  EndCallDocument,
  GetCallDocument,
  IncomingCallsDocument,
  InitiateCallDocument,
  JoinCallDocument,
  SendSignalDocument,
} from '../../../client/src/generated/graphql.ts';
import { SignalOutbox } from '../../../client/src/signal-outbox.ts';
import { decodeCursor } from '../../../src/call-log/cursor.ts';
import { tokenFor } from '../../support/app.ts';
import { type Client, createClient } from '../../support/client.ts';
import { createDatabase } from '../../support/database.ts';
import { endInstances, type Instance, startInstance } from '../../support/instance.ts';
import * as operations from '../../support/operations.ts';
import { type NetworkProxy, startProxy } from '../../support/proxy.ts';
import { startRedis } from '../../support/redis.ts';
import { eventually, success } from '../../support/world.ts';

/**
 * Two instances are replaced one after the other, under load. Clients are made of the SDK's parts, and
 * behind the two addresses of a balancer.
 */

const CALLS = 8;
const PEOPLE = ['ada', 'ben', 'cleo'] as const;
/** Milliseconds between two signals of one person. */
const PACE = 25;
/** An instance that is asked to stop has so many milliseconds. */
const STOPPED = 10_000;
/** Until whoever lost an instance hears everything again. */
const BACK = 5_000;

const undo: (() => unknown)[] = [];
let start: () => Promise<Instance>;
let [first, second] = [] as unknown as [Instance, Instance];
let fronts: NetworkProxy[];
let service: Client;
beforeAll(async () => {
  const stored = await createDatabase();
  undo.push(() => stored.drop());
  const redis = await startRedis();
  undo.push(() => redis.stop());
  undo.push(() => endInstances());
  start = () => startInstance({ DATABASE_URL: stored.url, REDIS_URL: redis.url });
  [first, second] = await Promise.all([start(), start()]);
  fronts = [await startProxy(first.url), await startProxy(second.url)];
  undo.push(() => Promise.all(fronts.map((front) => front.close())));
  service = createClient({ url: second.url, token: await tokenFor('back-end', 'service') });
  undo.push(() => service.dispose());
  await service.mutate(operations.PutConversation, { id: 'with-dan', memberIds: ['ada-1', 'dan'] });
});
afterAll(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** Someone in a call, with all that the SDK would know of it. */
interface Device {
  readonly userId: string;
  readonly connection: Connection;
  readonly events: CallEvent[];
  readonly outbox: SignalOutbox;
  readonly failures: unknown[];
  sent: number;
}

function connect(userId: string, front: number): Connection {
  const connection = new Connection({ url: fronts[front]!.url, token: () => tokenFor(userId) });
  undo.push(() => connection.close());
  return connection;
}

/** All are in it, with their streams open, on both instances. */
async function inCall(n: number): Promise<{ callId: string; devices: Device[] }> {
  const names = PEOPLE.map((name) => `${name}-${n}`);
  const conversationId = `conversation-${n}`;
  await service.mutate(operations.PutConversation, { id: conversationId, memberIds: names });
  const connections = names.map((name, i) => connect(name, (n + i) % 2));
  const [caller, ...callees] = names as [string, ...string[]];
  const input = { conversationId, type: 'VIDEO' as const, calleeIds: callees, sessionId: caller };
  const { initiateCall } = await connections[0]!.request(InitiateCallDocument, { input });
  const callId = success(initiateCall).call.id;
  for (const [i, userId] of callees.entries()) {
    const input = { callId, sessionId: userId, takeOver: false };
    success((await connections[i + 1]!.request(JoinCallDocument, { input })).joinCall);
  }
  const devices = names.map((userId, i) => follow(userId, callId, connections[i]!));
  return { callId, devices };
}

function follow(userId: string, callId: string, connection: Connection): Device {
  const events: CallEvent[] = [];
  const failures: unknown[] = [];
  const stream = new CallStream({
    subscribe: (after, sink) =>
      connection.subscribe(CallEventsDocument, () => ({ callId, sessionId: userId, after: after() }), {
        next: ({ callEvents }) => sink.next(callEvents),
        over: (error) => sink.over(error),
      }),
    receive: (event) => void events.push(event),
    lost: (why) => void failures.push(why),
  });
  const outbox = new SignalOutbox({
    callId,
    sessionId: userId,
    send: async (input) => (await connection.request(SendSignalDocument, { input }, null)).sendSignal,
    failed: (error) => void failures.push(error),
  });
  stream.open();
  undo.push(() => {
    outbox.close();
    stream.close();
  });
  return { userId, connection, events, outbox, failures, sent: 0 };
}

/** The numbers of the signals that came, in their order. */
function received({ events }: Device): number[] {
  return events.flatMap((event) =>
    event.__typename === 'SignalReceived' && event.signal.__typename === 'IceCandidates'
      ? [event.signal.generation]
      : [],
  );
}

/** Where in the log they stand. */
function places({ events }: Device): number[] {
  return events
    .filter(({ __typename }) => __typename === 'SignalReceived')
    .map(({ cursor }) => decodeCursor(cursor)!.seq);
}

/** Who has which seat, as the server tells it. */
async function seatsOf({ connection }: Device, callId: string) {
  const { call } = await connection.request(GetCallDocument, { id: callId });
  return {
    status: call?.status,
    seats: call?.participants.map(({ userId, joinSeq, status }) => ({ userId, joinSeq, status })),
  };
}

const count = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('a rolling restart of two instances under load', () => {
  it('loses no call, no seat, no ring and no signal', async () => {
    const calls = await Promise.all(count(CALLS).map((n) => inCall(n)));
    const all = calls.flatMap(({ devices }) => devices);
    const now = () => Promise.all(calls.map(({ callId, devices }) => seatsOf(devices[0]!, callId)));
    const seats = await eventually(async () => {
      const found = await now();
      const isIn = ({ seats }: (typeof found)[number]) =>
        seats?.every(({ status }) => status === 'CONNECTED');
      return found.every(isIn) && found;
    });
    const joinSeqs = new Map(
      seats.flatMap(({ seats = [] }) => seats.map((seat) => [seat.userId, seat.joinSeq!])),
    );
    const rings = new Set<string>();
    connect('dan', 0).subscribe(IncomingCallsDocument, () => ({}), {
      next: ({ incomingCalls: event }) => {
        if (event.__typename === 'CallRinging') rings.add(event.call.id);
        // What began to ring while he was between two instances.
        if (event.__typename === 'IncomingSnapshot') for (const call of event.calls) rings.add(call.id);
      },
      over: () => {},
    });

    // Each to the next one in the call.
    const pairs = calls.flatMap(({ devices }) =>
      devices.map((from, i) => [from, devices[(i + 1) % 3]!] as const),
    );
    let stopped = false;
    const load = Promise.all(
      pairs.map(async ([from, to]) => {
        for (; !stopped; await sleep(PACE)) {
          from.sent += 1;
          const signal = { candidates: { items: [{ candidate: '', sdpMid: '0' }], generation: from.sent } };
          from.outbox.push(to.userId, joinSeqs.get(to.userId)!, signal);
        }
      }),
    );
    /** All have all that was sent up to now, and what is sent meanwhile. */
    const allHear = (timeoutMs: number) => {
      const wanted = pairs.map(([from]) => from.sent);
      return eventually(() => pairs.every(([, to], i) => received(to).length >= wanted[i]!), timeoutMs);
    };

    /** Its clients go to the other one, and then there is a new one. */
    const replace = async (old: Instance, other: Instance) => {
      await allHear(BACK);
      const askedAt = Date.now();
      old.signal('SIGTERM');
      for (const front of fronts) front.target(other.url);
      const ringing = ring();
      expect(await old.ended).toBe(0);
      expect(Date.now() - askedAt).toBeLessThan(STOPPED);
      await allHear(BACK);
      const callId = await ringing;
      await eventually(() => rings.has(callId), BACK);
      success((await caller.connection.request(EndCallDocument, { callId })).endCall);
      return start();
    };
    const [caller] = all as [Device];
    const ring = async () => {
      const input = {
        conversationId: 'with-dan',
        type: 'VIDEO' as const,
        calleeIds: ['dan'],
        sessionId: 'with-dan',
        idempotencyKey: crypto.randomUUID(),
      };
      return success((await caller.connection.request(InitiateCallDocument, { input })).initiateCall).call.id;
    };
    const third = await replace(first, second);
    await replace(second, third);

    stopped = true;
    await load;
    await allHear(BACK);
    for (const [from, to] of pairs) {
      // Those that were under way when a socket closed may be sent again after the one behind them.
      expect(received(to).toSorted((a, b) => a - b)).toEqual(count(from.sent));
      expect(places(to)).toEqual([...new Set(places(to))].toSorted((a, b) => a - b));
    }
    expect(all.flatMap(({ failures }) => failures)).toEqual([]);
    for (const { events } of all) {
      const told = events.map((event) => event.__typename);
      expect(told).not.toContain('CallEnded');
      expect(told).not.toContain('SignalingDegraded');
      const left = events.filter(
        (event) => event.__typename === 'ParticipantChanged' && event.participant.status === 'LEFT',
      );
      expect(left).toEqual([]);
      const snapshots = events.filter((event) => event.__typename === 'CallSnapshot');
      expect(snapshots.length).toBeGreaterThanOrEqual(2);
      expect(snapshots.filter(({ recovered }) => !recovered)).toEqual([]);
    }
    expect(await eventually(async () => JSON.stringify(await now()) === JSON.stringify(seats), BACK)).toBe(
      true,
    );
    expect(rings.size).toBe(2);
  });
});
