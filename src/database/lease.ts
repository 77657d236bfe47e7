import {
  AbortedTransactionError,
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type Kysely,
  type QueryResult,
  type TransactionSettings,
} from 'kysely';
import { named } from './failures.ts';

/** One database session, as pg and PGlite both can give it. */
export interface Session {
  run(query: CompiledQuery): Promise<SessionResult>;
  /** The session is not needed any more. `dirty`: it may be in a transaction or in the middle of a query. */
  release(dirty: boolean): void | Promise<void>;
}

export interface SessionResult {
  /** The server's command tag, such as `SELECT` or `ROLLBACK`. */
  readonly command: string;
  readonly rowCount: number | null;
  readonly rows: unknown[];
}

const WRITES = new Set(['INSERT', 'UPDATE', 'DELETE', 'MERGE']);

/**
 * A session for as long as one user has it. Kysely's own connections live as long as their session and can't
 * be taken away; a lease can: `cut` ends it at once, and whatever its user still tries, even long
 * after, reaches neither the session nor its next user.
 */
export class Lease implements DatabaseConnection {
  #session: Session | null;
  #released: void | Promise<void> = undefined;
  #dirty = false;
  #cutBecause: Error | null = null;

  constructor(session: Session) {
    this.#session = session;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { command, rowCount, rows } = await this.run(query);
    return WRITES.has(command)
      ? { rows: rows as R[], numAffectedRows: BigInt(rowCount ?? 0) }
      : { rows: rows as R[] };
  }

  async run(query: CompiledQuery): Promise<SessionResult> {
    if (this.#session === null)
      throw this.#cutBecause ?? new Error('The database connection was given back already');
    try {
      return await this.#session.run(query);
    } catch (error) {
      throw this.#cutBecause ?? named(error);
    }
  }

  /** Takes the session away: the query under way and all later ones fail with `reason`. */
  cut(reason: Error): void {
    this.#cutBecause ??= reason;
    this.#dirty = true;
    void this.release();
  }

  /** Ends a transaction that is not to be kept. Never throws: what can't be rolled back is thrown away. */
  async rollback(): Promise<void> {
    if (this.#session === null) return;
    try {
      await this.#session.run(CompiledQuery.raw('rollback'));
    } catch {
      this.#dirty = true;
    }
  }

  /** Harmless when called again; the same promise, so that whoever waits next waits for the real end. */
  release(): void | Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session !== null) this.#released = session.release(this.#dirty);
    return this.#released;
  }

  async *streamQuery(): AsyncIterableIterator<never> {
    yield* [];
    throw new Error('Streaming is not supported');
  }
}

/** Kysely's driver over whatever opens sessions. */
export class LeaseDriver implements Driver {
  readonly #open: () => Promise<Session>;

  constructor(open: () => Promise<Session>) {
    this.#open = open;
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<Lease> {
    return new Lease(await this.#open());
  }

  async beginTransaction(lease: Lease, settings: TransactionSettings): Promise<void> {
    const level = settings.isolationLevel === undefined ? '' : ` isolation level ${settings.isolationLevel}`;
    const mode = settings.accessMode === undefined ? '' : ` ${settings.accessMode}`;
    await lease.run(CompiledQuery.raw(`begin${level}${mode}`));
  }

  async commitTransaction(lease: Lease): Promise<void> {
    // Where a statement had failed, the server answers COMMIT with ROLLBACK.
    const { command } = await lease.run(CompiledQuery.raw('commit'));
    if (command === 'ROLLBACK') throw new AbortedTransactionError();
  }

  async rollbackTransaction(lease: Lease): Promise<void> {
    await lease.rollback();
  }

  async releaseConnection(lease: Lease): Promise<void> {
    await lease.release();
  }

  /** Nothing: whoever made the pool or the embedded database closes it. */
  async destroy(): Promise<void> {}
}

/** The lease under a Kysely that was made by `db.connection()`. */
export async function leaseOf<T>(session: Kysely<T>): Promise<Lease> {
  return session.getExecutor().provideConnection(async (connection) => connection as unknown as Lease);
}
