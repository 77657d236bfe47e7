import type { LinkQualityInput } from './generated/graphql.ts';
import type { LinkStats } from './links/link-stats.ts';
import type { LinkState } from './links/types.ts';

/** What is told to the server of how the links of a call did: at its end, and where one fails. Knows no connection. */

export interface QualityWatchOptions {
  readonly send: (links: LinkQualityInput[]) => void;
  /** Milliseconds, from anywhere. */
  readonly now?: () => number;
}

/** Milliseconds. */
export const QUALITY_TIMES = {
  /** Without a connection for so long, something is wrong: ICE is done in less, and a restart too. */
  failed: 15_000,
  /** A call that was over sooner says nothing of whether it would have connected. */
  tried: 5_000,
};
/** Reports of links that failed, in a call. The server takes twenty of any kind. */
const MOST_FAILURES = 8;

interface Watched {
  since: number;
  state: LinkState;
  connectedAfterMs: number | null;
  reconnects: number;
  local: string | null;
  remote: string | null;
  readonly loss: Mean;
  readonly jitter: Mean;
  readonly roundTrip: Mean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class QualityWatch {
  readonly #send: QualityWatchOptions['send'];
  readonly #now: () => number;
  /** By user; those whose link is gone are told of at the end. */
  readonly #links = new Map<string, Watched>();
  #failures = 0;

  constructor({ send, now = () => performance.now() }: QualityWatchOptions) {
    this.#send = send;
    this.#now = now;
  }

  /** A link's state; null: it is gone. */
  see(userId: string, state: LinkState | null): void {
    const link = this.#links.get(userId) ?? this.#begin(userId);
    clearTimeout(link.timer);
    if (state === null) {
      // Too short to say anything.
      if (this.#isUntried(link)) this.#links.delete(userId);
      return;
    }
    // Of another tenure of theirs: it has its own time.
    if (state === 'connecting' && link.connectedAfterMs === null) link.since = this.#now();
    if (state === 'reconnecting') link.reconnects++;
    if (state === 'connected') link.connectedAfterMs ??= Math.round(this.#now() - link.since);
    else link.timer = setTimeout(() => this.#failed(userId, link), QUALITY_TIMES.failed);
    link.state = state;
  }

  measure(userId: string, stats: LinkStats): void {
    const link = this.#links.get(userId);
    if (link === undefined) return;
    link.local = stats.localCandidateType ?? link.local;
    link.remote = stats.remoteCandidateType ?? link.remote;
    link.loss.add(stats.lossPercent);
    link.jitter.add(stats.jitterMs);
    link.roundTrip.add(stats.roundTripMs);
  }

  /** The call is over here. */
  finish(): void {
    const links = [...this.#links].filter(([, link]) => !this.#isUntried(link)).slice(0, 32);
    for (const link of this.#links.values()) clearTimeout(link.timer);
    this.#links.clear();
    if (links.length > 0) this.#send(links.map(([userId, link]) => qualityOf(userId, link)));
  }

  #begin(userId: string): Watched {
    const link: Watched = {
      since: this.#now(),
      state: 'connecting',
      connectedAfterMs: null,
      reconnects: 0,
      local: null,
      remote: null,
      loss: new Mean(),
      jitter: new Mean(),
      roundTrip: new Mean(),
      timer: undefined,
    };
    this.#links.set(userId, link);
    return link;
  }

  #isUntried({ connectedAfterMs, since }: Watched): boolean {
    return connectedAfterMs === null && this.#now() - since < QUALITY_TIMES.tried;
  }

  #failed(userId: string, link: Watched): void {
    if (++this.#failures <= MOST_FAILURES) this.#send([qualityOf(userId, link)]);
  }
}

function qualityOf(userId: string, link: Watched): LinkQualityInput {
  const { connectedAfterMs, state, reconnects, local, remote } = link;
  return {
    userId,
    outcome: connectedAfterMs === null ? 'FAILED' : state === 'reconnecting' ? 'LOST' : 'CONNECTED',
    connectedAfterMs: connectedAfterMs === null ? null : Math.min(connectedAfterMs, 600_000),
    localCandidate: candidateType(local),
    remoteCandidate: candidateType(remote),
    lossPercent: link.loss.value(100),
    jitterMs: link.jitter.value(60_000),
    roundTripMs: link.roundTrip.value(60_000),
    reconnects: Math.min(reconnects, 10_000),
  };
}

const TYPES = { host: 'HOST', srflx: 'SRFLX', prflx: 'PRFLX', relay: 'RELAY' } as const;

function candidateType(type: string | null) {
  return TYPES[type as keyof typeof TYPES] ?? null;
}

/** Of what was measured every few seconds. */
class Mean {
  #sum = 0;
  #count = 0;

  add(value: number | null): void {
    if (value === null) return;
    this.#sum += value;
    this.#count += 1;
  }

  /** Two decimals, within what the server takes. */
  value(most: number): number | null {
    if (this.#count === 0) return null;
    return Math.min(most, Math.round((this.#sum / this.#count) * 100) / 100);
  }
}
