import { createElement, StrictMode, useEffect } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { type CallState, viewOf, withParticipant } from '../../../../client/src/call-state.ts';
import type {
  CallPartsFragment,
  ParticipantPartsFragment,
} from '../../../../client/src/generated/graphql.ts';
import {
  type Call,
  type CallEvents,
  Emitter,
  type IncomingCall,
  LocalMedia,
  Ringdown,
  type RingdownEvents,
} from '../../../../client/src/index.ts';
import * as hooks from '../../../../client/src/react/index.ts';

/**
 * The SDK's hooks in a page, under React's StrictMode. What they look at is the SDK's own where it does without
 * a server. FakeRingdown and FakeCall are stand-ins: they have the state and the events of the real ones.
 */

declare global {
  interface Window {
    hooksLab: HooksLab;
  }
}

/** Anything of the SDK that can be listened to. */
interface Source {
  on(name: never, listener: never): () => void;
}

const AT = '2026-01-01T00:00:00.000Z';

function participant(userId: string, news: Partial<ParticipantPartsFragment> = {}): ParticipantPartsFragment {
  return {
    id: `call:${userId}`,
    userId,
    role: userId === 'ada' ? 'HOST' : 'GUEST',
    status: 'CONNECTED',
    sessionId: userId,
    joinSeq: 1,
    invitedAt: AT,
    ringDeadline: null,
    declinedBusy: false,
    joinedAt: AT,
    leftAt: null,
    leaveReason: null,
    media: { muted: false, videoOn: true, screenOn: false },
    ...news,
  };
}

const CALL: CallPartsFragment = {
  id: 'call',
  conversationId: 'room',
  type: 'VIDEO',
  status: 'ACTIVE',
  version: 1,
  callerId: 'ada',
  createdAt: AT,
  answeredAt: AT,
  expiresAt: AT,
  endedAt: null,
  endReason: null,
  endedBy: null,
  durationSeconds: null,
  participants: [participant('ada'), participant('ben'), participant('cleo')],
};

/** Ada's call with Ben and Cleo. */
export class FakeCall extends Emitter<CallEvents> {
  #call = CALL;
  state: CallState = this.#view(null);

  /** Somebody mutes, or unmutes, or comes. */
  change(userId: string): void {
    const known = this.#call.participants.find((other) => other.userId === userId);
    const media = { muted: known ? !known.media.muted : false, videoOn: true, screenOn: false };
    this.#call = withParticipant(this.#call, participant(userId, { media }), this.#call.version + 1);
    this.state = this.#view(this.state);
    this.emit('change', this.state);
  }

  #view(before: CallState | null): CallState {
    return viewOf(this.#call, 'ada', new Map(), { over: null, signaling: 'connected' }, before);
  }

  get real(): Call {
    return this as unknown as Call;
  }
}

export class FakeRingdown extends Emitter<RingdownEvents> {
  incomingCalls: readonly IncomingCall[] = [];
  calls: readonly Call[] = [];

  ring(): void {
    this.incomingCalls = [...this.incomingCalls, {} as IncomingCall];
    this.emit('incomingCalls', this.incomingCalls);
  }

  enter(): void {
    this.calls = [...this.calls, {} as Call];
    this.emit('calls', this.calls);
  }

  get real(): Ringdown {
    return this as unknown as Ringdown;
  }
}

/** A component that looks by a hook, and what it saw. */
export interface Probe<Value> {
  /** Each time that it was rendered and shown, since it was there first. */
  readonly seen: Value[];
  readonly now: Value;
  /** Looks by another hook, or at another thing, from now on. */
  look(other: () => Value): void;
  unmount(): void;
}

export class HooksLab {
  readonly hooks = hooks;
  readonly FakeCall = FakeCall;
  readonly FakeRingdown = FakeRingdown;
  readonly LocalMedia = LocalMedia;
  /** Rejections that nobody has caught. */
  readonly #uncaught: string[] = [];

  constructor() {
    window.addEventListener('unhandledrejection', ({ reason }) => this.#uncaught.push(String(reason)));
  }

  /** The browser tells them in their order: so all of them were told once one more was. */
  async uncaught(): Promise<string[]> {
    const last = new Error('The last one');
    const told = new Promise<void>((resolve) => {
      const listen = (event: PromiseRejectionEvent) => {
        if (event.reason !== last) return;
        event.preventDefault();
        window.removeEventListener('unhandledrejection', listen);
        resolve();
      };
      window.addEventListener('unhandledrejection', listen);
    });
    void Promise.reject(last);
    await told;
    return this.#uncaught.filter((reason) => reason !== String(last));
  }

  /** A real one, on its way to a server for as long as nobody closes it: it gets no token. */
  ringdown(): Ringdown {
    return new Ringdown({ url: location.origin, token: () => new Promise<string>(() => {}) });
  }

  /** Counts who listens, from now on. */
  listeners(source: Source): () => number {
    let count = 0;
    const on = source.on.bind(source);
    source.on = (name, listener) => {
      const stop = on(name, listener);
      count += 1;
      let stopped = false;
      return () => {
        if (!stopped) count -= 1;
        stopped = true;
        stop();
      };
    };
    return () => count;
  }

  probe<Value>(look: () => Value): Probe<Value> {
    const root = createRoot(document.createElement('div'));
    const seen: Value[] = [];
    let now!: Value;
    function Probing({ useIt }: { readonly useIt: () => Value }) {
      const value = useIt();
      useEffect(() => {
        now = value;
        seen.push(value);
      });
      return null;
    }
    const render = (useIt: () => Value) =>
      flushSync(() => root.render(createElement(StrictMode, null, createElement(Probing, { useIt }))));
    render(look);
    // Else nothing is tested: only a development build of React is strict, and runs what is new twice.
    if (seen.length !== 2) throw new Error(`React is not strict: ${seen.length}`);
    seen.length = 0;
    return {
      seen,
      get now() {
        return now;
      },
      look: render,
      unmount: () => flushSync(() => root.unmount()),
    };
  }

  /** A `<video>` in the page that shows what it is given, by the hook. */
  video(first: MediaStream | null) {
    const place = document.createElement('div');
    document.body.append(place);
    const root = createRoot(place);
    function Face({ stream }: { readonly stream: MediaStream | null }) {
      return createElement('video', { ref: hooks.useMediaStream(stream), muted: true, playsInline: true });
    }
    /** Another `key` is another component, in the place of the last one. */
    const show = (stream: MediaStream | null, key = 'one') =>
      flushSync(() => root.render(createElement(StrictMode, null, createElement(Face, { stream, key }))));
    show(first);
    return {
      show,
      get element() {
        return place.querySelector('video')!;
      },
      unmount() {
        flushSync(() => root.unmount());
        place.remove();
      },
    };
  }

  /** A picture to be shown. */
  stream(): MediaStream {
    const canvas = document.createElement('canvas');
    canvas.getContext('2d');
    return canvas.captureStream(5);
  }

  /** What React does in answer is done when this returns. */
  flush(change: () => void): void {
    flushSync(change);
  }

  async until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error(`Waited in vain: ${holds}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

window.hooksLab = new HooksLab();
