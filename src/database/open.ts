import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PGlite, type Results } from '@electric-sql/pglite';
import {
  type Dialect,
  Kysely,
  PGliteAdapter,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import pg from 'pg';
import type { Tracing } from '../observability/tracing.ts';
import { Connections } from './connections.ts';
import { embeddedTemplate } from './embedded-template.ts';
import { LeaseDriver, type Session } from './lease.ts';
import { isScript, sessionsOf } from './pg-session.ts';
import type { Tables } from './tables.ts';

export interface DatabaseOptions {
  /** `postgres://…`; null: the embedded database. */
  readonly url: string | null;
  /** Folder of the embedded database; null: in memory. */
  readonly dataDir: string | null;
  /** Connections at most; the embedded database has one. */
  readonly poolSize: number;
  /** Milliseconds: for a connection to be had, for a statement, and for a whole transaction. */
  readonly timeoutMs: number;
  /** Told of idle connections that were lost; the pool replaces them by itself. */
  readonly onPoolError?: (error: Error) => void;
}

export interface Database {
  readonly db: Kysely<Tables>;
  readonly embedded: boolean;
  readonly timeoutMs: number;
  /** Connections of now; null where the database is embedded. */
  readonly pool: {
    readonly totalCount: number;
    readonly idleCount: number;
    readonly waitingCount: number;
  } | null;
  /** Where transactions are part of traces. */
  readonly tracing?: Tracing | null;
  /** Runs `use` on a connection without time limits, for what may take long: migrations. */
  maintain<T>(use: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A real Postgres is connected to at the first query; the embedded one is started here. */
export function openDatabase(options: DatabaseOptions): Promise<Database> {
  return options.url === null ? openEmbedded(options) : openPostgres(options, options.url);
}

async function openPostgres(options: DatabaseOptions, url: string): Promise<Database> {
  const { poolSize, timeoutMs, onPoolError } = options;
  const onError = (error: Error) => onPoolError?.(error);
  const connection = {
    connectionString: url,
    application_name: 'ringdown',
    keepAlive: true,
    // A statement is sent without waiting for the answer to the one before; see Session.runAll.
    pipeline: true,
    types: { getTypeParser: typeParser } as pg.CustomTypesConfig,
  };
  const pooled = {
    ...connection,
    max: poolSize,
    // A connection costs more than its keep: a minute bridges most pauses between calls.
    idleTimeoutMillis: 60_000,
    // Sent with the connection's first packet. The server gives up before this side does, since its
    // refusal leaves the connection in use.
    lock_timeout: Math.floor(timeoutMs * 0.8),
    statement_timeout: Math.floor(timeoutMs * 0.9),
    idle_in_transaction_session_timeout: timeoutMs,
    // A server in the middle of a statement would not notice that a connection was cut off, and keep its
    // locks (Postgres 14 and later).
    options: '-c client_connection_check_interval=500',
  };
  const pool = new Connections(pooled, timeoutMs, onError);
  const db = kysely(sessionsOf(pool, timeoutMs), new PostgresAdapter());
  return {
    db,
    embedded: false,
    timeoutMs,
    pool,
    async maintain(use) {
      const single = new Connections({ ...connection, max: 1 }, timeoutMs, onError);
      try {
        return await use(kysely(sessionsOf(single, null), new PostgresAdapter()));
      } finally {
        await single.close();
      }
    },
    async close() {
      await db.destroy();
      await pool.close();
    },
  };
}

/**
 * Kysely's own dialect for PGlite has one connection that lives for ever, and a transaction that ran out of
 * time could go on in it, after its rollback. Here each user has a lease, as on a real Postgres; Kysely
 * gives the one session to one of them after the other.
 */
async function openEmbedded({ dataDir, timeoutMs }: DatabaseOptions): Promise<Database> {
  // PGlite looks for the same file.
  const isNew = dataDir === null || !existsSync(join(dataDir, 'PG_VERSION'));
  const template = isNew ? await embeddedTemplate() : null;
  // PGlite makes the last folder of the path alone.
  if (dataDir !== null) mkdirSync(dirname(dataDir), { recursive: true });
  const pglite = await PGlite.create({
    ...(dataDir === null ? {} : { dataDir }),
    ...(template === null ? {} : { loadDataDir: template }),
    parsers: { [INT8]: integer, [TIMESTAMPTZ]: instant },
  });
  const session: Session = {
    async run(query) {
      const result: Results | undefined = isScript(query)
        ? (await pglite.exec(query.sql)).at(-1)
        : await pglite.query(query.sql, query.parameters as unknown[]);
      return {
        command: result?.command ?? '',
        rowCount: result?.affectedRows ?? null,
        rows: result?.rows ?? [],
      };
    },
    async release(dirty) {
      if (dirty) await pglite.exec('rollback');
    },
  };
  const db = kysely(async () => session, new PGliteAdapter());
  return {
    db,
    embedded: true,
    timeoutMs,
    pool: null,
    maintain: (use) => use(db),
    async close() {
      await db.destroy();
      if (!pglite.closed) await pglite.close();
    },
  };
}

function kysely(open: () => Promise<Session>, adapter: PostgresAdapter): Kysely<Tables> {
  const dialect: Dialect = {
    createAdapter: () => adapter,
    createDriver: () => new LeaseDriver(open),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  };
  return new Kysely<Tables>({ dialect });
}

/** Type numbers (pg_type.oid) whose values both databases are to give in the same way. */
const INT8 = pg.types.builtins.INT8;
const TIMESTAMPTZ = pg.types.builtins.TIMESTAMPTZ;
const INT8_ARRAY = 1016;
const TEXT_ARRAY = 1009;

const instant: (text: string) => Date = pg.types.getTypeParser(TIMESTAMPTZ);
const textArray: (text: string) => (string | null)[] = pg.types.getTypeParser(TEXT_ARRAY as number);

function integer(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`An int8 from the database is too large: ${text}`);
  return value;
}

/** For this pool alone: pg's own table of types belongs to the whole process. */
function typeParser(type: number, format?: 'text' | 'binary'): unknown {
  if (type === INT8) return integer;
  if (type === INT8_ARRAY)
    return (text: string) => textArray(text).map((item) => (item === null ? null : integer(item)));
  return format === 'binary' ? pg.types.getTypeParser(type, 'binary') : pg.types.getTypeParser(type, 'text');
}
