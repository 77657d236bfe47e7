import { ConfigError, loadDatabaseConfig } from './config.ts';
import { MigrationsMissing } from './database/failures.ts';
import { migrate } from './database/migrator.ts';
import { openDatabase } from './database/open.ts';

/** `npm run migrate`: brings the database's tables up to date and ends. The server does so too as it starts. */
try {
  const database = await openDatabase(loadDatabaseConfig());
  try {
    const ran = await migrate(database);
    process.stdout.write(ran.length === 0 ? 'The tables are up to date.\n' : `Ran ${ran.join(', ')}.\n`);
  } finally {
    await database.close();
  }
} catch (error) {
  process.exitCode = 1;
  const known = error instanceof ConfigError || error instanceof MigrationsMissing;
  process.stderr.write(`${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
}
