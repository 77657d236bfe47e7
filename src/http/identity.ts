import { bearer, KeysUnavailable, TokenError, type TokenVerifier } from '../auth/token.ts';
import type { Viewer } from '../auth/viewer.ts';
import { CodedError } from '../errors.ts';
import type { KeyRate } from '../rate-limits/rates.ts';

export interface DoorDeps extends Pick<TokenVerifier, 'verify' | 'knows'> {
  readonly failedToken: KeyRate;
}

/**
 * So many tokens from this address were not valid that it may show no other for a while. It says nothing of
 * the token: that was not looked at.
 */
export class TooManyFailedTokens extends Error {
  override readonly name = 'TooManyFailedTokens';
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number) {
    super('Too many tokens from this address were not valid; try again later.');
    this.retryAfterMs = retryAfterMs;
  }
}

/** Gives the viewer of an authorization, or throws TooManyFailedTokens or what `verify` throws. */
export type Door = (authorization: string | null, addressKey: string | undefined) => Promise<Viewer>;

/**
 * Tokens at every door. What is not valid costs a check of a signature, and perhaps a look at the issuer for
 * new keys, so one address may try only so many. Whoever came by the same address with a token that is known
 * to be good is not kept waiting for what others do.
 */
export function createDoor({ verify, knows, failedToken }: DoorDeps): Door {
  return async (authorization, addressKey) => {
    const token = bearer(authorization);
    if (token !== null && !knows(token)) {
      const refused = failedToken.refusal(addressKey);
      if (refused) throw new TooManyFailedTokens(refused.retryAfterMs);
    }
    try {
      const viewer = await verify(token);
      return addressKey === undefined ? viewer : { ...viewer, addressKey };
    } catch (error) {
      if (error instanceof TokenError && error.kind === 'invalid') {
        const taken = await failedToken.take(addressKey);
        if (!taken.allowed) throw new TooManyFailedTokens(taken.retryAfterMs);
      }
      throw error;
    }
  };
}

/** Who asks over HTTP, or the error that a field which needs to know answers with. */
export async function identify(asked: Promise<Viewer>): Promise<Viewer | CodedError> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof TokenError) return new CodedError('UNAUTHENTICATED', HINTS[error.kind]);
    // Nothing is known against the token.
    if (error instanceof KeysUnavailable) {
      return new CodedError('TIMEOUT', "The token can't be checked now; try again.");
    }
    throw error;
  }
}

const HINTS: Readonly<Record<TokenError['kind'], string>> = {
  missing: 'This needs a token: send the header `Authorization: Bearer …`.',
  invalid: 'The token is not valid.',
  expired: 'The token has run out: get a new one.',
};
