/** The port of rate limits: so many takes of a key in a window of time. */
export interface RateLimiter {
  /**
   * At once where this instance can answer by itself, so that the way of a signal has no await in it; else a
   * promise. Those of a key are answered in their order. Never rejects and never hangs, whatever becomes of
   * the store behind it.
   */
  take(key: string): Take | Promise<Take>;
  /** What turned out to be a repeat: this instance may use it again, while its window lasts. */
  giveBack(key: string, taken: Allowed): void;
  /** The refusal of which this instance knows already; takes nothing. */
  refusal(key: string): Refusal | null;
}

export type Take = Allowed | Refusal;
/** One and the same for the takes of a key that were paid together. */
export type Allowed = { readonly allowed: true };
/** The window ends after this many milliseconds. */
export type Refusal = { readonly allowed: false; readonly retryAfterMs: number };

export const ALLOWED: Allowed = { allowed: true };
