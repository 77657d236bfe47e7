import { setFlagsFromString } from 'node:v8';
import { startApp } from './app.ts';
import { ConfigError, loadConfig } from './config.ts';
import { MigrationsMissing } from './database/failures.ts';
import { createLogger } from './observability/logger.ts';

/** Reads the configuration, starts, and turns signals of the system into an orderly stop. */

/** Exit codes: 0 after an orderly stop, 1 for the unforeseen, 78 (EX_CONFIG of sysexits.h) for a bad setting. */
const EX_CONFIG = 78;
/** A stop that takes longer is cut off, milliseconds. */
const STOP_LIMIT = 10_000;

// V8 makes what once lived for long in the old generation from the start, where it keeps alive what it refers to although it is
// dead itself. Of signals, nearly all of which die young, that was most of what the collector had to copy (bench/README.md).
setFlagsFromString('--no-allocation-site-pretenuring');

async function main(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger(config.logLevel);
  process.on('unhandledRejection', (error) => {
    logger.fatal({ err: error }, 'An unhandled rejection');
    process.exit(1);
  });
  const app = await startApp(config, logger);
  process.stdout.write(`Ringdown is ready at ${app.url}${config.demo ? '' : '/graphql'}\n`);

  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    logger.info({ signal }, 'Stopping');
    setTimeout(() => {
      logger.error('The stop took too long');
      process.exit(1);
    }, STOP_LIMIT).unref();
    app.stop().then(
      () => process.exit(0),
      (error) => {
        logger.fatal({ err: error }, 'The stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

main().catch((error: unknown) => {
  const isConfig = error instanceof ConfigError;
  const known = isConfig || error instanceof MigrationsMissing;
  process.stderr.write(`${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(isConfig ? EX_CONFIG : 1);
});
