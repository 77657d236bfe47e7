import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/observability/metrics.ts';
import { readExposition } from '../support/exposition.ts';

const GOOD = '# HELP a_total What it is.\n# TYPE a_total counter\na_total{kind="x"} 1\n';
const HISTOGRAM = [
  '# HELP h What.',
  '# TYPE h histogram',
  ...['h_bucket{le="1"} 1', 'h_bucket{le="+Inf"} 2', 'h_sum 3', 'h_count 2', ''],
].join('\n');

describe('the reader of /metrics', () => {
  it('takes what is well formed', () => {
    expect(readExposition(GOOD + HISTOGRAM).get('a_total')?.series).toEqual(
      new Map([['a_total{kind="x"}', 1]]),
    );
  });

  it.each([
    ['no help', '# TYPE a counter\na 1\n'],
    ['no type', '# HELP a What.\na 1\n'],
    ['a type that is none', GOOD.replace('counter', 'number')],
    ['a name that is none', GOOD.replaceAll('a_total', 'a-total')],
    ['a label without quotes', GOOD.replace('"x"', 'x')],
    ['a label with an open quote', GOOD.replace('"x"', '"x')],
    ['a value that is none', GOOD.replace('} 1', '} one')],
    ['a series of another family', `${GOOD}b_total 1\n`],
    ['a series twice', `${GOOD}a_total{kind="x"} 2\n`],
    ['a family twice', GOOD + GOOD],
    ['an open end', GOOD.trimEnd()],
    ['buckets that fall', HISTOGRAM.replace('le="1"} 1', 'le="1"} 3')],
    ['a count that is not the last bucket', HISTOGRAM.replace('h_count 2', 'h_count 3')],
    ['no last bucket', HISTOGRAM.replace('h_bucket{le="+Inf"} 2\n', '')],
  ])('refuses %s', (_, text) => {
    expect(() => readExposition(text)).toThrow();
  });
});

describe('the metrics beside the 28', () => {
  it('are named by the prefix, have few labels with few values, and are well formed from the start', async () => {
    const metrics = createMetrics({ perCall: false });
    metrics.operationEnded('joinCall', 'ok', 0.003);
    metrics.operationEnded('joinCall', 'rejected', 0.003);
    metrics.logAppended('state', 'failed', 2);
    metrics.signalDelivered('Offer');
    metrics.observePool('calls', { totalCount: 5, idleCount: 2, waitingCount: 1 });
    metrics.observeReadiness(async () => ({ ok: true, degraded: true }));
    const families = readExposition(await metrics.registry.metrics());
    const own = [...families.keys()].filter((name) => !/^(video|nodejs|process)_/.test(name));
    expect(own.sort()).toEqual([
      ...[
        'ringdown_call_rating',
        'ringdown_database_connections',
        'ringdown_database_waiting',
        'ringdown_degraded',
      ],
      ...['ringdown_ice_server_round_trip_seconds', 'ringdown_ice_server_up'],
      'ringdown_internal_errors_total',
      ...['ringdown_link_candidates_total', 'ringdown_link_connected_after_seconds'],
      ...['ringdown_link_jitter_seconds', 'ringdown_link_packet_loss_ratio', 'ringdown_link_reconnects'],
      ...['ringdown_link_round_trip_seconds', 'ringdown_links_reported_total'],
      ...['ringdown_log_append_duration_seconds'],
      ...['ringdown_notification_deliveries_total', 'ringdown_notification_lag_seconds'],
      ...['ringdown_operation_duration_seconds', 'ringdown_publish_failed_total'],
      ...['ringdown_rate_limited_total', 'ringdown_ready'],
      ...['ringdown_signals_delivered_total', 'ringdown_signals_total', 'ringdown_sweeper_lag_seconds'],
    ]);
    const value = (series: string) =>
      families.get(series.replace(/(_count)?(\{.*)?$/, ''))?.series.get(series);
    expect({
      joined: value('ringdown_operation_duration_seconds_count{operation="joinCall",outcome="ok"}'),
      refused: value('ringdown_operation_duration_seconds_count{operation="joinCall",outcome="rejected"}'),
      lost: value('ringdown_log_append_duration_seconds_count{entry="state",outcome="failed"}'),
      offers: value('ringdown_signals_delivered_total{kind="offer"}'),
      answers: value('ringdown_signals_delivered_total{kind="answer"}'),
      busy: value('ringdown_database_connections{pool="calls",state="in_use"}'),
      waiting: value('ringdown_database_waiting{pool="calls"}'),
      ready: value('ringdown_ready'),
      degraded: value('ringdown_degraded'),
    }).toEqual({
      ...{
        joined: 1,
        refused: 1,
        lost: 1,
        offers: 1,
        answers: 0,
        busy: 3,
        waiting: 1,
        ready: 1,
        degraded: 1,
      },
    });
  });
});
