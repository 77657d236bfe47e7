/**
 * Whether a value may serve as an id that comes from outside: of a user, a conversation, a session, an
 * idempotency key. 1 to 128 characters (code points), none of them a control character (C0, DEL, C1) or a
 * lone surrogate: such a one can't be stored as UTF-8, and a line break could forge a line of a log.
 */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && ID.test(value);
}

const ID = /^[^\p{Cc}\p{Cs}]{1,128}$/u;

/**
 * Whether a value can be the id of a call: a UUID (RFC 9562) in lower case, as the server gives them out. Any
 * other names no call, so that one call has one name in the database, in channels and in keys.
 */
export function isCallId(value: string): boolean {
  return isUuid(value);
}

/** A UUID (RFC 9562) in lower case, as the server gives them out. */
export function isUuid(value: string): boolean {
  return UUID.test(value);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
