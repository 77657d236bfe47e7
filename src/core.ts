import { Background, within } from './background.ts';
import { type CallLog, LogUnavailable, type SeatHolder } from './call-log/call-log.ts';
import type { Channels } from './call-log/channels.ts';
import { Feeds } from './call-log/feeds.ts';
import { readCall, readCalls, ringsOf } from './calls/call.repository.ts';
import { createCallService } from './calls/call.service.ts';
import { logLife } from './calls/call-life-log.ts';
import { countFacts } from './calls/call-metrics.ts';
import { CallUnit } from './calls/call-unit.ts';
import { ringViewOf } from './calls/changes.ts';
import { Outbox } from './calls/outbox.ts';
import { whyNoSeat } from './calls/seat-check.ts';
import { Sweeper } from './calls/sweeper.ts';
import { type Config, TIMINGS } from './config.ts';
import { createConversationService } from './conversations/conversation.service.ts';
import type { Database } from './database/open.ts';
import { createDeviceService } from './devices/device.service.ts';
import type { AllowedEndpoints } from './devices/subscription.ts';
import type { Services } from './graphql/services.ts';
import { createHistoryService } from './history/history.service.ts';
import { createIceServerService } from './ice-servers/ice-server.service.ts';
import { RingBoard } from './incoming/ring-board.ts';
import type { Channel } from './notifications/channel.ts';
import { createDeadLetterService } from './notifications/dead-letter.service.ts';
import { Deliverer } from './notifications/deliverer.ts';
import type { NoticeQueue } from './notifications/notice-queue.ts';
import { Notices } from './notifications/notices.ts';
import { watchDeliveries, watchSignals } from './observability/entries.ts';
import type { Logger } from './observability/logger.ts';
import type { Metrics } from './observability/metrics.ts';
import type { Tracing } from './observability/tracing.ts';
import { createQualityService } from './quality/quality.service.ts';
import type { Rates } from './rate-limits/rates.ts';
import { createInstances, type Instances } from './seats/instances.ts';
import { SeatService } from './seats/seat.service.ts';
import { createSignalService } from './signals/signal.service.ts';
import { createSilenceService } from './silence/silence.service.ts';
import { writeCounts } from './timeline/signal-counts.repository.ts';
import { SignalTally } from './timeline/signal-tally.ts';
import { createTimelineService } from './timeline/timeline.ts';

/**
 * One instance without its doors: the services over a database, a log and channels, and what runs beside
 * them. It knows these by their ports; app.ts gives it the real ones, and tests may give it others.
 */

export interface CoreParts {
  readonly database: Database;
  /** Where heartbeats are written; a connection of their own, that no full pool holds up. */
  readonly pulse: Database;
  readonly log: CallLog;
  readonly channels: Channels;
  readonly rates: Pick<Rates, 'initiate' | 'join' | 'signal' | 'report'>;
  /** Whether `log` and `channels` reach other instances. */
  readonly hasRedis: boolean;
  readonly config: Pick<Config, 'limits' | 'eventsKeptMs' | 'ice'>;
  readonly metrics: Metrics;
  readonly webPush: {
    /** Base64url; null: off. */
    readonly webPushKey: string | null;
    readonly endpoints: AllowedEndpoints;
  };
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly warn: (what: string, error: unknown) => void;
  readonly logger: Pick<Logger, 'trace' | 'debug' | 'info' | 'isLevelEnabled'>;
  /** Null where no traces are wanted. `log` and `database` make their own spans. */
  readonly tracing: Tracing | null;
  /** A UUID. */
  readonly instanceId: string;
  /** Who is told of calls beside those who look; null where nobody is. */
  readonly notifications: { readonly queue: NoticeQueue; readonly channels: readonly Channel[] } | null;
}

export interface Core {
  readonly instanceId: string;
  readonly services: Services;
  readonly instances: Instances;
  /** The heartbeat and the sweeper. */
  start(): Promise<void>;
  /** Brings about what is owed, and says goodbye to the other instances; either within `lastWorkMs`. */
  stop(lastWorkMs: number): Promise<void>;
}

export function createCore(parts: CoreParts): Core {
  const { database, pulse, log, channels, config, metrics, now, warn, logger, tracing, instanceId } = parts;
  const { db } = database;

  const rings = new RingBoard(channels, {
    ringing: (userIds) => ringsOf(db, userIds),
    async calls(callIds) {
      const calls = await readCalls(db, callIds);
      return { calls: calls.map(({ call }) => ringViewOf(call)), now: calls[0]?.now ?? now() };
    },
    onError: (error) => warn('Rings could not be read', error),
  });
  const outbox = new Outbox(
    db,
    log,
    rings,
    (error, { callId }) => {
      metrics.publishFailed();
      if (!(error instanceof LogUnavailable)) warn('A change of state could not be published', error);
      // Streams here need not wait for the log, where it is out of reach.
      void feeds.pollState(callId);
    },
    (outcome, seconds) => metrics.logAppended('state', outcome, seconds),
  );
  const feeds: Feeds = new Feeds(log, {
    createLog: (callId) => outbox.createLog(callId),
    async seats(callId) {
      const read = await readCall(db, callId);
      const seats = new Map<string, SeatHolder>();
      for (const { userId, seat } of read?.call.participants ?? []) if (seat) seats.set(userId, seat);
      return { version: read?.call.version ?? 0, seats };
    },
    statesAfter: (known) => outbox.statesAfter(known),
    onError: (error) => warn('A call on this instance could not be followed', error),
  });
  const { notifications } = parts;
  const notices = notifications && new Notices(notifications.queue, notifications.channels);
  const deliverers = (notifications?.channels ?? []).map((channel) => {
    metrics.observeChannel(channel.name);
    return new Deliverer({
      queue: notifications!.queue,
      channel,
      readCall: (callId) => readCall(db, callId),
      onSettled: (outcome, seconds) => metrics.notificationSettled(channel.name, outcome, seconds),
      onError: (what, error) => warn(`The channel ${channel.name} failed to ${what}`, error),
      now,
    });
  });
  const tally = new SignalTally(now, () => crypto.randomUUID());
  const watch = watchSignals(logger);
  const self = { id: instanceId, hasRedis: parts.hasRedis };
  const instances = createInstances(database, pulse.db, () => unit, self, TIMINGS.deadAfterMs);
  const unit: CallUnit = new CallUnit(database, outbox, config.limits, {
    outage: instances.outage,
    ...(notices && { saving: (tx, before, after, at) => notices.enqueue(tx, before, after, at) }),
    changed(call, facts, change) {
      countFacts(metrics, call, facts);
      if (call.status === 'ENDED') tally.callEnded(call.id);
      logLife(logger, call, facts);
      if (change.rings !== null || change.ended) for (const deliverer of deliverers) deliverer.wake();
    },
  });
  const background = new Background((what, error) => warn(`${what} is tried again`, error));
  const { untilDone } = background;
  const seats = new SeatService({
    db,
    unit,
    log,
    channels,
    feeds,
    metrics,
    logger,
    instanceId,
    untilDone,
    onDelivered: watchDeliveries(metrics, logger, tracing),
  });
  metrics.observeCalls(() => seats.calls());
  const sweeper = new Sweeper({
    db,
    unit,
    outbox,
    instances,
    eventsKeptMs: config.eventsKeptMs,
    writeCounts: () => writeCounts(db, tally),
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
      rates: parts.rates,
      metrics,
      untilDone,
    }),
    signals: createSignalService({
      log,
      feeds,
      rate: parts.rates.signal,
      metrics,
      createLog: (callId) => outbox.createLog(callId),
      whyNoSeat: seatRefusal,
      now,
      onTaken(callId, entry) {
        const { from, to, kind } = entry.signal;
        tally.count(callId, kind, from, to, entry.at);
        watch?.(callId, entry);
      },
    }),
    history: createHistoryService(database, now),
    timeline: createTimelineService(db),
    quality: createQualityService({ database, rate: parts.rates.report, metrics }),
    conversations: createConversationService({ database, sweepDue: () => sweeper.sweepDue() }),
    silence: createSilenceService(database),
    devices: createDeviceService({ database, maxDevices: config.limits.maxDevices, ...parts.webPush }),
    iceServers: createIceServerService({ ...config.ice, whyNoSeat: seatRefusal, now }),
    deadLetters: createDeadLetterService(notifications?.queue ?? null),
    subscriptions: {
      callEvents: (viewer, args, socket) => seats.open(viewer, args, socket),
      incomingCalls: (viewer) => rings.open(viewer.userId),
    },
  };

  return {
    instanceId,
    services,
    instances,
    async start() {
      await seats.listen();
      await notifications?.queue.open(notifications.channels.map(({ name }) => name));
      await sweeper.start();
      for (const deliverer of deliverers) deliverer.start();
    },
    async stop(lastWorkMs) {
      await background.close(lastWorkMs);
      const farewell = async () => {
        await Promise.all(deliverers.map((deliverer) => deliverer.stop(lastWorkMs / 2)));
        await sweeper.stop();
        await outbox.sweep().catch((error) => warn('What is unpublished is left to other instances', error));
        await writeCounts(db, tally, true).catch((error) => warn('Counts of signals are lost', error));
        await instances.leave().catch((error) => warn('Other instances find out by themselves', error));
      };
      // A database that hangs must not hold up the end: the others can do without it.
      if (!(await within(lastWorkMs, farewell()))) warn('The database did not answer at the end', null);
      await feeds.close();
      await rings.close();
    },
  };
}
