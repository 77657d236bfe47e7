import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose';
import { isId } from '../ids.ts';
import type { Viewer } from './viewer.ts';

/** Whose tokens are trusted: exactly one of `secret` and `jwksUrl`. */
export type TokenVerifierOptions = {
  readonly issuer: string;
  readonly audience: string;
  /** Difference of clocks that `exp` and `nbf` are forgiven, in milliseconds. */
  readonly clockToleranceMs: number;
  /** Longest time in milliseconds after which a token is checked anew. */
  readonly cacheMs: number;
} & (
  | { readonly secret: string; readonly jwksUrl: null }
  | { readonly secret: null; readonly jwksUrl: string }
);

/**
 * A token that opens nothing. 'missing': there is none; 'invalid': it will never be good; 'expired': a
 * new one will be. The message has nothing of the token in it.
 */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly kind: 'missing' | 'invalid' | 'expired';

  constructor(kind: TokenError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** The issuer's keys can't be fetched: nothing is known of the token, and the client may come back. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable';
}

export interface TokenVerifier {
  /**
   * The viewer that a token names: `sub`, and `scope` split at spaces (RFC 8693, section 4.2). Throws a
   * TokenError, or KeysUnavailable.
   */
  verify(token: string | null | undefined): Promise<Viewer>;
  /** Whether the token was good here a short time ago; it may have run out since. */
  knows(token: string): boolean;
}

/** Longest token taken, in characters: what is longer is not worth its check. */
const MAX_TOKEN_LENGTH = 8_192;
/** Verified tokens remembered; an HTTP client sends the same one with every request. */
const CACHE_SIZE = 1_000;
/** Fixed here, so that a token can't choose; no HMAC among them, whose key would be a public one. */
const PUBLIC_KEY_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

/**
 * Verifies JSON Web Tokens (RFC 7519): signature, issuer, audience, `exp`, and `sub` by the rule of ids.
 * `now` is the clock, in milliseconds since the epoch.
 */
export function createTokenVerifier(
  options: TokenVerifierOptions,
  now: () => number = Date.now,
): TokenVerifier {
  const check = signatureCheck(options);
  const rules: JWTVerifyOptions = {
    issuer: options.issuer,
    audience: options.audience,
    algorithms: options.secret === null ? PUBLIC_KEY_ALGORITHMS : ['HS256'],
    requiredClaims: ['exp', 'sub'],
    clockTolerance: options.clockToleranceMs / 1_000,
  };
  const cache = new Map<string, { readonly viewer: Viewer; readonly until: number }>();

  return {
    async verify(token) {
      if (!token) throw new TokenError('missing', 'There is no token.');
      if (token.length > MAX_TOKEN_LENGTH) throw new TokenError('invalid', 'The token is too long.');
      const at = now();
      const known = cache.get(token);
      cache.delete(token);
      const entry =
        known && at < known.until
          ? known
          : await check(token, { ...rules, currentDate: new Date(at) }).then((payload) => {
              const viewer = viewerOf(payload);
              return { viewer, until: Math.min(viewer.tokenExpiresAt, at + options.cacheMs) };
            });
      // Set last is used last: the first of the map is the one to go.
      cache.set(token, entry);
      if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value!);
      return entry.viewer;
    },
    knows: (token) => cache.has(token),
  };
}

type SignatureCheck = (token: string, rules: JWTVerifyOptions) => Promise<JWTPayload>;

function signatureCheck(options: TokenVerifierOptions): SignatureCheck {
  if (options.secret !== null) {
    const secret = new TextEncoder().encode(options.secret);
    return (token, rules) =>
      jwtVerify(token, secret, rules).then(
        ({ payload }) => payload,
        (error: unknown) => Promise.reject(tokenErrorOf(error) ?? INVALID()),
      );
  }
  const keys = createRemoteJWKSet(new URL(options.jwksUrl));
  return (token, rules) =>
    jwtVerify(token, keys, rules).then(
      ({ payload }) => payload,
      (cause: unknown) =>
        Promise.reject(
          tokenErrorOf(cause) ?? new KeysUnavailable("The issuer's keys can't be had.", { cause }),
        ),
    );
}

const INVALID = () => new TokenError('invalid', 'The token is not valid.');

/** jose's errors for which the token is to blame. Null: something else went wrong. */
function tokenErrorOf(error: unknown): TokenError | null {
  if (error instanceof errors.JWTExpired) return new TokenError('expired', 'The token has run out.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new TokenError('invalid', `The token's claim "${error.claim}" is missing or not the right one.`);
  }
  const tokensFault = [
    errors.JWTInvalid,
    errors.JWSInvalid,
    errors.JWSSignatureVerificationFailed,
    errors.JOSEAlgNotAllowed,
    errors.JOSENotSupported,
    errors.JWKSNoMatchingKey,
    errors.JWKSMultipleMatchingKeys,
  ];
  return tokensFault.some((kind) => error instanceof kind) ? INVALID() : null;
}

function viewerOf(payload: JWTPayload): Viewer {
  const { sub, exp, scope } = payload;
  if (!isId(sub) || exp === undefined) {
    throw new TokenError('invalid', `The token's claim "sub" is not an id of 1 to 128 characters.`);
  }
  // A scope that is not text grants nothing.
  const scopes = typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : [];
  return { userId: sub, scopes: new Set(scopes), tokenExpiresAt: exp * 1_000 };
}

/** The token of an `Authorization` header or connection parameter (RFC 6750, section 2.1), or null. */
export function bearer(header: string | null | undefined): string | null {
  return /^Bearer +([\w.~+/-]+=*) *$/i.exec(header ?? '')?.[1] ?? null;
}
