import {
  type CryptoKey,
  createRemoteJWKSet,
  customFetch,
  errors,
  type FetchImplementation,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose';
import { isId } from '../ids.ts';
import type { Viewer } from './viewer.ts';

/** Whose tokens are trusted: exactly one of `secret` and `jwksUrl`; a previous secret beside the first. */
export type TokenVerifierOptions = {
  readonly issuer: string;
  readonly audience: string;
  /** Difference of clocks that `exp` and `nbf` are forgiven, in milliseconds. */
  readonly clockToleranceMs: number;
  /** Longest time in milliseconds after which a token is checked anew. */
  readonly cacheMs: number;
  /** Told of each try to fetch the issuer's keys that failed; there is one a second at most. */
  readonly onKeysUnavailable?: (error: unknown) => void;
} & (
  | { readonly secret: string; readonly previousSecret: string | null; readonly jwksUrl: null }
  | { readonly secret: null; readonly jwksUrl: string }
);

/** Of a key set, in milliseconds. */
export const KEY_SET_TIMINGS = {
  /**
   * A set is fetched again when it is this old, so a key that is taken out opens nothing after that and
   * `cacheMs`. A set that can't be fetched any more is good for no longer either: then clients are told to
   * come back, since nobody knows which keys were withdrawn.
   */
  maxAgeMs: 300_000,
  /** For a `kid` that it does not have it is fetched sooner, but not more often than this. */
  cooldownMs: 30_000,
  /** Between two tries where one failed. */
  retryMs: 1_000,
  /** Longest wait for an answer. */
  timeoutMs: 5_000,
} as const;

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
export const PUBLIC_KEY_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

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
              const viewer = viewerOf(payload, at, options.clockToleranceMs);
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

/** Keys that a token's header (`jwk`, `jku`, `x5c`, `x5u`) brings along or points to are never looked at. */
function signatureCheck(options: TokenVerifierOptions): SignatureCheck {
  if (options.secret !== null) {
    const secrets = [options.secret, options.previousSecret].flatMap((secret) =>
      secret === null ? [] : [new TextEncoder().encode(secret)],
    );
    return (token, rules) =>
      withOneOf(secrets, token, rules).catch((error) => Promise.reject(tokenErrorOf(error) ?? INVALID()));
  }
  const keys = createRemoteJWKSet(new URL(options.jwksUrl), {
    cacheMaxAge: KEY_SET_TIMINGS.maxAgeMs,
    cooldownDuration: KEY_SET_TIMINGS.cooldownMs,
    timeoutDuration: KEY_SET_TIMINGS.timeoutMs,
    [customFetch]: patientFetch(options.onKeysUnavailable ?? (() => {})),
  });
  const check: SignatureCheck = async (token, rules) => {
    try {
      return (await jwtVerify(token, keys, rules)).payload;
    } catch (error) {
      // Two keys of a kind, and a token that does not say which.
      if (error instanceof errors.JWKSMultipleMatchingKeys) return withOneOf(error, token, rules);
      throw error;
    }
  };
  return (token, rules) =>
    check(token, rules).catch((cause) =>
      Promise.reject(
        tokenErrorOf(cause) ?? new KeysUnavailable("The issuer's keys can't be had.", { cause }),
      ),
    );
}

/** With the first key that made the signature: while keys are changed there are two. */
async function withOneOf(
  keys: Iterable<Uint8Array> | AsyncIterable<CryptoKey>,
  token: string,
  rules: JWTVerifyOptions,
): Promise<JWTPayload> {
  for await (const key of keys) {
    try {
      return (await jwtVerify(token, key, rules)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** jose's pause between two fetches counts those that went well; an issuer in trouble needs it more. */
function patientFetch(onFailure: (error: unknown) => void): FetchImplementation {
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (url, init) => {
    if (performance.now() < failedAt + KEY_SET_TIMINGS.retryMs) throw new Error('It failed a moment ago.');
    try {
      const response = await fetch(url, init);
      if (response.status !== 200) throw new Error(`The status is ${response.status}.`);
      return response;
    } catch (error) {
      failedAt = performance.now();
      onFailure(error);
      throw error;
    }
  };
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
  ];
  return tokensFault.some((kind) => error instanceof kind) ? INVALID() : null;
}

/** One for all of the many who have none. */
const NONE: ReadonlySet<string> = new Set();

function viewerOf(payload: JWTPayload, at: number, toleranceMs: number): Viewer {
  const { sub, exp, scope } = payload;
  if (!isId(sub)) {
    throw new TokenError('invalid', `The token's claim "sub" is not an id of 1 to 128 characters.`);
  }
  // JSON can say 1e999.
  if (!Number.isFinite(exp)) {
    throw new TokenError('invalid', 'The token\'s claim "exp" is missing or not the right one.');
  }
  const end = (exp as number) * 1_000;
  // A scope that is not text grants nothing.
  const scopes = typeof scope === 'string' ? scope.split(' ').filter((word) => word !== '') : [];
  const granted = scopes.length === 0 ? NONE : new Set(scopes);
  return { userId: sub, scopes: granted, tokenExpiresAt: at < end ? end : end + toleranceMs };
}

/** The token of an `Authorization` header or connection parameter (RFC 6750, section 2.1), or null. */
export function bearer(header: string | null | undefined): string | null {
  return /^Bearer +([\w.~+/-]+=*) *$/i.exec(header ?? '')?.[1] ?? null;
}
