import { randomBytes } from 'node:crypto';

/** Length of an entry's random token: 8 characters of base64url, 48 bits. */
export const TOKEN_LENGTH = 8;

/** Bytes taken from the system at a time: a token for each signal must not cost a call into it. */
const POOL_BYTES = 6 * 1024;

/** A source of random tokens for the entries of call logs. */
export function randomTokens(): () => string {
  let pool = '';
  let used = 0;
  return () => {
    if (used >= pool.length) {
      pool = randomBytes(POOL_BYTES).toString('base64url');
      used = 0;
    }
    const token = pool.slice(used, used + TOKEN_LENGTH);
    used += TOKEN_LENGTH;
    return token;
  };
}
