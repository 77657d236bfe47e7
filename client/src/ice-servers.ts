import type { Connection } from './connection.ts';
import { RejectionError } from './errors.ts';
import { GetIceServersDocument } from './generated/graphql.ts';

/** STUN and TURN servers of a call. Their credentials run out, and are fetched again before that. */

/** Milliseconds. */
const TIMES = {
  /** A call does not wait longer for them: without they may do in a network of one's own. */
  first: 3_000,
  retry: 5_000,
  /** Bounds of the time to the next fetch: this page's clock may be wrong. Credentials are good for 1 h at most. */
  soonest: 30_000,
  latest: 1_800_000,
};

export interface FetchedIceServers {
  readonly servers: RTCIceServer[];
  /** Milliseconds until they are to be fetched again. */
  readonly refreshMs: number;
}

/** Rejects with a RejectionError, or what a request rejects with. */
export async function fetchIceServers(connection: Connection, callId: string): Promise<FetchedIceServers> {
  const { iceServers } = await connection.request(GetIceServersDocument, { callId }, TIMES.first);
  if (iceServers.__typename === 'Rejection') throw new RejectionError(iceServers);
  const refreshMs = Date.parse(iceServers.refreshAt) - Date.now();
  return {
    servers: usable(
      iceServers.servers.map(({ urls, username, credential }) => ({
        urls,
        ...(username !== null && { username }),
        ...(credential !== null && { credential }),
      })),
    ),
    refreshMs: Math.min(Math.max(refreshMs, TIMES.soonest), TIMES.latest),
  };
}

/** Without those that this browser refuses, such as `stuns:` in Firefox: one of them would spoil all. */
function usable(servers: RTCIceServer[]): RTCIceServer[] {
  const isUsable = (iceServers: RTCIceServer[]) => {
    try {
      new RTCPeerConnection({ iceServers }).close();
      return true;
    } catch {
      return false;
    }
  };
  if (isUsable(servers)) return servers;
  return servers.flatMap(({ urls, ...rest }) => {
    const taken = [urls].flat().filter((url) => isUsable([{ urls: [url], ...rest }]));
    return taken.length > 0 ? [{ urls: taken, ...rest }] : [];
  });
}

export interface IceServersOptions {
  /** `late`: they could not be had when the call began. */
  readonly renewed: (servers: readonly RTCIceServer[], late: boolean) => void;
  readonly failed: (error: Error) => void;
}

/** Fetches them for as long as the call lasts. */
export class IceServers {
  readonly #fetch: () => Promise<FetchedIceServers>;
  readonly #options: IceServersOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The renewal that is under way. */
  #renewal: Promise<void> | null = null;
  /**
   * By the clock on the wall: timers stand still while a device sleeps, and credentials run out meanwhile.
   * 0: there are none.
   */
  #staleAt = 0;
  #closed = false;
  #late: boolean;

  /** `first`: what was fetched already; null where that failed. */
  constructor(
    fetch: () => Promise<FetchedIceServers>,
    first: FetchedIceServers | null,
    options: IceServersOptions,
  ) {
    this.#fetch = fetch;
    this.#options = options;
    this.#late = first === null;
    if (first) this.#keepFor(first.refreshMs);
    else this.#schedule(TIMES.retry);
  }

  /**
   * To be waited for before ICE is restarted, by either side: it gathers candidates with what there is then.
   * Resolves when that is fresh; or could not be renewed in 3 s, for it may do all the same.
   */
  async fresh(): Promise<void> {
    if (!this.#closed && Date.now() >= this.#staleAt) await this.#renew();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #keepFor(ms: number): void {
    this.#staleAt = Date.now() + ms;
    this.#schedule(ms);
  }

  #schedule(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#renew(), delay);
  }

  #renew(): Promise<void> {
    this.#renewal ??= this.#renewNow().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #renewNow(): Promise<void> {
    try {
      const { servers, refreshMs } = await this.#fetch();
      if (this.#closed) return;
      this.#keepFor(refreshMs);
      this.#options.renewed(servers, this.#late);
      this.#late = false;
    } catch (error) {
      if (this.#closed) return;
      this.#schedule(TIMES.retry);
      this.#options.failed(error as Error);
    }
  }
}
