import { randomUUID } from 'node:crypto';
import { TokenError, type TokenVerifier } from '../../src/auth/token.ts';
import type { Viewer } from '../../src/auth/viewer.ts';
import type { CallView } from '../../src/calls/call-view.ts';
import { CodedError, reject } from '../../src/errors.ts';
import type {
  CallEvent,
  IncomingCallEvent,
  SendSignalInput,
  Services,
  SocketLink,
} from '../../src/graphql/services.ts';
import { createHttpServer, type HttpServerDeps } from '../../src/http/server.ts';
import type { Logger } from '../../src/observability/logger.ts';
import { UNLIMITED } from './unlimited.ts';

/**
 * FAKE services, for tests of the transports alone: they know no rule. What a test wants to see of them it
 * finds in the fields; what it wants them to do it puts there.
 */
export class FakeServices {
  /** `clientSeq` of the signals in the order in which they were appended. */
  readonly appended: number[] = [];
  /** The last signal, as the schema handed it over. */
  lastSignal: SendSignalInput | null = null;
  /** How long the append of a signal takes to be issued. */
  beforeAppend: (input: SendSignalInput) => Promise<void> = async () => {};
  /** Open streams of callEvents. */
  readonly streams = new Set<Pushed<CallEvent>>();
  readonly rings = new Set<Pushed<IncomingCallEvent>>();
  lastSocket: SocketLink | null = null;
  lastDelete: string | null = null;
  call: CallView = fakeCall();

  readonly services: Services = {
    calls: {
      initiateCall: async (viewer) => {
        this.call = fakeCall({ callerId: viewer.userId, status: 'RINGING' });
        for (const ring of this.rings) ring.push({ __typename: 'CallRinging', call: this.call, at: AT });
        return { call: this.call, cursor: 'c1', joinedExisting: false };
      },
      joinCall: async (_viewer, input) => {
        if (input.callId !== this.call.id) return { rejection: reject('CALL_NOT_FOUND') };
        return { call: this.call, cursor: 'c1', rejoined: input.takeOver };
      },
      declineCall: async () => ({ call: this.call }),
      leaveCall: async () => ({ rejection: reject('TIMEOUT', undefined, 250) }),
      endCall: async () => ({ call: this.call }),
      inviteToCall: async () => ({ call: this.call }),
      removeParticipant: async () => ({ call: this.call }),
      muteParticipant: async () => ({ call: this.call }),
      setMediaState: async () => {
        throw Object.assign(new Error('candidate:1 1 udp 2122 192.0.2.7 5000 typ host'), { secret: 'v=0' });
      },
      terminateCall: async () => ({ call: this.call }),
      call: async (_viewer, id) => (id === this.call.id ? this.call : null),
      activeCalls: async () => [this.call],
    },
    history: {
      calls: async (_viewer, page) => {
        if (page.first !== null && page.last !== null) {
          throw new CodedError('BAD_USER_INPUT', 'first or last, not both.', 'last');
        }
        const edge = { outcome: 'ONGOING', outgoing: true, missedAt: null, seen: true } as const;
        return { edges: [{ cursor: 'e1', node: this.call, ...edge }], pageInfo: EMPTY_PAGE };
      },
      missedCallCount: async () => 0,
      markMissedCallsSeen: async () => {},
    },
    timeline: {
      timeline: async () => ({
        edges: [
          {
            cursor: 't1',
            node: {
              at: AT,
              kind: 'INITIATED',
              actorId: 'ada',
              subjectId: null,
              detail: 'Started',
              count: null,
              until: null,
              quality: null,
            },
          },
        ],
        pageInfo: EMPTY_PAGE,
      }),
    },
    quality: { reportCallQuality: async () => ({ at: AT, duplicate: false }) },
    signals: {
      sendSignal: async (_viewer, input, turn) => {
        this.lastSignal = input;
        await this.beforeAppend(input);
        this.appended.push(input.clientSeq);
        turn?.done();
        return { at: AT, duplicate: false };
      },
    },
    conversations: {
      put: async (id, memberIds, version) => ({ id, memberIds, version: version ?? 1 }),
      addMembers: async (id, memberIds) => ({ id, memberIds, version: 2 }),
      removeMembers: async (id) => ({ id, memberIds: [], version: 3 }),
      delete: async (id) => {
        this.lastDelete = id;
        return true;
      },
    },
    silence: {
      block: async (_userId, blockedIds) => blockedIds,
      unblock: async () => [],
      blocked: async () => ['mallory'],
      setMuted: async (_viewer, conversationId, muted) => ({ conversationId, muted }),
      mutedConversations: async () => ['team'],
    },
    devices: {
      webPushKey: null,
      register: async () => ({ rejection: reject('WEB_PUSH_OFF') }),
      unregister: async () => false,
      devices: async () => [{ id: randomUUID(), name: null, createdAt: AT, registeredAt: AT }],
    },
    iceServers: {
      iceServers: async () => ({
        servers: [{ urls: ['stun:stun.example.com'], username: null, credential: null }],
        refreshAt: AT,
      }),
    },
    deadLetters: { deadLetters: async () => [], redeliver: async () => 0 },
    subscriptions: {
      callEvents: async (_viewer, { callId, after }, socket) => {
        if (socket === null) throw new CodedError('BAD_USER_INPUT', 'callEvents wants a WebSocket.');
        if (callId !== this.call.id) throw new CodedError('CALL_NOT_FOUND', 'There is no such call for you.');
        this.lastSocket = socket;
        const stream = new Pushed<CallEvent>(this.streams);
        stream.push({
          __typename: 'CallSnapshot',
          cursor: after ?? 'c1',
          callId,
          at: AT,
          call: this.call,
          recovered: true,
        });
        return stream;
      },
      incomingCalls: async () => {
        const rings = new Pushed<IncomingCallEvent>(this.rings);
        rings.push({ __typename: 'IncomingSnapshot', calls: [], at: AT });
        return rings;
      },
    },
  };
}

/** Every instant in what the fakes answer: 2026-01-31T12:00:00.000Z. */
export const AT = Date.UTC(2026, 0, 31, 12);
const EMPTY_PAGE = { hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null };

function fakeCall(parts: Partial<CallView> = {}): CallView {
  return {
    id: randomUUID(),
    conversationId: 'team',
    type: 'VIDEO',
    status: 'ACTIVE',
    version: 3,
    callerId: 'ada',
    participants: [
      {
        id: 'p1',
        userId: 'ada',
        role: 'HOST',
        status: 'CONNECTED',
        sessionId: 's1',
        joinSeq: 1,
        media: { muted: false, videoOn: true, screenOn: false },
        invitedAt: AT,
        ringDeadline: null,
        declinedBusy: false,
        joinedAt: AT,
        leftAt: null,
        leaveReason: null,
      },
    ],
    createdAt: AT,
    answeredAt: AT,
    expiresAt: AT + 86_400_000,
    endedAt: null,
    endReason: null,
    endedBy: null,
    durationSeconds: null,
    ...parts,
  };
}

/** A stream that a test pushes into. It is in `open` until it is returned. */
export class Pushed<Event> implements AsyncIterableIterator<Event> {
  readonly #waiting: Event[] = [];
  readonly #open: Set<Pushed<Event>>;
  #changed = Promise.withResolvers<void>();
  #error: Error | null = null;
  /** How many events were asked for. */
  pulled = 0;

  constructor(open: Set<Pushed<Event>>) {
    this.#open = open;
    open.add(this);
  }

  push(event: Event): void {
    this.#waiting.push(event);
    this.#changed.resolve();
  }

  fail(error: Error): void {
    this.#error = error;
    this.#changed.resolve();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Event, undefined>> {
    this.pulled++;
    for (;;) {
      if (!this.#open.has(this)) return { value: undefined, done: true };
      const event = this.#waiting.shift();
      if (event !== undefined) return { value: event, done: false };
      if (this.#error !== null) throw this.#error;
      this.#changed = Promise.withResolvers();
      await this.#changed.promise;
    }
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#open.delete(this);
    this.#changed.resolve();
    return { value: undefined, done: true };
  }
}

/**
 * FAKE tokens: `ada` is the user ada, `ada+service+admin` has scopes, `ada@<epoch ms>` runs out then;
 * `expired`, `bad` and `down` fail as their names say.
 */
export const verifyFakeToken: TokenVerifier['verify'] = async (token) => {
  if (!token) throw new TokenError('missing', 'There is no token.');
  if (token === 'expired') throw new TokenError('expired', 'The token has run out.');
  if (token === 'bad') throw new TokenError('invalid', 'The token is not valid.');
  if (token === 'down') throw new Error('The keys are out of reach');
  const [name = '', until] = token.split('~');
  const [userId = '', ...scopes] = name.split('+');
  const viewer: Viewer = {
    userId,
    scopes: new Set(scopes),
    tokenExpiresAt: until === undefined ? Date.now() + 3_600_000 : Number(until),
  };
  return viewer;
};

/** What the server logged and counted. */
export class Observed {
  readonly errors: unknown[] = [];
  readonly warnings: unknown[] = [];
  sockets = 0;
  internalErrors = 0;
  readonly logger = {
    debug: () => {},
    error: (...args: unknown[]) => this.errors.push(args),
    warn: (message: string) => this.warnings.push(message),
  } as unknown as Pick<Logger, 'debug' | 'error' | 'warn'>;
  readonly metrics = {
    socketOpened: () => void this.sockets++,
    socketClosed: () => void this.sockets--,
    internalError: () => void this.internalErrors++,
  };
}

/** The real HTTP server on fake services, on a port of its own. */
export async function startFakeServer(overrides: Partial<HttpServerDeps> = {}) {
  const fake = new FakeServices();
  const observed = new Observed();
  const server = createHttpServer({
    services: fake.services,
    verify: verifyFakeToken,
    knowsToken: () => false,
    ready: async () => ({ ok: true, degraded: false, reasons: [] }),
    logger: observed.logger,
    metrics: observed.metrics,
    observer: null,
    now: Date.now,
    allowedOrigins: [],
    maxConnections: 1_000,
    maxConnectionsPerUser: 1_000,
    maxConnectionsPerAddress: 1_000,
    trustedProxies: [],
    rates: UNLIMITED,
    addressKey: null,
    introspection: true,
    graphiql: true,
    trustedDocuments: null,
    demo: null,
    ...overrides,
  });
  const port = await server.listen(0, '127.0.0.1');
  return { fake, observed, url: `http://127.0.0.1:${port}`, port, close: () => server.close() };
}

export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>;
