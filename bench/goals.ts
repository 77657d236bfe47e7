import type { ContenderId } from './contenders.ts';
import { fraction, markdown, type Row, ratio, type Spread, text } from './table.ts';

/** What the figures are held against: the goals, and what the peers are known to be to each other. */

export type Loop = 'closed' | 'open';
export interface Place {
  readonly id: ContenderId;
  readonly instances: 1 | 2;
  readonly size: 2 | 8;
  readonly payload: '1 KB' | '4 KB';
  readonly loop: Loop;
}
export type Find = (place: Place) => Row | undefined;

const PAIR = { instances: 1, size: 2, payload: '1 KB', loop: 'closed' } as const;

interface Goal {
  readonly about: string;
  readonly of: Place;
  readonly to: Place;
  readonly what?: 'p50' | 'p99';
  /** At least; of a latency, at most. */
  readonly limit: number;
}

const goals: readonly Goal[] = [
  against('ws + Redis, two instances', 'ws-redis', 1, 2),
  against('ws + Redis, one instance', 'ws-redis', 1.8),
  against('socket.io + Redis adapter, one instance', 'socket-io-redis', 2),
  against('socket.io + Redis adapter, two instances', 'socket-io-redis', 2, 2),
  against('nextcloud-spreed-signaling', 'nextcloud', 1),
  against('PeerJS server', 'peerjs', 0.7),
  against('Yoga + graphql-ws + graphql-redis-subscriptions, one instance', 'yoga', 4),
  against('Yoga + graphql-ws + graphql-redis-subscriptions, two instances', 'yoga', 4, 2),
  {
    about: 'a mesh of 8 against pairs',
    of: { ...PAIR, id: 'ringdown', size: 8 },
    to: { ...PAIR, id: 'ringdown' },
    limit: 1,
  },
  ...([1, 2] as const).flatMap((instances) =>
    (['p50', 'p99'] as const).map((what) => ({
      about: `${what} against ws + Redis at the same rate, ${instances === 1 ? 'one instance' : 'two instances'}`,
      of: { ...PAIR, id: 'ringdown' as const, loop: 'open' as const, instances },
      to: { ...PAIR, id: 'ws-redis' as const, loop: 'open' as const, instances },
      what,
      limit: what === 'p50' ? 2 : 3,
    })),
  ),
];

function against(about: string, id: ContenderId, limit: number, instances: 1 | 2 = 1): Goal {
  const place = { ...PAIR, instances };
  return { about, of: { ...place, id: 'ringdown' }, to: { ...place, id }, limit };
}

/** How far a ratio may be from a goal that says "no less", for the noise. */
const TIE = 0.05;

export function goalTable(find: Find): string {
  return markdown(
    ['Ringdown', 'goal', 'measured', ''],
    goals.map(({ about, of, to, what, limit }) => {
      const [one, other] = [find(of), find(to)];
      const wanted = `${limit} or ${what === undefined ? 'more' : 'less'}`;
      if (one === undefined || other === undefined) return [about, wanted, '', 'not measured'];
      const measured =
        what === undefined ? ratio(one, other) : ratio(one, other, ({ latency }) => latency![what]);
      const met =
        what === undefined
          ? measured.median >= (limit === 1 && of.id === to.id ? limit - TIE : limit)
          : measured.median <= limit;
      return [about, wanted, text(measured, fraction), met ? 'met' : '**not met**'];
    }),
  );
}

/** Signals a CPU-second against ws + Redis, one instance, pairs, 1 KB, closed loop, from many runs on a quiet machine. */
const KNOWN: Readonly<Partial<Record<ContenderId, number>>> = {
  'ws-relay': 2.9,
  peerjs: 2.9,
  'socket-io': 1.7,
  nextcloud: 2,
  'socket-io-redis': 0.6,
  yoga: 0.3,
};
/** How far a peer's ratio may be from that in a run to be trusted. */
const TRUSTED = 0.25;

/** The peers whose ratio to ws + Redis is not what it is known to be, each with both. */
export function strangers(find: Find): readonly string[] {
  const base = find({ ...PAIR, id: 'ws-redis' });
  return Object.entries(KNOWN).flatMap(([id, known]) => {
    const row = find({ ...PAIR, id: id as ContenderId });
    if (row === undefined || base === undefined) return [];
    const measured: Spread = ratio(row, base);
    if (Math.abs(measured.median / known - 1) <= TRUSTED) return [];
    return [`${row.name} is ${text(measured, fraction)} of ws + Redis, and known to be ${known}`];
  });
}
