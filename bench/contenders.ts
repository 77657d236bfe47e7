import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { OpenGroup } from './clients/client.ts';
import { nextcloudGroups } from './clients/nextcloud.ts';
import { openPeerJsGroup } from './clients/peerjs.ts';
import { openRelayGroup } from './clients/relay.ts';
import { openRingdownGroup } from './clients/ringdown.ts';
import { openSocketIoGroup } from './clients/socket-io.ts';
import { openYogaGroup } from './clients/yoga.ts';
import { startBackEnd } from './peers/nextcloud.ts';
import { type BenchServer, startNextcloud, startPeer, startRingdown } from './servers.ts';

/** Who is measured. */

export interface Contender {
  /** As `--only` names it. */
  readonly id: ContenderId;
  readonly name: string;
  /** It answers each signal. */
  readonly acknowledges: boolean;
  /** More than one instance of it can carry a call. */
  readonly spreads: boolean;
  readonly openGroup: OpenGroup;
  start(): Promise<BenchServer>;
}

export const CONTENDERS = [
  'ringdown',
  'ws-relay',
  'ws-redis',
  'socket-io',
  'socket-io-redis',
  'peerjs',
  'nextcloud',
  'yoga',
] as const;
export type ContenderId = (typeof CONTENDERS)[number];

export interface Surroundings {
  readonly pin: readonly string[];
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Undoes what was started, at the end. */
  undo(step: () => unknown): void;
}

/** Those with these ids; why one is not there goes to `absent`. */
export async function enter(
  ids: readonly ContenderId[],
  { pin, databaseUrl, redisUrl, undo }: Surroundings,
  absent: (why: string) => void,
): Promise<readonly Contender[]> {
  const relay = { acknowledges: false, openGroup: openRelayGroup };
  const socketIo = { acknowledges: false, openGroup: openSocketIoGroup };
  const all: Contender[] = [
    {
      id: 'ringdown',
      name: 'Ringdown',
      acknowledges: true,
      spreads: true,
      openGroup: openRingdownGroup,
      start: () => startRingdown(pin, databaseUrl, redisUrl),
    },
    {
      ...relay,
      id: 'ws-relay',
      name: 'ws',
      spreads: false,
      start: () => startPeer(pin, 'ws-relay'),
    },
    {
      ...relay,
      id: 'ws-redis',
      name: 'ws + Redis',
      spreads: true,
      start: () => startPeer(pin, 'ws-redis', redisUrl),
    },
    {
      ...socketIo,
      id: 'socket-io',
      name: 'socket.io',
      spreads: false,
      start: () => startPeer(pin, 'socket-io'),
    },
    {
      ...socketIo,
      id: 'socket-io-redis',
      name: 'socket.io + Redis adapter',
      spreads: true,
      start: () => startPeer(pin, 'socket-io', redisUrl),
    },
    {
      id: 'peerjs',
      name: 'PeerJS server',
      acknowledges: false,
      spreads: false,
      openGroup: openPeerJsGroup,
      start: () => startPeer(pin, 'peerjs'),
    },
    {
      id: 'yoga',
      name: 'Yoga + graphql-ws + graphql-redis-subscriptions',
      acknowledges: true,
      spreads: true,
      openGroup: openYogaGroup,
      start: () => startPeer(pin, 'yoga', redisUrl),
    },
  ];
  if (ids.includes('nextcloud')) {
    const program = nextcloudProgram();
    if (program === null) {
      absent(`nextcloud-spreed-signaling: ${NEXTCLOUD} is not installed, and only root can install it`);
    } else {
      const backEnd = await startBackEnd();
      undo(backEnd.stop);
      all.push({
        id: 'nextcloud',
        name: 'nextcloud-spreed-signaling',
        acknowledges: false,
        spreads: false,
        openGroup: nextcloudGroups(backEnd.url),
        start: () => startNextcloud(pin, program, backEnd),
      });
    }
  }
  return all
    .filter(({ id }) => ids.includes(id))
    .sort((one, other) => CONTENDERS.indexOf(one.id) - CONTENDERS.indexOf(other.id));
}

const NEXTCLOUD = 'nextcloud-spreed-signaling';

/** Its path, from Debian's package, which root gets where it is missing; null without. */
function nextcloudProgram(): string | null {
  const path = `/usr/bin/${NEXTCLOUD}-server`;
  if (!existsSync(path) && process.getuid?.() === 0) {
    // RUNLEVEL=1: no service is started; the benchmark runs a server of its own.
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
    const aptGet = (...options: string[]) =>
      spawnSync('apt-get', options, { env, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
    if (aptGet('update')) aptGet('install', '-y', '--no-install-recommends', NEXTCLOUD);
  }
  return existsSync(path) ? path : null;
}
