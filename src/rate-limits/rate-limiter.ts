/** The port of rate limits: so many takes of a key in a window of time. */
export interface RateLimiter {
  /** Never rejects and never hangs, whatever becomes of the store behind it. */
  take(key: string): Promise<Take>;
}

export type Take =
  | { readonly allowed: true }
  /** The window ends after this many milliseconds. */
  | { readonly allowed: false; readonly retryAfterMs: number };
