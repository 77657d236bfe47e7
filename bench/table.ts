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
}

export interface Row {
  readonly name: string;
  readonly rounds: readonly Round[];
  /** What it is compared with, round by round; null for the relay itself. */
  readonly peer: readonly Round[] | null;
}

/** Numbers that the README explains, as a table in Markdown. */
export function table(rows: readonly Row[]): string {
  const head = [
    '',
    'signals a CPU-second',
    'least to most',
    'against the relay',
    'signals/s',
    'servers’ core',
    'load’s core',
    'Redis’ core',
  ];
  const lines = rows.map(({ name, rounds, peer }) => {
    const speeds = rounds.map(speed);
    const share = (of: (round: Round) => number) =>
      `${Math.round(100 * median(rounds.map((round) => of(round) / round.seconds)))} %`;
    return [
      name,
      count(median(speeds)),
      `${count(Math.min(...speeds))} to ${count(Math.max(...speeds))}`,
      peer === null ? '1' : median(speeds.map((own, i) => own / speed(peer[i]!))).toFixed(2),
      count(median(rounds.map(({ signals, seconds }) => signals / seconds))),
      share(({ servers }) => servers),
      share(({ load }) => load),
      share(({ redis }) => redis),
    ];
  });
  return [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

/** How far the figures can be trusted. */
export function noise(rows: readonly Row[]): string {
  const rounds = rows.flatMap((row) => row.rounds);
  const others = median(rounds.map((round) => round.others / round.seconds));
  const spread = median(
    rows.map((row) => {
      const speeds = row.rounds.map(speed);
      return (Math.max(...speeds) - Math.min(...speeds)) / median(speeds);
    }),
  );
  return `Others on the machine used ${percent(others)} of a core; rounds of one row lie ${percent(spread)} apart.`;
}

function speed({ signals, servers }: Round): number {
  return signals / servers;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function percent(value: number): string {
  return `${Math.round(100 * value)} %`;
}
