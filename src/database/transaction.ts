import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledQuery, Kysely, Transaction } from 'kysely';
import { DatabaseTimeout, isRetryable } from './failures.ts';
import { leaseOf } from './lease.ts';
import type { Database } from './open.ts';
import type { Tables } from './tables.ts';

export { DatabaseTimeout, DatabaseUnavailable } from './failures.ts';

/** Milliseconds, at most, before a transaction is run again; half of it at least, by chance. */
const RETRY_PAUSE = 20;

const SPAN_FACTS = { 'db.system.name': 'postgresql' };

/**
 * Runs `work` in one READ COMMITTED transaction. One deadline covers everything: waiting for a connection,
 * the statements, whatever else `work` awaits, the commit, and the repeats after a serialization failure
 * (40001) or a deadlock (40P01). So `work` may run more than once.
 *
 * Past the deadline (`timeoutMs`, the database's own where it is not given) it throws DatabaseTimeout, and
 * the connection is cut off: the server rolls back, and what `work` still tries fails. Throws
 * DatabaseUnavailable where there is no connection. When time or the connection ran out
 * during the commit, the outcome is unknown. Don't use `database.db` in `work`: embedded, it would wait for
 * the transaction itself, until the deadline.
 */
export function transact<T>(
  database: Database,
  work: (tx: Transaction<Tables>) => Promise<T>,
  options: { readonly timeoutMs?: number } = {},
): Promise<T> {
  const { tracing } = database;
  if (!tracing) return within(database, work, options);
  return tracing.within('transaction', SPAN_FACTS, () => within(database, work, options));
}

async function within<T>(
  database: Database,
  work: (tx: Transaction<Tables>) => Promise<T>,
  options: { readonly timeoutMs?: number },
): Promise<T> {
  const timeoutMs = options.timeoutMs ?? database.timeoutMs;
  const deadline = new AbortController();
  const timer = setTimeout(
    () => deadline.abort(new DatabaseTimeout(`The transaction took more than ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    for (;;) {
      try {
        return await attempt(database.db, work, deadline.signal);
      } catch (error) {
        if (!isRetryable(error)) throw error;
      }
      await unlessAborted(sleep((RETRY_PAUSE / 2) * (1 + Math.random())), deadline.signal);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Settles at the latest when `signal` fires; what is under way then is undone in the background. */
function attempt<T>(
  db: Kysely<Tables>,
  work: (tx: Transaction<Tables>) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const running = db.connection().execute(async (session) => {
    const lease = await leaseOf(session);
    // A connection that comes too late is given back as it is.
    signal.throwIfAborted();
    const cut = () => lease.cut(signal.reason);
    signal.addEventListener('abort', cut);
    try {
      return await session
        .transaction()
        .setIsolationLevel('read committed')
        // Kysely gives the connection back when this ends, and `work` may hang on something else.
        .execute((tx) => unlessAborted(work(tx), signal));
    } finally {
      signal.removeEventListener('abort', cut);
    }
  });
  return unlessAborted(running, signal);
}

/**
 * Statements that don't need each other's results, in one round trip. Each sees, as READ COMMITTED has it, what was
 * committed before it began: so one may wait for a lock and the next see what its holder did.
 */
export async function together(
  tx: Transaction<Tables>,
  queries: readonly CompiledQuery[],
): Promise<unknown[][]> {
  const lease = await leaseOf(tx);
  return (await lease.runAll(queries)).map(({ rows }) => rows);
}

/** The transaction's last statement; the commit goes with it. */
export async function finish(tx: Transaction<Tables>, query: CompiledQuery): Promise<void> {
  const lease = await leaseOf(tx);
  lease.commitWithNext();
  await lease.run(query);
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
