import type { MediaSends } from './call-state.ts';

/** Keeps what the server says of this participant's media in step with what the page sends. */

export interface MediaReportOptions {
  /** What the page sends now. */
  readonly sends: () => MediaSends;
  /** What the server says of it. */
  readonly known: () => MediaSends;
  /** Resolves when `known` tells of it. */
  readonly tell: (change: Partial<MediaSends>) => Promise<void>;
  /** The host has muted this participant: resolves when `sends` says so too. */
  readonly obey: () => Promise<void>;
}

/** Milliseconds after which what could not be told is tried again. */
const PAUSE = 1_000;

export class MediaReport {
  readonly #options: MediaReportOptions;
  /** What the server was told last: where it says otherwise, the host has muted. */
  #told: MediaSends | null = null;
  #busy = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: MediaReportOptions) {
    this.#options = options;
  }

  /** To be called after each change on either side. */
  check(): void {
    if (this.#busy || this.#closed) return;
    const known = this.#options.known();
    if (known.muted && this.#told !== null && !this.#told.muted) {
      this.#told = { ...this.#told, muted: true };
      if (!this.#options.sends().muted) {
        void this.#busyWith(this.#options.obey());
        return;
      }
    }
    const sends = this.#options.sends();
    const change: Partial<Record<keyof MediaSends, boolean>> = {};
    for (const key of ['muted', 'videoOn', 'screenOn'] as const) {
      if (sends[key] !== known[key]) change[key] = sends[key];
    }
    if (Object.keys(change).length === 0) {
      this.#told = sends;
      return;
    }
    void this.#busyWith(
      this.#options.tell(change).then(() => {
        this.#told = sends;
      }),
    );
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #busyWith(work: Promise<void>): Promise<void> {
    this.#busy = true;
    clearTimeout(this.#timer);
    try {
      await work;
      this.#busy = false;
      this.check();
    } catch {
      // A seat that is lost ends the call; anything else passes.
      this.#busy = false;
      if (!this.#closed) this.#timer = setTimeout(() => this.check(), PAUSE);
    }
  }
}
