import type { Connection } from './connection.ts';
import { RejectionError } from './errors.ts';
import { GetIceServersDocument } from './generated/graphql.ts';

/** STUN and TURN servers of a call. Their credentials run out, and are fetched again before that. */

/** Milliseconds. */
const TIMES = {
  /** A call does not wait longer for them: without they may do in a network of one's own. */
  first: 3_000,
  retry: 5_000,
  /** Bounds of the time to the next fetch: this page's clock may be wrong. */
  soonest: 30_000,
  latest: 6 * 3_600_000,
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
  readonly #options: IceServersOptions;
  readonly #fetch: () => Promise<FetchedIceServers>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #late: boolean;

  /** `first`: what was fetched already; null where that failed. */
  constructor(
    connection: Connection,
    callId: string,
    first: FetchedIceServers | null,
    options: IceServersOptions,
  ) {
    this.#options = options;
    this.#fetch = () => fetchIceServers(connection, callId);
    this.#late = first === null;
    this.#schedule(first?.refreshMs ?? TIMES.retry);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #schedule(delay: number): void {
    this.#timer = setTimeout(() => void this.#renew(), delay);
  }

  async #renew(): Promise<void> {
    let delay = TIMES.retry;
    try {
      const { servers, refreshMs } = await this.#fetch();
      if (this.#closed) return;
      this.#options.renewed(servers, this.#late);
      this.#late = false;
      delay = refreshMs;
    } catch (error) {
      if (this.#closed) return;
      this.#options.failed(error as Error);
    }
    this.#schedule(delay);
  }
}
