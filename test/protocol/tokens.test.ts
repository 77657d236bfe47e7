import { once } from 'node:events';
import http from 'node:http';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTokenVerifier, type TokenVerifierOptions } from '../../src/auth/token.ts';
import { TIMINGS } from '../../src/config.ts';
import { CLOSE } from '../../src/errors.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { type KeyServer, startKeyServer } from '../support/key-server.ts';
import { RawSocket } from '../support/raw-socket.ts';

/** Tokens that must open nothing, against a server that trusts a secret and one that trusts a key set. */

const SECRET = 'a-secret-of-thirty-two-bytes-or-more';
const RULES = {
  issuer: 'https://id.test',
  audience: 'ringdown',
  clockToleranceMs: TIMINGS.tokenClockToleranceMs,
  cacheMs: TIMINGS.tokenCacheMs,
};
const bytes = (text: string) => new TextEncoder().encode(text);
const part = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

type Key = CryptoKey | Uint8Array;
interface Signer {
  readonly alg: string;
  readonly key: Key;
  readonly kid?: string;
}
type Parts = { claims?: Record<string, unknown>; header?: Record<string, unknown> };

async function sign({ alg, key, kid }: Signer, { claims = {}, header = {} }: Parts = {}): Promise<string> {
  const { issuer: iss, audience: aud } = RULES;
  const good = { iss, aud, sub: 'ada', exp: inSeconds(600) };
  const crit = header.crit === undefined ? undefined : { crit: { b64: true, planet: true } };
  return new SignJWT({ ...good, ...claims })
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }), ...header })
    .sign(key, crit);
}

/** One that neither server trusts. */
let stranger: { privateKey: CryptoKey; publicKey: CryptoKey };
/** Where a token would like its keys to be fetched from. */
let elsewhere: KeyServer;
let issuer: KeyServer;
let published: { privateKey: CryptoKey; publicKey: CryptoKey };
const servers: Record<string, FakeServer> = {};
const signers: Record<string, Signer> = {};

async function start(mode: string, trusted: Pick<TokenVerifierOptions, 'secret' | 'jwksUrl'>) {
  const { verify } = createTokenVerifier({
    ...RULES,
    previousSecret: null,
    ...trusted,
  } as TokenVerifierOptions);
  servers[mode] = await startFakeServer({ verify });
}

beforeAll(async () => {
  const rsa = () => generateKeyPair('RS256', { extractable: true });
  [stranger, published] = await Promise.all([rsa(), rsa()]);
  const jwk = async (key: CryptoKey, kid: string): Promise<JWK> => ({ ...(await exportJWK(key)), kid });
  elsewhere = await startKeyServer([await jwk(stranger.publicKey, 'stranger')]);
  issuer = await startKeyServer([await jwk(published.publicKey, 'published')]);
  signers.secret = { alg: 'HS256', key: bytes(SECRET) };
  signers['key set'] = { alg: 'RS256', key: published.privateKey, kid: 'published' };
  await start('secret', { secret: SECRET, jwksUrl: null });
  await start('key set', { secret: null, jwksUrl: issuer.url });
});
afterAll(async () => {
  for (const server of Object.values(servers)) await server.close();
  await elsewhere?.close();
  await issuer?.close();
});

const QUERY = JSON.stringify({ query: '{ viewer { id scopes } }' });

async function overHttp(url: string, token: string) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: QUERY,
  });
  return response.text();
}

async function overWebSocket(url: string, token: string) {
  const socket = await RawSocket.open(url, null);
  socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  const first = await Promise.race([socket.closed, once(socket.ws, 'message').then(() => null)]);
  if (first === null) await socket.close();
  return first;
}

type Make = (signer: Signer) => Promise<string> | string;
const withClaims =
  (claims: () => Record<string, unknown>): Make =>
  (signer) =>
    sign(signer, { claims: claims() });
const byStranger =
  (header: () => Record<string, unknown> | Promise<Record<string, unknown>>): Make =>
  async ({ kid }) =>
    sign(
      { alg: 'RS256', key: stranger.privateKey, ...(kid !== undefined && { kid }) },
      { header: await header() },
    );
const changed =
  (change: (parts: string[]) => string[]): Make =>
  async (signer) =>
    change((await sign(signer)).split('.')).join('.');

const INVALID: Record<string, Make> = {
  'alg none': changed(([, claims]) => [part({ alg: 'none' }), claims as string, '']),
  'alg none in other letters, with the signature': changed(([, claims, signature]) => [
    part({ alg: 'nOnE' }),
    claims as string,
    signature as string,
  ]),
  'no alg': changed(([, claims, signature]) => [part({ typ: 'JWT' }), claims as string, signature as string]),
  'another key': ({ alg, kid }) =>
    sign({
      alg,
      key: alg === 'HS256' ? bytes(`${SECRET}!`) : stranger.privateKey,
      ...(kid !== undefined && { kid }),
    }),
  'another algorithm with the right key': ({ alg, key }) =>
    alg === 'HS256'
      ? sign({ alg: 'HS512', key: bytes(SECRET.repeat(2)) })
      : changed(([, ...rest]) => [part({ alg: 'RS512', kid: 'published' }), ...rest])({ alg, key }),
  'an HMAC of the published key as PEM': async () =>
    sign({ alg: 'HS256', key: bytes(await exportSPKI(published.publicKey)), kid: 'published' }),
  'an HMAC of the published key as JWK': async () =>
    sign({ alg: 'HS256', key: bytes(JSON.stringify(issuer.keys[0])), kid: 'published' }),
  'an HMAC of the published modulus': async () =>
    sign({ alg: 'HS256', key: Buffer.from(String(issuer.keys[0]?.n), 'base64url'), kid: 'published' }),
  'an HMAC of nothing': changed(([, claims, signature]) => [
    part({ alg: 'HS256', kid: '../../dev/null' }),
    claims as string,
    signature as string,
  ]),
  'a key of its own in jwk': byStranger(async () => ({ jwk: await exportJWK(stranger.publicKey) })),
  'its keys at jku': byStranger(() => ({ jku: elsewhere.url, kid: 'stranger' })),
  'its certificate at x5u': byStranger(() => ({ x5u: elsewhere.url, kid: 'stranger' })),
  'a certificate of its own in x5c': byStranger(() => ({ x5c: [part('certificate')] })),
  'a critical header that nobody knows': (signer) =>
    sign(signer, { header: { crit: ['planet'], planet: 'earth' } }),
  'a payload that is not encoded (b64)': changed(([, ...rest]) => [
    part({ alg: 'HS256', b64: false, crit: ['b64'] }),
    ...rest,
  ]),
  'another payload under the signature': changed(([header, , signature]) => [
    header as string,
    part({ iss: RULES.issuer, aud: RULES.audience, sub: 'ben', exp: inSeconds(600) }),
    signature as string,
  ]),
  'no signature': changed(([header, claims]) => [header as string, claims as string, '']),
  'half a signature': changed(([header, claims, signature = '']) => [
    header as string,
    claims as string,
    signature.slice(0, signature.length / 2),
  ]),
  'five parts': changed((parts) => [...parts, 'x', 'y']),
  'two tokens in one': changed((parts) => [...parts, ...parts]),
  'a payload that is no object': changed(([header, , signature]) => [
    header as string,
    part([1]),
    signature as string,
  ]),
  'more than 8192 characters': withClaims(() => ({ more: 'x'.repeat(9_000) })),
  'no end': withClaims(() => ({ exp: undefined })),
  'an end in words': withClaims(() => ({ exp: String(inSeconds(600)) })),
  'a beginning in the future': withClaims(() => ({ nbf: inSeconds(60) })),
  'another audience': withClaims(() => ({ aud: ['other', 'ringdown2'] })),
  'no audience': withClaims(() => ({ aud: undefined })),
  'another issuer': withClaims(() => ({ iss: `${RULES.issuer}/` })),
  'no issuer': withClaims(() => ({ iss: undefined })),
  'no subject': withClaims(() => ({ sub: undefined })),
  'a subject that is no id': withClaims(() => ({ sub: ' \n' })),
};

describe.each(['secret', 'key set'])('With a %s', (mode) => {
  const url = () => (servers[mode] as FakeServer).url;
  const token = (make: Make) => make(signers[mode] as Signer);

  it('a token that was signed for it opens the door, so that the others fail for what they are', async () => {
    const good = await token(sign);
    expect(JSON.parse(await overHttp(url(), good))).toEqual({ data: { viewer: { id: 'ada', scopes: [] } } });
    expect(await overWebSocket(url(), good)).toBeNull();
  });

  it.each(Object.entries(INVALID))(
    'one with %s is refused whole, over HTTP and WebSocket',
    async (_, make) => {
      const bad = await token(make);
      const text = await overHttp(url(), bad);
      expect(JSON.parse(text)).toMatchObject({
        data: null,
        errors: [{ message: 'The token is not valid.', extensions: { code: 'UNAUTHENTICATED' } }],
      });
      expect(await overWebSocket(url(), bad)).toEqual({
        code: CLOSE.UNAUTHORIZED.code,
        reason: CLOSE.UNAUTHORIZED.reason,
      });
      // Nobody went to fetch what a token pointed to.
      expect(elsewhere.fetches).toBe(0);
    },
  );

  it('one that ran out 31 s ago is refused, and the client told to come back with a new one', async () => {
    const old = await token(withClaims(() => ({ exp: inSeconds(-31) })));
    expect(await overHttp(url(), old)).toContain('get a new one');
    expect((await overWebSocket(url(), old))?.code).toBe(CLOSE.TOKEN_EXPIRED.code);
  });

  it('one that is off by less than 30 s is taken, and its socket stays open', async () => {
    for (const claims of [{ exp: inSeconds(-20) }, { nbf: inSeconds(20) }]) {
      const near = await token(withClaims(() => claims));
      expect(await overHttp(url(), near)).toContain('"ada"');
      const socket = await RawSocket.open(url(), near);
      socket.subscribe('1', '{ viewer { id } }');
      expect(await socket.answer('1')).toEqual({ data: { viewer: { id: 'ada' } } });
      await socket.close();
    }
  });

  it('only the first of two Authorization headers counts, and two tokens in one header are none', async () => {
    const [good, bad] = [await token(sign), await token(INVALID['another key'] as Make)];
    const ask = async (authorization: string | string[]) => {
      // As two lines; the types know of one.
      const headers = { 'content-type': 'application/json', authorization } as http.OutgoingHttpHeaders;
      const request = http.request(`${url()}/graphql`, { method: 'POST', headers });
      const [response] = (await once(request.end(QUERY), 'response')) as [http.IncomingMessage];
      return (await response.toArray()).join('');
    };
    expect(await ask([`Bearer ${bad}`, `Bearer ${good}`])).toContain('UNAUTHENTICATED');
    for (const two of [`Bearer ${good}, Bearer ${good}`, `Bearer ${bad},${good}`, `Bearer ${good} ${good}`]) {
      expect(await ask(two)).toContain('UNAUTHENTICATED');
    }
  });
});

describe('A key set that cannot be fetched', () => {
  it('is no fault of the token: TIMEOUT over HTTP, 1013 over WebSocket', async () => {
    const trouble = await startKeyServer();
    trouble.status = 503;
    const failures: unknown[] = [];
    const { verify } = createTokenVerifier({
      ...RULES,
      secret: null,
      jwksUrl: trouble.url,
      onKeysUnavailable: (error) => failures.push(error),
    });
    const server = await startFakeServer({ verify });
    try {
      const good = await sign(signers['key set'] as Signer);
      const answer = JSON.parse(await overHttp(server.url, good));
      expect(answer.errors).toMatchObject([{ extensions: { code: 'TIMEOUT' } }]);
      const closed = await overWebSocket(server.url, good);
      expect(closed).toEqual({ code: CLOSE.FULL.code, reason: 'Try again later' });
      // The operator hears of each try that failed, not of each client; and nobody has to read it as a bug.
      expect([failures.length, trouble.fetches, server.observed.internalErrors]).toEqual([1, 1, 0]);
    } finally {
      await server.close();
      await trouble.close();
    }
  });
});
