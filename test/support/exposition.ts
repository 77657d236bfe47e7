/**
 * A strict reader of Prometheus's text format (version 0.0.4): what it takes a Prometheus takes too. It throws
 * where a line is malformed, a family is in parts or without HELP and TYPE, a series is there twice, or a
 * histogram does not add up.
 */

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary' | 'untyped';
  /** By name and labels as they stand in the text. */
  readonly series: Map<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const HELP = new RegExp(`^# HELP (${NAME}) (.+)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
const SAMPLE = new RegExp(`^((${NAME})(?:\\{(${LABEL}(?:,${LABEL})*)\\})?) (\\S+)$`);
/** As Go's ParseFloat has it, which takes `Nan` too: so prom-client writes what is not known yet. */
const VALUE = /^(?:[+-]?Inf|NaN|Nan|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;
const PARTS = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] } as const;

export function readExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('The last line does not end');
  const families = new Map<string, Family>();
  const series = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let family: Family | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const fail = (what: string) => new Error(`${what}: ${line}`);
    if (line.startsWith('# HELP')) {
      const [, name, words] = HELP.exec(line) ?? [];
      if (!name || !words) throw fail('Malformed');
      help = { name, text: words };
    } else if (line.startsWith('#')) {
      const [, name, type] = TYPE.exec(line) ?? [];
      if (!name || name !== help?.name) throw fail('Not a TYPE after its HELP');
      if (families.has(name)) throw fail('A second time');
      family = { name, help: help.text, type: type as Family['type'], series: new Map() };
      families.set(name, family);
    } else {
      const [, whole, name, , value] = SAMPLE.exec(line) ?? [];
      if (!whole || !name || !value || !VALUE.test(value)) throw fail('Malformed');
      const { type } = family ?? {};
      const parts = type === 'histogram' || type === 'summary' ? PARTS[type] : [''];
      if (!family || !parts.some((part) => name === `${family?.name}${part}`)) throw fail('Of no family');
      if (series.has(whole)) throw fail('A second time');
      series.add(whole);
      family.series.set(whole, Number(value.replace('Inf', 'Infinity')));
    }
  }
  for (const { type, name, series: own } of families.values()) if (type === 'histogram') add(name, own);
  return families;
}

/** Buckets rise, and the last holds all. */
function add(name: string, series: ReadonlyMap<string, number>): void {
  const buckets = new Map<string, { le: number; count: number }[]>();
  for (const [whole, count] of series) {
    if (!whole.startsWith(`${name}_bucket`)) continue;
    const le = /le="([^"]+)"/.exec(whole)?.[1];
    const rest = whole
      .replace(`${name}_bucket`, '')
      .replace(/le="[^"]+",?/, '')
      .replace(/,?\}$/, '}');
    const key = rest === '{}' ? '' : rest;
    buckets.set(key, [...(buckets.get(key) ?? []), { le: Number(le?.replace('Inf', 'Infinity')), count }]);
  }
  for (const [key, list] of buckets) {
    const rises = list.every(
      ({ le, count }, i) => i === 0 || (le > list[i - 1]!.le && count >= list[i - 1]!.count),
    );
    const last = list.at(-1)!;
    const count = series.get(`${name}_count${key}`);
    if (
      !rises ||
      last.le !== Number.POSITIVE_INFINITY ||
      last.count !== count ||
      !series.has(`${name}_sum${key}`)
    ) {
      throw new Error(`The histogram does not add up: ${name}${key}`);
    }
  }
}
