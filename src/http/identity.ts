import { bearer, KeysUnavailable, TokenError, type TokenVerifier } from '../auth/token.ts';
import type { Viewer } from '../auth/viewer.ts';
import { CodedError } from '../errors.ts';

/** Who asks over HTTP, or the error that a field which needs to know answers with. */
export async function identify(
  authorization: string | null,
  verify: TokenVerifier['verify'],
): Promise<Viewer | CodedError> {
  try {
    return await verify(bearer(authorization));
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
