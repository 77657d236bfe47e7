import { describe, expect, it } from 'vitest';
import { type CallOnThisInstance, createMetrics, type Metrics } from '../../src/observability/metrics.ts';

const NAMES = {
  counter: [
    ...[
      'video_call_created_total',
      'video_call_joined_total',
      'video_call_left_total',
      'video_call_ended_total',
    ],
    ...['video_call_initiate_total', 'video_call_duplicate_join_attempt_total'],
    ...['video_call_ghost_participant_total', 'video_call_auto_terminated_total'],
    ...['video_call_participant_limit_exceeded_total', 'video_call_initiate_rate_limit_exceeded_total'],
    ...['video_call_unauthorized_join_attempt_total', 'video_call_expired_join_attempt_total'],
    ...['video_call_cleanup_on_disconnect_total', 'video_call_cleanup_failed_total'],
    ...['video_call_end_timeout_total', 'video_redis_subscribe_failed_total'],
    ...['video_redis_pubsub_error_total', 'video_ice_candidate_invalid_total'],
    'video_ice_candidate_valid_total',
  ],
  histogram: [
    ...[
      'video_call_duration_seconds',
      'video_call_ringing_duration_seconds',
      'video_call_end_duration_seconds',
    ],
  ],
  gauge: [
    ...['video_active_calls', 'video_active_participants', 'video_turn_config_valid'],
    ...['video_ws_connections_total', 'video_call_active_participants', 'video_ws_connections_by_call'],
  ],
};

const CALLS: readonly CallOnThisInstance[] = [
  { callId: 'a', seats: 3, sockets: 3, counted: true },
  { callId: 'b', seats: 1, sockets: 1, counted: false },
];

/** The scrape as Prometheus sees it: series with labels to value, without the default Node metrics. */
async function scrape(metrics: Metrics): Promise<Record<string, number>> {
  const lines = (await metrics.registry.metrics())
    .split('\n')
    .filter((line) => /^(video|ringdown)_/.test(line));
  return Object.fromEntries(lines.map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]));
}

describe('metrics', () => {
  it.each([true, false])('are the 28 of the audit, by name and type (by call: %s)', async (perCall) => {
    const text = await createMetrics({ perCall }).registry.metrics();
    const types = [...text.matchAll(/^# TYPE (video_\w+) (\w+)$/gm)].map(
      ([, name, type]) => `${type} ${name}`,
    );
    const wanted = Object.entries(NAMES).flatMap(([type, names]) => names.map((name) => `${type} ${name}`));
    expect(wanted).toHaveLength(28);
    expect(types.sort()).toEqual(wanted.sort());
  });

  it('say of each gauge what it counts', async () => {
    const text = await createMetrics({ perCall: false }).registry.metrics();
    for (const name of NAMES.gauge) {
      expect(text).toMatch(new RegExp(`^# HELP ${name} .*(This instance|The deployment)`, 'm'));
    }
  });

  it('have a value before anything has happened', async () => {
    const series = await scrape(createMetrics({ perCall: false }));
    expect(series).toMatchObject({
      'video_call_created_total{call_type="audio"}': 0,
      'video_call_ended_total{call_type="video"}': 0,
      'video_call_duration_seconds_count{call_type="video"}': 0,
      video_call_ghost_participant_total: 0,
      video_active_calls: 0,
      'ringdown_signals_total{kind="candidates"}': 0,
    });
    expect(Object.values(series).every((value) => value === 0)).toBe(true);
  });

  it('do not share a registry', async () => {
    const [one, other] = [createMetrics({ perCall: false }), createMetrics({ perCall: false })];
    one.callJoined();
    expect((await scrape(one)).video_call_joined_total).toBe(1);
    expect((await scrape(other)).video_call_joined_total).toBe(0);
  });

  const PLAIN: readonly (readonly [keyof Metrics, string])[] = [
    ['callJoined', 'video_call_joined_total'],
    ['callLeft', 'video_call_left_total'],
    ['initiateAttempted', 'video_call_initiate_total'],
    ['duplicateJoin', 'video_call_duplicate_join_attempt_total'],
    ['ghostParticipant', 'video_call_ghost_participant_total'],
    ['autoTerminated', 'video_call_auto_terminated_total'],
    ['participantLimitExceeded', 'video_call_participant_limit_exceeded_total'],
    ['unauthorizedJoin', 'video_call_unauthorized_join_attempt_total'],
    ['expiredJoin', 'video_call_expired_join_attempt_total'],
    ['cleanedUpOnDisconnect', 'video_call_cleanup_on_disconnect_total'],
    ['cleanupFailed', 'video_call_cleanup_failed_total'],
    ['endTimedOut', 'video_call_end_timeout_total'],
    ['redisSubscribeFailed', 'video_redis_subscribe_failed_total'],
    ['redisPubsubError', 'video_redis_pubsub_error_total'],
    ['publishFailed', 'ringdown_publish_failed_total'],
    ['internalError', 'ringdown_internal_errors_total'],
    ['socketOpened', 'video_ws_connections_total'],
  ];
  it.each(PLAIN)('%s adds one to %s and to nothing else', async (name, series) => {
    const metrics = createMetrics({ perCall: false });
    (metrics[name] as () => void)();
    const changed = Object.entries(await scrape(metrics)).filter(([, value]) => value !== 0);
    expect(changed).toEqual([[series, 1]]);
  });

  it('tell what was refused by its limit and by whose it was; of users who start calls the audit has its own', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.rateLimited('initiate', 'user');
    metrics.rateLimited('initiate', 'address');
    metrics.rateLimited('failed_token', 'address');
    const changed = Object.entries(await scrape(metrics)).filter(([, value]) => value !== 0);
    expect(Object.fromEntries(changed)).toEqual({
      'ringdown_rate_limited_total{limit="initiate",by="user"}': 1,
      'ringdown_rate_limited_total{limit="initiate",by="address"}': 1,
      'ringdown_rate_limited_total{limit="failed_token",by="address"}': 1,
      video_call_initiate_rate_limit_exceeded_total: 1,
    });
  });

  it('tell calls by type, and the duration of those that were answered', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.callCreated('AUDIO');
    metrics.callEnded('VIDEO', null);
    metrics.callEnded('VIDEO', 80_000);
    expect(await scrape(metrics)).toMatchObject({
      'video_call_created_total{call_type="audio"}': 1,
      'video_call_created_total{call_type="video"}': 0,
      'video_call_ended_total{call_type="video"}': 2,
      'video_call_duration_seconds_count{call_type="video"}': 1,
      'video_call_duration_seconds_sum{call_type="video"}': 80_000,
      'video_call_duration_seconds_bucket{le="28800",call_type="video"}': 0,
      'video_call_duration_seconds_bucket{le="86400",call_type="video"}': 1,
    });
  });

  it('count candidates, signals, times and sockets', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.candidatesChecked(5, 2);
    metrics.signalTaken('IceCandidates');
    metrics.rang(7);
    metrics.endTook(0.02);
    metrics.socketOpened();
    metrics.socketOpened();
    metrics.socketClosed();
    metrics.turnConfigured(true);
    expect(await scrape(metrics)).toMatchObject({
      video_ice_candidate_valid_total: 5,
      video_ice_candidate_invalid_total: 2,
      'ringdown_signals_total{kind="candidates"}': 1,
      video_call_ringing_duration_seconds_sum: 7,
      video_call_end_duration_seconds_count: 1,
      video_ws_connections_total: 1,
      video_turn_config_valid: 1,
    });
  });
});

describe('gauges of ICE servers', () => {
  it('have a series a server from its first probe on, and no round trip while it is down', async () => {
    const metrics = createMetrics({ perCall: false });
    const server = 'turn:a.example:3478?transport=udp';
    metrics.iceServerProbed(server, 0.02);
    metrics.iceServerProbed('stun:a.example:3478?transport=udp', 0.01);
    expect(await scrape(metrics)).toMatchObject({
      [`ringdown_ice_server_up{server="${server}"}`]: 1,
      [`ringdown_ice_server_round_trip_seconds{server="${server}"}`]: 0.02,
    });
    metrics.iceServerProbed(server, null);
    const series = await scrape(metrics);
    expect(series).toMatchObject({ [`ringdown_ice_server_up{server="${server}"}`]: 0 });
    expect(Object.keys(series).filter((name) => name.startsWith('ringdown_ice_server_round_trip'))).toEqual([
      'ringdown_ice_server_round_trip_seconds{server="stun:a.example:3478?transport=udp"}',
    ]);
  });
});

describe('gauges of live calls', () => {
  it('count the calls whose host is here, and the seats that are here', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.observeCalls(() => CALLS);
    expect(await scrape(metrics)).toMatchObject({ video_active_calls: 1, video_active_participants: 4 });
  });

  it('show the largest call alone unless asked otherwise, and fall when it goes', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.observeCalls(() => CALLS);
    const series = await scrape(metrics);
    expect(series).toMatchObject({ video_call_active_participants: 3, video_ws_connections_by_call: 3 });
    expect(Object.keys(series).filter((name) => name.includes('call_id'))).toEqual([]);
    metrics.observeCalls(() => []);
    expect(await scrape(metrics)).toMatchObject({ video_call_active_participants: 0 });
  });

  it('by call have a series a call, which goes with it', async () => {
    const metrics = createMetrics({ perCall: true });
    let calls = CALLS;
    metrics.observeCalls(() => calls);
    expect(await scrape(metrics)).toMatchObject({
      'video_call_active_participants{call_id="a"}': 3,
      'video_call_active_participants{call_id="b"}': 1,
      'video_ws_connections_by_call{call_id="a"}': 3,
    });
    calls = CALLS.slice(1);
    const labelled = Object.keys(await scrape(metrics)).filter((name) => name.includes('call_id'));
    expect(labelled.sort()).toEqual([
      'video_call_active_participants{call_id="b"}',
      'video_ws_connections_by_call{call_id="b"}',
    ]);
  });
});
