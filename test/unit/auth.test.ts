import fc from 'fast-check';
import { CompactSign, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDemoTokens, DEMO_USERS } from '../../src/auth/demo.ts';
import {
  bearer,
  createTokenVerifier,
  KEY_SET_TIMINGS,
  KeysUnavailable,
  TokenError,
} from '../../src/auth/token.ts';
import { TIMINGS } from '../../src/config.ts';
import { isId } from '../../src/ids.ts';
import { type KeyServer, startKeyServer } from '../support/key-server.ts';

const NOW = 1_800_000_000_000;
const SECRET = 'a-secret-of-thirty-two-bytes-or-more';
const RULES = {
  issuer: 'issuer',
  audience: 'audience',
  clockToleranceMs: TIMINGS.tokenClockToleranceMs,
  cacheMs: TIMINGS.tokenCacheMs,
};
const GOOD = { iss: 'issuer', aud: 'audience', sub: 'ada', exp: NOW / 1_000 + 600 };
const bytes = (text: string) => new TextEncoder().encode(text);

function sign(claims: JWTPayload | Record<string, unknown>, secret = SECRET, alg = 'HS256'): Promise<string> {
  return new SignJWT(claims as JWTPayload).setProtectedHeader({ alg }).sign(bytes(secret));
}

function verifierAt(clock: { now: number }, previousSecret: string | null = null) {
  return createTokenVerifier({ ...RULES, secret: SECRET, previousSecret, jwksUrl: null }, () => clock.now);
}

async function kindOf(verified: Promise<unknown>): Promise<string> {
  const error = await verified.then(
    () => null,
    (reason: unknown) => reason,
  );
  return error instanceof TokenError ? error.kind : String(error);
}

describe('a token signed with the shared secret', () => {
  const verifier = verifierAt({ now: NOW });

  it('names the user, the scopes and its end', async () => {
    expect(await verifier.verify(await sign({ ...GOOD, scope: 'service  admin' }))).toEqual({
      userId: 'ada',
      scopes: new Set(['service', 'admin']),
      tokenExpiresAt: NOW + 600_000,
    });
    expect((await verifier.verify(await sign(GOOD))).scopes.size).toBe(0);
    expect((await verifier.verify(await sign({ ...GOOD, scope: ['admin'] }))).scopes.size).toBe(0);
  });

  it.each([
    ['another issuer', { iss: 'other' }],
    ['no issuer', { iss: undefined }],
    ['another audience', { aud: ['other'] }],
    ['no audience', { aud: undefined }],
    ['no end', { exp: undefined }],
    ['an end that is a word', { exp: 'tomorrow' }],
    ['a beginning in the future', { nbf: NOW / 1_000 + 31 }],
    ['no subject', { sub: undefined }],
    ['an empty subject', { sub: '' }],
    ['a subject that is a number', { sub: 7 }],
    ['a subject with a line break', { sub: 'ada\nben' }],
    ['a subject of 129 characters', { sub: 'x'.repeat(129) }],
  ])('is invalid with %s', async (_, claims) => {
    expect(await kindOf(verifier.verify(await sign({ ...GOOD, ...claims })))).toBe('invalid');
  });

  it('is invalid when another key or algorithm signed it, or nobody', async () => {
    expect(await kindOf(verifier.verify(await sign(GOOD, `${SECRET}!`)))).toBe('invalid');
    expect(await kindOf(verifier.verify(await sign(GOOD, SECRET.repeat(2), 'HS512')))).toBe('invalid');
    const none = [{ alg: 'none' }, GOOD].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    );
    expect(await kindOf(verifier.verify(`${none.join('.')}.`))).toBe('invalid');
    expect(await kindOf(verifier.verify(await sign({ ...GOOD, more: 'x'.repeat(9_000) })))).toBe('invalid');
  });

  it('is invalid where its end is one that JSON can write and no clock reaches', async () => {
    const payload = JSON.stringify(GOOD).replace(String(GOOD.exp), '1e999');
    const token = await new CompactSign(bytes(payload))
      .setProtectedHeader({ alg: 'HS256' })
      .sign(bytes(SECRET));
    expect(await kindOf(verifier.verify(token))).toBe('invalid');
  });

  it('is missing where there is none', async () => {
    for (const token of [null, undefined, '']) expect(await kindOf(verifier.verify(token))).toBe('missing');
  });

  it('has run out 30 s after its end, the first time as well as from memory', async () => {
    const clock = { now: NOW };
    const remembering = verifierAt(clock);
    const token = await sign(GOOD);
    await remembering.verify(token);
    clock.now = NOW + 600_000 + 29_000;
    await remembering.verify(token);
    clock.now = NOW + 600_000 + 31_000;
    expect(await kindOf(remembering.verify(token))).toBe('expired');
    expect(await kindOf(verifierAt(clock).verify(token))).toBe('expired');
  });

  it('opens until its end, or where it is first shown after that, until the end of the tolerance', async () => {
    const clock = { now: NOW };
    const remembering = verifierAt(clock);
    const token = await sign(GOOD);
    expect((await remembering.verify(token)).tokenExpiresAt).toBe(NOW + 600_000);
    clock.now = NOW + 600_000;
    expect((await remembering.verify(token)).tokenExpiresAt).toBe(NOW + 630_000);
  });

  it('is good with the previous secret too, and no longer when that is taken away', async () => {
    const old = await sign(GOOD, 'the-secret-before-this-one-of-32-bytes');
    const changing = verifierAt({ now: NOW }, 'the-secret-before-this-one-of-32-bytes');
    expect((await changing.verify(old)).userId).toBe('ada');
    expect((await changing.verify(await sign(GOOD))).userId).toBe('ada');
    expect(await kindOf(changing.verify(await sign(GOOD, `${SECRET}!`)))).toBe('invalid');
    // All the other rules hold for it.
    const [previous, past] = ['the-secret-before-this-one-of-32-bytes', NOW / 1_000 - 31];
    expect(await kindOf(changing.verify(await sign({ ...GOOD, exp: past }, previous)))).toBe('expired');
    expect(await kindOf(changing.verify(await sign({ ...GOOD, aud: 'other' }, previous)))).toBe('invalid');
    expect(await kindOf(verifier.verify(old))).toBe('invalid');
  });

  it('is invalid rather than expired when it was never good', async () => {
    const old = { ...GOOD, exp: NOW / 1_000 - 600 };
    expect(await kindOf(verifier.verify(await sign(old)))).toBe('expired');
    expect(await kindOf(verifier.verify(await sign({ ...old, aud: 'other' })))).toBe('invalid');
    expect(await kindOf(verifier.verify(await sign(old, `${SECRET}!`)))).toBe('invalid');
  });

  it('is remembered, but not for ever and not one of too many', async () => {
    const clock = { now: NOW };
    const remembering = verifierAt(clock);
    const token = await sign(GOOD);
    const first = await remembering.verify(token);
    expect(await remembering.verify(token)).toBe(first);
    for (let n = 0; n < 1_000; n++) await remembering.verify(await sign({ ...GOOD, n }));
    const second = await remembering.verify(token);
    expect(second).not.toBe(first);
    clock.now += TIMINGS.tokenCacheMs;
    expect(await remembering.verify(token)).not.toBe(second);
  });

  it('is refused with a TokenError whatever text it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string({ minLength: 1 }), fc.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]*$/)),
        async (text) => {
          expect(await kindOf(verifier.verify(text))).toBe('invalid');
        },
      ),
    );
  });
});

describe('a token signed with a published key', () => {
  let issuer: KeyServer;
  const one = generateKeyPair('ES256');
  const two = generateKeyPair('ES256');
  const published = async (pair: typeof one, kid?: string): Promise<JWK> => ({
    ...(await exportJWK((await pair).publicKey)),
    ...(kid !== undefined && { kid }),
  });
  const signed = async (pair: typeof one, kid?: string, more: Record<string, unknown> = {}) =>
    new SignJWT({ ...GOOD, exp: Date.now() / 1_000 + 86_400, ...more } as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', ...(kid !== undefined && { kid }) })
      .sign((await pair).privateKey);
  const verifier = () => createTokenVerifier({ ...RULES, secret: null, jwksUrl: issuer.url });
  const later = (ms: number) => vi.advanceTimersByTime(ms);

  beforeAll(async () => {
    issuer = await startKeyServer();
  });
  afterAll(() => issuer.close());
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    Object.assign(issuer, { status: 200, fetches: 0, keys: [await published(one, 'one')] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is verified with the key, which is fetched once for many', async () => {
    const many = verifier();
    expect((await many.verify(await signed(one, 'one'))).userId).toBe('ada');
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, n) => signed(one, 'one', { n })));
    await Promise.all(tokens.map((token) => many.verify(token)));
    expect(issuer.fetches).toBe(1);
  });

  it('is invalid when another key signed it, or the published one was used as a secret', async () => {
    expect(await kindOf(verifier().verify(await signed(two, 'one')))).toBe('invalid');
    expect(await kindOf(verifier().verify(await sign(GOOD, JSON.stringify(issuer.keys))))).toBe('invalid');
  });

  it('is taken with a new key as soon as it comes, while the old one is good beside it', async () => {
    const changing = verifier();
    await changing.verify(await signed(one, 'one'));
    later(KEY_SET_TIMINGS.cooldownMs);
    issuer.keys = [await published(one, 'one'), await published(two, 'two')];
    expect((await changing.verify(await signed(two, 'two'))).userId).toBe('ada');
    expect((await changing.verify(await signed(one, 'one', { n: 1 }))).userId).toBe('ada');
    expect(issuer.fetches).toBe(2);
  });

  it('is taken with either of two keys where neither has a name', async () => {
    issuer.keys = [await published(one), await published(two)];
    for (const pair of [one, two]) expect((await verifier().verify(await signed(pair))).userId).toBe('ada');
    const other = generateKeyPair('ES256');
    expect(await kindOf(verifier().verify(await signed(other)))).toBe('invalid');
  });

  it('is refused within six minutes of its key being taken out, one that was verified before too', async () => {
    const changing = verifier();
    const token = await signed(one, 'one');
    await changing.verify(token);
    issuer.keys = [await published(two, 'two')];
    later(KEY_SET_TIMINGS.maxAgeMs - 1);
    // The last moment in which the old set is trusted, so that this is remembered for a minute more.
    await changing.verify(token);
    later(TIMINGS.tokenCacheMs);
    expect(await kindOf(changing.verify(token))).toBe('invalid');
    expect(KEY_SET_TIMINGS.maxAgeMs + TIMINGS.tokenCacheMs).toBeLessThanOrEqual(6 * 60_000);
  });

  it('does not have the keys fetched for each name that nobody knows', async () => {
    const flooded = verifier();
    await flooded.verify(await signed(one, 'one'));
    later(KEY_SET_TIMINGS.cooldownMs);
    for (let n = 0; n < 100; n++) {
      expect(await kindOf(flooded.verify(await signed(two, `unknown-${n}`)))).toBe('invalid');
    }
    expect(issuer.fetches).toBe(2);
    // The issuer in trouble is not asked for each either.
    issuer.status = 500;
    later(KEY_SET_TIMINGS.cooldownMs);
    for (let n = 0; n < 100; n++) {
      await expect(flooded.verify(await signed(two, `unknown-${n}`))).rejects.toThrow(KeysUnavailable);
    }
    expect(issuer.fetches).toBe(3);
    // Nor does that keep anybody out whose key is known.
    expect((await flooded.verify(await signed(one, 'one', { n: 2 }))).userId).toBe('ada');
  });

  it('is neither good nor bad while the keys cannot be fetched, and good when they can again', async () => {
    const patient = verifier();
    issuer.status = 503;
    await expect(patient.verify(await signed(one, 'one'))).rejects.toBeInstanceOf(KeysUnavailable);
    issuer.status = 200;
    later(KEY_SET_TIMINGS.retryMs);
    expect((await patient.verify(await signed(one, 'one'))).userId).toBe('ada');
  });
});

describe('bearer', () => {
  it('takes the token out of an Authorization header', () => {
    expect(bearer('Bearer abc.def-_~+/=')).toBe('abc.def-_~+/=');
    expect(bearer('bearer  abc')).toBe('abc');
  });

  it.each([null, undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'abc', 'Bearer a b', 'xBearer abc'])(
    'finds none in %j',
    (header) => {
      expect(bearer(header)).toBeNull();
    },
  );
});

describe('ids', () => {
  it('are 1 to 128 characters', () => {
    expect(['', 'x', '😀'.repeat(128), '😀'.repeat(129), 7, null].map(isId)).toEqual([
      ...[false, true, true, false, false, false],
    ]);
  });

  it.each(['a\n', '\u0000', '\u007f', 'a\u0085b', '\ud800', 'a\udc00'])(
    'have nothing like %j in them',
    (text) => {
      expect(isId(text)).toBe(false);
    },
  );
});

describe('demo tokens', () => {
  it('exist in a demo alone', async () => {
    await expect(createDemoTokens({ demo: false }, SECRET)).rejects.toThrow(/demo alone/);
  });

  it('open the demo for twelve hours, one of them with every scope', async () => {
    const demo = await createDemoTokens({ demo: true }, SECRET, () => NOW);
    const verifier = createTokenVerifier({ ...RULES, ...demo.jwt }, () => NOW);
    expect(demo.users.map((user) => user.id)).toEqual(DEMO_USERS.map((user) => user.id));
    for (const user of demo.users) {
      expect(await verifier.verify(user.token)).toEqual({
        userId: user.id,
        scopes: new Set(),
        tokenExpiresAt: NOW + 12 * 3_600_000,
      });
    }
    expect((await verifier.verify(demo.operatorToken)).scopes).toEqual(new Set(['service', 'admin']));
  });
});
