import type { Call } from './call.ts';
import { Emitter } from './events.ts';
import type { CallPartsFragment, IncomingCallsSubscription, RingStopReason } from './generated/graphql.ts';
import type { LocalMedia } from './media/local-media.ts';

/** What rings for the user, on this page. */

/** What can be done about a ring. */
interface Actions {
  answer(call: IncomingCall, media: LocalMedia | null): Promise<Call>;
  decline(call: IncomingCall, busy: boolean): Promise<void>;
}

/** A call that rings for the user. */
export class IncomingCall {
  /** The call as it was when it rang; the call's id, its caller and everyone invited are in it. */
  readonly info: CallPartsFragment;
  readonly #actions: Actions;

  /** Apps get these from `incomingCalls`. */
  constructor(info: CallPartsFragment, actions: Actions) {
    this.info = info;
    this.#actions = actions;
  }

  /** The call's id. */
  get id(): string {
    return this.info.id;
  }

  /** Who started it. */
  get callerId(): string {
    return this.info.callerId;
  }

  /** In which conversation. */
  get conversationId(): string {
    return this.info.conversationId;
  }

  /** What the caller asked for. It forbids no track. */
  get type(): 'AUDIO' | 'VIDEO' {
    return this.info.type;
  }

  /**
   * Joins the call. Rejects with a RejectionError: ALREADY_IN_CALL (another device answered), CALL_EXPIRED,
   * CALL_ENDED, CALL_FULL.
   */
  answer({ media = null }: { readonly media?: LocalMedia | null } = {}): Promise<Call> {
    return this.#actions.answer(this, media);
  }

  /** Stops the ring on all of the user's devices. `busy` tells the caller that there is another call. */
  decline({ busy = false }: { readonly busy?: boolean } = {}): Promise<void> {
    return this.#actions.decline(this, busy);
  }
}

export interface IncomingEvents {
  /** One began to ring. */
  incomingCall: IncomingCall;
  /** One stopped by itself: not for being answered or declined from this page. */
  ringStopped: {
    readonly call: IncomingCall;
    /** Null: it stopped while there was no connection, and nobody can say why any more. */
    readonly reason: RingStopReason | null;
  };
  /** All that ring, after each change. */
  incomingCalls: readonly IncomingCall[];
}

type Event = IncomingCallsSubscription['incomingCalls'];

/** Milliseconds past a ring's deadline, until which the server would have said so. */
const LATE = 5_000;

export class IncomingCalls extends Emitter<IncomingEvents> {
  readonly #actions: Actions;
  #ringing: readonly IncomingCall[] = [];
  /** Being answered or declined from here: the stop of the ring is no news to this page. */
  readonly #silent = new Set<(call: IncomingCall) => boolean>();
  /** For a ring whose end nobody tells: the connection may be lost for longer than it rings. */
  readonly #deadlines = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(actions: Actions) {
    super();
    this.#actions = actions;
  }

  /** In the order in which they began to ring; a new array after each change. */
  get ringing(): readonly IncomingCall[] {
    return this.#ringing;
  }

  receive(event: Event): void {
    switch (event.__typename) {
      case 'IncomingSnapshot':
        this.#replace(event.calls, event.at);
        break;
      case 'CallRinging':
        this.#ring(event.call, event.at);
        break;
      case 'RingStopped':
        this.#stop(event.call.id, event.reason);
        break;
    }
  }

  /** As long as `work` takes, rings like these are answered or declined from here. */
  async during<Result>(like: (call: IncomingCall) => boolean, work: Promise<Result>): Promise<Result> {
    this.#silent.add(like);
    try {
      return await work;
    } finally {
      this.#silent.delete(like);
    }
  }

  /** It rings here no more. */
  forget(callId: string): void {
    if (!this.#ringing.some(({ id }) => id === callId)) return;
    this.#set(this.#ringing.filter(({ id }) => id !== callId));
  }

  /** There is no connection any more that would tell of their end. */
  clear(): void {
    for (const { id } of this.#ringing) this.#stop(id, null);
  }

  #replace(calls: readonly CallPartsFragment[], at: string): void {
    const now = new Set(calls.map(({ id }) => id));
    for (const { id } of this.#ringing) if (!now.has(id)) this.#stop(id, null);
    for (const call of calls) this.#ring(call, at);
  }

  #ring(info: CallPartsFragment, at: string): void {
    const deadlines = info.participants.map(({ ringDeadline }) => Date.parse(ringDeadline ?? at));
    // By the server's clock: this page's may be wrong.
    const lasts = Math.max(...deadlines) - Date.parse(at) + LATE;
    clearTimeout(this.#deadlines.get(info.id));
    this.#deadlines.set(
      info.id,
      setTimeout(() => this.#stop(info.id, null), lasts),
    );
    // Known, and rung anew perhaps, while there was no connection: then only its end is another.
    if (this.#ringing.some(({ id }) => id === info.id)) return;
    const call = new IncomingCall(info, this.#actions);
    this.#set([...this.#ringing, call]);
    this.emit('incomingCall', call);
  }

  #stop(callId: string, reason: RingStopReason | null): void {
    const call = this.#ringing.find(({ id }) => id === callId);
    if (call === undefined) return;
    this.#set(this.#ringing.filter((other) => other !== call));
    const isSilent = [...this.#silent].some((like) => like(call));
    if (!isSilent) this.emit('ringStopped', { call, reason });
  }

  #set(ringing: readonly IncomingCall[]): void {
    for (const { id } of this.#ringing) {
      if (ringing.some((other) => other.id === id)) continue;
      clearTimeout(this.#deadlines.get(id));
      this.#deadlines.delete(id);
    }
    this.#ringing = ringing;
    this.emit('incomingCalls', ringing);
  }
}
