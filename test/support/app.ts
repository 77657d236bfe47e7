import { SignJWT } from 'jose';
import { type App, startApp } from '../../src/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';

/** An instance of Ringdown in the test's own process, on ports of its own. */

// Production starts on it too.
const SECRET = 'q7Lw2ZtR9xKc4VnB6mYp1HsD8fJg3TaE5uWo0iQz';
const ISSUER = 'https://app.test';
const AUDIENCE = 'ringdown-test';

/** The identity settings that `tokenFor` fits. */
export const IDENTITY = { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };

/** A few test users do in seconds what many people do in a minute. */
export const GENEROUS_RATES = {
  INITIATE_RATE: '10000',
  JOIN_RATE: '100000',
  SIGNAL_RATE: '10000000',
  REPORT_RATE: '10000',
  CONNECTION_RATE: '100000',
};

export async function tokenFor(userId: string, scope = '', lifetimeMs = 600_000): Promise<string> {
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(userId)
    .setExpirationTime(new Date(Date.now() + lifetimeMs))
    .sign(new TextEncoder().encode(SECRET));
}

/** Without DATABASE_URL on the embedded database in memory, without REDIS_URL on the log in memory. */
export function startTestApp(
  env: Record<string, string> = {},
  /** For what no environment can say. */
  change: (config: Config) => Config = (config) => config,
): Promise<App> {
  const loaded = loadConfig({
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    LOG_LEVEL: 'fatal',
    ...GENEROUS_RATES,
    ...IDENTITY,
    ...env,
  });
  const config = change(loaded);
  return startApp(config, createLogger(config.logLevel));
}
