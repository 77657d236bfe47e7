import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { DELIVERY_OUTCOMES, type DeliveryOutcome } from '../notifications/channel.ts';
import { CANDIDATE_TYPES, LINK_OUTCOMES, type LinkQuality } from '../quality/quality-report.ts';
import type { Signal } from '../signals/signal.ts';

/** The metrics beside the 28 of the audit: how the service itself does. All begin with `ringdown_`. */

/**
 * How an operation went: `rejected` by a rule, `limited` by a rate, `invalid` input or identity (also a refused
 * subscription), `unavailable` where the database or Redis did not answer in time, `error` for the unforeseen.
 */
export const OUTCOMES = ['ok', 'rejected', 'limited', 'invalid', 'unavailable', 'error'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Connections of now. */
export interface PoolCounts {
  readonly totalCount: number;
  readonly idleCount: number;
  /** Who waits for a connection. */
  readonly waitingCount: number;
}

export const SIGNAL_KINDS: Readonly<Record<Signal['__typename'], string>> = {
  Offer: 'offer',
  Answer: 'answer',
  IceCandidates: 'candidates',
  Renegotiate: 'renegotiate',
};

/** From a quarter of a usual answer to the longest that DATABASE_TIMEOUT [5 s] lets one take. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createOwnMetrics(registry: Registry) {
  const registers = [registry];

  const operations = new Histogram({
    name: 'ringdown_operation_duration_seconds',
    help: 'Time that a root field of GraphQL took to be answered, of a subscription to be opened, by outcome.',
    labelNames: ['operation', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  /** By operation; made once each, since finding a child by its labels costs more than adding to it. */
  const watched = new Map<string, Record<string, { observe(seconds: number): void }>>();

  const appends = new Histogram({
    name: 'ringdown_log_append_duration_seconds',
    help: 'Time that appending an entry to the call log took, by kind of entry. Failed: the log did not answer in time.',
    labelNames: ['entry', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  for (const entry of ['state', 'signal']) {
    for (const outcome of ['ok', 'failed']) appends.zero({ entry, outcome });
  }
  const appended = (entry: string) => ({
    ok: appends.labels({ entry, outcome: 'ok' }),
    failed: appends.labels({ entry, outcome: 'failed' }),
  });
  const append = { state: appended('state'), signal: appended('signal') };

  const byKind = (name: string, help: string) => {
    const metric = new Counter({ name, help, labelNames: ['kind'], registers });
    const kinds = Object.entries(SIGNAL_KINDS).map(
      ([type, kind]) => [type, metric.labels({ kind })] as const,
    );
    for (const [, child] of kinds) child.inc(0);
    const children = Object.fromEntries(kinds);
    return (kind: Signal['__typename']): void => children[kind]?.inc();
  };

  const pools = new Map<string, PoolCounts>();
  new Gauge({
    name: 'ringdown_database_connections',
    help: 'Connections to Postgres, by pool (calls; heartbeat) and state (idle, in_use). This instance.',
    labelNames: ['pool', 'state'],
    registers,
    collect() {
      for (const [pool, { totalCount, idleCount }] of pools) {
        this.set({ pool, state: 'idle' }, idleCount);
        this.set({ pool, state: 'in_use' }, totalCount - idleCount);
      }
    },
  });
  new Gauge({
    name: 'ringdown_database_waiting',
    help: 'Who waits for a connection to Postgres, by pool. This instance.',
    labelNames: ['pool'],
    registers,
    collect() {
      for (const [pool, { waitingCount }] of pools) this.set({ pool }, waitingCount);
    },
  });

  const links = new Counter({
    name: 'ringdown_links_reported_total',
    help: 'Links between participants that were reported, by how they went and whether they were relayed (yes, no; unknown where none of their candidates was in use).',
    labelNames: ['outcome', 'relayed'],
    registers,
  });
  for (const outcome of LINK_OUTCOMES) {
    for (const relayed of ['yes', 'no', 'unknown']) links.inc({ outcome: outcome.toLowerCase(), relayed }, 0);
  }
  const candidates = new Counter({
    name: 'ringdown_link_candidates_total',
    help: 'Pairs of ICE candidates in use that were reported, by the type of either.',
    labelNames: ['local', 'remote'],
    registers,
  });
  for (const local of CANDIDATE_TYPES) {
    for (const remote of CANDIDATE_TYPES) {
      candidates.inc({ local: local.toLowerCase(), remote: remote.toLowerCase() }, 0);
    }
  }
  const measured = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help: `${help}, as participants reported it.`, buckets, registers });
  const connectedAfter = measured(
    'ringdown_link_connected_after_seconds',
    "From a link's beginning to its first connection",
    [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 30, 60],
  );
  const loss = measured(
    'ringdown_link_packet_loss_ratio',
    'Packets that were lost, of those that should have come in',
    [0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5],
  );
  const jitter = measured(
    'ringdown_link_jitter_seconds',
    'Jitter of what came in',
    [0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5],
  );
  const roundTrip = measured(
    'ringdown_link_round_trip_seconds',
    'Round trip between two participants',
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2],
  );
  const reconnects = measured('ringdown_link_reconnects', 'How often a link was lost', [0, 1, 2, 5, 10, 50]);
  const ratings = measured('ringdown_call_rating', 'Ratings of calls, 1 (bad) to 5 (good)', [1, 2, 3, 4, 5]);

  let ready: () => Promise<{ readonly ok: boolean; readonly degraded: boolean }> = async () => ({
    ok: false,
    degraded: false,
  });
  new Gauge({
    name: 'ringdown_ready',
    help: '1 while /readyz answers 200, else 0. This instance; the sum is how many instances are ready.',
    registers,
    async collect() {
      this.set((await ready()).ok ? 1 : 0);
    },
  });
  new Gauge({
    name: 'ringdown_degraded',
    help: '1 while /readyz says `degraded`, for instance without Redis, else 0. This instance.',
    registers,
    async collect() {
      this.set((await ready()).degraded ? 1 : 0);
    },
  });

  const deliveries = new Counter({
    name: 'ringdown_notification_deliveries_total',
    help: 'How notifications ended, by channel: delivered; gone, over and expired (nobody to tell any more); retried is an attempt that failed and is made again; dead is one that is given up, until somebody sends it again.',
    labelNames: ['channel', 'outcome'],
    registers,
  });
  const deliveryLag = new Histogram({
    name: 'ringdown_notification_lag_seconds',
    help: 'From the moment at which something became true to the answer of who was told of it, by channel. Of what was delivered.',
    labelNames: ['channel'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3600],
    registers,
  });

  return {
    /** `seconds`: since what it tells became true. */
    notificationSettled(channel: string, outcome: DeliveryOutcome, seconds: number): void {
      deliveries.inc({ channel, outcome });
      if (outcome === 'delivered') deliveryLag.observe({ channel }, seconds);
    },
    /** A channel that is configured: its series begin at 0. */
    observeChannel(channel: string): void {
      for (const outcome of DELIVERY_OUTCOMES) deliveries.inc({ channel, outcome }, 0);
      deliveryLag.zero({ channel });
    },
    /** `operation`: a root field of the schema, never a name that a client chose. */
    operationEnded(operation: string, outcome: Outcome, seconds: number): void {
      let children = watched.get(operation);
      if (children === undefined) {
        children = {};
        watched.set(operation, children);
      }
      children[outcome] ??= operations.labels({ operation, outcome });
      children[outcome].observe(seconds);
    },
    /** From the request to the log's answer. What the log refuses it has answered. */
    logAppended(entry: 'state' | 'signal', outcome: 'ok' | 'failed', seconds: number): void {
      append[entry][outcome].observe(seconds);
    },
    signalTaken: byKind('ringdown_signals_total', 'Signals that the call log took, by kind.'),
    signalDelivered: byKind(
      'ringdown_signals_delivered_total',
      'Signals handed to a recipient, by kind; one to several recipients counts for each, and so does a replay.',
    ),
    linkReported(link: LinkQuality, relayed: boolean | null): void {
      const { outcome, localCandidate: local, remoteCandidate: remote } = link;
      const known = relayed === null ? 'unknown' : relayed ? 'yes' : 'no';
      links.inc({ outcome: outcome.toLowerCase(), relayed: known });
      if (local !== null && remote !== null) {
        candidates.inc({ local: local.toLowerCase(), remote: remote.toLowerCase() });
      }
      if (link.connectedAfterMs !== null) connectedAfter.observe(link.connectedAfterMs / 1_000);
      if (link.lossPercent !== null) loss.observe(link.lossPercent / 100);
      if (link.jitterMs !== null) jitter.observe(link.jitterMs / 1_000);
      if (link.roundTripMs !== null) roundTrip.observe(link.roundTripMs / 1_000);
      reconnects.observe(link.reconnects);
    },
    callRated: (rating: number): void => ratings.observe(rating),
    observePool(name: string, pool: PoolCounts): void {
      pools.set(name, pool);
    },
    /** Who is asked, at each scrape, whether the instance is ready. Must not reject. */
    observeReadiness(read: typeof ready): void {
      ready = read;
    },
  };
}
