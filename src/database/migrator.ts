import { promises as fs } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Kysely } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import { isForbidden, MigrationsMissing } from './failures.ts';
import type { Database } from './open.ts';
import type { Tables } from './tables.ts';

/** Beside `src`, as .ts files; beside dist's `src`, as .js files of the same names. */
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));

/**
 * Brings the tables up to date, in one transaction. Processes that start at once wait for one another behind
 * an advisory lock. Gives the names of the migrations that this process ran.
 *
 * Where nothing is to do it only reads: the role of an instance need not own the tables, and an instance that
 * is older than the tables starts, as it has to in the middle of an upgrade or after a step back.
 *
 * @throws MigrationsMissing where something is to do and this role may not
 */
export function migrate(database: Database): Promise<string[]> {
  return database.maintain(async (db) => {
    const missing = await pending(db);
    if (missing.length === 0) return [];
    const { error, results = [] } = await migrator(db).migrateToLatest();
    if (isForbidden(error)) {
      throw new MigrationsMissing(
        `The tables lack ${missing.join(', ')}, and the role of DATABASE_URL may not change them. Run the ` +
          'migrations with the role that owns the tables in DATABASE_URL (npm run migrate, or node ' +
          'dist/src/migrate.js in the image), then start again.',
        { cause: error },
      );
    }
    if (error !== undefined) throw error;
    return results.map((result) => result.migrationName);
  });
}

/** Whether the tables are older than this version of the code. */
export async function migrationsPending(db: Kysely<Tables>): Promise<boolean> {
  return (await pending(db)).length > 0;
}

async function pending(db: Kysely<Tables>): Promise<string[]> {
  const migrations = await migrator(db).getMigrations();
  return migrations.filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name);
}

function migrator(db: Kysely<Tables>): Migrator {
  return new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: FOLDER }),
  });
}
