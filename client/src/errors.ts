import type { RejectionCode } from './generated/graphql.ts';

/** Every error that the SDK gives. `code` is what to switch on; messages are for developers. */
export class RingdownError extends Error {
  override readonly name: string = 'RingdownError';
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A rule of the server said no, and nothing has changed. */
export class RejectionError extends RingdownError {
  override readonly name = 'RejectionError';
  declare readonly code: RejectionCode;
  /** Milliseconds after which the same request may succeed; null where waiting does not help. */
  readonly retryAfterMs: number | null;

  constructor(rejection: { code: RejectionCode; message: string; retryAfterMs: number | null }) {
    super(rejection.code, rejection.message);
    this.retryAfterMs = rejection.retryAfterMs;
  }
}

/**
 * A GraphQL error: `code` is its `extensions.code`, such as BAD_USER_INPUT, UNAUTHENTICATED or, for a
 * refused subscription, the rejection's code.
 */
export class RequestError extends RingdownError {
  override readonly name = 'RequestError';
}

/**
 * The server could not be reached. `code`: NO_ANSWER (not in time; it may have taken effect all the same, and
 * can be repeated), CLOSED (by `close()`), or REFUSED (the server closed the socket for good: `closeCode`).
 */
export class ConnectionError extends RingdownError {
  override readonly name = 'ConnectionError';
  declare readonly code: 'NO_ANSWER' | 'CLOSED' | 'REFUSED';
  /** Of the WebSocket; see the table in PROTOCOL.md. */
  readonly closeCode: number | null;

  constructor(code: 'NO_ANSWER' | 'CLOSED' | 'REFUSED', message: string, closeCode: number | null = null) {
    super(code, message);
    this.closeCode = closeCode;
  }
}
