import { v4 as uuid } from 'uuid';
import { tokenFor } from './app.ts';
import { type Client, createClient, type Subscription } from './client.ts';
import type {
  CallEventsSubscription,
  CallPartsFragment,
  IncomingCallsSubscription,
  ParticipantPartsFragment,
  SendSignalInput,
  SignalInput,
} from './generated/graphql.ts';
import { CallEvents, IncomingCalls, InitiateCall, JoinCall, LeaveCall } from './operations.ts';
import { Link, type Signal } from './peer-link.ts';
import { SignalOutbox } from './signal-outbox.ts';

/**
 * A participant with one device: does what PROTOCOL.md tells a client to do, over the public API alone, and
 * connects to the others with real WebRTC (werift) over loopback.
 */

export type CallEvent = CallEventsSubscription['callEvents'];
type Incoming = IncomingCallsSubscription['incomingCalls'];

/** Where a signal is on its way, as its peer sees it; placed is one when the server says that it has it. */
export type Passage = `${'sends' | 'places' | 'receives'} ${Signal['__typename']}`;

/** How long a ring may take, milliseconds. */
const RING_LIMIT = 10_000;
const SEATED: readonly string[] = ['CONNECTING', 'CONNECTED', 'RECONNECTING'];

export class Peer {
  readonly userId: string;
  /** One lifetime of this client's memory. */
  readonly sessionId = uuid();
  /** Every event of callEvents, over all sockets. */
  readonly events: CallEvent[] = [];
  /** Signals that the server took, as its answers came. */
  readonly taken: SendSignalInput[] = [];
  /** How many of them it had already when they were sent again. */
  duplicates = 0;
  /** What went wrong in the background; a test looks at its end. */
  readonly failures: unknown[] = [];
  /** Who is in the call and how, by user, as the events say. */
  readonly participants = new Map<string, ParticipantPartsFragment>();
  readonly links = new Map<string, Link>();
  /** Called as a signal passes. */
  onPassage: ((passage: Passage) => void) | null = null;

  readonly #token: string;
  #client: Client;
  #rings: Subscription<Incoming>;
  #callId: string | null = null;
  #outbox: SignalOutbox | null = null;
  #stream: Subscription<CallEvent> | null = null;
  /** Resolves when all that the stream of now told has been received. */
  #followed: Promise<void> = Promise.resolve();
  /** The last event's; the seat's own before the first one. */
  #cursor: string | null = null;
  #joinSeq = 0;
  #version = 0;
  readonly #closing: Promise<void>[] = [];

  /** Resolves once the server rings this user on this device. */
  static async start(url: string, userId: string): Promise<Peer> {
    const peer = new Peer(url, userId, await tokenFor(userId));
    await peer.#rings.next(undefined, RING_LIMIT);
    return peer;
  }

  private constructor(url: string, userId: string, token: string) {
    this.userId = userId;
    this.#token = token;
    this.#client = createClient({ url, token });
    this.#rings = this.#client.subscribe(IncomingCalls, {});
  }

  get callId(): string {
    if (this.#callId === null) throw new Error(`${this.userId} is in no call`);
    return this.#callId;
  }

  get joinSeq(): number {
    return this.#joinSeq;
  }

  /** Signals that the server has not answered yet. */
  get unanswered(): number {
    return this.#outbox?.unanswered ?? 0;
  }

  /** Resolves when the server has completed the stream of now, and all that it told has been received. */
  get streamEnded(): Promise<void> {
    const stream = this.#stream;
    if (stream === null) return Promise.reject(new Error(`${this.userId} has no stream`));
    const followed = this.#followed;
    return stream.ended.then(() => followed);
  }

  async call(conversationId: string, ...calleeIds: string[]): Promise<string> {
    const input = { conversationId, calleeIds, type: 'VIDEO' as const, sessionId: this.sessionId };
    const { initiateCall: result } = await this.#client.mutate(InitiateCall, {
      input: { ...input, idempotencyKey: uuid() },
    });
    if (result.__typename !== 'InitiateCallSuccess') throw new Error(`${result.code}: ${result.message}`);
    return this.#seated(result);
  }

  /** Waits for a ring and answers it. */
  async answer(): Promise<string> {
    const event = await this.#rings.next(({ __typename }) => __typename === 'CallRinging', RING_LIMIT);
    return this.join((event as Extract<Incoming, { __typename: 'CallRinging' }>).call.id);
  }

  async join(callId: string, { takeOver = false } = {}): Promise<string> {
    const { joinCall: result } = await this.#client.mutate(JoinCall, {
      input: { callId, sessionId: this.sessionId, takeOver },
    });
    if (result.__typename !== 'JoinCallSuccess') throw new Error(`${result.code}: ${result.message}`);
    return this.#seated(result);
  }

  async leave(): Promise<void> {
    const variables = { callId: this.callId, sessionId: this.sessionId };
    const { leaveCall: result } = await this.#client.mutate(LeaveCall, variables);
    if (result.__typename !== 'CallSuccess') throw new Error(`${result.code}: ${result.message}`);
  }

  /** The network is gone, without a word; the memory stays, links included. */
  cut(): void {
    this.#stream = null;
    this.#outbox?.detach();
    this.#client.terminate();
  }

  /** Comes back on a new socket, to this instance, with the last cursor. */
  async comeBack(url: string): Promise<void> {
    await this.#client.dispose();
    this.#client = createClient({ url, token: this.#token });
    this.#rings = this.#client.subscribe(IncomingCalls, {});
    await this.#client.connect();
    this.#outbox?.attach(this.#client);
    if (this.#callId !== null) this.#open(this.#cursor);
  }

  async close(): Promise<void> {
    this.#dropAll();
    await Promise.all(this.#closing);
    await this.#client.dispose();
  }

  #seated({ call, cursor }: { call: CallPartsFragment; cursor: string }): string {
    this.#callId = call.id;
    this.#cursor = cursor;
    this.#joinSeq = call.participants.find(({ userId }) => userId === this.userId)?.joinSeq ?? 0;
    this.#outbox = new SignalOutbox(this.#client, {
      callId: call.id,
      sessionId: this.sessionId,
      taken: (input, duplicate) => {
        this.taken.push(input);
        if (duplicate) this.duplicates += 1;
        this.onPassage?.(`places ${kindOf(input.signal)}`);
      },
      failed: (error) => void this.failures.push(error),
    });
    this.#open(null);
    return call.id;
  }

  #open(after: string | null): void {
    const variables = { callId: this.callId, sessionId: this.sessionId, after };
    const stream = this.#client.subscribe(CallEvents, variables);
    this.#stream = stream;
    this.#followed = this.#follow(stream);
    stream.ended.catch((error: unknown) => {
      if (stream === this.#stream) this.failures.push(error);
    });
  }

  async #follow(stream: Subscription<CallEvent>): Promise<void> {
    for await (const event of stream) {
      // What a cut socket still had does not count as received.
      if (stream !== this.#stream) return;
      this.events.push(event);
      this.#cursor = event.cursor;
      this.#receive(event);
    }
  }

  #receive(event: CallEvent): void {
    switch (event.__typename) {
      case 'CallSnapshot':
      case 'CallChanged':
        if (event.call.version < this.#version) return;
        this.#version = event.call.version;
        for (const participant of event.call.participants) this.#see(participant);
        return;
      case 'ParticipantChanged':
        if (event.version < this.#version) return;
        this.#version = event.version;
        this.#see(event.participant);
        return;
      case 'SignalReceived': {
        this.onPassage?.(`receives ${event.signal.__typename}`);
        const link = this.links.get(event.from);
        // One of a tenure that is over is meant for a link that is gone.
        if (link?.joinSeq === event.fromJoinSeq) link.receive(event.signal);
        return;
      }
      case 'CallEnded':
        this.#dropAll();
    }
  }

  #see(participant: ParticipantPartsFragment): void {
    const { userId, status, sessionId, joinSeq } = participant;
    this.participants.set(userId, participant);
    if (userId === this.userId) {
      // The seat is gone, or another device has it.
      if (sessionId !== this.sessionId) this.#dropAll();
      return;
    }
    const tenure = SEATED.includes(status) ? joinSeq : null;
    const link = this.links.get(userId);
    if (link?.joinSeq === tenure) return;
    if (link) this.#drop(userId, link);
    if (tenure === null) return;
    const created = new Link({
      joinSeq: tenure,
      polite: this.#joinSeq < tenure,
      send: (signal) => {
        this.#outbox?.push(userId, tenure, signal);
        this.onPassage?.(`sends ${kindOf(signal)}`);
      },
      failed: (error) => void this.failures.push(error),
    });
    this.links.set(userId, created);
  }

  #drop(userId: string, link: Link): void {
    this.links.delete(userId);
    this.#closing.push(link.close());
  }

  #dropAll(): void {
    for (const [userId, link] of this.links) this.#drop(userId, link);
  }
}

function kindOf(signal: SignalInput): Signal['__typename'] {
  if (signal.offer) return 'Offer';
  if (signal.answer) return 'Answer';
  return signal.candidates ? 'IceCandidates' : 'Renegotiate';
}
