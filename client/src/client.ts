import { Call } from './call.ts';
import { Connection, type ConnectionState } from './connection.ts';
import { ConnectionError, RejectionError, RingdownError } from './errors.ts';
import { Emitter } from './events.ts';
import {
  ActiveCallsDocument,
  type CallPartsFragment,
  DeclineCallDocument,
  GetCallDocument,
  IncomingCallsDocument,
  InitiateCallDocument,
  JoinCallDocument,
  MarkMissedCallsSeenDocument,
  MissedCallCountDocument,
  ReportCallQualityDocument,
} from './generated/graphql.ts';
import {
  type HistoryOptions,
  type HistoryPage,
  readHistory,
  readTimeline,
  type TimelineEntry,
} from './history.ts';
import { fetchIceServers } from './ice-servers.ts';
import { type IncomingCall, IncomingCalls, type IncomingEvents } from './incoming.ts';
import type { LocalMedia } from './media/local-media.ts';
import { MissedCalls } from './missed-calls.ts';
import { type PushOptions, registerPush, unregisterPush } from './push.ts';
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
  /** Whether there is a way to the server. */
  connection: ConnectionState;
  /** The calls that this page is in, after each change. */
  calls: readonly Call[];
  /** How many calls the user has missed and not seen. */
  missedCalls: number;
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
  /** What this page sends; without it it only receives. */
  readonly media?: LocalMedia | null;
  /** Move the call here from another of the user's windows or devices that is in it. */
  readonly takeOver?: boolean;
}

/** Milliseconds before the stream of rings is opened again; the pause doubles. */
const PAUSE = { first: 500, longest: 15_000 };

/** One user's way to a Ringdown server: rings, and the calls that this page is in. */
export class Ringdown extends Emitter<RingdownEvents> {
  readonly #connection: Connection;
  readonly #incoming: IncomingCalls;
  readonly #missed: MissedCalls;
  readonly #rtcConfiguration: RTCConfiguration;
  #calls: readonly Call[] = [];
  #endRings: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = PAUSE.first;
  /** Settles with the first snapshot of rings. */
  #ready = deferred();
  /** What is under way, by what it is: whoever asks for it twice gets it once. */
  readonly #entering = new Map<string, Promise<Call>>();
  /** Calls whose seat this page has not given back: another session of its own may take it. */
  readonly #dropped = new Set<string>();

  /** Throws a TypeError where `url` is none. Nothing is sent before `connect`, or another method. */
  constructor({ url, token, rtcConfiguration = {} }: RingdownOptions) {
    super();
    this.#rtcConfiguration = rtcConfiguration;
    this.#connection = new Connection({ url, token });
    this.#connection.on('state', (state) => this.emit('connection', state));
    this.#connection.on('error', (error) => this.emit('error', error));
    this.#incoming = new IncomingCalls({
      answer: (call, media) => this.join(call.id, { media }),
      decline: (call, busy) =>
        this.#incoming.during((ring) => ring.id === call.id, this.#decline(call, busy)),
    });
    this.#missed = new MissedCalls(
      async () => (await this.#connection.request(MissedCallCountDocument, {})).viewer.missedCallCount,
    );
    this.#missed.on('count', (count) => this.emit('missedCalls', count));
    for (const name of ['incomingCall', 'ringStopped', 'incomingCalls'] as const) {
      this.#incoming.on(name, (event) => this.emit(name, event as never));
    }
  }

  /** Whether there is a way to the server. */
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
   * Calls that the user has missed and not seen, on any device; 100 where there are that many or more. Null until it is
   * known: it is asked for once something listens to `missedCalls`, and again whenever a ring has stopped.
   */
  get missedCalls(): number | null {
    return this.#missed.count;
  }

  override on<Name extends keyof RingdownEvents>(
    name: Name,
    listener: (event: RingdownEvents[Name]) => void,
  ): () => void {
    const stop = super.on(name, listener);
    if (name === 'missedCalls') this.#missed.watch();
    return stop;
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
   * Rings the callees; the user is in the call from the start. Where the same people are in a live call, that
   * is joined, or is this page's already. Rejects with a RejectionError: NOT_A_MEMBER, INVALID_CALLEE,
   * NO_CALLEES, ALREADY_IN_CALL (in another window), RATE_LIMITED …
   */
  start(options: StartOptions): Promise<Call> {
    const { conversationId, calleeIds } = options;
    const known = this.#calls.find(({ state: { conversationId: room, me, participants } }) => {
      const here = new Set([me, ...participants].map(({ userId }) => userId));
      const asked = new Set([me.userId, ...calleeIds]);
      return room === conversationId && here.size === asked.size && [...asked].every((id) => here.has(id));
    });
    if (known) return Promise.resolve(known);
    const key = JSON.stringify([conversationId, [...calleeIds].sort()]);
    // Two who call each other at once are in one call: the other one's ring is answered by that.
    const isTheirs = (ring: IncomingCall) =>
      ring.conversationId === conversationId && calleeIds.includes(ring.callerId);
    return this.#once(key, () => this.#incoming.during(isTheirs, this.#start(options)));
  }

  /**
   * Takes the user's seat in a call: one that rings, or goes on. Rejects with a RejectionError:
   * ALREADY_IN_CALL (then `takeOver` moves it here), CALL_NOT_FOUND, CALL_EXPIRED, CALL_ENDED, CALL_FULL …
   */
  join(callId: string, { media = null, takeOver = false }: JoinOptions = {}): Promise<Call> {
    const known = this.#calls.find(({ id }) => id === callId);
    if (known) return Promise.resolve(known);
    return this.#once(callId, () => {
      const joined = this.#join(callId, media, takeOver || this.#dropped.has(callId));
      return this.#incoming.during((ring) => ring.id === callId, joined);
    });
  }

  /** Live calls in which the user has a seat, on whatever device: `join` with `takeOver` moves one here. */
  async activeCalls(): Promise<readonly CallInfo[]> {
    return (await this.#connection.request(ActiveCallsDocument, {})).viewer.activeCalls;
  }

  /** Null for no such call, or none of the user's. */
  async getCall(id: string): Promise<CallInfo | null> {
    return (await this.#connection.request(GetCallDocument, { id })).call ?? null;
  }

  /** The user's calls, newest first, a page at a time. Rejects with a RequestError for a filter that can't be. */
  history(options: HistoryOptions = {}): Promise<HistoryPage> {
    return readHistory(this.#connection, options);
  }

  /** What happened in a call, in order. Null for no such call, or none of the user's; empty once it is forgotten. */
  timeline(callId: string): Promise<readonly TimelineEntry[] | null> {
    return readTimeline(this.#connection, callId);
  }

  /** The user has seen what they missed, up to an instant: the newest `missedAt` that was shown. */
  async markMissedCallsSeen(through: string | null = null): Promise<void> {
    const variables = { through };
    const { markMissedCallsSeen } = await this.#connection.request(MarkMissedCallsSeenDocument, variables);
    this.#missed.set(markMissedCallsSeen.missedCallCount);
  }

  /** What the user thought of a call that they were in, 1 (bad) to 5 (good). Rejects with a RejectionError. */
  async rate(callId: string, rating: number): Promise<void> {
    const input = { callId, reportId: uuid(), rating };
    const { reportCallQuality } = await this.#connection.request(ReportCallQualityDocument, { input });
    if (reportCallQuality.__typename === 'Rejection') throw new RejectionError(reportCallQuality);
  }

  /**
   * From now on this browser is rung also while no page of the app is open: by a push, which the app's service
   * worker shows. Do it at each start, once the user wants it and has allowed notifications. Rejects with a
   * RingdownError UNSUPPORTED, a RejectionError TOO_MANY_DEVICES, or what the browser rejects with.
   */
  registerPush(registration: ServiceWorkerRegistration, options?: PushOptions): Promise<void> {
    return registerPush(this.#connection, registration, options);
  }

  /** Takes that back: at sign-out, or the next user of this browser sees whose calls they are. */
  unregisterPush(registration: ServiceWorkerRegistration): Promise<void> {
    return unregisterPush(this.#connection, registration);
  }

  /**
   * Drops the connection and all calls' links, without leaving: a seat ends by the server's grace, and until
   * then another window can take it over. `connect` opens it again.
   */
  close(): void {
    clearTimeout(this.#timer);
    this.#endRings?.();
    this.#endRings = null;
    for (const call of this.#calls) {
      this.#dropped.add(call.id);
      call.drop();
    }
    this.#fail(new ConnectionError('CLOSED', 'The connection was closed by this page.'));
    this.#connection.close();
  }

  #listen(): void {
    if (this.#endRings !== null) return;
    clearTimeout(this.#timer);
    this.#connection.open();
    this.#endRings = this.#connection.subscribe(IncomingCallsDocument, () => ({}), {
      next: ({ incomingCalls }) => {
        this.#pause = PAUSE.first;
        this.#incoming.receive(incomingCalls);
        // After a hole anything may have been missed.
        if (incomingCalls.__typename !== 'CallRinging') this.#missed.check();
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

  /** `connect` is rejected, and nothing rings any more; calling it again is a new beginning. */
  #fail(error: ConnectionError): void {
    const { promise, reject } = this.#ready;
    this.#ready = deferred();
    // Nobody may have called it.
    promise.catch(() => {});
    reject(error);
    this.#incoming.clear();
  }

  #once(key: string, enter: () => Promise<Call>): Promise<Call> {
    const known = this.#entering.get(key);
    if (known) return known;
    const entering = enter().finally(() => this.#entering.delete(key));
    this.#entering.set(key, entering);
    return entering;
  }

  async #start({
    conversationId,
    calleeIds,
    type = 'VIDEO',
    media = null,
    ringTimeoutSeconds,
  }: StartOptions): Promise<Call> {
    this.#requireWebRtc();
    const sessionId = uuid();
    const input = {
      conversationId,
      calleeIds: [...calleeIds],
      type,
      sessionId,
      // So that a repeat after a lost answer starts no second call.
      idempotencyKey: uuid(),
      ...(ringTimeoutSeconds !== undefined && { ringTimeoutSeconds }),
    };
    const { initiateCall } = await this.#connection.request(InitiateCallDocument, { input });
    if (initiateCall.__typename === 'Rejection') throw new RejectionError(initiateCall);
    return this.#enter(initiateCall.call, sessionId, media);
  }

  async #join(callId: string, media: LocalMedia | null, takeOver: boolean): Promise<Call> {
    this.#requireWebRtc();
    const sessionId = uuid();
    return this.#enter(await this.#takeSeat(callId, sessionId, takeOver), sessionId, media);
  }

  async #takeSeat(callId: string, sessionId: string, takeOver: boolean): Promise<CallPartsFragment> {
    const input = { callId, sessionId, takeOver };
    const { joinCall } = await this.#connection.request(JoinCallDocument, { input });
    if (joinCall.__typename === 'Rejection') throw new RejectionError(joinCall);
    return joinCall.call;
  }

  /**
   * `sessionId` is the entry's own: what a session has sent counts as long as the call lasts, so whoever comes
   * back into it begins another.
   */
  async #enter(call: CallPartsFragment, sessionId: string, media: LocalMedia | null): Promise<Call> {
    this.#incoming.forget(call.id);
    this.#dropped.add(call.id);
    const iceServers = await fetchIceServers(this.#connection, call.id).catch((error: Error) => {
      // A page that has no connection any more is in no call either.
      if (error instanceof ConnectionError && error.code !== 'NO_ANSWER') throw error;
      this.emit('error', error);
      return null;
    });
    this.#dropped.delete(call.id);
    const entered = new Call(call, {
      connection: this.#connection,
      sessionId,
      rtcConfiguration: this.#rtcConfiguration,
      iceServers,
      media,
      rejoin: () => this.#takeSeat(call.id, sessionId, false),
      read: () => this.getCall(call.id),
    });
    if (entered.state.over) return entered;
    entered.on('ended', () => this.#set(this.#calls.filter((other) => other !== entered)));
    this.#set([...this.#calls, entered]);
    return entered;
  }

  /** Before a seat is taken that nothing could be done with. */
  #requireWebRtc(): void {
    try {
      new RTCPeerConnection(this.#rtcConfiguration).close();
    } catch (cause) {
      const why = 'This browser makes no peer connection, or not with this `rtcConfiguration`.';
      throw new RingdownError('UNSUPPORTED', why, { cause });
    }
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

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** `Promise.withResolvers`, for browsers of before 2024. */
function deferred(): Deferred {
  let settle!: Omit<Deferred, 'promise'>;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  return { promise, ...settle };
}
