import type { Position } from './call-log.ts';

/**
 * The contract's `Cursor`: a Position as clients hold it, `<seq>.<token>`. Clients take it as opaque. It is
 * not secret and not signed: a made-up one does not find its entry in the log, and then proves nothing.
 */

/** Not in any log: whoever resumes from it is told that there may be a hole. */
export const NO_PLACE: Position = { seq: 0, token: '~' };

/** A number without leading zeros and a token: base64url, and `~` for places that no log gave out. */
const CURSOR = /^(0|[1-9][0-9]{0,15})\.([A-Za-z0-9_~-]{1,16})$/;
/** Digits of the largest number, the dot, the longest token. */
const LONGEST = 16 + 1 + 16;

export function encodeCursor(position: Position): string {
  return `${position.seq}.${position.token}`;
}

/** Null for anything that `encodeCursor` can't have made. Of a longer string it reads nothing. */
export function decodeCursor(cursor: string): Position | null {
  if (cursor.length > LONGEST) return null;
  const match = CURSOR.exec(cursor);
  if (match === null) return null;
  const seq = Number(match[1]);
  return Number.isSafeInteger(seq) ? { seq, token: match[2]! } : null;
}
