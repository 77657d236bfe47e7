/**
 * The one catalogue of what Ringdown answers when it says no: rejection codes (data), GraphQL error
 * codes (`extensions.code`) and WebSocket close codes.
 */

/** A rule that says no. It travels as data (`Rejection`), never as a GraphQL error. */
export const REJECTION_CODES = {
  CALL_NOT_FOUND: 'There is no such call for you.',
  CALL_ENDED: 'The call is over.',
  CALL_EXPIRED: 'The call rang too long and can no longer be joined.',
  NOT_INVITED: 'You are in the conversation, but were not invited to this call.',
  NOT_A_MEMBER: 'You are not a member of the conversation.',
  ALREADY_IN_CALL: 'Another of your sessions is in the call; pass takeOver to move the call here.',
  CALL_FULL: 'The call has as many participants as it may have.',
  NOT_IN_CALL: 'You are not in the call; join it first.',
  NOT_THE_HOST: 'Only the host of the call may do this.',
  STALE_SESSION: 'Another session holds your seat in the call; this one changes nothing.',
  INVALID_CALLEE: 'A callee is not a member of the conversation.',
  NO_CALLEES: 'Name at least one callee other than yourself.',
  TOO_MANY_CALLEES: 'More people than a call may invite.',
  INVALID_INPUT: 'The input is not valid.',
  INVALID_SIGNAL: 'The signal is not valid.',
  TOO_MANY_DEVICES: 'You have as many devices as you may have; unregister one first.',
  WEB_PUSH_OFF: 'This server sends no web push.',
  RECIPIENT_NOT_IN_CALL: 'The recipient is not in the call under that joinSeq.',
  RATE_LIMITED: 'Too many requests; try again after retryAfterMs.',
  SIGNALING_UNAVAILABLE: 'The signal was not delivered; send it again with the same clientSeq.',
  TIMEOUT: 'The database did not answer in time; try again after retryAfterMs.',
} as const;

export type RejectionCode = keyof typeof REJECTION_CODES;

export interface Rejection {
  readonly code: RejectionCode;
  /** What is wrong and what to do about it; names the field where there is one. */
  readonly message: string;
  /** Milliseconds after which the same request may succeed; null where waiting does not help. */
  readonly retryAfterMs: number | null;
}

/** Builds a Rejection with the catalogue's message, or a more exact one. */
export function reject(code: RejectionCode, message?: string, retryAfterMs: number | null = null): Rejection {
  return { code, message: message ?? REJECTION_CODES[code], retryAfterMs };
}

export function isRejection(value: unknown): value is Rejection {
  return typeof value === 'object' && value !== null && 'code' in value && 'retryAfterMs' in value;
}

/** Codes of GraphQL errors beside the rejection codes: malformed input, identity, the unforeseen. */
export type ErrorCode =
  | RejectionCode
  | 'BAD_USER_INPUT'
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  // As Apollo's clients know them: they send the text then.
  | 'PERSISTED_QUERY_NOT_FOUND'
  | 'PERSISTED_QUERY_NOT_SUPPORTED'
  | 'INTERNAL_SERVER_ERROR';

/**
 * The close codes of the WebSocket, each with whether a client should come back. The graphql-ws client
 * takes 4400, 4401, 4406, 4409, 4429 and 4500 as fatal by itself, and comes back after the others.
 */
export const CLOSE = {
  /** A frame that is broken, or text that is not UTF-8; ws closes so by itself (RFC 6455, section 7.4.1). */
  BROKEN_FRAME: { code: 1002, reason: 'Protocol error', comeBack: false },
  BROKEN_TEXT: { code: 1007, reason: 'Invalid text', comeBack: false },
  /** A frame over 64 KiB; ws closes so by itself. */
  TOO_LARGE: { code: 1009, reason: 'Message too big', comeBack: false },
  /** The instance drains. Come back; another one serves you. */
  RESTARTING: { code: 1012, reason: 'Service restart', comeBack: true },
  /**
   * The instance, or the user or the address on it, has as many connections as it may have, or opened too many
   * within a minute; or too many tokens of the address were not valid. Come back later.
   */
  FULL: { code: 1013, reason: 'Too many connections, try again later', comeBack: true },
  /** Events came faster than the socket took them. Come back with the last cursor; nothing is lost. */
  TOO_SLOW: { code: 4008, reason: 'Too slow: come back with your last cursor', comeBack: true },
  /** A message that the protocol does not know. */
  BAD_MESSAGE: { code: 4400, reason: 'Bad message', comeBack: false },
  /** No token, or one that will never be good: wrong key, issuer, audience. */
  UNAUTHORIZED: { code: 4401, reason: 'Unauthorized', comeBack: false },
  /** The token has run out. Come back with a new one. */
  TOKEN_EXPIRED: { code: 4403, reason: 'Token expired', comeBack: true },
  /** Not the `graphql-transport-ws` subprotocol. */
  BAD_SUBPROTOCOL: { code: 4406, reason: 'Subprotocol not acceptable', comeBack: false },
  /** No `connection_init` in time. */
  INIT_TIMEOUT: { code: 4408, reason: 'Connection initialisation timeout', comeBack: true },
  /** An operation id that is in use on the socket. */
  DUPLICATE_ID: { code: 4409, reason: 'Subscriber already exists', comeBack: false },
  /** `connection_init` twice. */
  DOUBLE_INIT: { code: 4429, reason: 'Too many initialisation requests', comeBack: false },
  /** The server's own fault. */
  INTERNAL: { code: 4500, reason: 'Internal server error', comeBack: false },
} as const;

/**
 * What is thrown where GraphQL has to answer with an error: malformed input, a missing token or scope, a
 * refused subscription. `src/graphql` turns it into a GraphQL error with `extensions.code` (and `field`).
 */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: ErrorCode;
  /** The argument that is wrong, as a path such as `input.calleeIds`; null where it is not one argument. */
  readonly field: string | null;

  constructor(code: ErrorCode, message: string, field: string | null = null) {
    super(message);
    this.code = code;
    this.field = field;
  }
}
