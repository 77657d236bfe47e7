import { ConnectionError, RequestError } from './errors.ts';
import type { RejectionCode, SendSignalInput, SendSignalMutation, SignalInput } from './generated/graphql.ts';

/** The signals that this page sends in a call: numbered, several under way at a time, none given up. */

/** The recipient or the sender has left, or another device has the seat: the call's events say so. */
const OVERTAKEN: ReadonlySet<RejectionCode> = new Set([
  'RECIPIENT_NOT_IN_CALL',
  'STALE_SESSION',
  'NOT_IN_CALL',
  'CALL_ENDED',
  'CALL_NOT_FOUND',
  'NOT_A_MEMBER',
  'NOT_INVITED',
]);
/** Nothing is wrong with the signal: the same one, under its number, a little later. */
const LATER: ReadonlySet<RejectionCode> = new Set(['SIGNALING_UNAVAILABLE', 'RATE_LIMITED', 'TIMEOUT']);
/** The same of errors. */
const PASSING: ReadonlySet<string> = new Set(['INTERNAL_SERVER_ERROR', 'TIMEOUT', 'RATE_LIMITED']);
/** Milliseconds between two tries; the pause doubles. */
const PAUSE = { first: 250, longest: 2_000 };
/**
 * How far a number may be ahead of the oldest that is not taken. The server remembers the last 256: one that
 * was refused for a while must not fall below them while those after it are taken.
 */
const AHEAD = 200;

export interface SignalOutboxOptions {
  readonly callId: string;
  readonly sessionId: string;
  /** Resolves with the server's answer, however many sockets that takes. */
  readonly send: (input: SendSignalInput) => Promise<SendSignalMutation['sendSignal']>;
  /** A refusal that sending again does not help. */
  readonly failed: (error: Error) => void;
}

export class SignalOutbox {
  readonly #options: SignalOutboxOptions;
  #clientSeq = 0;
  /** To be sent, in the order of their numbers: after the pause, or when older ones are taken. */
  #waiting: SendSignalInput[] = [];
  /** The numbers that are under way. */
  readonly #sent = new Set<number>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #pause = PAUSE.first;
  #closed = false;

  constructor(options: SignalOutboxOptions) {
    this.#options = options;
  }

  push(to: string, toJoinSeq: number, signal: SignalInput): void {
    const { callId, sessionId } = this.#options;
    this.#clientSeq += 1;
    this.#waiting.push({ callId, sessionId, to, toJoinSeq, clientSeq: this.#clientSeq, signal });
    this.#sendWaiting();
  }

  /** There is a connection again: what the end of the last one kept goes now. */
  resume(): void {
    this.#sendWaiting();
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #send(input: SendSignalInput): Promise<void> {
    try {
      const result = await this.#options.send(input);
      this.#sent.delete(input.clientSeq);
      if (this.#closed) return;
      if (result.__typename === 'SendSignalSuccess') this.#pause = PAUSE.first;
      else if (LATER.has(result.code)) return this.#later(input, result.retryAfterMs);
      else if (!OVERTAKEN.has(result.code)) {
        this.#options.failed(new RequestError(result.code, result.message));
      }
    } catch (error) {
      this.#sent.delete(input.clientSeq);
      if (this.#closed) return;
      // Until the app connects again.
      if (error instanceof ConnectionError) return this.#keep(input);
      // The server's own fault may pass, and its database may come back.
      if (error instanceof RequestError && PASSING.has(error.code)) return this.#later(input, null);
      this.#options.failed(error as Error);
    }
    this.#sendWaiting();
  }

  #keep(input: SendSignalInput): void {
    this.#waiting.push(input);
    this.#waiting.sort((one, other) => one.clientSeq - other.clientSeq);
  }

  /** Not during a pause, and none too far ahead of one that is not taken. */
  #sendWaiting(): void {
    while (this.#timer === null && this.#waiting.length > 0) {
      const [next] = this.#waiting as [SendSignalInput];
      if (next.clientSeq > Math.min(next.clientSeq, ...this.#sent) + AHEAD) return;
      this.#waiting.shift();
      this.#sent.add(next.clientSeq);
      void this.#send(next);
    }
  }

  #later(input: SendSignalInput, retryAfterMs: number | null): void {
    this.#keep(input);
    if (this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#sendWaiting();
      },
      Math.max(this.#pause, retryAfterMs ?? 0),
    );
    this.#pause = Math.min(this.#pause * 2, PAUSE.longest);
  }
}
