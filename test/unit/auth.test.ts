import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDemoTokens, DEMO_USERS } from '../../src/auth/demo.ts';
import { bearer, createTokenVerifier, KeysUnavailable, TokenError } from '../../src/auth/token.ts';
import { TIMINGS } from '../../src/config.ts';
import { isId } from '../../src/ids.ts';

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

function verifierAt(clock: { now: number }) {
  return createTokenVerifier({ ...RULES, secret: SECRET, jwksUrl: null }, () => clock.now);
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
  let server: Server;
  let url: string;
  let answer: { status: number; body: string };
  const keys = generateKeyPair('ES256');
  const signed = async (alg = 'ES256', key: CryptoKey | null = null) =>
    new SignJWT(GOOD).setProtectedHeader({ alg, kid: 'one' }).sign(key ?? (await keys).privateKey);
  const verifier = () => createTokenVerifier({ ...RULES, secret: null, jwksUrl: url }, () => NOW);

  beforeAll(async () => {
    const jwk = { ...(await exportJWK((await keys).publicKey)), kid: 'one', alg: 'ES256' };
    answer = { status: 200, body: JSON.stringify({ keys: [jwk] }) };
    server = createServer((_, response) => {
      response.writeHead(answer.status, { connection: 'close' }).end(answer.body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  it('is verified with the key', async () => {
    expect((await verifier().verify(await signed())).userId).toBe('ada');
  });

  it('is invalid when another key signed it, or the published one was used as a secret', async () => {
    const other = await generateKeyPair('ES256');
    expect(await kindOf(verifier().verify(await signed('ES256', other.privateKey)))).toBe('invalid');
    expect(await kindOf(verifier().verify(await sign(GOOD, answer.body)))).toBe('invalid');
  });

  it('is neither good nor bad while the keys cannot be fetched', async () => {
    const good = answer;
    const patient = verifier();
    answer = { status: 503, body: '' };
    await expect(patient.verify(await signed())).rejects.toBeInstanceOf(KeysUnavailable);
    answer = good;
    expect((await patient.verify(await signed())).userId).toBe('ada');
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
