import { createHmac } from 'node:crypto';

/**
 * Credentials that a TURN server checks without knowing of users or calls: "A REST API For Access To TURN
 * Services" (draft-uberti-behave-turn-rest-00), as coturn's `use-auth-secret` has it.
 */

export interface TurnCredential {
  readonly username: string;
  readonly credential: string;
}

/**
 * Good until `expiresAt`, milliseconds since the epoch. Section 2.2: the user name is `<unix expiry>:<name>`,
 * the password the base64 of its HMAC-SHA1 under the shared secret.
 */
export function turnCredential(secret: string, name: string, expiresAt: number): TurnCredential {
  const username = `${Math.floor(expiresAt / 1000)}:${name}`;
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}

/**
 * What a TURN server gets to know of a participant, and writes into its logs beside IP addresses. Not the
 * user's id, nor anything that is the same in two calls: whoever reads those logs could follow people. The
 * same for one person in one call, so that a server can limit each one's allocations (coturn's `user-quota`).
 * Whoever has the secret and a call's id can work out whose it was, when relaying was abused.
 */
export function turnName(secret: string, callId: string, userId: string): string {
  const digest = createHmac('sha256', secret).update(`turn name\n${callId}\n${userId}`).digest('base64url');
  return digest.slice(0, 16);
}
