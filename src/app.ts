import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { v4 as uuid } from 'uuid';
import { createDemoTokens } from './auth/demo.ts';
import { createTokenVerifier } from './auth/token.ts';
import { Background } from './background.ts';
import { type CallLog, LogUnavailable, type SeatHolder } from './call-log/call-log.ts';
import type { Channels } from './call-log/channels.ts';
import { Feeds } from './call-log/feeds.ts';
import { MemoryCallLog } from './call-log/memory.ts';
import { MemoryChannels } from './call-log/memory-channels.ts';
import { RedisCallLog } from './call-log/redis.ts';
import { RedisChannels } from './call-log/redis-channels.ts';
import { RedisConnection } from './call-log/redis-connection.ts';
import { readCall, readCalls, ringingCallIds } from './calls/call.repository.ts';
import { createCallService } from './calls/call.service.ts';
import { countFacts } from './calls/call-metrics.ts';
import { CallUnit } from './calls/call-unit.ts';
import { viewOf } from './calls/changes.ts';
import { Outbox } from './calls/outbox.ts';
import { whyNoSeat } from './calls/seat-check.ts';
import { Sweeper } from './calls/sweeper.ts';
import { type Config, TIMINGS } from './config.ts';
import { createConversationService } from './conversations/conversation.service.ts';
import { migrate } from './database/migrator.ts';
import { type Database, openDatabase } from './database/open.ts';
import type { Services } from './graphql/services.ts';
import { createMetricsServer } from './http/health.ts';
import { createHttpServer } from './http/server.ts';
import { createIceServerService } from './ice-servers/ice-server.service.ts';
import { RingBoard } from './incoming/ring-board.ts';
import type { Logger } from './observability/logger.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createRateLimiter } from './rate-limits/flexible-rate-limiter.ts';
import { createInstances } from './seats/instances.ts';
import { SeatService } from './seats/seat.service.ts';
import { createSignalService } from './signals/signal.service.ts';

/** The composition root: the only file that builds concrete things. */

export interface App {
  /** `http://host:port` */
  readonly url: string;
  readonly metricsUrl: string;
  readonly metrics: Metrics;
  /** No new sockets, the live ones closed with 1012, what is owed brought about, then nothing is left. */
  stop(): Promise<void>;
}

/** In which everyone of a demo may call everyone. */
const DEMO_CONVERSATION = 'demo';
/** Its page, as `npm run build:demo` leaves it beside the sources, and `npm run build` in dist/. */
const DEMO_FOLDER = new URL('../demo/dist/', import.meta.url);
/** How long a start waits for Redis, so that it does not begin degraded, milliseconds. */
const FIRST_CONTACT = 1_000;
/** How long a stop waits for what is still owed to the database, milliseconds. */
const LAST_WORK = 3_000;

export async function startApp(config: Config, logger: Logger): Promise<App> {
  const now = Date.now;
  const instanceId = uuid();
  const metrics = createMetrics({ perCall: config.metricsPerCall });
  metrics.turnConfigured(config.iceServers.length > 0);
  const warn = (what: string, error: unknown) => logger.warn({ err: error }, what);

  const onPoolError = (error: Error) => warn('An idle connection to Postgres was lost', error);
  const database = await openDatabase({ ...config.database, onPoolError });
  const pulse = database.embedded
    ? null
    : await openDatabase({ ...config.database, poolSize: 1, onPoolError });
  const ran = await migrate(database);
  if (ran.length > 0) logger.info({ migrations: ran }, 'Migrations ran');

  const { log, channels, redis } = openLog(config, metrics, logger);
  await firstContact(log);
  const { db } = database;
  const rings = new RingBoard(channels, {
    async ringing(userId) {
      const calls = await readCalls(db, await ringingCallIds(db, userId));
      return { calls: calls.map(({ call }) => viewOf(call)), now: calls[0]?.now ?? now() };
    },
    calls: async (callIds) => (await readCalls(db, callIds)).map(({ call }) => viewOf(call)),
    onError: (error) => warn('Rings could not be read', error),
  });
  const outbox = new Outbox(db, log, rings, (error) => {
    metrics.publishFailed();
    if (!(error instanceof LogUnavailable)) warn('A change of state could not be published', error);
    // Streams here need not wait for the log, where it is out of reach.
    void feeds.pollStates();
  });
  const feeds: Feeds = new Feeds(log, {
    createLog: (callId) => outbox.createLog(callId),
    async seats(callId) {
      const read = await readCall(db, callId);
      const seats = new Map<string, SeatHolder>();
      for (const { userId, seat } of read?.call.participants ?? []) if (seat) seats.set(userId, seat);
      return { version: read?.call.version ?? 0, seats };
    },
    async statesAfter(callId, version) {
      const rows = await outbox.rowsAfter(callId, version);
      return rows.map((row) => ({ ...row.change, version: row.version, at: row.at }));
    },
    onError: (error) => warn('A call on this instance could not be followed', error),
  });
  const self = { id: instanceId, hasRedis: redis !== null };
  const instances = createInstances(database, (pulse ?? database).db, () => unit, self, TIMINGS.deadAfterMs);
  const unit: CallUnit = new CallUnit(database, outbox, config.limits, {
    outage: instances.outage,
    changed: (call, facts) => countFacts(metrics, call, facts),
  });
  const background = new Background((what, error) => warn(`${what} is tried again`, error));
  const { untilDone } = background;
  const seats = new SeatService({ db, unit, log, channels, feeds, metrics, instanceId, untilDone });
  metrics.observeCalls(() => seats.calls());
  const sweeper = new Sweeper({
    db,
    unit,
    outbox,
    instances,
    eventsKeptMs: config.eventsKeptMs,
    reclaim: () => seats.reclaim(),
    onLag: metrics.sweepLagged,
    onError: (what, error) => warn(`The sweeper failed at: ${what}`, error),
  });

  const seatRefusal = (callId: string, userId: string) => whyNoSeat(db, callId, userId);
  const services: Services = {
    calls: createCallService({
      database,
      unit,
      log,
      limits: config.limits,
      initiations: createRateLimiter(
        {
          name: 'initiate',
          limit: config.limits.initiatePerMinute,
          windowMs: TIMINGS.initiateWindowMs,
          answerMs: TIMINGS.rateLimitAnswerMs,
        },
        redis?.commands ?? null,
      ),
      metrics,
      untilDone,
    }),
    signals: createSignalService({
      log,
      feeds,
      metrics,
      createLog: (callId) => outbox.createLog(callId),
      whyNoSeat: seatRefusal,
      now,
    }),
    conversations: createConversationService({ database, sweepDue: () => sweeper.sweepDue() }),
    iceServers: createIceServerService({ servers: config.iceServers, whyNoSeat: seatRefusal, now }),
    subscriptions: {
      callEvents: (viewer, args, socket) => seats.open(viewer, args, socket),
      incomingCalls: (viewer) => rings.open(viewer.userId),
    },
  };

  const demo = config.demo ? await createDemoTokens(config, randomBytes(32).toString('base64url')) : null;
  const jwt = config.jwt ?? demo?.jwt;
  if (!jwt) throw new Error('There is neither a JWT setting nor a demo');
  if (demo) {
    const memberIds = demo.users.map((user) => user.id);
    await services.conversations.put(DEMO_CONVERSATION, memberIds, null);
  }
  const { verify } = createTokenVerifier({
    ...jwt,
    clockToleranceMs: TIMINGS.tokenClockToleranceMs,
    cacheMs: TIMINGS.tokenCacheMs,
  });

  await seats.listen();
  await sweeper.start();
  const server = createHttpServer({
    services,
    verify,
    ready: () => readiness(database, log, instances, redis !== null),
    logger,
    metrics,
    now,
    allowedOrigins: config.allowedOrigins,
    maxConnections: config.limits.maxConnections,
    maxConnectionsPerUser: config.limits.maxConnectionsPerUser,
    production: config.production,
    demo: demo && { ...demo, conversationId: DEMO_CONVERSATION, folder: DEMO_FOLDER, host: config.host },
  });
  const metricsServer = createMetricsServer(metrics.registry);
  metricsServer.listen(config.metricsPort, config.host);
  await once(metricsServer, 'listening');
  const url = `http://${nameOf(config.host)}:${await server.listen(config.port, config.host)}`;
  const metricsUrl = `http://${nameOf(config.host)}:${(metricsServer.address() as AddressInfo).port}`;
  logger.info({ url, metricsUrl, instanceId }, 'Ready');

  return {
    url,
    metricsUrl,
    metrics,
    async stop() {
      await server.close();
      await background.close(LAST_WORK);
      await sweeper.stop();
      await outbox.sweep().catch((error) => warn('What is unpublished is left to other instances', error));
      await instances.leave().catch((error) => warn('Other instances find out by themselves', error));
      await feeds.close();
      await rings.close();
      await log.close();
      await channels.close();
      await redis?.close();
      await pulse?.close();
      await database.close();
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

function openLog(
  config: Config,
  metrics: Metrics,
  logger: Logger,
): { log: CallLog; channels: Channels; redis: RedisConnection | null } {
  if (config.redisUrl === null) {
    return { log: new MemoryCallLog(Date.now), channels: new MemoryChannels(), redis: null };
  }
  const redis = new RedisConnection(config.redisUrl, {
    onSubscribeFailed: metrics.redisSubscribeFailed,
    onPubSubError(reason) {
      metrics.redisPubsubError();
      logger.debug({ reason }, 'Redis');
    },
  });
  redis.onHealth((health) =>
    health === 'up'
      ? logger.info('Redis is there')
      : logger.warn('Redis is gone: signals stay on this instance'),
  );
  const channels = new RedisChannels(redis);
  return { log: new RedisCallLog(redis, channels), channels, redis };
}

async function readiness(
  database: Database,
  log: CallLog,
  instances: ReturnType<typeof createInstances>,
  hasRedis: boolean,
): Promise<{ ok: boolean; degraded: boolean; reasons: string[] }> {
  const reasons: string[] = [];
  try {
    const others = await instances.others();
    if (others.some((other) => !hasRedis || !other.hasRedis)) {
      reasons.push(
        'Another instance lives on this database, and they have no REDIS_URL in common: set it on all.',
      );
    }
  } catch {
    reasons.push(`The database does not answer (${database.embedded ? 'embedded' : 'Postgres'}).`);
  }
  const degraded = log.health() === 'down';
  return {
    ok: reasons.length === 0,
    degraded,
    reasons: degraded ? [...reasons, 'Redis is out of reach.'] : reasons,
  };
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
