import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import type { App } from '../../src/app.ts';
import { startTestApp } from '../support/app.ts';
import { metricsIn } from '../support/promql.ts';

/** The alerts and the dashboard in deploy/, against Prometheus' own tool and the metrics of a started server. */

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly definition?: string;
      readonly datasource?: { readonly uid: string };
    }[];
  };
  readonly panels: readonly Panel[];
}

const ROOT = new URL('../../', import.meta.url);
const read = (path: string) => readFile(new URL(path, ROOT), 'utf8');
const promtool = (...args: string[]) =>
  promisify(execFile)('promtool', args, { cwd: fileURLToPath(new URL('deploy/prometheus/', ROOT)) });

let app: App;
let rules: readonly Rule[];
let dashboard: Dashboard;
/** Every series name of a scrape: of a histogram its three. */
let known: Set<string>;

beforeAll(async () => {
  app = await startTestApp();
  const text = await (await fetch(`${app.metricsUrl}/metrics`)).text();
  known = new Set(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name, type]) =>
      type === 'histogram' ? ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`) : [name as string],
    ),
  );
  const { groups } = parse(await read('deploy/prometheus/alerts.yaml')) as {
    groups: { rules: Rule[] }[];
  };
  rules = groups.flatMap((group) => group.rules);
  dashboard = JSON.parse(await read('deploy/grafana/ringdown.json'));
});
afterAll(() => app.stop());

const unknown = (expressions: readonly string[]) =>
  [...new Set(expressions.flatMap(metricsIn))].filter((name) => !known.has(name));

describe('the alerts', () => {
  it('are rules as Prometheus reads them', async () => {
    const { stdout } = await promtool('check', 'rules', 'alerts.yaml');
    expect(stdout).toContain(`${rules.length} rules found`);
  });

  it('fire when they should and are quiet when they should', async () => {
    await expect(promtool('test', 'rules', 'alerts.test.yaml')).resolves.toBeDefined();
  });

  it('have each a test in which they fire and one in which they are quiet', async () => {
    const { tests } = parse(await read('deploy/prometheus/alerts.test.yaml')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
    };
    const cases = tests.flatMap((test) => test.alert_rule_test);
    for (const { alert } of rules) {
      const fires = cases.filter((one) => one.alertname === alert).map((one) => one.exp_alerts.length > 0);
      expect(new Set(fires), alert).toEqual(new Set([true, false]));
    }
  });

  it('watch all that the issue asks for, by metrics that exist', () => {
    const watched = new Set(rules.flatMap(({ expr }) => metricsIn(expr)));
    expect(watched).toEqual(
      new Set([
        'ringdown_ready',
        ...[
          'duplicate_join_attempt',
          'ghost_participant',
          'auto_terminated',
          'participant_limit_exceeded',
        ].map((name) => `video_call_${name}_total`),
        ...['initiate_rate_limit_exceeded', 'unauthorized_join_attempt', 'expired_join_attempt'].map(
          (name) => `video_call_${name}_total`,
        ),
        ...['cleanup_failed', 'end_timeout'].map((name) => `video_call_${name}_total`),
        'video_redis_pubsub_error_total',
        'video_redis_subscribe_failed_total',
        'video_ice_candidate_invalid_total',
        'video_ice_candidate_valid_total',
        'video_turn_config_valid',
        'ringdown_sweeper_lag_seconds_bucket',
        'ringdown_internal_errors_total',
        'ringdown_ice_server_up',
        'ringdown_degraded',
        'ringdown_notification_deliveries_total',
      ]),
    );
    expect(unknown(rules.map(({ expr }) => expr))).toEqual([]);
  });

  it('say how bad it is, what it is, and have a place in the runbook', async () => {
    const headings = new Set(
      [...(await read('docs/alerts.md')).matchAll(/^## (\w+)$/gm)].map(([, name]) => name),
    );
    expect(headings).toEqual(new Set(rules.map(({ alert }) => alert)));
    for (const { alert, labels, annotations } of rules) {
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations).toMatchObject({
        summary: expect.stringMatching(/\.$/),
        description: expect.stringMatching(/\.$/),
        runbook: `docs/alerts.md#${alert.toLowerCase()}`,
      });
    }
  });
});

describe('the dashboard', () => {
  const queries = () => dashboard.panels.flatMap(({ targets }) => targets?.map(({ expr }) => expr) ?? []);

  it('asks for metrics that exist', () => {
    expect(queries().length).toBeGreaterThan(30);
    expect(unknown(queries())).toEqual([]);
  });

  it('shows every metric of the server', () => {
    const shown = new Set(
      queries()
        .flatMap(metricsIn)
        .map((name) => name.replace(/_bucket$/, '')),
    );
    const own = [...known]
      .filter((name) => /^video_/.test(name))
      .map((name) => name.replace(/_(bucket|sum|count)$/, ''));
    expect(own.filter((name) => !shown.has(name))).toEqual([]);
  });

  it('takes any Prometheus: the data source is a variable, and no panel names another', () => {
    expect(dashboard.templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource' });
    const uids = [
      ...dashboard.templating.list.slice(1).map(({ datasource }) => datasource?.uid),
      ...dashboard.panels.flatMap(({ type, datasource, targets = [] }) =>
        type === 'row' ? [] : [datasource?.uid, ...targets.map((target) => target.datasource.uid)],
      ),
    ];
    expect(new Set(uids)).toEqual(new Set([`\${datasource}`]));
  });

  it('has panels with ids and places of their own', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const places = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(places).size).toBe(places.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('the names in an expression', () => {
  it.each([
    ['sum by (instance) (rate(a_total{job=~"x", b="c_total"}[5m])) > 0', ['a_total']],
    ['a_total offset 15m / on (x) group_left (y) b_bucket and c', ['a_total', 'b_bucket', 'c']],
    ['histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval]))) or vector(0)', ['a_bucket']],
  ])('are found: %s', (expression, names) => {
    expect(metricsIn(expression)).toEqual(names);
  });
});
