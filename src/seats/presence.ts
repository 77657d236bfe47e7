import type { Outage } from '../calls/call.ts';

/** What this instance's heartbeats say about the time in which the database could not be reached. Pure. */
export class Presence {
  readonly #deadAfterMs: number;
  #lastBeat: number | null;
  #outage: Outage | null = null;

  /** `lastBeat`: the newest heartbeat of any instance before this one began, if there was one. */
  constructor(deadAfterMs: number, lastBeat: number | null) {
    this.#deadAfterMs = deadAfterMs;
    this.#lastBeat = lastBeat;
  }

  /** A heartbeat was written. Instants are the database's. */
  beat(at: number): void {
    this.#outage = this.outage(at);
    this.#lastBeat = at;
  }

  /** The latest outage as seen at `now`: one that is just over, or the last one that a heartbeat found over. */
  outage(now: number): Outage | null {
    const from = this.#lastBeat;
    return from !== null && now - from > this.#deadAfterMs ? { from, to: now } : this.#outage;
  }
}
