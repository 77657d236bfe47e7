import { readFileSync } from 'node:fs';
import { type IceConfig, iceConfigOf } from './config-ice.ts';
import { checkProduction, checkProductionDatabase, type Report } from './config-production.ts';
import { SETTINGS, type Setting, type SettingName, type SettingValues } from './config-settings.ts';

/**
 * The environment becomes one frozen Config: read once, checked as a whole. This is the only file that
 * reads `process.env`. What each setting is and why stands in `config-settings.ts`.
 */

/** Instants and spans are milliseconds. */
export interface Config {
  /** No DATABASE_URL: the database runs inside the process, for one instance. */
  readonly embedded: boolean;
  readonly production: boolean;
  /**
   * Demo users and their tokens exist: only embedded, outside production, and where the environment
   * names no JWT setting at all. `jwt` is null then, and app.ts makes up a secret.
   */
  readonly demo: boolean;
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number;
  readonly database: {
    readonly url: string | null;
    /** Folder of the embedded database; null: in memory, or not embedded. */
    readonly dataDir: string | null;
    readonly poolSize: number;
    readonly timeoutMs: number;
  };
  readonly redisUrl: string | null;
  readonly jwt: JwtConfig | null;
  readonly allowedOrigins: readonly string[];
  /** Null where it is not known whether there are any: then addresses of clients can't be relied on. */
  readonly trustedProxies: readonly string[] | null;
  readonly introspection: boolean;
  readonly graphiql: boolean;
  /** By id; null: any document is run. */
  readonly trustedDocuments: ReadonlyMap<string, string> | null;
  /** How long the events of an ended call are kept. */
  readonly eventsKeptMs: number;
  readonly limits: {
    readonly maxParticipants: number;
    readonly maxInvitees: number;
    readonly maxCallDurationMs: number;
    /** How long before the call's end the warning comes; less than `maxCallDurationMs`. */
    readonly callDurationWarningMs: number;
    readonly ringTimeoutMs: number;
    readonly disconnectGraceMs: number;
    readonly aloneTimeoutMs: number;
    readonly initiatePerMinute: number;
    readonly joinsPerMinute: number;
    readonly signalsPerMinute: number;
    readonly reportsPerMinute: number;
    readonly connectionsPerMinute: number;
    readonly usersPerAddress: number;
    readonly failedTokensPerMinute: number;
    readonly maxConnections: number;
    readonly maxConnectionsPerUser: number;
    readonly maxConnectionsPerAddress: number;
    readonly maxDevices: number;
  };
  readonly ice: IceConfig;
  /** The app's back end, which hears of rings and of ends; null: nobody does. */
  readonly webhook: {
    readonly url: string;
    /** The newest first. */
    readonly secrets: readonly string[];
    readonly allowHttp: boolean;
    readonly allowPrivate: boolean;
  } | null;
  /** Null: off. */
  readonly webPush: {
    /** Base64url; null, in a demo: made at the first start and kept in the database. */
    readonly privateKey: string | null;
    readonly subject: string;
    /** Only of the internet, whatever the environment says: a client names them. */
    readonly endpoints: { readonly allowHttp: boolean; readonly allowPrivate: boolean };
  } | null;
  readonly metricsPerCall: boolean;
  readonly logLevel: SettingValues['LOG_LEVEL'];
  /** Where traces go; null: nowhere, and none are made. */
  readonly tracing: {
    /** OTLP over HTTP; `/v1/traces` is added to it. */
    readonly endpoint: string;
    readonly serviceName: string;
    /** Of traces that are kept, 0 to 1. */
    readonly ratio: number;
  } | null;
}

/** Whose tokens are trusted: exactly one of `secret` and `jwksUrl`. */
export type JwtConfig = { readonly issuer: string; readonly audience: string } & (
  | { readonly secret: string; readonly previousSecret: string | null; readonly jwksUrl: null }
  | { readonly secret: null; readonly jwksUrl: string }
);

/** Spans that no deployment needs to change, in milliseconds; semantics that tests hold the server to. */
export const TIMINGS = {
  /** An instance writes its row this often: three may get lost before it counts as dead. */
  heartbeatMs: 1_000,
  /** An instance silent for this long is dead. A stalled event loop or a slow commit is shorter. */
  deadAfterMs: 3_000,
  /** Between two sweeps for due deadlines: half of the lag of 2 s that is promised (p99). */
  sweepMs: 1_000,
  /** How often state is fetched from the database while Redis is down: half of the 2 s promised. */
  statePollMs: 1_000,
  /**
   * How often each channel looks for notifications that are due, beside those that this instance has just made:
   * the most that a ring made elsewhere waits. Half of the beat at which it says that it still works on some.
   */
  noticePollMs: 500,
  /** Longest wait for the answer of a webhook's receiver, the look-up of its name included. */
  webhookAnswerMs: 5_000,
  /** An idempotency key is kept as long as a client could still be retrying. */
  idempotencyKeptMs: 600_000,
  /** A report on a call's quality is taken so long after its end: a page may come back, a person may think. */
  reportsTakenMs: 3_600_000,
  /** Window of the rates, which count by the minute. */
  rateWindowMs: 60_000,
  /** Longest wait for Redis in a rate limit; past it the instance counts by itself. A healthy Redis needs 1 ms. */
  rateLimitAnswerMs: 500,
  /** Difference of clocks that a token's `exp` and `nbf` are forgiven; servers on NTP differ by less. */
  tokenClockToleranceMs: 30_000,
  /** Between two probes of each ICE server. */
  iceProbeMs: 60_000,
  /** What does not answer a probe within this is down: RFC 8489's retransmissions of the first 5 s are in it. */
  iceProbeAnswerMs: 5_000,
  /** A verified token is checked anew after this, so that a withdrawn key does not live on in the cache. */
  tokenCacheMs: 60_000,
  /** How long a demo token is good: a day of trying things out. */
  demoTokenMs: 43_200_000,
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** What is wrong with the environment, all of it. No secret's value is in the message. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** One for each bad setting: name, what is wrong, what is allowed. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The configuration is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads the environment, once. An empty value counts as not set. Throws a ConfigError that lists every
 * setting that is wrong.
 */
export function loadConfig(env: Environment = process.env): Config {
  const { values, problems, bad, report } = parse(env, Object.keys(SETTINGS) as SettingName[]);

  const embedded = !isNamed(env, 'DATABASE_URL');
  const production = values.NODE_ENV === 'production';
  // A JWT setting that is there but empty is a deployment that meant to have one: no demo for it.
  const jwtNamed = JWT_SETTINGS.some((name) => env[name] !== undefined || env[`${name}_FILE`] !== undefined);
  const demo = embedded && values.NODE_ENV !== undefined && !production && !jwtNamed;
  checkTogether(values, bad, { production, demo }, report);
  if (production) checkProduction(values, report);
  const ice = iceConfigOf(values);
  if (values.ICE_STRICT) for (const { setting, problem } of ice.problems) report(setting, problem);
  if (problems.length > 0) throw new ConfigError(problems);

  return deepFreeze<Config>({
    embedded,
    production,
    demo,
    host: values.HOST ?? (embedded ? '127.0.0.1' : '0.0.0.0'),
    port: values.PORT,
    metricsPort: values.METRICS_PORT,
    database: {
      url: values.DATABASE_URL,
      dataDir: embedded ? values.DATA_DIR : null,
      poolSize: values.DATABASE_POOL_SIZE,
      timeoutMs: values.DATABASE_TIMEOUT,
    },
    redisUrl: values.REDIS_URL,
    jwt: jwtOf(values),
    allowedOrigins: values.ALLOWED_ORIGINS ?? [],
    trustedProxies: values.TRUSTED_PROXIES,
    introspection: values.INTROSPECTION ?? !production,
    graphiql: values.GRAPHIQL ?? (!production && values.TRUSTED_DOCUMENTS === null),
    trustedDocuments: values.TRUSTED_DOCUMENTS,
    eventsKeptMs: values.EVENT_RETENTION,
    limits: {
      maxParticipants: values.MAX_PARTICIPANTS,
      maxInvitees: values.MAX_INVITEES,
      maxCallDurationMs: values.MAX_CALL_DURATION,
      callDurationWarningMs: values.CALL_DURATION_WARNING ?? defaultWarning(values.MAX_CALL_DURATION),
      ringTimeoutMs: values.RING_TIMEOUT,
      disconnectGraceMs: values.DISCONNECT_GRACE ?? (demo ? DEMO_GRACE : USUAL_GRACE),
      aloneTimeoutMs: values.ALONE_TIMEOUT,
      initiatePerMinute: values.INITIATE_RATE,
      joinsPerMinute: values.JOIN_RATE,
      signalsPerMinute: values.SIGNAL_RATE,
      reportsPerMinute: values.REPORT_RATE,
      connectionsPerMinute: values.CONNECTION_RATE,
      usersPerAddress: values.USERS_PER_ADDRESS,
      failedTokensPerMinute: values.FAILED_TOKEN_RATE,
      maxConnections: values.MAX_CONNECTIONS,
      maxConnectionsPerUser: values.MAX_CONNECTIONS_PER_USER,
      maxConnectionsPerAddress: values.MAX_CONNECTIONS_PER_ADDRESS ?? defaultPerAddress(values),
      maxDevices: values.MAX_DEVICES,
    },
    ice,
    webhook:
      values.WEBHOOK_URL === null || values.WEBHOOK_SECRETS === null
        ? null
        : {
            url: values.WEBHOOK_URL,
            secrets: values.WEBHOOK_SECRETS,
            allowHttp: values.WEBHOOK_ALLOW_HTTP,
            allowPrivate: values.WEBHOOK_ALLOW_PRIVATE,
          },
    webPush: webPushOf(values, demo),
    metricsPerCall: values.METRICS_PER_CALL,
    logLevel: values.LOG_LEVEL,
    tracing:
      values.OTEL_EXPORTER_OTLP_ENDPOINT === null
        ? null
        : {
            endpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
            serviceName: values.OTEL_SERVICE_NAME,
            ratio: values.OTEL_TRACES_SAMPLER_ARG,
          },
  });
}

const MIGRATION_SETTINGS = [
  'NODE_ENV',
  'DATABASE_URL',
  'DATA_DIR',
  'DATABASE_POOL_SIZE',
  'DATABASE_TIMEOUT',
] as const satisfies readonly SettingName[];

/** What a migration needs of the environment: it is no server, and may know no other secret. */
export function loadDatabaseConfig(env: Environment = process.env): Config['database'] {
  const { values, problems, report } = parse(env, MIGRATION_SETTINGS);
  if (values.NODE_ENV === 'production') checkProductionDatabase(values, report);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({
    url: values.DATABASE_URL,
    dataDir: values.DATABASE_URL === null ? values.DATA_DIR : null,
    poolSize: values.DATABASE_POOL_SIZE,
    timeoutMs: values.DATABASE_TIMEOUT,
  });
}

/** Each of these settings by itself. `report` adds to `problems` and to `bad`. */
function parse(env: Environment, names: readonly SettingName[]) {
  const problems: string[] = [];
  const bad = new Set<SettingName>();
  const report: Report = (name, what) => {
    bad.add(name);
    problems.push(`${name} ${what}`);
  };
  const parsed: Partial<Record<SettingName, unknown>> = {};
  for (const name of names) {
    const setting: Setting = SETTINGS[name];
    const given = textOf(env, name, setting);
    if ('problem' in given) {
      report(name, given.problem);
      continue;
    }
    const text = given.text ?? setting.default;
    const result = text === null ? null : setting.schema.safeParse(text);
    if (result === null || result.success) {
      parsed[name] = result === null ? null : result.data;
      continue;
    }
    const what = result.error.issues.map(describe).join(', ');
    const shown = setting.secret === true ? '' : ` (it is ${JSON.stringify(text?.slice(0, 80))})`;
    report(name, `${what}${shown}; allowed: ${setting.allowed}`);
  }
  return { values: parsed as SettingValues, problems, bad, report };
}

/** The text of a setting from the environment or from its file; null where it is not set. */
function textOf(
  env: Environment,
  name: SettingName,
  setting: Setting,
): { readonly text: string | null } | { readonly problem: string } {
  const text = env[name];
  const path = setting.secret === true ? env[`${name}_FILE`] : undefined;
  if (!path) return { text: (setting.secret === true ? text : text?.trim()) || null };
  if (text) return { problem: `and ${name}_FILE are both set; allowed: one of them` };
  try {
    // Not a lenient decoding: random bytes would all become U+FFFD, and a weak secret.
    const content = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
    const line = content.replace(/\r?\n$/, '');
    return line === '' ? { problem: `is empty in its file ${path}` } : { text: line };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    return { problem: `can't be read as UTF-8 text from ${path} (${code})` };
  }
}

function isNamed(env: Environment, name: SettingName): boolean {
  return Boolean(env[name]) || Boolean(env[`${name}_FILE`]);
}

/** One issue of zod in words; the place in a list comes first. */
function describe(issue: { readonly message: string; readonly path: readonly PropertyKey[] }): string {
  const [index] = issue.path;
  return typeof index === 'number' ? `item ${index + 1} ${issue.message}` : issue.message;
}

/** Rules over several settings. A rule about a setting that is wrong by itself stays silent. */
function checkTogether(
  values: SettingValues,
  bad: ReadonlySet<SettingName>,
  mode: { readonly production: boolean; readonly demo: boolean },
  report: (name: SettingName, what: string) => void,
): void {
  const fine = (...names: SettingName[]) => names.every((name) => !bad.has(name));
  if (fine('PORT', 'METRICS_PORT') && values.PORT === values.METRICS_PORT && values.PORT !== 0) {
    report('METRICS_PORT', `is ${values.PORT}, as PORT is; allowed: another port`);
  }
  if (fine('CALL_DURATION_WARNING', 'MAX_CALL_DURATION')) {
    const warning = values.CALL_DURATION_WARNING;
    if (warning !== null && warning >= values.MAX_CALL_DURATION) {
      report('CALL_DURATION_WARNING', 'is not less than MAX_CALL_DURATION; allowed: a shorter duration');
    }
  }
  if (fine('VAPID_PRIVATE_KEY', 'VAPID_SUBJECT')) {
    const { VAPID_PRIVATE_KEY: key, VAPID_SUBJECT: subject } = values;
    if (key !== null && subject === null) {
      report(
        'VAPID_SUBJECT',
        'is not set; allowed: a `mailto:` or `https:` URL, required with VAPID_PRIVATE_KEY',
      );
    } else if (key === null && subject !== null && !mode.demo) {
      report('VAPID_PRIVATE_KEY', 'is not set; allowed: a private key, required with VAPID_SUBJECT');
    }
  }
  if (values.GRAPHIQL === true && values.TRUSTED_DOCUMENTS !== null) {
    report(
      'GRAPHIQL',
      'is true while TRUSTED_DOCUMENTS is set, which refuses what is written in it; allowed: one of them',
    );
  }
  if (
    fine('WEBHOOK_URL', 'WEBHOOK_SECRETS') &&
    (values.WEBHOOK_URL === null) !== (values.WEBHOOK_SECRETS === null)
  ) {
    const [missing, there] =
      values.WEBHOOK_URL === null
        ? (['WEBHOOK_URL', 'WEBHOOK_SECRETS'] as const)
        : (['WEBHOOK_SECRETS', 'WEBHOOK_URL'] as const);
    report(missing, `is not set while ${there} is; allowed: both or neither`);
  }
  if (fine('WEBHOOK_URL') && values.WEBHOOK_URL?.startsWith('http:') && !values.WEBHOOK_ALLOW_HTTP) {
    report('WEBHOOK_URL', 'is not https; allowed: an https:// URL, or WEBHOOK_ALLOW_HTTP=true');
  }
  // A key that is wrong by itself is a key that was meant: issuer and audience are required with it too.
  const { JWT_SECRET: secret = 'wrong', JWT_JWKS_URL: jwksUrl = 'wrong' } = values;
  if (secret !== null && jwksUrl !== null && fine('JWT_SECRET', 'JWT_JWKS_URL')) {
    report('JWT_SECRET', 'and JWT_JWKS_URL are both set; allowed: one of them');
  } else if (secret === null && jwksUrl === null && !mode.demo) {
    report(
      'JWT_SECRET',
      'and JWT_JWKS_URL are both missing; allowed: one of them (a server without any JWT setting is a demo, ' +
        'which needs the embedded database and is never production)',
    );
  }
  if (mode.production && jwksUrl?.startsWith('http:')) {
    report('JWT_JWKS_URL', 'is not https in production; allowed: an https:// URL');
  }
  if (fine('JWT_SECRET', 'JWT_PREVIOUS_SECRET') && values.JWT_PREVIOUS_SECRET !== null) {
    if (secret === null) report('JWT_PREVIOUS_SECRET', 'is set without JWT_SECRET; allowed: beside it alone');
    else if (secret === values.JWT_PREVIOUS_SECRET) {
      report('JWT_PREVIOUS_SECRET', 'is the same as JWT_SECRET; allowed: the secret before that one');
    }
  }
  if (secret === null && jwksUrl === null) return;
  for (const name of ['JWT_ISSUER', 'JWT_AUDIENCE'] as const) {
    if (fine(name) && values[name] === null) {
      report(name, 'is not set; allowed: text, required with JWT_SECRET and with JWT_JWKS_URL');
    }
  }
}

const JWT_SETTINGS = [
  'JWT_SECRET',
  'JWT_PREVIOUS_SECRET',
  'JWT_JWKS_URL',
  'JWT_ISSUER',
  'JWT_AUDIENCE',
] as const satisfies readonly SettingName[];

function jwtOf(values: SettingValues): JwtConfig | null {
  const { JWT_SECRET: secret, JWT_JWKS_URL: jwksUrl, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = values;
  if (issuer === null || audience === null) return null;
  if (secret !== null) {
    return { secret, previousSecret: values.JWT_PREVIOUS_SECRET, jwksUrl: null, issuer, audience };
  }
  return jwksUrl === null ? null : { secret: null, jwksUrl, issuer, audience };
}

/** A push service that looks at it sees a name that nobody has (RFC 2606). */
const NOBODY = 'mailto:nobody@example.com';

function webPushOf(values: SettingValues, demo: boolean): Config['webPush'] {
  const { VAPID_PRIVATE_KEY: privateKey, VAPID_SUBJECT: subject } = values;
  if (privateKey === null && !demo) return null;
  const endpoints = { allowHttp: false, allowPrivate: false };
  return { privateKey, subject: subject ?? NOBODY, endpoints };
}

const HOUR = 3_600_000;
/** Defaults of DISCONNECT_GRACE. In a demo people copy ids by hand before they open their stream. */
const USUAL_GRACE = 15_000;
const DEMO_GRACE = 120_000;
/** Default of MAX_CONNECTIONS_PER_ADDRESS. */
const OFFICE = 1_000;

/** Behind a proxy that nobody named all clients have one address. */
function defaultPerAddress({ TRUSTED_PROXIES, MAX_CONNECTIONS }: SettingValues): number {
  return TRUSTED_PROXIES === null ? MAX_CONNECTIONS : OFFICE;
}

function defaultWarning(maxCallDuration: number): number {
  return maxCallDuration <= 2 * HOUR ? Math.floor(maxCallDuration / 2) : HOUR;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
