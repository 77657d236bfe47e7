import { request } from 'node:http';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { CLOSE } from '../../src/errors.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createRateLimiter } from '../../src/rate-limits/flexible-rate-limiter.ts';
import { createRates } from '../../src/rate-limits/rates.ts';
import { IDENTITY, tokenFor } from '../support/app.ts';
import { startFakeServer } from '../support/fake-services.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { UNLIMITED_SETTINGS } from '../support/unlimited.ts';
import { createWorld, type World } from '../support/world.ts';

/** Rates as a client meets them: two instances on one Redis, behind a proxy that tells addresses. */

const USER = { initiate: 4, join: 6, signal: 120, connection: 8 };
const USERS_PER_ADDRESS = 2;
const FAILED_TOKENS = 5;

let world: World;
beforeAll(async () => {
  world = await createWorld({
    instances: 2,
    env: {
      TRUSTED_PROXIES: 'loopback',
      INITIATE_RATE: `${USER.initiate}`,
      JOIN_RATE: `${USER.join}`,
      SIGNAL_RATE: `${USER.signal}`,
      CONNECTION_RATE: `${USER.connection}`,
      USERS_PER_ADDRESS: `${USERS_PER_ADDRESS}`,
      FAILED_TOKEN_RATE: `${FAILED_TOKENS}`,
    },
  });
});
afterAll(() => world?.close());

interface Answer {
  readonly data?: Record<string, { code?: string; retryAfterMs?: number | null } & Record<string, unknown>>;
  readonly errors?: { extensions: { code: string } }[];
}

let asked = 0;

/** Over HTTP, by a proxy that says it is for this address; the instances take turns unless one is named. */
async function ask(token: string, address: string, query: string, instance = asked++ % 2) {
  const response = await fetch(`${world.apps[instance]!.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${token}`,
      'x-forwarded-for': address,
    },
    body: JSON.stringify({ query }),
  });
  return { response, answer: (await response.json()) as Answer };
}

/** The codes of as many answers, asked for at once on sockets of each user on both instances, in turns. */
async function codes(users: readonly string[], addresses: readonly string[], query: string, times: number) {
  const sockets = await Promise.all(
    users.flatMap((user, i) =>
      world.apps.map(async ({ url }) => {
        const headers = { 'x-forwarded-for': addresses[i % addresses.length]! };
        return RawSocket.open(url, await tokenFor(user), { headers });
      }),
    ),
  );
  const answers = await Promise.all(
    Array.from({ length: times }, async (_, i) => {
      const socket = sockets[i % sockets.length]!;
      socket.subscribe(`${i}`, query);
      const { data } = (await socket.answer(`${i}`)) as Answer;
      const { code = 'done', retryAfterMs } = Object.values(data!)[0]!;
      if (code === 'RATE_LIMITED') expect(retryAfterMs).toBeGreaterThan(0);
      return code;
    }),
  );
  for (const socket of sockets) await socket.close();
  return answers;
}

const allowed = (all: readonly string[]) => all.filter((code) => code !== 'RATE_LIMITED').length;
const PARTS = '{ __typename ... on Rejection { code retryAfterMs } }';
const START = `mutation { initiateCall(input: {conversationId: "none", calleeIds: ["x"], type: AUDIO, sessionId: "s"}) ${PARTS} }`;
const JOIN = `mutation { joinCall(input: {callId: "none", sessionId: "s"}) ${PARTS} }`;
const SIGNAL = `mutation { sendSignal(input: {callId: "none", sessionId: "s", clientSeq: 1, signal: {renegotiate: {iceRestart: true}}}) ${PARTS} }`;

async function counted(limit: string, by: string): Promise<number> {
  let total = 0;
  for (const { metricsUrl } of world.apps) {
    const text = await (await fetch(`${metricsUrl}/metrics`)).text();
    const series = new RegExp(`^ringdown_rate_limited_total\\{limit="${limit}",by="${by}"\\} (\\d+)$`, 'm');
    total += Number(series.exec(text)?.[1]);
  }
  return total;
}

describe('A header of one who is not a trusted proxy', () => {
  it('makes no other address of theirs, for sockets and for tokens', async () => {
    const limiter = (name: string, limit: number) =>
      createRateLimiter({ name, limit, windowMs: 60_000, answerMs: 500 }, null);
    const one = {
      ...UNLIMITED_SETTINGS,
      connectionsPerMinute: 1,
      failedTokensPerMinute: 1,
      usersPerAddress: 1,
    };
    const server = await startFakeServer({
      rates: createRates(one, { limiter, refused() {} }),
      addressKey: (address) => address,
    });
    try {
      const headers = (last: number) => ({ 'x-forwarded-for': `192.0.2.${last}` });
      await (await RawSocket.open(server.url, null, { headers: headers(1) })).close();
      expect((await upgrade(server.url, '192.0.2.2')).status).toBe(429);
      const statuses: number[] = [];
      for (let i = 0; i < 3; i++) {
        const { status } = await fetch(`${server.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: 'Bearer bad', ...headers(i) },
          body: '{"query":"{ viewer { id } }"}',
        });
        statuses.push(status);
      }
      expect(statuses).toEqual([200, 429, 429]);
    } finally {
      await server.close();
    }
  });
});

describe('Over two instances', () => {
  it.each([
    ['initiate', START, USER.initiate, 0],
    ['join', JOIN, USER.join, 0],
    // Paid for by two, for an address by four: what one instance has left over is no use to the other.
    ['signal', SIGNAL, USER.signal, 1],
  ] as const)(
    '%s is limited for a user, and for the users of an address',
    async (limit, query, perUser, left) => {
      const mine = allowed(await codes([`${limit}-ada`], ['192.0.2.1'], query, perUser + 10));
      expect(mine).toBeLessThanOrEqual(perUser);
      expect(mine).toBeGreaterThanOrEqual(perUser - left);
      const byUser = await counted(limit, 'user');
      expect(byUser).toBe(perUser + 10 - mine);

      // Two lines of one /64, three users: none of them is at a limit of their own, but for what is left over.
      const users = ['x', 'y', 'z'].map((name) => `${limit}-${name}`);
      const line = { initiate: '1', join: '2', signal: '3' }[limit];
      const addresses = [`2001:db8:0:${line}::a`, `2001:db8:0:${line}:ffff::b`];
      const theirs = allowed(await codes(users, addresses, query, perUser * 3));
      const most = perUser * USERS_PER_ADDRESS;
      expect(theirs).toBeLessThanOrEqual(most);
      expect(theirs).toBeGreaterThanOrEqual(most - 3 * left);
      const ownLimit = (await counted(limit, 'user')) - byUser;
      expect(ownLimit).toBeLessThanOrEqual(3 * left);
      expect(await counted(limit, 'address')).toBe(perUser * 3 - theirs - ownLimit);
      expect(allowed(await codes([`${limit}-w`], [`2001:db8:0:${line}1::a`], query, 1))).toBe(1);
    },
  );

  it('a join that repeats one of the same session does not count', async () => {
    const conversationId = await world.conversation(['re-ada', 're-ben']);
    const ada = await tokenFor('re-ada');
    const start = `mutation { initiateCall(input: {conversationId: "${conversationId}", calleeIds: ["re-ben"], type: AUDIO, sessionId: "s"}) { ... on InitiateCallSuccess { call { id } } } }`;
    const { answer } = await ask(ada, '192.0.2.2', start, 0);
    const { id } = answer.data!.initiateCall!.call as { id: string };
    const ben = await tokenFor('re-ben');
    const join = `mutation { joinCall(input: {callId: "${id}", sessionId: "s"}) { __typename } }`;
    for (let i = 0; i < USER.join; i++) await ask(ben, '192.0.2.3', join, 0);
    const others = await codes(['re-ben'], ['192.0.2.3'], JOIN, USER.join);
    expect(allowed(others)).toBe(USER.join - 1);
  });

  it('sockets are limited for a user, who is closed with 1013', async () => {
    const token = await tokenFor('sockets-ada');
    const closes: Promise<unknown>[] = [];
    const open: RawSocket[] = [];
    for (let i = 0; i < USER.connection + 2; i++) {
      const headers = { 'x-forwarded-for': `192.0.2.${10 + i}` };
      const socket = await RawSocket.open(world.apps[i % 2]!.url, null, { headers });
      socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
      const acknowledged = socket.until(({ type }) => type === 'connection_ack').then(() => null);
      const closed = await Promise.race([acknowledged, socket.closed.catch(() => null)]).catch(
        () => socket.closed,
      );
      if (closed === null) open.push(socket);
      else closes.push(Promise.resolve(closed));
    }
    expect(open).toHaveLength(USER.connection);
    expect(await Promise.all(closes)).toEqual(
      Array(2).fill({ code: CLOSE.FULL.code, reason: CLOSE.FULL.reason }),
    );
    expect(await counted('connection', 'user')).toBe(2);
    for (const socket of open) await socket.close();
  });

  it('sockets are limited for an address, which is answered 429 with Retry-After', async () => {
    const most = USER.connection * USERS_PER_ADDRESS;
    const statuses = await Promise.all(
      Array.from({ length: most + 4 }, (_, i) => upgrade(world.apps[i % 2]!.url, `2001:db8:9:9::${i}`)),
    );
    expect(statuses.filter(({ status }) => status === 101)).toHaveLength(most);
    const refused = statuses.filter(({ status }) => status === 429);
    expect(refused).toHaveLength(4);
    for (const { retryAfter } of refused) expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(await counted('connection', 'address')).toBe(4);
    expect((await upgrade(world.apps[0]!.url, '2001:db8:9:a::1')).status).toBe(101);
  });

  it('tokens that are not valid are limited for an address, and those known to be good go on', async () => {
    const from = '192.0.2.77';
    const WHO = '{ viewer { id } }';
    const good = await tokenFor('token-ada');
    for (const instance of [0, 1]) await ask(good, from, WHO, instance);
    const late = await tokenFor('token-ada', '', -120_000);
    for (let i = 0; i < FAILED_TOKENS + 2; i++) {
      const { answer } = await ask(late, from, WHO);
      expect(answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    }
    const told: string[] = [];
    for (let i = 0; i < FAILED_TOKENS + 3; i++) {
      const { response, answer } = await ask(`${good.slice(0, -4)}AAA${i}`, from, WHO);
      const code = answer.errors![0]!.extensions.code;
      told.push(code);
      expect(response.status).toBe(code === 'RATE_LIMITED' ? 429 : 200);
      if (code === 'RATE_LIMITED') expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(told).toEqual([...Array(FAILED_TOKENS).fill('UNAUTHENTICATED'), ...Array(3).fill('RATE_LIMITED')]);

    const headers = { 'x-forwarded-for': from };
    const socket = await RawSocket.open(world.apps[0]!.url, null, { headers });
    socket.send({ type: 'connection_init', payload: { authorization: 'Bearer bad' } });
    expect((await socket.closed).code).toBe(CLOSE.FULL.code);
    await (await RawSocket.open(world.apps[0]!.url, good, { headers })).close();
    for (const instance of [0, 1]) {
      expect((await ask(good, from, WHO, instance)).answer.data).toEqual({ viewer: { id: 'token-ada' } });
    }
    // A new one is not looked at, but from elsewhere it is.
    const unknown = await tokenFor('token-ben');
    expect((await ask(unknown, from, WHO, 0)).response.status).toBe(429);
    expect((await ask(unknown, '192.0.2.78', WHO, 0)).answer.data).toEqual({ viewer: { id: 'token-ben' } });
    expect((await ask('bad', '192.0.2.78', WHO)).answer.errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });

  it('no address stands in Redis, where the same one counts under one key on both', async () => {
    const redis = new Redis(world.redis.url);
    const keys = await redis.keys('ringdown:rate:*');
    redis.disconnect();
    const byAddress = keys.filter((key) => key.includes('-by-address:'));
    expect(byAddress.length).toBeGreaterThan(5);
    for (const key of byAddress) expect(key).toMatch(/^ringdown:rate:\w+-by-address:[\w-]{22}$/);
    expect(keys.join('\n')).not.toMatch(/192\.0\.2|2001:db8|127\.0\.0/);
  });

  it('a deployment that does not say whether it has proxies is warned in production, and limits no address', async () => {
    const warnings: string[] = [];
    const logger = createLogger('warn', {
      write(line) {
        if (line.includes('TRUSTED_PROXIES')) warnings.push(line);
      },
    });
    const start = (env: Record<string, string>) =>
      startApp(
        loadConfig({
          NODE_ENV: 'production',
          ...{ HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0' },
          ...{ DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url, FAILED_TOKEN_RATE: '1' },
          ...IDENTITY,
          ...env,
        }),
        logger,
      );
    const app = await start({});
    try {
      expect(warnings).toHaveLength(1);
      for (let i = 0; i < 3; i++) {
        const headers = { 'content-type': 'application/json', authorization: 'Bearer bad' };
        const body = '{"query":"{ viewer { id } }"}';
        expect((await fetch(`${app.url}/graphql`, { method: 'POST', headers, body })).status).toBe(200);
      }
    } finally {
      await app.stop();
    }
    await (await start({ TRUSTED_PROXIES: 'none' })).stop();
    expect(warnings).toHaveLength(1);
  });

  it('each instance goes on by itself while Redis is gone', async () => {
    await world.redis.kill();
    const token = await tokenFor('alone-ada');
    for (const instance of [0, 1]) {
      const told: (string | undefined)[] = [];
      for (let i = 0; i < USER.join + 2; i++) {
        told.push((await ask(token, '192.0.2.99', JOIN, instance)).answer.data?.joinCall?.code);
      }
      expect(told).toEqual([...Array(USER.join).fill('CALL_NOT_FOUND'), ...Array(2).fill('RATE_LIMITED')]);
    }
  });
});

/** Asks for a WebSocket, by a proxy for this address, and drops it. */
function upgrade(url: string, address: string): Promise<{ status: number; retryAfter: string | undefined }> {
  return new Promise((resolve, reject) => {
    const asking = request(`${url}/graphql`, {
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-protocol': 'graphql-transport-ws',
        'x-forwarded-for': address,
      },
    });
    asking.on('upgrade', ({ statusCode }, socket) => {
      socket.destroy();
      resolve({ status: statusCode!, retryAfter: undefined });
    });
    asking.on('response', (response) => {
      response.resume();
      resolve({ status: response.statusCode!, retryAfter: response.headers['retry-after'] });
    });
    asking.on('error', reject);
    asking.end();
  });
}
