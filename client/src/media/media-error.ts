import type { MediaSource } from '../links/types.ts';

/**
 * `refused`: by the user, the browser or the page's permissions policy. `missing`: there is no such device.
 * `busy`: another program has it. `unsupported`: not in this browser, or the page is not served over HTTPS.
 */
export type MediaErrorReason = 'refused' | 'missing' | 'busy' | 'unsupported' | 'failed';

const REASONS: Readonly<Record<string, MediaErrorReason>> = {
  NotAllowedError: 'refused',
  SecurityError: 'refused',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
  NotSupportedError: 'unsupported',
};

const ADVICE: Readonly<Record<MediaErrorReason, string>> = {
  refused: 'was refused: allow it in the browser’s settings for this page.',
  missing: 'was not found: plug one in.',
  busy: 'could not be started: close other programs that use it.',
  unsupported: 'can’t be used here: the page must be served over HTTPS, by a browser that can.',
  failed: 'could not be started.',
};

/** Why there is nothing from a source (W3C Media Capture and Streams, section 10.2, `getUserMedia`). */
export class MediaError extends Error {
  override readonly name = 'MediaError';
  /** Of which there is nothing. */
  readonly source: MediaSource;
  /** What to switch on. */
  readonly reason: MediaErrorReason;

  constructor(source: MediaSource, reason: MediaErrorReason, options?: ErrorOptions) {
    super(`The ${source} ${ADVICE[reason]}`, options);
    this.source = source;
    this.reason = reason;
  }
}

/** `cause`: what the browser rejected with. */
export function mediaError(source: MediaSource, cause: unknown): MediaError {
  if (cause instanceof MediaError) return cause;
  const name = (cause as { name?: unknown } | null)?.name;
  return new MediaError(source, REASONS[String(name)] ?? 'failed', { cause });
}
