import type { CompiledQuery } from 'kysely';
import type { PoolClient, QueryResult } from 'pg';
import { type Connections, hangUp, streamOf } from './connections.ts';
import { DatabaseTimeout, DatabaseUnavailable, isStalePlan, sqlState } from './failures.ts';
import type { Session, SessionResult } from './lease.ts';

/** Statements a connection keeps prepared at most; lists of changing length make endlessly many texts. */
const MAX_STATEMENTS = 500;

/**
 * Opens sessions on connections: with prepared statements, and with a limit on this side too, for a server that
 * has gone silent and can't keep its own.
 *
 * @param limitMs milliseconds a statement may take; null for no limit
 */
export function sessionsOf(connections: Connections, limitMs: number | null): () => Promise<Session> {
  const names = new Map<string, string>();
  /** The server plans a named statement once a connection, and pg sends its text once. */
  const nameOf = (query: CompiledQuery): string | undefined => {
    if (isScript(query)) return undefined;
    let name = names.get(query.sql);
    if (name === undefined && names.size < MAX_STATEMENTS) {
      name = `s${names.size + 1}`;
      names.set(query.sql, name);
    }
    return name;
  };
  return async () => new PgSession(connections, await connections.acquire(), nameOf, limitMs);
}

class PgSession implements Session {
  readonly #connections: Connections;
  readonly #client: PoolClient;
  readonly #nameOf: (query: CompiledQuery) => string | undefined;
  readonly #limitMs: number | null;
  /** Why the connection is of no use any more. */
  #lost: Error | null = null;
  #stale = false;
  readonly #onError = (cause: Error): void => {
    this.#lost ??= new DatabaseUnavailable('The connection to the database was lost', { cause });
  };

  constructor(
    connections: Connections,
    client: PoolClient,
    nameOf: (query: CompiledQuery) => string | undefined,
    limitMs: number | null,
  ) {
    this.#connections = connections;
    this.#client = client;
    this.#nameOf = nameOf;
    this.#limitMs = limitMs;
    // The pool listens to idle connections only; with no listener at all the process would end.
    client.on('error', this.#onError);
  }

  run(query: CompiledQuery): Promise<SessionResult> {
    return this.#inTime(() => this.#send(query));
  }

  /** The pool's connections take statements while others are under way; what follows a failure fails too. */
  async runAll(queries: readonly CompiledQuery[]): Promise<SessionResult[]> {
    const stream = streamOf(this.#client);
    const settled = await this.#inTime(() => {
      stream.cork();
      try {
        return Promise.allSettled(queries.map((query) => this.#send(query)));
      } finally {
        stream.uncork();
      }
    });
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  async #inTime<T>(work: () => Promise<T>): Promise<T> {
    if (this.#limitMs === null) return work();
    const timer = setTimeout(() => {
      this.#lost ??= new DatabaseTimeout('The database did not answer in time');
      hangUp(this.#client);
    }, this.#limitMs);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(query: CompiledQuery): Promise<SessionResult> {
    try {
      const result: QueryResult | QueryResult[] = await this.#client.query({
        text: query.sql,
        values: query.parameters as unknown[],
        name: this.#nameOf(query),
      });
      return Array.isArray(result) ? result.at(-1) : result;
    } catch (error) {
      this.#stale ||= isStalePlan(error);
      throw sqlState(error) === null && this.#lost !== null ? this.#lost : error;
    }
  }

  release(dirty: boolean): void {
    this.#client.off('error', this.#onError);
    this.#connections.release(this.#client, dirty || this.#stale || this.#lost !== null);
    if (dirty) hangUp(this.#client);
  }
}

/** A script may hold several statements, and goes by the simple protocol: it can't be prepared. */
export function isScript(query: CompiledQuery): boolean {
  return query.parameters.length === 0 && query.query.kind === 'RawNode';
}
