import { type Client, GraphQLFailure } from './client.ts';
import type { RejectionCode, SendSignalInput, SignalInput } from './generated/graphql.ts';
import { SendSignal } from './operations.ts';

/** The signals that one session sends: numbered, several at a time, and again after a lost answer. */

/** The recipient or the sender has left, or another device has the seat: the events say so. */
const OVERTAKEN: ReadonlySet<RejectionCode> = new Set([
  'RECIPIENT_NOT_IN_CALL',
  'STALE_SESSION',
  'NOT_IN_CALL',
  'CALL_ENDED',
]);

export interface OutboxOptions {
  readonly callId: string;
  readonly sessionId: string;
  /** The server has it. */
  readonly taken: (input: SendSignalInput, duplicate: boolean) => void;
  /** A refusal that sending again does not help. */
  readonly failed: (error: unknown) => void;
}

export class SignalOutbox {
  readonly #options: OutboxOptions;
  #client: Client | null;
  #clientSeq = 0;
  /** Sent and not answered, oldest first. */
  readonly #unanswered = new Set<SendSignalInput>();

  constructor(client: Client, options: OutboxOptions) {
    this.#client = client;
    this.#options = options;
  }

  get unanswered(): number {
    return this.#unanswered.size;
  }

  push(to: string, toJoinSeq: number, signal: SignalInput): void {
    const { callId, sessionId } = this.#options;
    this.#clientSeq += 1;
    const input = { callId, sessionId, to, toJoinSeq, clientSeq: this.#clientSeq, signal };
    this.#unanswered.add(input);
    this.#send(input);
  }

  /** The socket is gone: signals wait for the next one. */
  detach(): void {
    this.#client = null;
  }

  /** Whatever has no answer is sent again, in its order and under its old number. */
  attach(client: Client): void {
    this.#client = client;
    for (const input of this.#unanswered) this.#send(input);
  }

  async #send(input: SendSignalInput): Promise<void> {
    const client = this.#client;
    if (client === null) return;
    try {
      const { sendSignal: result } = await client.mutate(SendSignal, { input });
      // An answer that comes after all, when it is being sent again on another socket.
      if (!this.#unanswered.delete(input)) return;
      if (result.__typename === 'SendSignalSuccess') this.#options.taken(input, result.duplicate);
      else if (!OVERTAKEN.has(result.code)) {
        this.#options.failed(new Error(`${result.code}: ${result.message}`));
      }
    } catch (error) {
      // The answer is lost with the socket: it stays for attach().
      if (error instanceof GraphQLFailure) {
        this.#unanswered.delete(input);
        this.#options.failed(error);
      }
    }
  }
}
