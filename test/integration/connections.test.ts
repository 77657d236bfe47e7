import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { PoolClient } from 'pg';
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from 'vitest';
import { Connections } from '../../src/database/connections.ts';
import { DatabaseTimeout, DatabaseUnavailable } from '../../src/database/failures.ts';
import { createEmptyDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/postgres.ts';

let test: TestDatabase;
beforeAll(async () => {
  test = await createEmptyDatabase();
});
afterAll(() => test.drop());

/** A Postgres that takes each connection at once, and begins with it when the test says so: one that is starved. */
async function starvedPostgres() {
  const { hostname, port, pathname } = new URL(test.url);
  const came: Socket[] = [];
  const sockets = new Set<Socket>();
  let refusing = false;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };
  const server = createServer((socket) => {
    keep(socket);
    came.push(socket);
    if (refusing) socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `postgres://postgres@127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    /** All connections until now. */
    came,
    refuse(does: boolean) {
      refusing = does;
    },
    begin(index: number) {
      const client = came[index]!;
      const upstream = connect(Number(port), hostname);
      keep(upstream);
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function open(size: number, patienceMs = 100) {
  const server = await starvedPostgres();
  const pool = new Connections({ connectionString: server.url, max: size }, patienceMs, () => {});
  onTestFinished(async () => {
    await pool.close();
    await server.close();
  });
  return { server, pool };
}

/** Somebody wants a connection all the time, for as long as it takes. */
async function insist(pool: Connections): Promise<PoolClient> {
  for (const deadline = Date.now() + 10_000; ; ) {
    try {
      return await pool.acquire();
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

const backendOf = async (client: PoolClient): Promise<number> => {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]!.pid;
};
const came = (server: { readonly came: readonly Socket[] }, count: number) =>
  vi.waitUntil(() => server.came.length >= count, { timeout: 10_000 });

it('lets an attempt to connect go on when its caller has given up', async () => {
  const { server, pool } = await open(2);
  await expect(pool.acquire()).rejects.toBeInstanceOf(DatabaseTimeout);
  await came(server, 1);
  // The server comes to this one late, and to no other one.
  const caller = insist(pool);
  server.begin(0);
  pool.release(await caller, false);
  expect(pool.idleCount).toBe(1);
});

it('begins two attempts at a time, however many wait', async () => {
  const { server, pool } = await open(10);
  const callers = await Promise.allSettled(Array.from({ length: 50 }, () => pool.acquire()));
  expect(callers.every(({ status }) => status === 'rejected')).toBe(true);
  await came(server, 2);
  expect(pool.totalCount).toBe(2);
});

it('begins another attempt beside one that is slow, and keeps no more connections than it may', async () => {
  const { server, pool } = await open(1, 10_000);
  const caller = pool.acquire();
  await came(server, 2);
  server.begin(1);
  const client = await caller;
  // The slow one comes after all.
  server.begin(0);
  await once(server.came[0]!, 'close');
  pool.release(client, false);
  expect(pool).toMatchObject({ totalCount: 1, idleCount: 1, waitingCount: 0 });
});

it('gives a connection that is free to who waits, whatever becomes of the attempt', async () => {
  const { server, pool } = await open(2, 10_000);
  const first = pool.acquire();
  await came(server, 1);
  server.begin(0);
  const client = await first;
  const pid = await backendOf(client);
  const second = pool.acquire();
  await came(server, 2);
  pool.release(client, false);
  const same = await second;
  expect(await backendOf(same)).toBe(pid);
  pool.release(same, false);
});

it('tells all who wait that the server refuses, asks it seldom, and finds it back', async () => {
  const { server, pool } = await open(10, 5_000);
  server.refuse(true);
  for (let round = 0; round < 4; round += 1) {
    const callers = Array.from({ length: 25 }, () => pool.acquire().catch((error: unknown) => error));
    for (const result of await Promise.all(callers)) expect(result).toBeInstanceOf(DatabaseUnavailable);
  }
  // Two at first, then one a round.
  expect(server.came).toHaveLength(5);
  server.refuse(false);
  const caller = pool.acquire();
  await came(server, 6);
  server.begin(5);
  pool.release(await caller, false);
});

it('tells why there is no connection, where a setting is wrong', async () => {
  const connectionString = `${test.url}?sslmode=verify-full&sslrootcert=/not/there`;
  const pool = new Connections({ connectionString, max: 2 }, 5_000, () => {});
  for (let n = 0; n < 3; n += 1) {
    const refusal = pool.acquire().catch((error: unknown) => error);
    expect(await refusal).toMatchObject({ name: 'DatabaseUnavailable', cause: { code: 'ENOENT' } });
  }
  await pool.close();
});

it('has no more connections than it may in a burst', async () => {
  const pool = new Connections({ connectionString: test.url, max: 2 }, 5_000, () => {});
  let most = 0;
  const use = async () => {
    const client = await pool.acquire();
    most = Math.max(most, pool.totalCount);
    await client.query('select 1');
    pool.release(client, false);
  };
  for (const callers of [1, 3, 10]) await Promise.all(Array.from({ length: callers }, use));
  expect(most).toBe(2);
  await pool.close();
});

it('ends attempts at once when it is closed, and tells who waits', async () => {
  const { server, pool } = await open(2, 10_000);
  const caller = pool.acquire();
  await came(server, 1);
  const [, refusal] = await Promise.all([pool.close(), caller.catch((error: unknown) => error)]);
  expect(refusal).toBeInstanceOf(DatabaseUnavailable);
  if (!server.came[0]!.closed) {
    server.came[0]!.resume();
    await once(server.came[0]!, 'close');
  }
  await expect(pool.acquire()).rejects.toBeInstanceOf(DatabaseUnavailable);
  expect(pool.totalCount).toBe(0);
});
