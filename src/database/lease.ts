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
  /**
   * Statements of one transaction, in one round trip. Rejects with the first failure; what comes after it is not
   * done. Where there is none, they are run one after the other.
   */
  runAll?(queries: readonly CompiledQuery[]): Promise<SessionResult[]>;
  /** The session is not needed any more. `dirty`: it may be in a transaction or in the middle of a query. */
  release(dirty: boolean): void | Promise<void>;
}

export interface SessionResult {
  /** The server's command tag, such as `SELECT` or `ROLLBACK`. */
  readonly command: string;
  readonly rowCount: number | null;
  readonly rows: unknown[];
}

const COMMIT = CompiledQuery.raw('commit');
const ROLLBACK = CompiledQuery.raw('rollback');
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
  /** Goes with the transaction's first statement: it has no answer that anyone waits for. */
  #begin: CompiledQuery | null = null;
  /** The commit goes with the next statement, and then it is done. */
  #commit: 'by itself' | 'with the next' | 'done' = 'by itself';

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
    const results = await this.runAll([query]);
    return results[0] as SessionResult;
  }

  /** One round trip, where the database can do that; none of them may need another's result. */
  async runAll(queries: readonly CompiledQuery[]): Promise<SessionResult[]> {
    if (this.#session === null)
      throw this.#cutBecause ?? new Error('The database connection was given back already');
    if (this.#commit === 'done') throw new Error('The transaction was committed already');
    const before = this.#begin === null ? [] : [this.#begin];
    const commits = this.#commit === 'with the next';
    this.#begin = null;
    this.#commit = 'by itself';
    const all = [...before, ...queries, ...(commits ? [COMMIT] : [])];
    try {
      const results = await this.#send(this.#session, all);
      if (commits) this.#committed(results.at(-1) as SessionResult);
      return results.slice(before.length, before.length + queries.length);
    } catch (error) {
      throw this.#cutBecause ?? named(error);
    }
  }

  async #send(session: Session, queries: readonly CompiledQuery[]): Promise<SessionResult[]> {
    if (session.runAll && queries.length > 1) return session.runAll(queries);
    const results: SessionResult[] = [];
    for (const query of queries) {
      // Cut meanwhile: the session may be the next user's by now.
      if (this.#session === null) throw new Error('The database connection was given back already');
      results.push(await session.run(query));
    }
    return results;
  }

  begin(query: CompiledQuery): void {
    this.#begin = query;
    this.#commit = 'by itself';
  }

  /** The next statement is the transaction's last: they make one round trip. */
  commitWithNext(): void {
    this.#commit = 'with the next';
  }

  async commit(): Promise<void> {
    // Nothing was done in it.
    if (this.#begin !== null) this.#begin = null;
    else if (this.#commit === 'done') this.#commit = 'by itself';
    else this.#committed(await this.run(COMMIT), 'by itself');
  }

  #committed({ command }: SessionResult, then: 'done' | 'by itself' = 'done'): void {
    // Where a statement had failed, the server answers COMMIT with ROLLBACK.
    if (command === 'ROLLBACK') throw new AbortedTransactionError();
    this.#commit = then;
  }

  /** Takes the session away: the query under way and all later ones fail with `reason`. */
  cut(reason: Error): void {
    this.#cutBecause ??= reason;
    this.#dirty = true;
    void this.release();
  }

  /** Ends a transaction that is not to be kept. Never throws: what can't be rolled back is thrown away. */
  async rollback(): Promise<void> {
    const begun = this.#begin === null;
    this.#begin = null;
    this.#commit = 'by itself';
    if (this.#session === null || !begun) return;
    try {
      await this.#session.run(ROLLBACK);
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
    lease.begin(CompiledQuery.raw(`begin${level}${mode}`));
  }

  async commitTransaction(lease: Lease): Promise<void> {
    await lease.commit();
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
