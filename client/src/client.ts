import { Call } from './call.ts';
import { Connection, type ConnectionState } from './connection.ts';
import { ConnectionError, RejectionError } from './errors.ts';
import { Emitter } from './events.ts';
import {
  ActiveCallsDocument,
  type CallPartsFragment,
  DeclineCallDocument,
  GetCallDocument,
  IncomingCallsDocument,
  InitiateCallDocument,
  JoinCallDocument,
} from './generated/graphql.ts';
import { fetchIceServers } from './ice-servers.ts';
import { type IncomingCall, IncomingCalls, type IncomingEvents } from './incoming.ts';
import type { LocalMedia } from './media/local-media.ts';
import { uuid } from './uuid.ts';

/** A call as the server has it. Instants are RFC 3339. */
export type CallInfo = CallPartsFragment;

export interface RingdownOptions {
  /** The server: `https://calls.example`, with or without `/graphql`. */
  readonly url: string;
  /**
   * A JWT for the user, from the app's back end. Asked before each connection, so it is to be a fresh one.
   * What it throws is an `error` event, and it is asked again.
   */
  readonly token: () => string | Promise<string>;
  /** Under what the server gives, for instance `{ iceTransportPolicy: 'relay' }`. */
  readonly rtcConfiguration?: RTCConfiguration;
}

export interface RingdownEvents extends IncomingEvents {
  connection: ConnectionState;
  /** The calls that this page is in, after each change. */
  calls: readonly Call[];
  /** What went wrong in the background. */
  error: Error;
}

export interface StartOptions {
  /** The user and all callees are members of it. */
  readonly conversationId: string;
  readonly calleeIds: readonly string[];
  /** What to show to the callees (VIDEO). It forbids no track. */
  readonly type?: 'AUDIO' | 'VIDEO';
  /** What this page sends; without it it only receives. */
  readonly media?: LocalMedia | null;
  /** At most, and by default, the server's RING_TIMEOUT. */
  readonly ringTimeoutSeconds?: number;
}

export interface JoinOptions {
  readonly media?: LocalMedia | null;
  /** Move the call here from another of the user's windows or devices that is in it. */
  readonly takeOver?: boolean;
}

/** Milliseconds before the stream of rings is opened again; the pause doubles. */
const PAUSE = { first: 500, longest: 15_000 };

/** One user's way to a Ringdown server: rings, and the calls that this page is in. */
export class Ringdown extends Emitter<RingdownEvents> {
  /** One lifetime of this page's memory; it holds the user's seats. A reload is a new session. */
  readonly sessionId = uuid();
  readonly #connection: Connection;
  readonly #incoming: IncomingCalls;
  readonly #rtcConfiguration: RTCConfiguration;
  #calls: readonly Call[] = [];
  #endRings: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = PAUSE.first;
  /** Resolves with the first snapshot of rings. */
  #ready = Promise.withResolvers<void>();

  /** Throws a TypeError where `url` is none. Nothing is sent before `connect`, or another method. */
  constructor({ url, token, rtcConfiguration = {} }: RingdownOptions) {
    super();
    this.#rtcConfiguration = rtcConfiguration;
    this.#connection = new Connection({ url, token });
    this.#connection.on('state', (state) => this.emit('connection', state));
    this.#connection.on('error', (error) => this.emit('error', error));
    this.#incoming = new IncomingCalls({
      answer: (call, media) => this.#incoming.during(call.id, this.join(call.id, { media })),
      decline: (call, busy) => this.#incoming.during(call.id, this.#decline(call, busy)),
    });
    for (const name of ['incomingCall', 'ringStopped', 'incomingCalls'] as const) {
      this.#incoming.on(name, (event) => this.emit(name, event as never));
    }
  }

  get connection(): ConnectionState {
    return this.#connection.state;
  }

  /** What rings for the user now, once `connect` has resolved. */
  get incomingCalls(): readonly IncomingCall[] {
    return this.#incoming.ringing;
  }

  /** The calls that this page is in. */
  get calls(): readonly Call[] {
    return this.#calls;
  }

  /**
   * Opens the connection, keeps it open and listens for rings. Resolves once those of now are known, however
   * long the server is out of reach. Rejects with a ConnectionError: REFUSED (a bad token, for instance), or
   * CLOSED.
   */
  connect(): Promise<void> {
    this.#listen();
    return this.#ready.promise;
  }

  /**
   * Rings the callees; the user is in the call from the start. Where the same people are in a live call, this
   * joins it. Rejects with a RejectionError: NOT_A_MEMBER, INVALID_CALLEE, NO_CALLEES, RATE_LIMITED …
   */
  async start({
    conversationId,
    calleeIds,
    type = 'VIDEO',
    media,
    ringTimeoutSeconds,
  }: StartOptions): Promise<Call> {
    const input = {
      conversationId,
      calleeIds: [...calleeIds],
      type,
      sessionId: this.sessionId,
      // So that a repeat after a lost answer starts no second call.
      idempotencyKey: uuid(),
      ...(ringTimeoutSeconds !== undefined && { ringTimeoutSeconds }),
    };
    const { initiateCall } = await this.#connection.request(InitiateCallDocument, { input });
    if (initiateCall.__typename === 'Rejection') throw new RejectionError(initiateCall);
    return this.#enter(initiateCall.call, media ?? null);
  }

  /**
   * Takes the user's seat in a call: one that rings, or goes on. Rejects with a RejectionError:
   * ALREADY_IN_CALL (then `takeOver` moves it here), CALL_NOT_FOUND, CALL_EXPIRED, CALL_ENDED, CALL_FULL …
   */
  async join(callId: string, { media = null, takeOver = false }: JoinOptions = {}): Promise<Call> {
    return this.#enter(await this.#join(callId, takeOver), media);
  }

  /** Live calls in which the user has a seat, on whatever device: `join` with `takeOver` moves one here. */
  async activeCalls(): Promise<readonly CallInfo[]> {
    return (await this.#connection.request(ActiveCallsDocument, {})).viewer.activeCalls;
  }

  /** Null for no such call, or none of the user's. */
  async getCall(id: string): Promise<CallInfo | null> {
    return (await this.#connection.request(GetCallDocument, { id })).call ?? null;
  }

  /**
   * Drops the connection and all calls' links, without leaving: a seat ends by the server's grace, and until
   * then another window can take it over. `connect` opens it again.
   */
  close(): void {
    clearTimeout(this.#timer);
    this.#endRings?.();
    this.#endRings = null;
    for (const call of this.#calls) call.drop();
    this.#connection.close();
    this.#fail(new ConnectionError('CLOSED', 'The connection was closed by this page.'));
  }

  #listen(): void {
    if (this.#endRings !== null) return;
    clearTimeout(this.#timer);
    this.#endRings = this.#connection.subscribe(IncomingCallsDocument, () => ({}), {
      next: ({ incomingCalls }) => {
        this.#pause = PAUSE.first;
        this.#incoming.receive(incomingCalls);
        this.#ready.resolve();
      },
      over: (error) => {
        this.#endRings = null;
        if (error instanceof ConnectionError) return this.#fail(error);
        if (error) this.emit('error', error);
        this.#timer = setTimeout(() => this.#listen(), this.#pause);
        this.#pause = Math.min(this.#pause * 2, PAUSE.longest);
      },
    });
  }

  /** `connect` is rejected; calling it again is a new beginning. */
  #fail(error: ConnectionError): void {
    const { promise, reject } = this.#ready;
    this.#ready = Promise.withResolvers();
    // Nobody may have called it.
    promise.catch(() => {});
    reject(error);
  }

  async #join(callId: string, takeOver: boolean): Promise<CallPartsFragment> {
    const input = { callId, sessionId: this.sessionId, takeOver };
    const { joinCall } = await this.#connection.request(JoinCallDocument, { input });
    if (joinCall.__typename === 'Rejection') throw new RejectionError(joinCall);
    return joinCall.call;
  }

  async #enter(call: CallPartsFragment, media: LocalMedia | null): Promise<Call> {
    this.#incoming.forget(call.id);
    const iceServers = await fetchIceServers(this.#connection, call.id).catch((error: Error) => {
      this.emit('error', error);
      return null;
    });
    const known = this.#calls.find(({ id }) => id === call.id);
    if (known) return known;
    const entered = new Call(call, {
      connection: this.#connection,
      sessionId: this.sessionId,
      rtcConfiguration: this.#rtcConfiguration,
      iceServers,
      media,
      rejoin: () => this.#join(call.id, false),
      read: () => this.getCall(call.id),
    });
    entered.on('ended', () => this.#set(this.#calls.filter((other) => other !== entered)));
    this.#set([...this.#calls, entered]);
    return entered;
  }

  async #decline(call: IncomingCall, busy: boolean): Promise<void> {
    const variables = { callId: call.id, busy };
    const { declineCall } = await this.#connection.request(DeclineCallDocument, variables);
    if (declineCall.__typename === 'Rejection' && declineCall.code !== 'CALL_ENDED') {
      throw new RejectionError(declineCall);
    }
    this.#incoming.forget(call.id);
  }

  #set(calls: readonly Call[]): void {
    this.#calls = calls;
    this.emit('calls', calls);
  }
}
