import type { Sink } from './connection.ts';
import { ConnectionError, RequestError } from './errors.ts';
import type { CallEventsSubscription } from './generated/graphql.ts';

/** The events of one call, which hold the seat: once each and in order, over however many sockets. */

export type CallEvent = CallEventsSubscription['callEvents'];

/** The seat, or the call, is gone; opening the stream again would not bring it back. */
export type Loss =
  | 'CALL_NOT_FOUND'
  | 'NOT_A_MEMBER'
  | 'NOT_INVITED'
  | 'CALL_ENDED'
  | 'NOT_IN_CALL'
  | 'STALE_SESSION';

const LOSSES: readonly string[] = [
  'CALL_NOT_FOUND',
  'NOT_A_MEMBER',
  'NOT_INVITED',
  'CALL_ENDED',
  'NOT_IN_CALL',
  'STALE_SESSION',
] satisfies Loss[];

/** Milliseconds before it is opened again; the pause doubles, and the grace is longer than the longest. */
const PAUSE = { first: 250, longest: 4_000 };

export interface CallStreamOptions {
  /** `after`: asked at each opening. */
  readonly subscribe: (after: () => string | null, sink: Sink<CallEvent>) => () => void;
  readonly receive: (event: CallEvent) => void;
  readonly lost: (why: Loss) => void;
}

export class CallStream {
  readonly #options: CallStreamOptions;
  /** The last one seen. */
  #cursor: string | null = null;
  #end: (() => void) | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pause = PAUSE.first;

  constructor(options: CallStreamOptions) {
    this.#options = options;
  }

  /** Does nothing where it is open. */
  open(): void {
    if (this.#end !== null) return;
    clearTimeout(this.#timer);
    this.#end = this.#options.subscribe(() => this.#cursor, {
      next: (event) => {
        this.#cursor = event.cursor;
        this.#pause = PAUSE.first;
        this.#options.receive(event);
      },
      over: (error) => this.#over(error),
    });
  }

  /** A new seat has a new log: the next stream starts at its join. */
  startAnew(): void {
    this.close();
    this.#cursor = null;
    this.open();
  }

  /** Opens it again after a pause, for what it was lost for may have passed. */
  retry(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, PAUSE.longest);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#end?.();
    this.#end = null;
  }

  #over(error: Error | null): void {
    this.#end = null;
    // Until the app connects again: open() is called then.
    if (error instanceof ConnectionError) return;
    if (error instanceof RequestError) {
      if (LOSSES.includes(error.code)) {
        this.#options.lost(error.code as Loss);
        return;
      }
      // A cursor that the server can't read: from the join, then, and a snapshot says what is missing.
      if (error.code === 'BAD_USER_INPUT') this.#cursor = null;
    }
    this.retry();
  }
}
