import { median } from './measure.ts';

/** What a round took, in seconds; all but the first of a core. */
export interface Round {
  readonly signals: number;
  readonly seconds: number;
  readonly servers: number;
  readonly load: number;
  readonly redis: number;
  /** All else on the machine. */
  readonly others: number;
  /** Milliseconds from sending to arrival, in an open loop: half, and 99 of 100, took no longer. */
  readonly latency?: { readonly p50: number; readonly p99: number };
}

export interface Row {
  readonly name: string;
  readonly rounds: readonly Round[];
}

/** The median of what the rounds say, and the least and the most of it. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** Signals a CPU-second. */
export function speed({ signals, servers }: Round): number {
  return signals / servers;
}

/** What `of` is of `to`, round by round: those of one round were measured side by side. */
export function ratio(of: Row, to: Row, what: (round: Round) => number = speed): Spread {
  return spread(of.rounds.map((round, i) => what(round) / what(to.rounds[i]!)));
}

/** Numbers that the README explains, as a table in Markdown. */
export function speedTable(rows: readonly Row[], base: Row | undefined): string {
  return markdown(
    [
      '',
      'signals a CPU-second',
      'against ws + Redis',
      'signals/s',
      'servers’ core',
      'load’s core',
      'Redis’ core',
    ],
    rows.map((row) => {
      const share = (of: (round: Round) => number) =>
        percent(median(row.rounds.map((round) => of(round) / round.seconds)));
      return [
        row.name,
        text(spread(row.rounds.map(speed)), count),
        base === undefined ? '' : row === base ? '1' : text(ratio(row, base), fraction),
        count(median(row.rounds.map(({ signals, seconds }) => signals / seconds))),
        share(({ servers }) => servers),
        share(({ load }) => load),
        share(({ redis }) => redis),
      ];
    }),
  );
}

export function latencyTable(rows: readonly Row[]): string {
  return markdown(
    ['', 'signals/s', 'p50, ms', 'p99, ms', 'signals a CPU-second', 'servers’ core', 'load’s core'],
    rows.map(({ name, rounds }) => [
      name,
      count(median(rounds.map(({ signals, seconds }) => signals / seconds))),
      text(spread(rounds.map(({ latency }) => latency!.p50)), fraction),
      text(spread(rounds.map(({ latency }) => latency!.p99)), fraction),
      text(spread(rounds.map(speed)), count),
      percent(median(rounds.map(({ servers, seconds }) => servers / seconds))),
      percent(median(rounds.map(({ load, seconds }) => load / seconds))),
    ]),
  );
}

export function markdown(head: readonly string[], lines: readonly (readonly string[])[]): string {
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** How still the machine was. */
export function noise(rows: readonly Row[]): string {
  const rounds = rows.flatMap((row) => row.rounds);
  const others = median(rounds.map((round) => round.others / round.seconds));
  const apart = median(
    rows.map((row) => {
      const { least, most, median } = spread(row.rounds.map(speed));
      return (most - least) / median;
    }),
  );
  return `Others on the machine used ${percent(others)} of a core; rounds of one row lie ${percent(apart)} apart.`;
}

export function text({ median, least, most }: Spread, write: (value: number) => string): string {
  return `${write(median)} (${write(least)} to ${write(most)})`;
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

export function fraction(value: number): string {
  return value.toFixed(2);
}

function percent(value: number): string {
  return `${Math.round(100 * value)} %`;
}
