import { randomBytes, randomUUID as uuid } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createDemoTokens } from './auth/demo.ts';
import { createTokenVerifier } from './auth/token.ts';
import { within } from './background.ts';
import type { CallLog } from './call-log/call-log.ts';
import type { Channels } from './call-log/channels.ts';
import { MemoryCallLog } from './call-log/memory.ts';
import { MemoryChannels } from './call-log/memory-channels.ts';
import type { RedisConnection } from './call-log/redis-connection.ts';
import { type Config, TIMINGS } from './config.ts';
import { hasTurn, type IceConfig, isValid } from './config-ice.ts';
import { createCore } from './core.ts';
import { migrate } from './database/migrator.ts';
import { type Database, openDatabase } from './database/open.ts';
import { ownPrivateKey } from './devices/own-keys.ts';
import { createPushChannel } from './devices/push-channel.ts';
import { publicKeyOf } from './devices/subscription.ts';
import { createMetricsServer } from './http/health.ts';
import { createReadiness } from './http/readiness.ts';
import { createHttpServer } from './http/server.ts';
import { type IceProbe, startIceProbe } from './ice-servers/ice-probe.ts';
import { openStunSession } from './ice-servers/stun-socket.ts';
import type { Channel } from './notifications/channel.ts';
import { createOutsidePost } from './notifications/outside-post.ts';
import { createWebhook } from './notifications/webhook.ts';
import type { Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createOperationObserver } from './observability/operations.ts';
import { TracedCallLog } from './observability/traced-log.ts';
import { readAddressKey } from './rate-limits/address-key.ts';
import { createRateLimiter } from './rate-limits/flexible-rate-limiter.ts';
import { createRates } from './rate-limits/rates.ts';

/**
 * The composition root: the only file that builds adapters. Those with large libraries are imported where they are
 * configured: what is not used is not waited for at the start.
 */

export interface App {
  /** `http://host:port` */
  readonly url: string;
  readonly metricsUrl: string;
  readonly metrics: Metrics;
  /** No new sockets, the live ones closed with 1012, what is owed brought about, then nothing is left. */
  stop(): Promise<void>;
}

/** Web push is off. */
const NOWHERE = { allowHttp: false, allowPrivate: false };
/** In which everyone of a demo may call everyone. */
const DEMO_CONVERSATION = 'demo';
/** Its page, as `npm run build:demo` leaves it beside the sources, and `npm run build` in dist/. */
const DEMO_FOLDER = new URL('../demo/dist/', import.meta.url);
/** How long a start waits for Redis, so that it does not begin degraded, milliseconds. */
const FIRST_CONTACT = 1_000;
/**
 * How long a stop waits, milliseconds: for what is still owed to the database, and as long again for the last
 * word to the other instances; and for its connections to be closed. With the drain of sockets less than 10 s.
 */
const LAST_WORK = 2_000;
const LAST_CONNECTIONS = 1_000;

export async function startApp(config: Config, logger: Logger): Promise<App> {
  const now = Date.now;
  const metrics = createMetrics({ perCall: config.metricsPerCall });
  metrics.turnConfigured(isValid(config.ice));
  tellOfIce(config.ice, logger);
  const warn = (what: string, error: unknown) => logger.warn({ err: error }, what);

  const onPoolError = (error: Error) => warn('An idle connection to Postgres was lost', error);
  const instanceId = uuid();
  const tracing =
    config.tracing === null
      ? null
      : (await import('./observability/otel-tracing.ts')).createTracing(config.tracing, instanceId);
  const database = { ...(await openDatabase({ ...config.database, onPoolError })), tracing };
  const pulse = database.embedded
    ? null
    : await openDatabase({ ...config.database, poolSize: 1, onPoolError });
  const ran = await migrate(database);
  if (ran.length > 0) logger.info({ migrations: ran }, 'Migrations ran');

  const { log: untraced, channels, redis, redisFault } = await openLog(config, metrics, logger);
  await firstContact(untraced);
  if (untraced.health() === 'down') {
    const reason = redisFault();
    logger.warn(
      { reason },
      'Redis (REDIS_URL) can not be reached: signals stay on this instance until it is',
    );
  }
  const log = tracing === null ? untraced : new TracedCallLog(untraced, tracing);
  const rates = createRates(config.limits, {
    limiter: (name, limit) =>
      createRateLimiter(
        { name, limit, windowMs: TIMINGS.rateWindowMs, answerMs: TIMINGS.rateLimitAnswerMs },
        redis?.commands ?? null,
      ),
    refused: metrics.rateLimited,
  });
  if (config.production && config.trustedProxies === null) {
    logger.warn(
      'Nothing is limited by address, since TRUSTED_PROXIES is not set: name your proxies there, or write none ' +
        'where clients connect directly',
    );
  }
  const told: Channel[] = [];
  const posts: { close(): void }[] = [];
  if (config.webhook) {
    const post = createOutsidePost({ ...config.webhook, timeoutMs: TIMINGS.webhookAnswerMs });
    posts.push(post);
    told.push(createWebhook({ ...config.webhook, post, now }));
  }
  const vapid = config.webPush && (await vapidOf(config.webPush, database.db));
  if (config.webPush && vapid) {
    const post = createOutsidePost({ ...config.webPush.endpoints, timeoutMs: TIMINGS.webhookAnswerMs });
    posts.push(post);
    told.push(createPushChannel({ db: database.db, vapid, post, now }));
  }
  const notifications =
    told.length === 0
      ? null
      : {
          queue: new (await import('./notifications/pg-boss-queue.ts')).PgBossQueue(database.db),
          channels: told,
        };
  const core = createCore({
    database,
    pulse: pulse ?? database,
    log,
    channels,
    rates,
    hasRedis: redis !== null,
    config,
    metrics,
    webPush: { webPushKey: vapid?.publicKey ?? null, endpoints: config.webPush?.endpoints ?? NOWHERE },
    now,
    warn,
    logger,
    tracing,
    instanceId,
    notifications,
  });
  const { services, instances } = core;
  if (database.pool !== null) metrics.observePool('calls', database.pool);
  if (pulse?.pool) metrics.observePool('heartbeat', pulse.pool);
  const readiness = createReadiness({
    db: (pulse ?? database).db,
    embedded: database.embedded,
    hasRedis: redis !== null,
    instances,
    log,
  });
  metrics.observeReadiness(readiness.check);

  const demo = config.demo ? await createDemoTokens(config, randomBytes(32).toString('base64url')) : null;
  const jwt = config.jwt ?? demo?.jwt;
  if (!jwt) throw new Error('There is neither a JWT setting nor a demo');
  if (demo) {
    const memberIds = demo.users.map((user) => user.id);
    await services.conversations.put(DEMO_CONVERSATION, memberIds, null);
  }
  const { verify, knows: knowsToken } = createTokenVerifier({
    ...jwt,
    clockToleranceMs: TIMINGS.tokenClockToleranceMs,
    cacheMs: TIMINGS.tokenCacheMs,
    onKeysUnavailable: (error) => warn("The keys of JWT_JWKS_URL can't be fetched", error),
  });

  await core.start();
  const server = createHttpServer({
    services,
    verify,
    knowsToken,
    ready: readiness.check,
    logger,
    metrics,
    observer: createOperationObserver({ metrics, logger, tracing }),
    now,
    allowedOrigins: config.allowedOrigins,
    maxConnections: config.limits.maxConnections,
    maxConnectionsPerUser: config.limits.maxConnectionsPerUser,
    maxConnectionsPerAddress: config.limits.maxConnectionsPerAddress,
    trustedProxies: config.trustedProxies ?? [],
    rates,
    addressKey: config.trustedProxies === null ? null : await readAddressKey(database.db),
    introspection: config.introspection,
    graphiql: config.graphiql,
    trustedDocuments: config.trustedDocuments,
    demo: demo && { ...demo, conversationId: DEMO_CONVERSATION, folder: DEMO_FOLDER, host: config.host },
  });
  const metricsServer = createMetricsServer(metrics.registry);
  metricsServer.listen(config.metricsPort, config.host);
  await once(metricsServer, 'listening');
  const url = `http://${nameOf(config.host)}:${await server.listen(config.port, config.host)}`;
  const metricsUrl = `http://${nameOf(config.host)}:${(metricsServer.address() as AddressInfo).port}`;
  const probe = startProbe(config.ice, metrics, logger);
  logger.info({ url, metricsUrl, instanceId }, 'Ready');

  return {
    url,
    metricsUrl,
    metrics,
    async stop() {
      readiness.drain();
      await server.close();
      await probe.stop();
      await core.stop(LAST_WORK);
      for (const post of posts) post.close();
      const spansSent = tracing?.close(LAST_CONNECTIONS);
      await log.close();
      await channels.close();
      await redis?.close();
      // The embedded one can't hang, and has to write down what it has.
      if (database.embedded) await database.close();
      else await within(LAST_CONNECTIONS, Promise.all([pulse?.close(), database.close()]));
      await spansSent;
      metricsServer.close();
      metricsServer.closeAllConnections();
      logger.info('Stopped');
    },
  };
}

/** How an address of any kind is written in a URL; one that means all is reached as this machine. */
function nameOf(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

interface OpenLog {
  readonly log: CallLog;
  readonly channels: Channels;
  readonly redis: RedisConnection | null;
  /** What went wrong with it last. */
  readonly redisFault: () => string;
}

async function openLog(config: Config, metrics: Metrics, logger: Logger): Promise<OpenLog> {
  if (config.redisUrl === null) {
    const log = new MemoryCallLog(Date.now);
    return { log, channels: new MemoryChannels(), redis: null, redisFault: () => '' };
  }
  const [{ RedisCallLog }, { RedisChannels }, { RedisConnection }] = await Promise.all([
    import('./call-log/redis.ts'),
    import('./call-log/redis-channels.ts'),
    import('./call-log/redis-connection.ts'),
  ]);
  let lastFault = 'no answer';
  const redis = new RedisConnection(config.redisUrl, {
    onSubscribeFailed: metrics.redisSubscribeFailed,
    onPubSubError(reason) {
      metrics.redisPubsubError();
      logger.debug({ reason }, 'Redis');
      lastFault = reason;
    },
  });
  redis.onHealth((health) =>
    health === 'up'
      ? logger.info('Redis is there')
      : logger.warn('Redis is gone: signals stay on this instance'),
  );
  const channels = new RedisChannels(redis);
  return { log: new RedisCallLog(redis, channels), channels, redis, redisFault: () => lastFault };
}

/** What of the configured ICE servers is left out, and whether calls can do without what is left. */
function tellOfIce(ice: IceConfig, logger: Logger): void {
  for (const { setting, problem } of ice.problems) {
    logger.error({ setting, problem }, 'An ICE server is not valid and is left out');
  }
  if (hasTurn(ice)) return;
  logger.warn(
    'There is no TURN server (TURN_URLS, ICE_SERVERS): calls fail where a network lets nothing else through',
  );
}

function startProbe(ice: IceConfig, metrics: Metrics, logger: Logger): IceProbe {
  const probe = startIceProbe({
    ice,
    open: openStunSession,
    everyMs: TIMINGS.iceProbeMs,
    answerMs: TIMINGS.iceProbeAnswerMs,
    now: Date.now,
    probed: metrics.iceServerProbed,
    wentDown: (server, reason) => logger.warn({ server, reason }, 'An ICE server is down'),
    cameBack: (server) => logger.info({ server }, 'An ICE server is back'),
  });
  if (probe.skipped.length > 0) {
    logger.info({ servers: probe.skipped }, 'TURN over DTLS is given to participants, and not probed');
  }
  return probe;
}

async function vapidOf({ privateKey, subject }: NonNullable<Config['webPush']>, db: Database['db']) {
  const key = privateKey ?? (await ownPrivateKey(db));
  return { subject, privateKey: key, publicKey: publicKeyOf(key) as string };
}

async function firstContact(log: CallLog): Promise<void> {
  if (log.health() === 'up') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, FIRST_CONTACT);
    const undo = log.onHealth(done);
    function done() {
      clearTimeout(timer);
      undo();
      resolve();
    }
  });
}
