/** When to restart ICE, and when to give a connection up. Knows time and states, and no connection. */

/** Milliseconds. */
export const RECOVERY_TIMES = {
  /** A disconnected link often comes back by itself, within a second or two. */
  disconnected: 2_000,
  /** Without a connection for so long, another restart would not help either. */
  giveUp: 30_000,
};

export interface IceRecoveryOptions {
  /** New ICE credentials on the same connection. */
  readonly restart: () => void;
  /** A new connection in place of this one. */
  readonly rebuild: () => void;
  /** Whether a signal would reach the other one now: while it would not, nothing is tried or given up. */
  readonly reachable: () => boolean;
}

export class IceRecovery {
  readonly #options: IceRecoveryOptions;
  #restart: ReturnType<typeof setTimeout> | null = null;
  #giveUp: ReturnType<typeof setTimeout> | null = null;
  /** Something was due while the other one was out of reach. */
  #owed = false;

  constructor(options: IceRecoveryOptions) {
    this.#options = options;
    this.startOver();
  }

  /** The connection's state has changed. */
  see(state: RTCPeerConnectionState): void {
    switch (state) {
      case 'connected':
        this.close();
        this.#owed = false;
        break;
      case 'disconnected':
        this.#trouble();
        this.#restart ??= setTimeout(() => this.#restartNow(), RECOVERY_TIMES.disconnected);
        break;
      case 'failed':
        this.#trouble();
        this.#restartNow();
        break;
    }
  }

  /** `reachable` may have changed. */
  check(): void {
    if (!this.#owed || !this.#options.reachable()) return;
    this.#owed = false;
    this.startOver();
    this.#options.restart();
  }

  /** There is a new connection, or a new try: it has its time. */
  startOver(): void {
    this.close();
    this.#trouble();
  }

  close(): void {
    if (this.#restart !== null) clearTimeout(this.#restart);
    if (this.#giveUp !== null) clearTimeout(this.#giveUp);
    this.#restart = null;
    this.#giveUp = null;
  }

  #trouble(): void {
    this.#giveUp ??= setTimeout(() => this.#giveItUp(), RECOVERY_TIMES.giveUp);
  }

  #restartNow(): void {
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#restart = null;
    if (this.#options.reachable()) this.#options.restart();
    else this.#owed = true;
  }

  #giveItUp(): void {
    this.#giveUp = null;
    if (!this.#options.reachable()) {
      // Who comes back deserves a restart and another 30 s first.
      this.#owed = true;
      return;
    }
    this.startOver();
    this.#options.rebuild();
  }
}
