import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CompiledQuery, type Generated, type Kysely, type Selectable, sql } from 'kysely';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makeTemplate } from '../../src/database/embedded-template.ts';
import { migrate, migrationState } from '../../src/database/migrator.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import type { Tables } from '../../src/database/tables.ts';
import {
  DatabaseTimeout,
  DatabaseUnavailable,
  finish,
  together,
  transact,
} from '../../src/database/transaction.ts';
import { createDatabase, createEmptyDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/postgres.ts';

/** A table of these tests' own. */
interface Samples {
  samples: {
    id: string;
    tags: string[];
    doc: { a: number; b: (string | null)[] } | null;
    at: Date;
    count: number;
    counts: number[];
    on: boolean;
    note: string | null;
    n: Generated<number>;
  };
}
const CREATE_SAMPLES = `
  create table samples (
    id uuid primary key, tags text[] not null, doc jsonb, at timestamptz not null, count int8 not null,
    counts int8[] not null, "on" boolean not null, note text, n int4 not null default 0
  );
  create table numbers (n int4 primary key);
`;
const ID = '018f3c1e-0000-7000-8000-000000000001';
const OTHER_ID = '018f3c1e-0000-7000-8000-000000000002';

const samples = (database: Database) => database.db as unknown as Kysely<Samples>;

async function waitUntil(condition: () => boolean | Promise<boolean>, limitMs = 5000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !(await condition()); ) {
    if (Date.now() > deadline) throw new Error('Waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const insert = (n: number) => sql`insert into numbers values (${n})`;
async function numbers(database: Database): Promise<number[]> {
  const { rows } = await sql<{ n: number }>`select n from numbers order by n`.execute(database.db);
  return rows.map(({ n }) => n);
}

/** The process id of the server's end. */
async function backend(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db);
  return rows[0]!.pid;
}

let test: TestDatabase;
beforeAll(async () => {
  test = await createEmptyDatabase();
});
afterAll(() => test.drop());

const EMBEDDED = { url: null, dataDir: null, poolSize: 1, timeoutMs: 1000 };
const postgres = (poolSize = 2, timeoutMs = 1000) =>
  openDatabase({ url: test.url, dataDir: null, poolSize, timeoutMs });

describe.each([
  { kind: 'Postgres', open: () => postgres() },
  { kind: 'the embedded database', open: () => openDatabase(EMBEDDED) },
])('$kind', ({ open }) => {
  let database: Database;
  beforeAll(async () => {
    database = await open();
    await sql.raw(`drop table if exists samples, numbers; ${CREATE_SAMPLES}`).execute(database.db);
  });
  afterEach(() => sql`delete from numbers`.execute(database.db));
  afterAll(() => database.close());

  it('gives and takes values as the tables promise', async () => {
    const row: Selectable<Samples['samples']> = {
      id: ID,
      tags: ['a', 'b "c", {d}', ''],
      doc: { a: 1, b: ['x', null] },
      at: new Date('2026-11-22T21:48:00.123Z'),
      count: Number.MAX_SAFE_INTEGER,
      counts: [1, -2],
      on: true,
      note: null,
      n: 7,
    };
    await samples(database)
      .insertInto('samples')
      .values({ ...row, doc: JSON.stringify(row.doc) as never })
      .execute();
    const read = samples(database)
      .selectFrom('samples')
      .selectAll()
      .where('id', '=', sql<string>`any(${[ID, OTHER_ID]})`)
      .where(sql<boolean>`tags @> ${['a']}`);
    expect(await read.execute()).toEqual([row]);
    expect(
      await samples(database)
        .selectFrom('samples')
        .select((eb) => eb.fn.countAll<number>().as('all'))
        .executeTakeFirst(),
    ).toEqual({ all: 1 });
  });

  it('refuses an int8 that a number can not hold', async () => {
    await expect(sql`select 9007199254740993::int8 as n`.execute(database.db)).rejects.toThrow(/too large/);
  });

  it('commits with the last statement, and nothing of a transaction whose last statement failed', async () => {
    const add = (n: number) => CompiledQuery.raw('insert into numbers values ($1)', [n]);
    await transact(database, async (tx) => {
      await insert(1).execute(tx);
      await finish(tx, add(2));
    });
    const failing = transact(database, async (tx) => {
      await insert(3).execute(tx);
      await finish(tx, add(1));
    });
    await expect(failing).rejects.toThrow(/duplicate key/);
    await insert(4).execute(database.db);
    expect(await numbers(database)).toEqual([1, 2, 4]);
  });

  it('says how many rows a change touched', async () => {
    const { numAffectedRows } = await sql`insert into numbers values (${1}), (${2})`.execute(database.db);
    expect(numAffectedRows).toBe(2n);
  });

  it('commits what work did, and gives what it gave', async () => {
    const isolation = await transact(database, async (tx) => {
      await insert(1).execute(tx);
      return (
        await sql<{ level: string }>`select current_setting('transaction_isolation') as level`.execute(tx)
      ).rows[0]?.level;
    });
    expect(isolation).toBe('read committed');
    expect(await numbers(database)).toEqual([1]);
  });

  it('undoes what work did where it throws', async () => {
    const failure = new Error('no');
    await expect(
      transact(database, async (tx) => {
        await insert(1).execute(tx);
        throw failure;
      }),
    ).rejects.toBe(failure);
    expect(await numbers(database)).toEqual([]);
  });

  it('does not take a transaction for committed that the server rolled back', async () => {
    await expect(
      transact(database, async (tx) => {
        await insert(1).execute(tx);
        await insert(1)
          .execute(tx)
          .catch(() => {});
      }),
    ).rejects.toThrow(/rolled back/);
    expect(await numbers(database)).toEqual([]);
  });

  it('undoes a transaction that outlives its deadline, and lets nothing of it through later', async () => {
    const wake = Promise.withResolvers<void>();
    const straggler = Promise.withResolvers<unknown>();
    await expect(
      transact(
        database,
        async (tx) => {
          await insert(1).execute(tx);
          await wake.promise;
          straggler.resolve(
            await insert(2)
              .execute(tx)
              .catch((error: unknown) => error),
          );
        },
        { timeoutMs: 100 },
      ),
    ).rejects.toBeInstanceOf(DatabaseTimeout);
    // The next transaction is under way when the first one wakes up.
    await transact(database, async (tx) => {
      await insert(3).execute(tx);
      wake.resolve();
      expect(await straggler.promise).toBeInstanceOf(Error);
      await insert(4).execute(tx);
    });
    expect(await numbers(database)).toEqual([3, 4]);
  });

  it('does not hang where work waits for a query outside of its transaction', async () => {
    const outcome = transact(
      database,
      async (tx) => {
        await insert(1).execute(tx);
        await insert(1).execute(database.db);
      },
      { timeoutMs: 200 },
    );
    await expect(outcome).rejects.toBeInstanceOf(DatabaseTimeout);
    await transact(database, (tx) => insert(5).execute(tx));
    expect(await numbers(database)).toContain(5);
  });

  it('makes its tables, once', async () => {
    const empty = database.embedded ? null : await createEmptyDatabase();
    const fresh = await openDatabase({ ...EMBEDDED, url: empty?.url ?? null });
    onTestFinished(async () => {
      await fresh.close();
      await empty?.drop();
    });
    expect((await migrationState(fresh.db)).missing).not.toEqual([]);
    expect(await migrate(fresh)).toContain('0001_calls');
    expect(await migrationState(fresh.db)).toEqual({ missing: [], unknown: [] });
    expect(await migrate(fresh)).toEqual([]);
    expect(await fresh.db.selectFrom('calls').selectAll().execute()).toEqual([]);
  });
});

describe('Postgres under strain', () => {
  let database: Database;
  beforeAll(async () => {
    const owner = new pg.Client({ connectionString: test.url });
    await owner.connect();
    await owner.query(`alter database ${owner.database} set deadlock_timeout = '100ms'`);
    await owner.end();
    database = await postgres();
    await sql.raw(`drop table if exists samples, numbers; ${CREATE_SAMPLES}`).execute(database.db);
  });
  afterEach(async () => {
    await waitUntil(() => database.pool?.idleCount === database.pool?.totalCount);
    expect(database.pool?.waitingCount).toBe(0);
    expect(database.pool?.totalCount).toBeLessThanOrEqual(2);
    await sql`delete from numbers`.execute(database.db);
  });
  afterAll(() => database.close());

  /** Backends of this database that are in a transaction, or in a query, of the pool's. */
  const busy = async (client: pg.Client) =>
    (
      await client.query(`select count(*)::int4 as n from pg_stat_activity
        where datname = current_database() and application_name = 'ringdown' and state <> 'idle'`)
    ).rows[0].n as number;

  async function outsider(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: test.url });
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  }

  it('reads, in the round trip that waits for a lock, what its holder did', async () => {
    await insert(1).execute(database.db);
    const watcher = new pg.Client({ connectionString: test.url });
    await watcher.connect();
    onTestFinished(() => watcher.end());
    const holding = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const holder = transact(database, async (tx) => {
      await sql`select n from numbers where n = 1 for update`.execute(tx);
      held.resolve();
      await holding.promise;
      await insert(2).execute(tx);
    });
    await held.promise;
    const waiter = transact(database, (tx) =>
      together(tx, [
        CompiledQuery.raw('select n from numbers where n = $1 for update', [1]),
        CompiledQuery.raw('select n from numbers where n > $1', [0]),
      ]),
    );
    await waitUntil(async () => {
      const { rows } = await watcher.query('select from pg_locks where not granted');
      return rows.length > 0;
    });
    holding.resolve();
    await holder;
    expect(await waiter).toEqual([[{ n: 1 }], [{ n: 1 }, { n: 2 }]]);
  });

  it('cuts off a statement at the deadline, and the server lets go of its locks', async () => {
    // The server's own limits are far away.
    const patient = await postgres(2, 20_000);
    onTestFinished(() => patient.close());
    const watcher = await outsider();
    const started = performance.now();
    const outcome = transact(
      patient,
      async (tx) => {
        await insert(1).execute(tx);
        await sql`select pg_sleep(30)`.execute(tx);
      },
      { timeoutMs: 200 },
    );
    await expect(outcome).rejects.toBeInstanceOf(DatabaseTimeout);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(patient.pool?.totalCount).toBe(0);
    await waitUntil(async () => (await busy(watcher)) === 0);
    await transact(patient, (tx) => insert(1).execute(tx));
    expect(await numbers(patient)).toEqual([1]);
  });

  it('waits for no server that has stopped answering', async () => {
    const single = await postgres(1);
    onTestFinished(() => single.close());
    const stopped: number[] = [];
    onTestFinished(() => {
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
    });
    const stop = async (db: Kysely<Tables>) => {
      const pid = await backend(db);
      process.kill(pid, 'SIGSTOP');
      stopped.push(pid);
    };
    await stop(single.db);
    await expect(sql`select 1`.execute(single.db)).rejects.toBeInstanceOf(DatabaseTimeout);

    const silent = transact(single, stop, { timeoutMs: 300 });
    const next = transact(single, (tx) => insert(1).execute(tx));
    const hung = transact(
      single,
      async (tx) => {
        await stop(tx);
        await new Promise(() => {});
      },
      { timeoutMs: 500 },
    );
    const last = transact(single, (tx) => insert(2).execute(tx));
    await expect(silent).rejects.toBeInstanceOf(DatabaseTimeout);
    await next;
    await expect(hung).rejects.toBeInstanceOf(DatabaseTimeout);
    await last;
  });

  it('keeps the connection where the server gives up by itself', async () => {
    const single = await postgres(1);
    onTestFinished(() => single.close());
    const before = await backend(single.db);
    const work = transact(single, (tx) => sql`select pg_sleep(30)`.execute(tx), { timeoutMs: 10_000 });
    await expect(work).rejects.toBeInstanceOf(DatabaseTimeout);
    expect(await backend(single.db)).toBe(before);
  });

  it('gives up waiting for a lock that another connection holds', async () => {
    const holder = await outsider();
    await insert(1).execute(database.db);
    await holder.query('begin; update numbers set n = 2 where n = 1');
    const work = () =>
      transact(database, (tx) => sql`update numbers set n = ${3} where n = ${1}`.execute(tx));
    // Before its statement's limit: the error says what it waited for.
    await expect(work()).rejects.toMatchObject({ name: 'DatabaseTimeout', cause: { code: '55P03' } });
    await holder.query('rollback');
    await work();
    expect(await numbers(database)).toEqual([3]);
  });

  it('gives up waiting for a connection, and takes the next one that is free', async () => {
    const gate = Promise.withResolvers<void>();
    const holders = [1, 2].map((n) =>
      transact(database, async (tx) => {
        await insert(n).execute(tx);
        await gate.promise;
      }),
    );
    await waitUntil(() => database.pool?.totalCount === 2 && database.pool.idleCount === 0);
    await expect(
      transact(database, (tx) => insert(3).execute(tx), { timeoutMs: 100 }),
    ).rejects.toBeInstanceOf(DatabaseTimeout);
    const next = transact(database, (tx) => insert(4).execute(tx));
    gate.resolve();
    await Promise.all([...holders, next]);
    expect(await numbers(database)).toEqual([1, 2, 4]);
  });

  it('ends a transaction that idles past the deadline', async () => {
    await expect(transact(database, () => new Promise(() => {}))).rejects.toBeInstanceOf(DatabaseTimeout);
  });

  it('runs a transaction again after a deadlock', async () => {
    await sql`insert into numbers values (10), (20)`.execute(database.db);
    const runs = [0, 0];
    const met = Promise.withResolvers<void>();
    let arrived = 0;
    const change = (which: number, order: number[]) =>
      transact(
        database,
        async (tx) => {
          runs[which] = (runs[which] ?? 0) + 1;
          for (const n of order) {
            await sql`select n from numbers where n = ${n} for update`.execute(tx);
            if (++arrived === 2) met.resolve();
            await met.promise;
          }
        },
        { timeoutMs: 5000 },
      );
    await Promise.all([change(0, [10, 20]), change(1, [20, 10])]);
    expect(runs.toSorted()).toEqual([1, 2]);
  });

  it('runs a transaction again after a serialization failure, until its deadline', async () => {
    let runs = 0;
    const fail = sql`do $$ begin raise exception 'again' using errcode = '40001'; end $$`;
    await transact(database, async (tx) => {
      if (++runs < 4) await fail.execute(tx);
    });
    expect(runs).toBe(4);
    await expect(transact(database, (tx) => fail.execute(tx), { timeoutMs: 150 })).rejects.toBeInstanceOf(
      DatabaseTimeout,
    );
  });

  it('names a lost connection, and connects anew', async () => {
    const killer = await outsider();
    const lost = transact(database, async (tx) => {
      await killer.query('select pg_terminate_backend($1)', [await backend(tx)]);
      await sql`select pg_sleep(1)`.execute(tx);
    });
    await expect(lost).rejects.toBeInstanceOf(DatabaseUnavailable);
    await transact(database, (tx) => insert(1).execute(tx));
    // In the middle of a transaction, with no query under way.
    const lostBetween = transact(database, async (tx) => {
      const pid = await backend(tx);
      await killer.query('select pg_terminate_backend($1)', [pid]);
      await waitUntil(async () => {
        const { rowCount } = await killer.query('select from pg_stat_activity where pid = $1', [pid]);
        return rowCount === 0;
      });
      await insert(2).execute(tx);
    });
    await expect(lostBetween).rejects.toBeInstanceOf(DatabaseUnavailable);
    // One that is idle in the pool is replaced without a word to the caller.
    await killer.query('select pg_terminate_backend($1)', [await backend(database.db)]);
    await waitUntil(() => database.pool?.totalCount === 0);
    expect(await numbers(database)).toEqual([1]);
  });

  it('names a server that is not there', async () => {
    const nowhere = await openDatabase({
      url: 'postgres://postgres@127.0.0.1:1/none',
      dataDir: null,
      poolSize: 1,
      timeoutMs: 1000,
    });
    onTestFinished(() => nowhere.close());
    await expect(transact(nowhere, async () => {})).rejects.toBeInstanceOf(DatabaseUnavailable);
    await expect(sql`select 1`.execute(nowhere.db)).rejects.toBeInstanceOf(DatabaseUnavailable);
  });

  it('gives up on a server that takes connections and says nothing', async () => {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const mute = await openDatabase({
      url: `postgres://postgres@127.0.0.1:${port}/none`,
      dataDir: null,
      poolSize: 1,
      timeoutMs: 200,
    });
    onTestFinished(async () => {
      await mute.close();
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    await expect(sql`select 1`.execute(mute.db)).rejects.toBeInstanceOf(DatabaseTimeout);
    await expect(transact(mute, async () => {})).rejects.toBeInstanceOf(DatabaseTimeout);
  });

  it('prepares each text once a connection, and outlives a change of the tables under it', async () => {
    const single = await postgres(1);
    onTestFinished(() => single.close());
    const read = () => transact(single, (tx) => sql`select * from samples where id = ${ID}`.execute(tx));
    await read();
    await read();
    const { rows } = await sql<{ calls: number }>`
      select generic_plans + custom_plans as calls from pg_prepared_statements
      where statement like 'select * from samples%'`.execute(single.db);
    expect(rows).toEqual([{ calls: 2 }]);
    await sql`alter table samples add column more int4`.execute(database.db);
    await read();
  });
});

it('lets two processes make the tables of one database at once', async () => {
  const empty = await createEmptyDatabase();
  const both = await Promise.all(
    [1, 2].map(() => openDatabase({ url: empty.url, dataDir: null, poolSize: 1, timeoutMs: 5000 })),
  );
  onTestFinished(async () => {
    await Promise.all(both.map((database) => database.close()));
    await empty.drop();
  });
  const ran = await Promise.all(both.map(migrate));
  expect(ran.flat()).toContain('0001_calls');
  expect(new Set(ran.flat()).size).toBe(ran.flat().length);
});

it('keeps the embedded database in its folder, and makes that where it is not there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ringdown-test-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const dataDir = join(folder, 'not/there/yet');
  const first = await openDatabase({ ...EMBEDDED, dataDir });
  await migrate(first);
  await first.close();
  const second = await openDatabase({ ...EMBEDDED, dataDir });
  expect(await migrationState(second.db)).toEqual({ missing: [], unknown: [] });
  await second.close();
});

it('keeps nothing in the template of embedded databases: the secrets that migrations draw are of one alone', async () => {
  expect(existsSync(await makeTemplate())).toBe(true);
  const database = await openDatabase(EMBEDDED);
  onTestFinished(() => database.close());
  const { rows } = await sql`select from pg_class where relnamespace = 'public'::regnamespace`.execute(
    database.db,
  );
  expect(rows).toEqual([]);
});

it('gives each test file a database with the tables', async () => {
  const own = await createDatabase();
  const database = await openDatabase({ url: own.url, dataDir: null, poolSize: 1, timeoutMs: 5000 });
  onTestFinished(async () => {
    await database.close();
    await own.drop();
  });
  expect(await migrationState(database.db)).toEqual({ missing: [], unknown: [] });
});
