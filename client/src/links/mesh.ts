import { Emitter } from '../events.ts';
import type { SignalInput } from '../generated/graphql.ts';
import { Link } from './link.ts';
import type { LinkStats } from './link-stats.ts';
import type { Outgoing } from './slots.ts';
import type { LinkState, MediaSource, Signal } from './types.ts';

/** The links of a call: one to each other seat. */

export interface MeshOptions {
  readonly configuration: RTCConfiguration;
  /** A signal to one tenure of one participant, to be delivered in order. */
  readonly send: (to: string, toJoinSeq: number, signal: SignalInput) => void;
  /** Whether a signal would reach them now; where it may have changed, `checkIn` is to be called. */
  readonly reachable: (userId: string) => boolean;
  /** Resolves when the configuration has servers that are good for another ICE restart. Never rejects. */
  readonly freshServers?: () => Promise<void>;
  /** False: this page only receives. */
  readonly sends: boolean;
  readonly createConnection?: (configuration: RTCConfiguration) => RTCPeerConnection;
}

export interface MeshEvents {
  /** Null: the link is gone. */
  state: { readonly userId: string; readonly state: LinkState | null };
  track: {
    readonly userId: string;
    readonly source: MediaSource;
    readonly track: MediaStreamTrack;
    readonly stream: MediaStream;
  };
  streams: {
    readonly userId: string;
    readonly stream: MediaStream | null;
    readonly screen: MediaStream | null;
  };
  message: { readonly userId: string; readonly data: string | ArrayBuffer };
  stats: { readonly userId: string; readonly stats: LinkStats };
  error: { readonly userId: string; readonly error: Error };
}

/** Milliseconds between two summaries of a link. */
const STATS_EVERY = 3_000;

export class Mesh extends Emitter<MeshEvents> {
  readonly #options: MeshOptions;
  readonly #links = new Map<string, Link>();
  readonly #outgoing: Outgoing;
  readonly #statsTimer: ReturnType<typeof setInterval>;
  #configuration: RTCConfiguration;
  #myJoinSeq: number | null = null;

  constructor(options: MeshOptions) {
    super();
    this.#options = options;
    this.#configuration = options.configuration;
    const together = new MediaStream();
    this.#outgoing = {
      sends: options.sends,
      tracks: new Map(),
      streams: { microphone: together, camera: together, screen: new MediaStream() },
    };
    this.#statsTimer = setInterval(() => this.#tellStats(), STATS_EVERY);
  }

  /**
   * The seats of now: makes links, drops them, and builds anew those whose tenure has changed. `myJoinSeq`
   * null: not in the call, so there are none.
   */
  update(
    myJoinSeq: number | null,
    others: readonly { readonly userId: string; readonly joinSeq: number | null }[],
  ): void {
    const anew = myJoinSeq !== this.#myJoinSeq;
    this.#myJoinSeq = myJoinSeq;
    const seats = new Map(others.map(({ userId, joinSeq }) => [userId, joinSeq]));
    for (const [userId, link] of this.#links) {
      if (anew || (seats.get(userId) ?? null) !== link.joinSeq) this.#drop(userId, link);
    }
    if (myJoinSeq === null) return;
    for (const [userId, joinSeq] of seats) {
      if (joinSeq !== null && !this.#links.has(userId)) this.#connect(userId, joinSeq, myJoinSeq < joinSeq);
    }
  }

  receive(from: string, fromJoinSeq: number, signal: Signal): void {
    const link = this.#links.get(from);
    // One of a tenure that is over is meant for a link that is gone.
    if (link?.joinSeq === fromJoinSeq) link.receive(signal);
  }

  /** What this page sends from now on, to everyone. */
  setTrack(source: MediaSource, track: MediaStreamTrack | null): void {
    const { tracks } = this.#outgoing;
    if (track === null) tracks.delete(source);
    else tracks.set(source, track);
    for (const link of this.#links.values()) link.fill(source);
  }

  /** For new links, and for the next ICE restart of the others. */
  setConfiguration(configuration: RTCConfiguration): void {
    this.#configuration = configuration;
    for (const link of this.#links.values()) link.setConfiguration(configuration);
  }

  /** Signals may be missing: every link is negotiated afresh. Or there are new servers: those that need them. */
  restartIce(which: 'all' | 'unconnected' = 'all'): void {
    for (const link of this.#links.values()) {
      if (which === 'all' || link.state !== 'connected') link.restartIce();
    }
  }

  /** `reachable` may have changed. */
  checkIn(): void {
    for (const link of this.#links.values()) link.checkIn();
  }

  /** Returns to how many it went. */
  send(data: string | ArrayBuffer, to?: string): number {
    const links = to === undefined ? [...this.#links.values()] : [this.#links.get(to)];
    return links.filter((link) => link?.send(data)).length;
  }

  close(): void {
    clearInterval(this.#statsTimer);
    this.update(null, []);
  }

  #connect(userId: string, joinSeq: number, polite: boolean): void {
    const { send, reachable, freshServers, createConnection } = this.#options;
    const link = new Link({
      joinSeq,
      polite,
      outgoing: this.#outgoing,
      createConnection: () =>
        createConnection?.(this.#configuration) ?? new RTCPeerConnection(this.#configuration),
      send: (signal) => send(userId, joinSeq, signal),
      reachable: () => reachable(userId),
      freshServers: async () => freshServers?.(),
    });
    this.#links.set(userId, link);
    link.on('state', (state) => this.emit('state', { userId, state }));
    link.on('track', (event) => this.emit('track', { userId, ...event }));
    link.on('streams', (event) => this.emit('streams', { userId, ...event }));
    link.on('message', (data) => this.emit('message', { userId, data }));
    link.on('error', (error) => this.emit('error', { userId, error }));
    this.emit('state', { userId, state: link.state });
  }

  #drop(userId: string, link: Link): void {
    this.#links.delete(userId);
    link.close();
    this.emit('state', { userId, state: null });
  }

  #tellStats(): void {
    for (const [userId, link] of this.#links) {
      if (link.state !== 'connected') continue;
      link.stats().then(
        (stats) => {
          if (this.#links.get(userId) === link) this.emit('stats', { userId, stats });
        },
        // Closed meanwhile.
        () => {},
      );
    }
  }
}
