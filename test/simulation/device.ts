import type { Viewer } from '../../src/auth/viewer.ts';
import type { CallView, ParticipantView } from '../../src/calls/call-view.ts';
import { REJECTION_CODES, type Rejection, type RejectionCode } from '../../src/errors.ts';
import type {
  CallEvent,
  IncomingCallEvent,
  Result,
  Services,
  SocketLink,
} from '../../src/graphql/services.ts';
import { elapsed, running } from './clock.ts';
import type { Instance } from './instance.ts';
import type { Scheduler } from './scheduler.ts';

/** One device of a user: its socket, its session in a call, the streams that it reads. */

export function viewerOf(userId: string): Viewer {
  return { userId, scopes: new Set(), tokenExpiresAt: Number.MAX_SAFE_INTEGER };
}

/** The socket was lost before the answer came: what became of the request the client does not know. */
class Lost extends Error {}

export interface Received {
  readonly event: CallEvent;
  readonly step: number;
}

/** A signal as its sender has it. */
export interface Outgoing {
  readonly number: number;
  readonly callId: string;
  readonly from: string;
  readonly sessionId: string;
  readonly clientSeq: number;
  readonly to: string | null;
  readonly toJoinSeq: number | null;
  /** The step at which the sender was told that it was taken. */
  acceptedAt: number | null;
}

/** What a client lets pass before it sends a signal again, milliseconds: the SDK's first pause. */
const SENT_AGAIN_AFTER = 250;
/** The cursor of a last word, from which nothing is resumed. */
export const NOWHERE = '0.~';

/** One entry into a call, as the client has it. */
export class Session {
  readonly id: string;
  readonly userId: string;
  readonly callId: string;
  joinSeq: number | null = null;
  cursor: string | null = null;
  clientSeq = 0;
  readonly outbox: Outgoing[] = [];
  sending = false;
  stream: 'none' | 'opening' | 'open' = 'none';
  /** The attempt to open it that counts. */
  opening: object | null = null;
  /** The step at which the client knew of its seat. */
  readonly begunAt: number;
  /** The client has no more to do with it. */
  over = false;
  /** It has all that will ever come: it read its stream to a last word, or has all that there is. */
  completed = false;
  readonly received: Received[] = [];
  /** The call as an app would show it from the stream alone. */
  call: CallView | null = null;

  constructor(id: string, userId: string, callId: string, begunAt: number) {
    this.begunAt = begunAt;
    this.id = id;
    this.userId = userId;
    this.callId = callId;
  }

  /** The call is over, or its seat is another's. */
  get hasHeardItsEnd(): boolean {
    const me = this.call?.participants.find(({ userId }) => userId === this.userId);
    return this.call?.status === 'ENDED' || (me !== undefined && me.joinSeq !== this.joinSeq);
  }

  /** It came back when it was over, or its seat gone: then it is told that, and no more. */
  wasLate = false;

  take(event: CallEvent, step: number): void {
    this.received.push({ event, step });
    this.cursor = event.cursor;
    if ('call' in event) this.call = event.call;
    else if (event.__typename === 'ParticipantChanged' && this.call) {
      const { participant, version } = event;
      this.call = { ...this.call, version, participants: withChange(this.call.participants, participant) };
    }
    const anew = event.__typename === 'CallSnapshot' || event.cursor === NOWHERE;
    if (anew && this.hasHeardItsEnd) this.wasLate = true;
    if (event.__typename === 'CallEnded') this.over = true;
  }
}

export function withChange(
  participants: readonly ParticipantView[],
  changed: ParticipantView,
): readonly ParticipantView[] {
  const known = participants.some(({ userId }) => userId === changed.userId);
  return known
    ? participants.map((old) => (old.userId === changed.userId ? changed : old))
    : [...participants, changed];
}

interface Socket extends SocketLink {
  readonly instance: Instance;
  open: boolean;
  /** What the server writes is not read. */
  slow: boolean;
  readonly waiting: Set<(error: Error) => void>;
  readonly streams: Set<AsyncIterator<unknown>>;
}

export interface DeviceDeps {
  readonly scheduler: Scheduler;
  /** An instance that takes sockets; null where none does. */
  readonly instance: () => Instance | null;
  readonly onRejection: (code: RejectionCode) => void;
  /** A success that shows a call. */
  readonly onCall: (what: string, call: CallView) => void;
  readonly onViolation: (what: string) => void;
  readonly onTrace: (line: string) => void;
}

/** The session has no seat any more, whatever it asks. */
const FINAL = new Set<string>([
  'STALE_SESSION',
  'NOT_IN_CALL',
  'CALL_ENDED',
  'CALL_EXPIRED',
  'NOT_INVITED',
  'NOT_A_MEMBER',
  'CALL_NOT_FOUND',
]);
/** Errors of a subscription or a read that a client may meet while something is broken. */
const PASSING = new Set(['DatabaseTimeout', 'DatabaseUnavailable', 'LogUnavailable']);

export class Device {
  readonly userId: string;
  readonly name: string;
  readonly #deps: DeviceDeps;
  /** Sockets that are gone, of which the server has not noticed it, with what it does when it does. */
  readonly #halfOpen = new Map<Socket, () => void>();
  #socket: Socket | null = null;
  session: Session | null = null;
  readonly sessions: Session[] = [];
  /** Calls that ring on it; null while it does not listen. */
  rings: Map<string, CallView> | null = null;
  listens = false;
  /** The attempt to listen that counts; an older one, of a socket that is gone, does not. */
  #listening: object | null = null;
  #tending = false;
  gone = false;
  pausedUntil = 0;

  constructor(userId: string, name: string, deps: DeviceDeps) {
    this.userId = userId;
    this.name = name;
    this.#deps = deps;
  }

  // --- the socket ---

  #connect(): Socket | null {
    if (this.#socket?.open) return this.#socket;
    const instance = this.#deps.instance();
    if (instance === null) return null;
    const socket: Socket = {
      instance,
      open: true,
      slow: false,
      waiting: new Set(),
      streams: new Set(),
      unsentBytes: () => (socket.slow ? 2_000_000 : 0),
      // The server's doing, and the client's time that follows.
      close: () => running.exit(() => this.#lose(socket, 0)),
    };
    this.#socket = socket;
    return socket;
  }

  get hasHalfOpenSockets(): boolean {
    return [...this.#halfOpen.keys()].some(({ instance }) => !instance.dead);
  }

  get instance(): Instance | null {
    return this.#socket?.open ? this.#socket.instance : null;
  }

  /** `noticedAfterMs`: how long the server takes to see it. */
  cut(noticedAfterMs: number): void {
    if (this.#socket) this.#lose(this.#socket, noticedAfterMs);
  }

  /** An instance that leaves closes every socket it has, also those of which nobody is at the other end. */
  closedBy(instance: Instance): void {
    if (this.instance === instance) this.cut(0);
    for (const [socket, close] of this.#halfOpen) if (socket.instance === instance) close();
  }

  becomeSlow(): void {
    if (this.#socket) this.#socket.slow = true;
  }

  #lose(socket: Socket, noticedAfterMs: number): void {
    if (!socket.open) return;
    socket.open = false;
    if (this.#socket === socket) this.#socket = null;
    for (const fail of socket.waiting) fail(new Lost());
    socket.waiting.clear();
    const { scheduler } = this.#deps;
    const { instance } = socket;
    let noticed = false;
    const close = () => {
      if (instance.dead || noticed) return;
      noticed = true;
      scheduler.add({
        owner: instance,
        what: `socket of ${this.name} closed`,
        run: () => {
          this.#halfOpen.delete(socket);
          running.run(instance, () => {
            for (const stream of socket.streams) void stream.return?.();
          });
        },
      });
    };
    this.#halfOpen.set(socket, close);
    if (noticedAfterMs === 0) close();
    else setTimeout(close, noticedAfterMs);
    if (this.session?.stream === 'open' || this.session?.stream === 'opening') this.session.stream = 'none';
    this.rings = null;
    this.#listening = null;
    this.#tendSoon();
  }

  /** Asks the server. Rejects with Lost where the socket is lost before the answer. */
  #ask<T>(what: string, ask: (services: Services, socket: Socket) => Promise<T>): Promise<T> {
    const { scheduler, onTrace } = this.#deps;
    const socket = this.#connect();
    if (!socket) return Promise.reject(new Lost());
    return new Promise<T>((resolve, reject) => {
      socket.waiting.add(reject);
      const settle = (how: () => void) => {
        if (socket.waiting.delete(reject)) how();
      };
      scheduler.add({
        owner: socket.instance,
        what: `${this.name} asks ${what}`,
        run: () => {
          const { instance } = socket;
          if (!socket.open) return;
          running
            .run(instance, () => ask(instance.services, socket))
            .then(
              (answer) =>
                settle(() => {
                  onTrace(`${this.name} hears of ${what}: ${brief(answer)}`);
                  resolve(answer);
                }),
              (error: unknown) => settle(() => reject(error as Error)),
            );
        },
      });
    });
  }

  /** A command or a read: null where the client does not know what became of it. */
  async command<T>(what: string, ask: (services: Services) => Promise<Result<T>>): Promise<Result<T> | null> {
    const { onRejection, onCall } = this.#deps;
    try {
      const answer = await this.#ask(what, ask);
      if (isRefusal(answer)) onRejection(answer.rejection.code);
      else if (typeof answer === 'object' && answer !== null && 'call' in answer && answer.call) {
        onCall(`${this.name} ${what}`, answer.call as CallView);
      }
      return answer;
    } catch (error) {
      this.#failed(what, error);
      return null;
    }
  }

  /** Anything but what may happen while something is broken is nothing that a client should ever see. */
  #failed(what: string, error: unknown): string | null {
    if (error instanceof Lost) return null;
    const { name, message } = error as Error;
    const code = (error as { code?: string }).code;
    if (name === 'CodedError' && code !== undefined) {
      if (code in REJECTION_CODES) this.#deps.onRejection(code as RejectionCode);
      return code;
    }
    if (!PASSING.has(name)) this.#deps.onViolation(`${this.name}: ${what} failed with ${name}: ${message}`);
    return null;
  }

  // --- the session and its stream ---

  begin(sessionId: string, callId: string, joinSeq: number | null, cursor: string | null): Session {
    const session = new Session(sessionId, this.userId, callId, this.#deps.scheduler.steps);
    session.joinSeq = joinSeq;
    session.cursor = cursor;
    this.session = session;
    this.sessions.push(session);
    return session;
  }

  #tendSoon(): void {
    if (this.gone || this.#tending) return;
    this.#tending = true;
    setTimeout(
      () => {
        this.#tending = false;
        this.tend();
      },
      this.#deps.scheduler.random.between(1, 400),
    );
  }

  /** Opens what should be open and is not. */
  tend(): void {
    if (this.gone) return;
    const { session } = this;
    if (session && !session.over && session.stream === 'none') void this.#open(session);
    if (session && !session.over) void this.send(session);
    if (this.listens && !this.#listening) void this.#listen();
  }

  async #open(session: Session): Promise<void> {
    const attempt = {};
    session.stream = 'opening';
    session.opening = attempt;
    const args = { callId: session.callId, sessionId: session.id, after: session.cursor };
    let mine: Socket | null = null;
    try {
      const stream = await this.#ask('callEvents', async ({ subscriptions }, socket) => {
        mine = socket;
        const opened = await subscriptions.callEvents(viewerOf(this.userId), args, socket);
        socket.streams.add(opened);
        // A socket that was closed meanwhile closes what is opened on it.
        if (!socket.open) void opened.return?.();
        return opened;
      });
      if (session.opening === attempt) session.stream = 'open';
      await this.#read(session, stream, mine!);
    } catch (error) {
      const code = this.#failed('callEvents', error);
      if (code !== null && FINAL.has(code)) session.over = true;
      if (session.opening === attempt) session.stream = 'none';
      this.#tendSoon();
    }
  }

  async #read(session: Session, stream: AsyncIterator<CallEvent>, socket: Socket): Promise<void> {
    const { scheduler, onTrace } = this.#deps;
    const { instance } = socket;
    for (;;) {
      const pause = this.pausedUntil - scheduler.clock.now;
      if (pause > 0) await elapsed(pause);
      const { value, done } = await running.run(instance, () => stream.next());
      if (!socket.open || instance.dead) return;
      if (done) break;
      // What is on its way stays on it while the instance stalls, and goes with it when it dies.
      onTrace(`${this.name} hears ${brief(value)}`);
      session.take(value, scheduler.steps);
      void this.send(session);
    }
    socket.streams.delete(stream);
    session.completed = session.hasHeardItsEnd && !session.wasLate;
    // Ended by the server without a last word for this session: a newer stream has it, or it is to come back.
    if (session.stream === 'open') session.stream = 'none';
    this.#tendSoon();
  }

  // --- signals ---

  /** One after the other, each under its number until it is answered. */
  async send(session: Session): Promise<void> {
    if (session.sending) return;
    session.sending = true;
    while (session.outbox.length > 0 && !session.over && !this.gone) {
      const signal = session.outbox[0]!;
      const { callId, to, toJoinSeq, clientSeq, number } = signal;
      const answer = await this.command(`sendSignal ${number}`, ({ signals }) =>
        signals.sendSignal(
          viewerOf(this.userId),
          {
            callId,
            sessionId: session.id,
            to,
            toJoinSeq,
            clientSeq,
            signal: { candidates: { items: [{ candidate: '' }], generation: number } },
          },
          null,
        ),
      );
      const refused = answer !== null && 'rejection' in answer ? answer.rejection.code : null;
      if (answer === null || refused === 'SIGNALING_UNAVAILABLE' || refused === 'TIMEOUT') {
        await elapsed(SENT_AGAIN_AFTER);
        continue;
      }
      if (refused === null) signal.acceptedAt = this.#deps.scheduler.steps;
      session.outbox.shift();
    }
    session.sending = false;
  }

  // --- rings ---

  async #listen(): Promise<void> {
    const attempt = {};
    this.#listening = attempt;
    let mine: Socket | null = null;
    try {
      const stream = await this.#ask('incomingCalls', async ({ subscriptions }, socket) => {
        mine = socket;
        const opened = await subscriptions.incomingCalls(viewerOf(this.userId));
        socket.streams.add(opened);
        if (!socket.open) void opened.return?.();
        return opened;
      });
      const socket = mine as unknown as Socket;
      for (;;) {
        const { value, done } = await running.run(socket.instance, () => stream.next());
        if (!socket.open || socket.instance.dead) return;
        if (done) break;
        this.#ring(value);
      }
      socket.streams.delete(stream);
    } catch (error) {
      this.#failed('incomingCalls', error);
    }
    if (this.#listening !== attempt) return;
    this.#listening = null;
    this.rings = null;
    this.#tendSoon();
  }

  #ring(event: IncomingCallEvent): void {
    const { onViolation, onTrace } = this.#deps;
    onTrace(`${this.name} is rung: ${event.__typename}`);
    if (event.__typename === 'IncomingSnapshot') {
      this.rings = new Map(event.calls.map((call) => [call.id, call]));
      return;
    }
    const known = this.rings?.has(event.call.id) ?? false;
    if (event.__typename === 'CallRinging') {
      if (known) onViolation(`${this.name} was told twice that ${event.call.id} rings`);
      this.rings?.set(event.call.id, event.call);
    } else {
      if (!known) onViolation(`${this.name} was told that a ring stopped that it had not heard`);
      this.rings?.delete(event.call.id);
    }
  }
}

export function isRefusal(answer: unknown): answer is { readonly rejection: Rejection } {
  return typeof answer === 'object' && answer !== null && 'rejection' in answer;
}

function brief(value: unknown): string {
  if (isRefusal(value)) return value.rejection.code;
  const event = value as Partial<{ __typename: string; call: CallView; participant: ParticipantView }> | null;
  const who = event?.participant ? ` ${event.participant.userId} ${event.participant.status}` : '';
  const version = event?.call ? ` v${event.call.version} ${event.call.status}` : '';
  const recovered = event && 'recovered' in event ? ` recovered=${event.recovered}` : '';
  const number = (event as { signal?: { generation?: number } } | null)?.signal?.generation;
  return `${event?.__typename ?? 'ok'}${who}${version}${recovered}${number === undefined ? '' : ` #${number}`}`;
}
