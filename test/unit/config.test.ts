import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, loadDatabaseConfig } from '../../src/config.ts';
import { hasTurn, isValid } from '../../src/config-ice.ts';
import { SETTINGS } from '../../src/config-settings.ts';
import { duration } from '../../src/config-values.ts';
import { checkIceServerUrl } from '../../src/ice-servers/ice-server-url.ts';

const SECRET = 'kZt0Qm4vJ8xLw2yBn6RfUq1Hc5sDgE7aPi9o';
const PREVIOUS = 'wX3pT8uK1mZ7cV4nB9sJ2hL6gF0dQ5rYeAo';
const JWT = { JWT_SECRET: SECRET, JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'ringdown' };
const folder = mkdtempSync(join(tmpdir(), 'config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(content: string | Uint8Array): string {
  const path = join(folder, `${Math.random()}`);
  writeFileSync(path, content);
  return path;
}

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('loadConfig', () => {
  it('has the documented defaults in an empty environment', () => {
    expect(loadConfig({})).toEqual({
      embedded: true,
      production: false,
      demo: true,
      host: '127.0.0.1',
      port: 4000,
      metricsPort: 9464,
      database: { url: null, dataDir: null, poolSize: 10, timeoutMs: 5_000 },
      redisUrl: null,
      jwt: null,
      allowedOrigins: [],
      trustedProxies: null,
      introspection: true,
      graphiql: true,
      trustedDocuments: null,
      eventsKeptMs: 90 * 86_400_000,
      limits: {
        maxParticipants: 10,
        maxInvitees: 100,
        maxCallDurationMs: 86_400_000,
        callDurationWarningMs: 3_600_000,
        ringTimeoutMs: 300_000,
        disconnectGraceMs: 120_000,
        aloneTimeoutMs: 60_000,
        initiatePerMinute: 10,
        joinsPerMinute: 60,
        signalsPerMinute: 6_000,
        reportsPerMinute: 30,
        connectionsPerMinute: 120,
        usersPerAddress: 100,
        failedTokensPerMinute: 60,
        maxConnections: 10_000,
        maxConnectionsPerUser: 50,
        maxConnectionsPerAddress: 10_000,
        maxDevices: 20,
      },
      ice: { servers: [], turn: null, problems: [] },
      webhook: null,
      webPush: {
        privateKey: null,
        subject: 'mailto:nobody@example.com',
        endpoints: { allowHttp: false, allowPrivate: false },
      },
      metricsPerCall: false,
      logLevel: 'info',
      tracing: null,
    });
  });

  it('tells of the schema outside production, or where it is asked to', () => {
    const production = { ...JWT, NODE_ENV: 'production', DATABASE_URL: 'postgres://db/app' };
    const doors = (env: Record<string, string>) => {
      const { introspection, graphiql } = loadConfig(env);
      return { introspection, graphiql };
    };
    for (const NODE_ENV of ['development', 'test']) {
      expect(doors({ ...JWT, NODE_ENV })).toEqual({ introspection: true, graphiql: true });
    }
    expect(doors(production)).toEqual({ introspection: false, graphiql: false });
    expect(doors({ ...production, GRAPHIQL: 'true' })).toEqual({ introspection: false, graphiql: true });
    expect(doors({ ...production, INTROSPECTION: 'true' })).toEqual({ introspection: true, graphiql: false });
    expect(doors({ INTROSPECTION: 'false', GRAPHIQL: 'false' })).toEqual({
      introspection: false,
      graphiql: false,
    });
  });

  it('reads a whole deployment', () => {
    const config = loadConfig({
      ...JWT,
      JWT_PREVIOUS_SECRET: PREVIOUS,
      NODE_ENV: 'production',
      PORT: '8080',
      DATABASE_URL: 'postgres://app:pw@db:5432/app',
      DATA_DIR: '/data',
      REDIS_URL: 'rediss://:pw@redis:6380/1',
      ALLOWED_ORIGINS: 'https://app.example.com, capacitor://localhost,http://localhost:5173',
      MAX_PARTICIPANTS: '4',
      DISCONNECT_GRACE: '500ms',
      MAX_CALL_DURATION: '1d',
      CALL_DURATION_WARNING: '5m',
      ICE_SERVERS: '[{"urls":"stun:stun.example.com"}]',
      TURN_URLS: 'turn:turn.example.com:3478?transport=udp,turns:turn.example.com',
      TURN_SECRETS: `${SECRET},${SECRET}old`,
      TURN_CREDENTIAL_LIFETIME: '10m',
      METRICS_PER_CALL: 'true',
      LOG_LEVEL: 'debug',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
      OTEL_TRACES_SAMPLER_ARG: '0.01',
    });
    expect(config).toMatchObject({
      embedded: false,
      production: true,
      demo: false,
      host: '0.0.0.0',
      port: 8080,
      database: { url: 'postgres://app:pw@db:5432/app', dataDir: null },
      redisUrl: 'rediss://:pw@redis:6380/1',
      jwt: {
        secret: SECRET,
        previousSecret: PREVIOUS,
        jwksUrl: null,
        issuer: 'https://id.example',
        audience: 'ringdown',
      },
      allowedOrigins: ['https://app.example.com', 'capacitor://localhost', 'http://localhost:5173'],
      limits: { maxParticipants: 4, disconnectGraceMs: 500, callDurationWarningMs: 300_000 },
      ice: {
        servers: [{ urls: ['stun:stun.example.com'], username: null, credential: null }],
        turn: {
          urls: ['turn:turn.example.com:3478?transport=udp', 'turns:turn.example.com'],
          secrets: [SECRET, `${SECRET}old`],
          lifetimeMs: 600_000,
        },
        problems: [],
      },
      metricsPerCall: true,
      logLevel: 'debug',
      tracing: { endpoint: 'http://collector:4318', serviceName: 'ringdown', ratio: 0.01 },
    });
  });

  it('is frozen to its depths', () => {
    const config = loadConfig({ ICE_SERVERS: '[{"urls":["stun:a.example"]}]' });
    expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError);
    expect(() => Object.assign(config.limits, { maxParticipants: 99 })).toThrow(TypeError);
    expect(() => (config.ice.servers[0]!.urls as string[]).push('x')).toThrow(TypeError);
  });

  it('tells of every wrong setting at once, with what is allowed', () => {
    const problems = problemsOf({
      PORT: 'http',
      RING_TIMEOUT: '5 min',
      MAX_PARTICIPANTS: '1',
      LOG_LEVEL: 'loud',
    });
    expect(problems).toEqual([
      'PORT is not a whole number (it is "http"); allowed: port, 0 to 65535',
      'MAX_PARTICIPANTS is too small (it is "1"); allowed: 2 to 50',
      'RING_TIMEOUT is not a duration (it is "5 min"); allowed: duration, 1s to 1h',
      expect.stringMatching(/^LOG_LEVEL is none of these \(it is "loud"\); allowed: /),
    ]);
    expect(new ConfigError(problems).message).toContain(problems[3]);
  });

  it.each([
    ['PORT', '65536'],
    ['MAX_PARTICIPANTS', '51'],
    ['MAX_PARTICIPANTS', '2.5'],
    ['INITIATE_RATE', '0'],
    ['RING_TIMEOUT', '2h'],
    ['DISCONNECT_GRACE', '15'],
    ['METRICS_PER_CALL', 'yes'],
    ['NODE_ENV', 'prod'],
    ['DATABASE_URL', 'mysql://db/app'],
    ['REDIS_URL', 'localhost:6379'],
    ['ALLOWED_ORIGINS', 'https://app.example.com/'],
    ['ALLOWED_ORIGINS', 'https://app.example.com:443'],
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'https://a.example,,https://b.example'],
    ['HOST', 'a host'],
    ['MAX_CONNECTIONS_PER_ADDRESS', '0'],
    ['TRUSTED_PROXIES', '1'],
    ['TRUSTED_PROXIES', 'true'],
    ['TRUSTED_PROXIES', '0.0.0.0/0'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['TRUSTED_PROXIES', 'proxy.example.com'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_TRACES_SAMPLER_ARG', '-0.1'],
    ['OTEL_TRACES_SAMPLER_ARG', '10%'],
    ['TRUSTED_PROXIES', 'none,loopback'],
    ['SIGNAL_RATE', '0'],
    ['REPORT_RATE', '0'],
    ['USERS_PER_ADDRESS', '0'],
    ['TURN_CREDENTIAL_LIFETIME', '59s'],
    ['TURN_CREDENTIAL_LIFETIME', '61m'],
    ['ICE_STRICT', 'yes'],
    ['VAPID_PRIVATE_KEY', 'c2hvcnQ'],
    ['VAPID_PRIVATE_KEY', 'A'.repeat(43)],
    ['VAPID_SUBJECT', 'ops@example.com'],
    ['VAPID_SUBJECT', 'http://example.com'],
    ['MAX_DEVICES', '0'],
  ])('refuses %s=%s, and complains of nothing else', (name, value) => {
    const jwt = name === 'DATABASE_URL' || name === 'NODE_ENV' ? JWT : {};
    const problems = problemsOf({ ...jwt, [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${name} .*; allowed: `));
  });

  it("never prints a secret's value", () => {
    const hidden = 'hide-me';
    const problems = problemsOf({
      ICE_STRICT: 'true',
      JWT_SECRET: hidden,
      JWT_PREVIOUS_SECRET: hidden,
      DATABASE_URL: `${hidden}://u:${hidden}@h/d`,
      REDIS_URL: hidden,
      TURN_URLS: 'turn:turn.example.com',
      TURN_SECRETS: `${hidden},${hidden}`,
      VAPID_PRIVATE_KEY: hidden,
      ICE_SERVERS: `[{"urls":"turn:a.example","username":"${hidden}","credential":"${hidden}`,
    });
    for (const name of [
      'JWT_SECRET',
      'JWT_PREVIOUS_SECRET',
      'DATABASE_URL',
      'REDIS_URL',
      'TURN_SECRETS',
      'ICE_SERVERS',
    ]) {
      expect(problems).toContainEqual(expect.stringMatching(new RegExp(`^${name} `)));
    }
    expect(problems.join()).not.toContain(hidden);
  });

  it('warns by default an hour before the end, or at half of a call of two hours or less', () => {
    const warning = (max: string) => loadConfig({ MAX_CALL_DURATION: max }).limits.callDurationWarningMs;
    expect([warning('3h'), warning('2h'), warning('10m'), warning('1s')]).toEqual([
      3_600_000, 3_600_000, 300_000, 500,
    ]);
  });

  it('caps an address by default only where proxies are named, so that nobody else is taken for one', () => {
    const most = (env: Record<string, string>) => loadConfig(env).limits.maxConnectionsPerAddress;
    expect(most({ MAX_CONNECTIONS: '20000' })).toBe(20_000);
    expect(most({ TRUSTED_PROXIES: 'loopback, 192.0.2.1,2001:db8::/32' })).toBe(1_000);
    expect(most({ MAX_CONNECTIONS_PER_ADDRESS: '7' })).toBe(7);
  });

  it('tells a deployment without proxies from one that does not say whether it has any', () => {
    expect(loadConfig({}).trustedProxies).toBeNull();
    expect(loadConfig({ TRUSTED_PROXIES: 'none' }).trustedProxies).toEqual([]);
    expect(loadConfig({ TRUSTED_PROXIES: 'none' }).limits.maxConnectionsPerAddress).toBe(1_000);
  });

  it('takes no warning that would come before the call', () => {
    expect(problemsOf({ MAX_CALL_DURATION: '1h', CALL_DURATION_WARNING: '1h' })).toEqual([
      expect.stringContaining('CALL_DURATION_WARNING is not less than MAX_CALL_DURATION'),
    ]);
    expect(problemsOf({ MAX_CALL_DURATION: '1h', CALL_DURATION_WARNING: '59m' })).toEqual([]);
  });

  it('sends web push with a given key, and in a demo with one of its own', () => {
    const VAPID_PRIVATE_KEY = 'hnr6dXrwzOIWBCzKLcSqUQxfNGVPeq6R8FRrC_dT8CQ';
    const VAPID_SUBJECT = 'mailto:ops@example.com';
    const deployed = { ...JWT, DATABASE_URL: 'postgres://db/app' };
    const keptInProduction = { ...JWT, NODE_ENV: 'production', DATA_DIR: '/data' };
    const of = (env: Record<string, string>) => loadConfig(env).webPush;
    expect([of(deployed), of(keptInProduction), of({ ...JWT })]).toEqual([null, null, null]);
    expect(of({ ...deployed, VAPID_PRIVATE_KEY, VAPID_SUBJECT })).toMatchObject({
      privateKey: VAPID_PRIVATE_KEY,
      subject: VAPID_SUBJECT,
    });
    expect(of({ VAPID_SUBJECT })).toMatchObject({ privateKey: null, subject: VAPID_SUBJECT });
    expect(problemsOf({ ...deployed, VAPID_PRIVATE_KEY })).toEqual([
      expect.stringMatching(/^VAPID_SUBJECT /),
    ]);
    expect(problemsOf({ ...deployed, VAPID_SUBJECT })).toEqual([
      expect.stringMatching(/^VAPID_PRIVATE_KEY /),
    ]);
    const weak = `${'A'.repeat(41)}CA`;
    const problems = problemsOf({ ...keptInProduction, VAPID_PRIVATE_KEY: weak, VAPID_SUBJECT });
    expect(problems).toEqual([expect.stringMatching(/^VAPID_PRIVATE_KEY is no product of chance/)]);
  });

  it('takes no two listeners on one port, but any free ones', () => {
    expect(problemsOf({ PORT: '9464' })).toEqual([
      expect.stringMatching(/^METRICS_PORT is 9464, as PORT is/),
    ]);
    expect(problemsOf({ PORT: '0', METRICS_PORT: '0' })).toEqual([]);
  });
});

describe('ICE settings that are not valid', () => {
  const ICE: readonly (readonly [env: Record<string, string>, problem: RegExp])[] = [
    [{ ICE_SERVERS: 'stun:stun.example.com' }, /^ICE_SERVERS is not JSON; allowed: /],
    [{ ICE_SERVERS: '{}' }, /^ICE_SERVERS is not an array/],
    [
      { ICE_SERVERS: '[{"urls":"stun:a.example"},{"urls":"http://b.example"}]' },
      /^ICE_SERVERS \[1\]\.urls: does not begin with/,
    ],
    [{ TURN_URLS: 'turn:a.example' }, /^TURN_SECRETS is not set while TURN_URLS is/],
    [{ TURN_SECRETS: 's' }, /^TURN_URLS is not set while TURN_SECRETS is/],
    [
      { TURN_URLS: 'turn:a.example,stun:a.example', TURN_SECRETS: 's' },
      /^TURN_URLS item 2 is not a turn: or/,
    ],
    [{ TURN_URLS: 'turn:a.example,,turn:b.example', TURN_SECRETS: 's' }, /^TURN_URLS item 2 is empty/],
    [{ TURN_URLS: 'turn:a.example,turn:a.example', TURN_SECRETS: 's' }, /^TURN_URLS item 2 is named twice/],
    [
      { TURN_URLS: 'turn:a.example', TURN_SECRETS: 's,\u0001' },
      /^TURN_SECRETS item 2 has a control character/,
    ],
  ];

  it.each(ICE)('are problems and no reason not to start, unless ICE_STRICT says so: %o', (env, problem) => {
    const { problems } = loadConfig(env).ice;
    expect(problems.map(({ setting, problem: what }) => `${setting} ${what}`)).toEqual([
      expect.stringMatching(problem),
    ]);
    expect(problemsOf({ ...env, ICE_STRICT: 'true' })).toEqual([expect.stringMatching(problem)]);
  });

  it('leave what is valid beside them in use', () => {
    const { servers, turn } = loadConfig({
      ICE_SERVERS:
        '[{"urls":["stun:a.example","a.example"]},{"urls":"turn:b.example"},{"urls":"stun:c.example"}]',
      TURN_URLS: 'turn:a.example:0, turn:a.example',
      TURN_SECRETS: ',s',
    }).ice;
    expect(servers.map(({ urls }) => urls)).toEqual([['stun:a.example'], ['stun:c.example']]);
    expect(turn).toMatchObject({ urls: ['turn:a.example'], secrets: ['s'] });
    expect(loadConfig({ TURN_URLS: 'turn:a.example' }).ice.turn).toBeNull();
  });

  it('have an answer for whatever is configured', () => {
    const text = fc.oneof(fc.string(), fc.json(), fc.constantFrom('turn:a.example', ',', '[]'));
    fc.assert(
      fc.property(text, text, text, (ICE_SERVERS, TURN_URLS, TURN_SECRETS) => {
        const { servers, turn } = loadConfig({ ICE_SERVERS, TURN_URLS, TURN_SECRETS }).ice;
        for (const url of [...servers.flatMap((server) => server.urls), ...(turn?.urls ?? [])]) {
          expect(checkIceServerUrl(url)).toBeNull();
        }
      }),
    );
  });

  it.each([
    [{}, { turn: false, valid: false }],
    [{ ICE_SERVERS: '[{"urls":"stun:a.example"}]' }, { turn: false, valid: true }],
    [
      { TURN_URLS: 'turn:a.example', TURN_SECRETS: 's' },
      { turn: true, valid: true },
    ],
    [
      { TURN_URLS: 'turn:a.example,a', TURN_SECRETS: 's' },
      { turn: true, valid: false },
    ],
    [
      { ICE_SERVERS: '[{"urls":["stun:a.example","turns:a.example"],"username":"u","credential":"p"}]' },
      { turn: true, valid: true },
    ],
  ])('say whether there is a TURN server, and whether all is well: %o', (env, wanted) => {
    const { ice } = loadConfig(env as Record<string, string>);
    expect({ turn: hasTurn(ice), valid: isValid(ice) }).toEqual(wanted);
  });
});

describe('identity settings', () => {
  it('need no key in a demo alone', () => {
    expect(loadConfig({}).demo).toBe(true);
    for (const env of [
      { NODE_ENV: 'production', DATA_DIR: '/data' },
      { DATABASE_URL: 'postgres://db/app' },
    ]) {
      expect(problemsOf(env)).toEqual([
        expect.stringMatching(/^JWT_SECRET and JWT_JWKS_URL are both missing/),
      ]);
    }
  });

  it.each([{ JWT_SECRET: '' }, { JWT_PREVIOUS_SECRET: '' }, { JWT_ISSUER: 'x' }, { JWT_SECRET_FILE: '' }])(
    'make no demo of a deployment that meant to have a key: %o',
    (env) => {
      expect(problemsOf(env)).toEqual([
        expect.stringMatching(/^JWT_SECRET and JWT_JWKS_URL are both missing/),
      ]);
    },
  );

  it('take one key, with issuer and audience', () => {
    expect(problemsOf({ ...JWT, JWT_JWKS_URL: 'https://id.example/jwks' })).toEqual([
      expect.stringMatching(/^JWT_SECRET and JWT_JWKS_URL are both set/),
    ]);
    expect(problemsOf({ JWT_SECRET: SECRET })).toEqual([
      expect.stringMatching(/^JWT_ISSUER /),
      expect.stringMatching(/^JWT_AUDIENCE /),
    ]);
    const { jwt, demo } = loadConfig({
      ...JWT,
      JWT_SECRET: undefined,
      JWT_JWKS_URL: 'https://id.example/jwks',
    });
    expect(jwt).toMatchObject({ secret: null, jwksUrl: 'https://id.example/jwks' });
    expect(demo).toBe(false);
  });

  it('take a secret of 32 bytes, not of 31', () => {
    for (const [env, problem] of [
      [{ JWT_PREVIOUS_SECRET: SECRET }, 'is the same as JWT_SECRET; allowed: the secret before that one'],
      [
        { JWT_PREVIOUS_SECRET: 'x'.repeat(31) },
        'is too short; allowed: 32 bytes or more, another than JWT_SECRET',
      ],
      [
        { JWT_PREVIOUS_SECRET: PREVIOUS, JWT_SECRET: '', JWT_JWKS_URL: 'https://id.example/jwks' },
        'is set without JWT_SECRET; allowed: beside it alone',
      ],
    ] as const) {
      expect(problemsOf({ ...JWT, ...env })).toEqual([`JWT_PREVIOUS_SECRET ${problem}`]);
    }
    expect(problemsOf({ ...JWT, JWT_SECRET: 'é'.repeat(16) })).toEqual([]);
    expect(problemsOf({ ...JWT, JWT_SECRET: 'x'.repeat(31) })).toEqual([
      'JWT_SECRET is too short; allowed: 32 bytes or more',
    ]);
  });

  it('take keys over plain HTTP outside production alone', () => {
    const env = { JWT_JWKS_URL: 'http://id.local/jwks', JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' };
    expect(problemsOf(env)).toEqual([]);
    expect(problemsOf({ ...env, NODE_ENV: 'production', DATA_DIR: '/data' })).toEqual([
      expect.stringMatching(/^JWT_JWKS_URL .*https/),
    ]);
  });
});

describe('the webhook', () => {
  const secret = (bytes: number) => `whsec_${randomBytes(bytes).toString('base64')}`;
  const WEBHOOK_URL = 'https://app.example/hooks?key=hidden';

  it('has a URL and one or two secrets, the newest first', () => {
    const secrets = [secret(32), secret(24)];
    const { webhook } = loadConfig({ WEBHOOK_URL, WEBHOOK_SECRETS: secrets.join(', ') });
    expect(webhook).toEqual({ url: WEBHOOK_URL, secrets, allowHttp: false, allowPrivate: false });
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['a URL alone', { WEBHOOK_URL }, /^WEBHOOK_SECRETS is not set while WEBHOOK_URL is/],
    ['secrets alone', { WEBHOOK_SECRETS: secret(32) }, /^WEBHOOK_URL is not set while WEBHOOK_SECRETS is/],
    ['three', { WEBHOOK_URL, WEBHOOK_SECRETS: [1, 2, 3].map(() => secret(32)).join() }, /has more than two/],
    ['a short one', { WEBHOOK_URL, WEBHOOK_SECRETS: secret(23) }, /item 1 is too short/],
    ['a long one', { WEBHOOK_URL, WEBHOOK_SECRETS: secret(65) }, /item 1 is too long/],
    ['one of another form', { WEBHOOK_URL, WEBHOOK_SECRETS: 'hidden' }, /item 1 is not `whsec_` and base64/],
    [
      'no TLS',
      { WEBHOOK_URL: 'http://hidden.example', WEBHOOK_SECRETS: secret(32) },
      /WEBHOOK_ALLOW_HTTP=true/,
    ],
  ])('is refused with %s, and shows no value', (_name, env, problem) => {
    const found = problemsOf(env);
    expect(found).toEqual([expect.stringMatching(problem)]);
    expect(found.join()).not.toContain('hidden');
  });

  it('goes without TLS, or into a private network, where that is said', () => {
    const { webhook } = loadConfig({
      WEBHOOK_URL: 'http://backend:8080/hooks',
      WEBHOOK_SECRETS: secret(32),
      WEBHOOK_ALLOW_HTTP: 'true',
      WEBHOOK_ALLOW_PRIVATE: 'true',
    });
    expect(webhook).toMatchObject({ allowHttp: true, allowPrivate: true });
  });

  it('has in production no secret that is an example', () => {
    const env = { ...JWT, NODE_ENV: 'production', DATABASE_URL: 'postgres://db/app', WEBHOOK_URL };
    const weak = `whsec_${Buffer.from('0'.repeat(32)).toString('base64')}`;
    expect(problemsOf({ ...env, WEBHOOK_SECRETS: weak })).toEqual([
      expect.stringMatching(/^WEBHOOK_SECRETS item 1 .*openssl rand -base64 32/),
    ]);
    expect(problemsOf({ ...env, WEBHOOK_SECRETS: secret(32) })).toEqual([]);
  });
});

describe('in production', () => {
  const PRODUCTION = { ...JWT, NODE_ENV: 'production', DATABASE_URL: 'postgres://db/app' };
  const problems = (env: Record<string, string>) => problemsOf({ ...PRODUCTION, ...env });
  const random = (encoding: 'hex' | 'base64', bytes: number) => randomBytes(bytes).toString(encoding);

  it('secrets of chance are taken', () => {
    for (let i = 0; i < 300; i++) {
      expect(
        problems({
          JWT_SECRET: i % 2 ? random('base64', 48) : random('hex', 32),
          DATABASE_URL: `postgres://ringdown_app:${random('hex', 24)}@db/ringdown`,
          TURN_URLS: 'turn:turn.example.com',
          TURN_SECRETS: `${random('hex', 24)},${random('base64', 32)}`,
        }),
      ).toEqual([]);
    }
  });

  it.each([
    'changeme-changeme-changeme-changeme',
    'a-secret-of-the-tests-that-is-long-enough',
    'MyVeryLongPassw0rdOfThirtyTwoBytes',
    'x'.repeat(64),
    'k3Z9'.repeat(10),
    '0123456789abcdef0123456789abcdef0123',
    'abcdefghijklmnopqrstuvwxyz0123456789',
    '00000000000000000000000000000000001',
  ])('JWT_SECRET=%s is refused, with what to do and without the value', (secret) => {
    const found = problems({ JWT_SECRET: secret });
    expect(found).toEqual([expect.stringMatching(/^JWT_SECRET .*openssl rand -base64 48/)]);
    expect(found.join()).not.toContain(secret);
    expect(problemsOf({ ...JWT, JWT_SECRET: secret })).toEqual([]);
  });

  it.each([
    ['DATABASE_URL', 'postgres://ringdown:secret@127.0.0.1:5432/ringdown'],
    ['DATABASE_URL', 'postgres://postgres:postgres@db/ringdown'],
    ['DATABASE_URL', 'postgres://calls:Calls@db/ringdown'],
    ['DATABASE_URL', 'postgres://calls:p%61ssword@db/ringdown'],
    ['REDIS_URL', 'redis://:redis@cache:6379'],
    ['REDIS_URL', 'rediss://default:foobared@cache:6379'],
  ])('%s with a password that everyone knows is refused: %s', (name, url) => {
    const found = problems({ [name]: url });
    expect(found).toEqual([expect.stringMatching(new RegExp(`^${name} has .*openssl rand -hex 24`))]);
    expect(problemsOf({ ...JWT, [name]: url })).toEqual([]);
  });

  it('a URL without a password is for the server to judge', () => {
    expect(problems({ REDIS_URL: 'redis://cache:6379' })).toEqual([]);
    expect(problems({ DATABASE_URL: 'postgres://ringdown@db/ringdown' })).toEqual([]);
  });

  it('each TURN secret is as long as its hash, and none is an example', () => {
    const turn = (secrets: string) => problems({ TURN_URLS: 'turn:a.example', TURN_SECRETS: secrets });
    expect(turn(`${SECRET},north`)).toEqual([expect.stringMatching(/^TURN_SECRETS item 2 .*20 bytes/)]);
    expect(turn('static-auth-secret-of-turn')).toEqual([expect.stringMatching(/^TURN_SECRETS item 1 /)]);
  });

  it('the database is embedded only where it has a folder', () => {
    expect(problems({ DATABASE_URL: '' })).toEqual([expect.stringMatching(/^DATABASE_URL .*DATA_DIR/)]);
    expect(loadConfig({ ...PRODUCTION, DATABASE_URL: '', DATA_DIR: '/data' })).toMatchObject({
      embedded: true,
      demo: false,
    });
  });

  it('a migration needs the database alone, and is as strict about it', () => {
    const env = { NODE_ENV: 'production', DATABASE_URL: 'postgres://owner:k3Zt9Qm4@db/app' };
    expect(loadDatabaseConfig({ ...env, PORT: 'none of its business' })).toMatchObject({
      url: env.DATABASE_URL,
      timeoutMs: 5_000,
    });
    expect(() => loadDatabaseConfig({ ...env, DATABASE_URL: 'postgres://owner:owner@db/app' })).toThrow(
      ConfigError,
    );
    expect(() => loadDatabaseConfig({ NODE_ENV: 'production' })).toThrow(ConfigError);
  });
});

describe('a secret from a file', () => {
  it('is read without its line break', () => {
    const jwt = { ...JWT, JWT_SECRET: undefined, JWT_SECRET_FILE: fileOf(`${SECRET}\n`) };
    expect(loadConfig(jwt).jwt).toMatchObject({ secret: SECRET, previousSecret: null });
    const changing = { ...JWT, JWT_PREVIOUS_SECRET_FILE: fileOf(PREVIOUS) };
    expect(loadConfig(changing).jwt).toMatchObject({ secret: SECRET, previousSecret: PREVIOUS });
  });

  it('works for each secret', () => {
    const config = loadConfig({
      ...JWT,
      DATABASE_URL_FILE: fileOf('postgres://db/app'),
      REDIS_URL_FILE: fileOf('redis://redis'),
      TURN_SECRETS_FILE: fileOf('one,two'),
      TURN_URLS: 'turn:turn.example.com',
      ICE_SERVERS_FILE: fileOf('[\n{"urls":"stun:stun.example.com"}\n]\n'),
    });
    expect(config.embedded).toBe(false);
    expect(config.database.url).toBe('postgres://db/app');
    expect(config.redisUrl).toBe('redis://redis');
    expect(config.ice.turn?.secrets).toEqual(['one', 'two']);
    expect(config.ice.servers).toHaveLength(1);
  });

  it('is refused beside the variable, where it is missing, empty or no text', () => {
    const problem = (env: Record<string, string>) =>
      problemsOf({ JWT_ISSUER: 'i', JWT_AUDIENCE: 'a', ...env });
    expect(problem({ JWT_SECRET: SECRET, JWT_SECRET_FILE: fileOf(SECRET) })).toEqual([
      'JWT_SECRET and JWT_SECRET_FILE are both set; allowed: one of them',
    ]);
    expect(problem({ JWT_SECRET_FILE: join(folder, 'none') })).toEqual([expect.stringContaining('(ENOENT)')]);
    expect(problem({ JWT_SECRET_FILE: fileOf('\n') })).toEqual([expect.stringContaining('is empty')]);
    expect(problem({ JWT_SECRET_FILE: fileOf(new Uint8Array(32).fill(0xff)) })).toEqual([
      expect.stringContaining('UTF-8'),
    ]);
  });
});

describe('durations', () => {
  const day = duration('0ms', '999999d');

  it('count in milliseconds', () => {
    expect(['500ms', '15s', '5m', '24h', '1d'].map((text) => day.parse(text))).toEqual([
      500, 15_000, 300_000, 86_400_000, 86_400_000,
    ]);
  });

  it('are a whole number and a unit, and nothing else is', () => {
    fc.assert(
      fc.property(fc.string(), (text) => day.safeParse(text).success === /^\d{1,9}(ms|[smhd])$/.test(text)),
    );
    fc.assert(
      fc.property(fc.nat(999_999), fc.constantFrom('ms', 's', 'm', 'h', 'd'), (count, unit) => {
        expect(day.parse(`${count}${unit}`) / day.parse(`1${unit}`)).toBe(count);
      }),
    );
  });
});

describe('the table of settings', () => {
  it.each(Object.entries(SETTINGS))(
    '%s says what it is and why, and its default is allowed',
    (name, setting) => {
      expect(setting.about).not.toBe('');
      expect(setting.why).not.toBe('');
      if (setting.default !== null) expect(problemsOf({ [name]: setting.default })).toEqual([]);
    },
  );
});
