import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { CallType } from '../calls/call-view.ts';
import type { Limited, LimitedBy } from '../rate-limits/rates.ts';
import { createOwnMetrics } from './own-metrics.ts';

/** A live call as this instance sees it at the moment of a scrape. */
export interface CallOnThisInstance {
  readonly callId: string;
  /** Seats whose event stream this instance holds. */
  readonly seats: number;
  /** WebSocket connections to this instance that carry those streams. */
  readonly sockets: number;
  /** Whether the longest held seat is among them: each call has one, so it is counted in one place. */
  readonly counted: boolean;
}

export interface MetricsOptions {
  /** METRICS_PER_CALL: a series a call, instead of the largest call alone. */
  readonly perCall: boolean;
}

export type Metrics = ReturnType<typeof createMetrics>;

/**
 * Every metric of the server. Others call the named functions and never see prom-client. No label takes a
 * value without bound, but for `call_id` where the operator asked for it; its series go with their calls.
 */
export function createMetrics(options: MetricsOptions) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  /** A counter without labels, as the function that adds one. */
  const counter = (name: string, help: string) => {
    const metric = new Counter({ name, help, registers });
    return () => metric.inc();
  };
  const amount = (name: string, help: string) => new Counter({ name, help, registers });
  const byType = (name: string, help: string) => {
    const metric = new Counter({ name, help, labelNames: ['call_type'], registers });
    for (const call_type of CALL_TYPES) metric.inc({ call_type }, 0);
    return (type: CallType) => metric.inc({ call_type: type.toLowerCase() });
  };

  const callEnded = byType('video_call_ended_total', 'Calls ended, by whatever reason.');
  const duration = new Histogram({
    name: 'video_call_duration_seconds',
    help: 'From answer to end, of calls that were answered.',
    labelNames: ['call_type'],
    buckets: [
      5,
      15,
      30,
      MINUTE,
      3 * MINUTE,
      10 * MINUTE,
      30 * MINUTE,
      HOUR,
      2 * HOUR,
      4 * HOUR,
      8 * HOUR,
      24 * HOUR,
    ],
    registers,
  });
  for (const call_type of CALL_TYPES) duration.zero({ call_type });
  const ringing = new Histogram({
    name: 'video_call_ringing_duration_seconds',
    help: 'From the start of a call to its answer, or to its end where nobody answered.',
    buckets: [1, 2, 5, 10, 15, 20, 30, 45, MINUTE, 2 * MINUTE, 5 * MINUTE, HOUR],
    registers,
  });
  const endDuration = new Histogram({
    name: 'video_call_end_duration_seconds',
    help: 'Time that an end or a leave took, from the request to the commit.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });

  let callsHere: () => Iterable<CallOnThisInstance> = () => [];
  /** A gauge worked out at each scrape. */
  const scraped = (name: string, help: string, value: (calls: Iterable<CallOnThisInstance>) => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value(callsHere()));
      },
    });
  const byCall = (name: string, help: string, value: (call: CallOnThisInstance) => number) =>
    options.perCall
      ? new Gauge({
          name,
          help: `${help}, by call. This instance; the sum over instances is the call's.`,
          labelNames: ['call_id'],
          registers,
          collect() {
            this.reset();
            for (const call of callsHere()) this.set({ call_id: call.callId }, value(call));
          },
        })
      : scraped(name, `${help}, of the largest call. This instance.`, (calls) => {
          let largest = 0;
          for (const call of calls) largest = Math.max(largest, value(call));
          return largest;
        });

  scraped(
    'video_active_calls',
    'Live calls, ringing ones included, of which this instance holds the event stream of the seat that was taken first. This instance; the sum over instances counts each call once, and leaves out one whose first participant is reconnecting.',
    (calls) => sum(calls, (call) => (call.counted ? 1 : 0)),
  );
  scraped(
    'video_active_participants',
    'Seats whose event stream this instance holds. This instance; the sum over instances counts each connected seat once.',
    (calls) => sum(calls, (call) => call.seats),
  );
  byCall(
    'video_call_active_participants',
    'Seats whose event stream this instance holds',
    (call) => call.seats,
  );
  byCall(
    'video_ws_connections_by_call',
    'WebSocket connections with an event stream',
    (call) => call.sockets,
  );
  const sweepLag = new Histogram({
    name: 'ringdown_sweeper_lag_seconds',
    help: 'From a deadline to the sweep that found it passed.',
    buckets: [0.1, 0.25, 0.5, 1, 1.5, 2, 5, 15, MINUTE, 10 * MINUTE],
    registers,
  });
  const sockets = new Gauge({
    name: 'video_ws_connections_total',
    help: 'Open WebSocket connections. This instance.',
    registers,
  });
  const turn = new Gauge({
    name: 'video_turn_config_valid',
    help: '1 where STUN or TURN servers are configured and all of what was configured is valid, 0 where there are none or something was left out at start. The deployment: every instance shows the same, so take the least, not the sum.',
    registers,
  });
  const iceServerUp = new Gauge({
    name: 'ringdown_ice_server_up',
    help: '1 where the STUN or TURN server did its part when it was last probed (a TURN server: an allocation with a credential), else 0. This instance, from where it stands.',
    labelNames: ['server'],
    registers,
  });
  const iceServerRoundTrip = new Gauge({
    name: 'ringdown_ice_server_round_trip_seconds',
    help: 'From the first request of that probe to its answer; no value while the server is down. This instance.',
    labelNames: ['server'],
    registers,
  });

  const candidatesValid = amount('video_ice_candidate_valid_total', 'ICE candidates accepted.');
  const candidatesInvalid = amount(
    'video_ice_candidate_invalid_total',
    'ICE candidates refused as malformed.',
  );
  const rateLimited = new Counter({
    name: 'ringdown_rate_limited_total',
    help: 'What was refused because a user or an address had done it too often, by what it was and whose limit.',
    labelNames: ['limit', 'by'],
    registers,
  });
  for (const limit of LIMITS) {
    for (const by of LIMITED_BY[limit]) rateLimited.inc({ limit, by }, 0);
  }
  const initiateRateLimited = amount(
    'video_call_initiate_rate_limit_exceeded_total',
    'Requests to start a call that were refused because the user had started too many.',
  );

  return {
    registry,
    ...createOwnMetrics(registry),

    callCreated: byType('video_call_created_total', 'Calls created.'),
    /** `durationSeconds`: from answer to end; null for a call that nobody answered. */
    callEnded(type: CallType, durationSeconds: number | null): void {
      callEnded(type);
      if (durationSeconds !== null) duration.observe({ call_type: type.toLowerCase() }, durationSeconds);
    },
    callJoined: counter(
      'video_call_joined_total',
      "Seats taken, the caller's included; no repeats by the same session.",
    ),
    callLeft: counter('video_call_left_total', 'Seats given up or lost, whatever the reason.'),
    initiateAttempted: counter(
      'video_call_initiate_total',
      'Requests to start a call, the refused ones included.',
    ),
    /** The audit's own counter is of users who start calls alone (H2). */
    rateLimited(limit: Limited, by: LimitedBy): void {
      rateLimited.inc({ limit, by });
      if (limit === 'initiate' && by === 'user') initiateRateLimited.inc();
    },
    duplicateJoin: counter(
      'video_call_duplicate_join_attempt_total',
      'Joins refused because another session of the user was in the call.',
    ),
    ghostParticipant: counter(
      'video_call_ghost_participant_total',
      'Seats of a dead instance or an outage that were found after the fact, and left.',
    ),
    autoTerminated: counter(
      'video_call_auto_terminated_total',
      'Calls ended because they reached the longest allowed duration.',
    ),
    participantLimitExceeded: counter(
      'video_call_participant_limit_exceeded_total',
      'Joins refused because the call was full.',
    ),
    unauthorizedJoin: counter(
      'video_call_unauthorized_join_attempt_total',
      'Joins refused to strangers, to members who were not invited and to invited people who are no members.',
    ),
    expiredJoin: counter(
      'video_call_expired_join_attempt_total',
      'Joins refused because the call had rung for too long.',
    ),
    cleanedUpOnDisconnect: counter(
      'video_call_cleanup_on_disconnect_total',
      'Seats left because their connection was lost for longer than the grace.',
    ),
    cleanupFailed: counter(
      'video_call_cleanup_failed_total',
      'Attempts to leave such a seat that failed; each is tried again.',
    ),
    endTimedOut: counter(
      'video_call_end_timeout_total',
      'Ends and leaves that ran out of time; each is brought about afterwards.',
    ),
    /** From the request to the commit. */
    endTook: (seconds: number): void => endDuration.observe(seconds),
    /** From the start of a call to its answer, or to its end where nobody answered. */
    rang: (seconds: number): void => ringing.observe(seconds),

    redisSubscribeFailed: counter(
      'video_redis_subscribe_failed_total',
      'Subscriptions in Redis that failed.',
    ),
    redisPubsubError: counter('video_redis_pubsub_error_total', 'Errors of the connections to Redis.'),
    publishFailed: counter(
      'ringdown_publish_failed_total',
      'Changes of state that could not be appended to the call log at once; each is tried again.',
    ),
    candidatesChecked(valid: number, invalid: number): void {
      candidatesValid.inc(valid);
      candidatesInvalid.inc(invalid);
    },
    internalError: counter(
      'ringdown_internal_errors_total',
      'Unforeseen errors that were masked before the client saw them.',
    ),

    /** From a deadline to the sweep that found it passed. */
    sweepLagged: (seconds: number): void => sweepLag.observe(seconds),

    socketOpened: (): void => sockets.inc(),
    socketClosed: (): void => sockets.dec(),
    /** Who is asked, at each scrape, for the live calls of which this instance holds an event stream. */
    observeCalls(read: () => Iterable<CallOnThisInstance>): void {
      callsHere = read;
    },
    /** True where STUN or TURN servers are configured and nothing of them had to be left out. */
    turnConfigured: (valid: boolean): void => turn.set(valid ? 1 : 0),
    /** `server`: one of the configured; `roundTripSeconds` null: it is down. */
    iceServerProbed(server: string, roundTripSeconds: number | null): void {
      iceServerUp.set({ server }, roundTripSeconds === null ? 0 : 1);
      if (roundTripSeconds === null) iceServerRoundTrip.remove({ server });
      else iceServerRoundTrip.set({ server }, roundTripSeconds);
    },
  };
}

const MINUTE = 60;
const HOUR = 3_600;
const CALL_TYPES = ['audio', 'video'];
/** By what each limit refuses. */
const LIMITED_BY: Readonly<Record<Limited, readonly LimitedBy[]>> = {
  initiate: ['user', 'address'],
  join: ['user', 'address'],
  signal: ['user', 'address'],
  report: ['user', 'address'],
  connection: ['user', 'address'],
  failed_token: ['address'],
};
const LIMITS = Object.keys(LIMITED_BY) as Limited[];

function sum(calls: Iterable<CallOnThisInstance>, value: (call: CallOnThisInstance) => number): number {
  let total = 0;
  for (const call of calls) total += value(call);
  return total;
}
