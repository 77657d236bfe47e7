import { promises as fs } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Kysely, sql } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import { isForbidden, MigrationsMissing, sqlState } from './failures.ts';
import type { Database } from './open.ts';
import type { Tables } from './tables.ts';

/** Beside `src`, as .ts files; beside dist's `src`, as .js files of the same names. */
const FOLDER = fileURLToPath(new URL('../../migrations/', import.meta.url));
const PROVIDER = new FileMigrationProvider({ fs, path, migrationFolder: FOLDER });

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
    const { missing } = await migrationState(db);
    if (missing.length === 0) return [];
    const { error, results = [] } = await migrator(db).migrateToLatest();
    if (isForbidden(error)) {
      throw new MigrationsMissing(
        `The tables lack ${missing.join(', ')}, and the role of DATABASE_URL may not change them. Run the ` +
          'migrations with the role that owns the tables in DATABASE_URL (npm run migrate, or node ' +
          'dist/src/migrate.js in the image), then start again. Where that role may not either, run ' +
          'deploy/postgres/roles.sql of this version before.',
        { cause: error },
      );
    }
    if (error !== undefined) throw error;
    return results.map((result) => result.migrationName);
  });
}

/** How the tables differ from what this version of the code knows; both empty where they don't. */
export interface MigrationState {
  /** Not run yet. */
  readonly missing: readonly string[];
  /** Run by a newer version. */
  readonly unknown: readonly string[];
}

let known: Promise<readonly string[]> | null = null;

/** One small query: cheap enough to be asked twice a second. */
export async function migrationState(db: Kysely<Tables>): Promise<MigrationState> {
  known ??= migrationNames();
  const names = await known;
  const ran = new Set(await ranMigrations(db));
  return {
    missing: names.filter((name) => !ran.has(name)),
    unknown: [...ran].filter((name) => !names.includes(name)),
  };
}

/** As the provider has them, without running the files: one of them brings a library with it. */
async function migrationNames(): Promise<string[]> {
  const files = await fs.readdir(FOLDER);
  return files.flatMap((file) => /^(?!.*\.d\.ts$)(.+)\.[jt]s$/.exec(file)?.[1] ?? []).sort();
}

async function ranMigrations(db: Kysely<Tables>): Promise<string[]> {
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
    return rows.map(({ name }) => name);
  } catch (error) {
    // undefined_table: nobody has migrated yet.
    if (sqlState(error) === '42P01') return [];
    throw error;
  }
}

function migrator(db: Kysely<Tables>): Migrator {
  return new Migrator({ db, provider: PROVIDER });
}
