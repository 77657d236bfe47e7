/** How the database fails its callers: it is too slow, or it is not there. */

/** No answer in time. What the operation did is undone, unless time ran out during its commit. */
export class DatabaseTimeout extends Error {
  override readonly name = 'DatabaseTimeout';
}

/** No connection, or the connection was lost. Lost during a commit, the outcome is unknown. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable';
}

/** The tables are older than the code, and this role may not change them. The message says what to do. */
export class MigrationsMissing extends Error {
  override readonly name = 'MigrationsMissing';
}

/** SQLSTATE, five characters (PostgreSQL manual, appendix A); null for what is no error of the server's. */
export function sqlState(error: unknown): string | null {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null;
}

const TIMEOUTS = new Set([
  '57014', // query_canceled: statement_timeout
  '55P03', // lock_not_available: lock_timeout
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
]);

const UNAVAILABLE = new Set([
  '53300', // too_many_connections
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
]);

/** Gives a server's error the name under which callers know it; any other error as it is. */
export function named(error: unknown): unknown {
  const state = sqlState(error);
  if (state === null) return error;
  if (TIMEOUTS.has(state)) return new DatabaseTimeout('The database gave up in time', { cause: error });
  if (UNAVAILABLE.has(state) || state.startsWith('08'))
    return new DatabaseUnavailable('The database ended the connection', { cause: error });
  return error;
}

/** Whether the same transaction may well succeed when it is run again at once. */
export function isRetryable(error: unknown): boolean {
  const state = sqlState(error);
  return state === '40001' || state === '40P01' || isStalePlan(error);
}

/** insufficient_privilege: the role may not do that. */
export function isForbidden(error: unknown): boolean {
  return sqlState(error) === '42501';
}

/** A migration changed a table under a prepared statement, or the server has forgotten the statement. */
export function isStalePlan(error: unknown): boolean {
  const state = sqlState(error);
  // 0A000 is any feature that is not supported: only the routine tells this one from the others.
  return (
    state === '26000' ||
    (state === '0A000' && (error as { routine?: string }).routine === 'RevalidateCachedQuery')
  );
}
