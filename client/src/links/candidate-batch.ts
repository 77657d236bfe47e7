import type { IceCandidateInput } from '../generated/graphql.ts';

/** Candidates on their way out: a few signals instead of one each. */

/** Milliseconds that candidates wait for more: the first ones, which are the likeliest to be used, not long. */
const WAIT = { first: 100, later: 500 };
/** As many as a signal may hold. */
const MOST = 32;

export class CandidateBatch {
  readonly #send: (items: IceCandidateInput[], generation: number) => void;
  #items: IceCandidateInput[] = [];
  #generation = 0;
  #held = false;
  #wait = WAIT.first;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(send: (items: IceCandidateInput[], generation: number) => void) {
    this.#send = send;
  }

  /** A description of this generation is being made: what comes until `release` stands in its SDP. */
  hold(generation: number): void {
    this.flush();
    this.#generation = generation;
    this.#held = true;
  }

  /** The description was sent: what comes now follows it. */
  release(): void {
    this.#held = false;
    this.#wait = WAIT.first;
  }

  add(candidate: IceCandidateInput): void {
    if (this.#held) return;
    this.#items.push(candidate);
    if (this.#items.length === MOST) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#wait);
  }

  /** No more candidates of this generation (RFC 8838 section 8). */
  end(): void {
    // All media share one transport (BUNDLE), so the end of the first line's candidates is the end of all.
    this.add({ candidate: '', sdpMLineIndex: 0 });
    this.flush();
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#items.length === 0) return;
    this.#wait = WAIT.later;
    this.#send(this.#items.splice(0), this.#generation);
  }

  /** What waits is dropped. */
  close(): void {
    this.#items = [];
    this.flush();
  }
}
