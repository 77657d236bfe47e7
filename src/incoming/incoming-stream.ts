import type { CallView } from '../calls/call-view.ts';
import type { IncomingCallEvent, RingStopReason } from '../graphql/services.ts';

/**
 * One device's incomingCalls. What it is told follows from two views of a call: the last one it knows and
 * a newer one. So a view may come twice, late or by another way, and the device hears each ring once.
 */

/** Events that wait to be taken; past that the stream starts over with a snapshot. */
const WAITING_LIMIT = 256;
/** Calls whose version is remembered, so that a late view can't make them ring again. */
const REMEMBERED = 256;

export class IncomingStream implements AsyncIterableIterator<IncomingCallEvent> {
  readonly userId: string;
  readonly #onClose: () => void;
  /** Starts over: asked for when more waits than is kept. */
  readonly #resync: () => void;
  #waiting: IncomingCallEvent[] = [];
  readonly #known = new Map<string, { version: number; ringing: boolean }>();
  #wake: (() => void) | null = null;
  #closed = false;
  /** Until the first snapshot is there, views wait. */
  #early: { call: CallView; at: number }[] | null = [];

  constructor(userId: string, onClose: () => void, resync: () => void) {
    this.userId = userId;
    this.#onClose = onClose;
    this.#resync = resync;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Calls that the client shows as ringing. */
  get ringing(): string[] {
    return [...this.#known].filter(([, known]) => known.ringing).map(([callId]) => callId);
  }

  /** From now on views wait for the snapshot that is about to be read: it may be older than they are. */
  hold(): void {
    this.#early ??= [];
  }

  /** Replaces what the client shows. A call of which the ring has just stopped may be among them. */
  snapshot(calls: readonly CallView[], at: number): void {
    for (const known of this.#known.values()) known.ringing = false;
    for (const call of calls) this.#remember(call, isRung(call, this.userId));
    this.#waiting = [];
    const ringing = calls.filter((call) => isRung(call, this.userId));
    this.#push({ __typename: 'IncomingSnapshot', calls: ringing, at });
    const early = this.#early ?? [];
    this.#early = null;
    for (const { call, at: seen } of early) this.see(call, seen);
  }

  /** A newer view of a call in which the user is, or was, rung. */
  see(call: CallView, at: number): void {
    if (this.#early) {
      this.#early.push({ call, at });
      return;
    }
    const known = this.#known.get(call.id);
    if (known && known.version >= call.version) return;
    const ringing = isRung(call, this.userId);
    this.#remember(call, ringing);
    if (ringing === (known?.ringing ?? false)) return;
    if (ringing) this.#push({ __typename: 'CallRinging', call, at });
    else this.#push({ __typename: 'RingStopped', call, at, reason: stopReason(call, this.userId) });
  }

  #remember(call: CallView, ringing: boolean): void {
    this.#known.delete(call.id);
    this.#known.set(call.id, { version: call.version, ringing });
    if (this.#known.size <= REMEMBERED) return;
    for (const [callId, known] of this.#known) {
      if (known.ringing) continue;
      this.#known.delete(callId);
      return;
    }
  }

  #push(event: IncomingCallEvent): void {
    if (this.#waiting.length >= WAITING_LIMIT) {
      this.hold();
      this.#waiting = [];
      this.#resync();
      return;
    }
    this.#waiting.push(event);
    this.#wake?.();
    this.#wake = null;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<IncomingCallEvent, undefined>> {
    while (!this.#closed) {
      const event = this.#waiting.shift();
      if (event) return { value: event, done: false };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return { value: undefined, done: true };
  }

  async return(): Promise<IteratorResult<IncomingCallEvent, undefined>> {
    this.close();
    return { value: undefined, done: true };
  }

  async throw(error: unknown): Promise<IteratorResult<IncomingCallEvent, undefined>> {
    this.close();
    throw error;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.();
    this.#wake = null;
    this.#onClose();
  }
}

function isRung(call: CallView, userId: string): boolean {
  return call.participants.some((p) => p.userId === userId && p.status === 'RINGING' && !p.silenced);
}

/** Why a ring stopped, as this user's device should say it. */
export function stopReason(call: CallView, userId: string): RingStopReason {
  const me = call.participants.find((p) => p.userId === userId);
  if (me?.sessionId != null) return 'ANSWERED_ELSEWHERE';
  if (me?.status === 'DECLINED') return 'DECLINED_ELSEWHERE';
  const takenBack = me?.leaveReason === 'REMOVED' || me?.leaveReason === 'MEMBERSHIP_LOST';
  if (call.endReason === 'CANCELLED' || takenBack) return 'CANCELLED';
  if (me?.status === 'MISSED' && (call.endReason === null || call.endReason === 'NO_ANSWER'))
    return 'NO_ANSWER';
  return 'ENDED';
}
