import type { ResultOf } from '@graphql-typed-document-node/core';
import { Redis } from 'ioredis';
import type { Client, Subscription } from './client.ts';
import type { SendSignalInput, SignalInput } from './generated/graphql.ts';
import * as operations from './operations.ts';
import { events, eventually, initiate, join, success, type World } from './world.ts';

/** People of a world who are in calls with one another, each on a device of their own. */

export type CallEvent = NonNullable<ResultOf<typeof operations.CallEvents>['callEvents']>;
export type Event<Name extends CallEvent['__typename']> = Extract<CallEvent, { __typename: Name }>;
export type SignalResult = ResultOf<typeof operations.SendSignal>['sendSignal'];

/** Someone with a seat and an open stream. */
export interface Peer {
  readonly userId: string;
  readonly sessionId: string;
  readonly callId: string;
  readonly client: Client;
  readonly joinSeq: number;
  readonly stream: Subscription<CallEvent>;
  /** Under the next `clientSeq`, counted here, unless one is given. */
  send(signal: SignalInput, over?: Partial<SendSignalInput>): Promise<SignalResult>;
}

let made = 0;

export class Callers {
  readonly #world: World;
  #clients: Client[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** A client that `goAway` closes. */
  async client(userId: string, instance = 0, scope = ''): Promise<Client> {
    const client = await this.#world.client(userId, instance, scope);
    this.#clients.push(client);
    return client;
  }

  /** Names that no other test uses. */
  names(count: number): string[] {
    return Array.from({ length: count }, () => `user-${++made}`);
  }

  /**
   * A call that everybody is in, the caller first, in turns on the instances, all streams open.
   * `ringing` are invited too and do not answer; `others` are in the conversation alone.
   */
  async call(
    size: number,
    { ringing = [], others = [] }: { ringing?: string[]; others?: string[] } = {},
  ): Promise<{ callId: string; conversationId: string; peers: Peer[] }> {
    const [caller, ...callees] = this.names(size) as [string, ...string[]];
    const conversationId = await this.#world.conversation([caller, ...callees, ...ringing, ...others]);
    const client = await this.client(caller);
    const sessionId = `${caller}-a`;
    const { call } = success(
      await initiate(client, { conversationId, calleeIds: [...callees, ...ringing], sessionId }),
    );
    const peers = [await this.sit(client, call.id, caller, sessionId)];
    for (const [index, callee] of callees.entries()) peers.push(await this.enter(call.id, callee, index + 1));
    return { callId: call.id, conversationId, peers };
  }

  /** Joins with a new client and opens the stream. */
  async enter(
    callId: string,
    userId: string,
    instance: number,
    { sessionId = `${userId}-a`, takeOver = false } = {},
  ): Promise<Peer> {
    const client = await this.client(userId, instance % this.#world.apps.length);
    success(await join(client, callId, sessionId, takeOver));
    return this.sit(client, callId, userId, sessionId);
  }

  /** Opens the stream of a seat, and waits for its snapshot. */
  async sit(
    client: Client,
    callId: string,
    userId: string,
    sessionId: string,
    after: string | null = null,
  ): Promise<Peer> {
    const stream = events(client, callId, sessionId, after);
    const first = await stream.next();
    if (first.__typename !== 'CallSnapshot') throw new Error(`The stream began with ${first.__typename}`);
    const me = first.call.participants.find((participant) => participant.userId === userId);
    let clientSeq = 0;
    return {
      userId,
      sessionId,
      callId,
      client,
      stream,
      joinSeq: me?.joinSeq as number,
      send: (signal, over = {}) =>
        sendSignal(client, { callId, sessionId, clientSeq: over.clientSeq ?? ++clientSeq, signal, ...over }),
    };
  }

  /** Everybody's sockets are closed; fails where an instance still listens for anyone then. */
  async goAway(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.dispose();
    const redis = new Redis(this.#world.redis.url);
    try {
      await eventually(async () => (await channelsOf(redis)).length === 0);
    } finally {
      redis.disconnect();
    }
  }
}

export async function sendSignal(client: Client, input: SendSignalInput): Promise<SignalResult> {
  return (await client.mutate(operations.SendSignal, { input })).sendSignal;
}

/** A signal that can be told from others by its generation; it needs a `to` where more than two are in it. */
export function numbered(generation: number): SignalInput {
  return { candidates: { items: [{ candidate: '' }], generation } };
}

export const RENEGOTIATE: SignalInput = { renegotiate: { iceRestart: false } };

/** The signals that a stream has told so far. */
export function signalsOf(stream: Subscription<CallEvent>): Event<'SignalReceived'>[] {
  return stream.events.filter((event) => event.__typename === 'SignalReceived');
}

/** The generations of the numbered signals that a stream has told so far. */
export function numbersOf(stream: Subscription<CallEvent>): number[] {
  return signalsOf(stream).flatMap(({ signal }) =>
    signal.__typename === 'IceCandidates' ? [signal.generation] : [],
  );
}

export function isSignal(event: CallEvent): event is Event<'SignalReceived'> {
  return event.__typename === 'SignalReceived';
}

/** Takes the numbered signal with this generation. */
export function isNumbered(generation: number) {
  return (event: CallEvent): boolean =>
    isSignal(event) && event.signal.__typename === 'IceCandidates' && event.signal.generation === generation;
}

/** Takes the event that shows a participant in a status. */
export function shows(userId: string, status: string) {
  return (event: CallEvent): boolean =>
    event.__typename === 'ParticipantChanged' &&
    event.participant.userId === userId &&
    event.participant.status === status;
}

/** The channels of calls and users that somebody subscribes to; each instance has one of its own beside them. */
export async function channelsOf(redis: Redis): Promise<string[]> {
  const all = (await redis.pubsub('CHANNELS')) as string[];
  return all.filter((channel) => !/^ringdown:(instance|connection):/.test(channel));
}
