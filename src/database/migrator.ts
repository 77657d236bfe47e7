import { promises as fs } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Kysely } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import type { Database } from './open.ts';
import type { Tables } from './tables.ts';

/** Beside `src`, as .ts files; beside dist's `src`, as .js files of the same names. */
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));

/**
 * Brings the tables up to date, in one transaction. Processes that start at once wait for one another behind
 * an advisory lock. Gives the names of the migrations that this process ran.
 */
export function migrate(database: Database): Promise<string[]> {
  return database.maintain(async (db) => {
    const { error, results = [] } = await migrator(db).migrateToLatest();
    if (error !== undefined) throw error;
    return results.map((result) => result.migrationName);
  });
}

/** Whether the tables are older than this version of the code. */
export async function migrationsPending(db: Kysely<Tables>): Promise<boolean> {
  const migrations = await migrator(db).getMigrations();
  return migrations.some((migration) => migration.executedAt === undefined);
}

function migrator(db: Kysely<Tables>): Migrator {
  return new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: FOLDER }),
  });
}
