import { type Kysely, sql } from 'kysely';
import { getConstructionPlans } from 'pg-boss';

/**
 * The queue of notifications: the tables of pg-boss, in a schema of their own. They are those of the pg-boss
 * that is installed when this runs. A version of it that wants them changed comes with a migration that runs
 * its getMigrationPlans from the version in pgboss.version, where that is older.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const { rows } = await sql<{
    exists: boolean;
  }>`select to_regnamespace('pgboss') is not null as exists`.execute(db);
  // Whoever owns the tables may not make schemas where roles.sql made them owner: that script makes it then.
  const script = getConstructionPlans('pgboss', { createSchema: rows[0]?.exists !== true });
  // The transaction is that of the migrations, which the script's own would end.
  const inner = /^\s*BEGIN;(?:\s*SET LOCAL [^;]*;)*([\s\S]*)COMMIT;\s*$/.exec(script)?.[1];
  if (inner === undefined) throw new Error('pg-boss gave no script in one transaction');
  await sql.raw(inner).execute(db);
}
