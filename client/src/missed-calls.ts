import { Emitter } from './events.ts';

/** How many calls the user has missed and not seen, kept up to date once somebody wants to know. */

export interface MissedCallsEvents {
  count: number;
}

export class MissedCalls extends Emitter<MissedCallsEvents> {
  readonly #ask: () => Promise<number>;
  #count: number | null = null;
  #watched = false;
  /** Counts questions: the answer to an older one is no news. */
  #asked = 0;

  constructor(ask: () => Promise<number>) {
    super();
    this.#ask = ask;
  }

  get count(): number | null {
    return this.#count;
  }

  watch(): void {
    if (this.#watched) return;
    this.#watched = true;
    this.check();
  }

  /** It may have changed. */
  check(): void {
    if (!this.#watched) return;
    const turn = ++this.#asked;
    this.#ask().then(
      (count) => {
        if (turn === this.#asked) this.set(count);
      },
      // It is asked again when there is a connection.
      () => {},
    );
  }

  /** As the server has just said. */
  set(count: number): void {
    this.#asked++;
    if (count === this.#count) return;
    this.#count = count;
    this.emit('count', count);
  }
}
