import { Emitter } from '../events.ts';
import type { SignalInput } from '../generated/graphql.ts';
import { CandidateBatch } from './candidate-batch.ts';
import { IceRecovery } from './ice-recovery.ts';
import { type Counts, type LinkStats, summarise } from './link-stats.ts';
import { hasFragment, sessionOf } from './sdp.ts';
import { type Outgoing, Slots } from './slots.ts';
import type { Candidate, Candidates, LinkState, MediaSource, Signal } from './types.ts';

/**
 * The link to one other participant's tenure: perfect negotiation
 * (https://www.w3.org/TR/webrtc/#perfect-negotiation-example) with a generation on every signal, over one peer
 * connection after another where one has to be given up.
 *
 * What the link does stands in a queue, so nothing is received between an offer's making and its sending, and
 * the example's `makingOffer` is not needed.
 */

export interface LinkOptions {
  /** The other one's tenure. */
  readonly joinSeq: number;
  /** False for the one with the higher joinSeq, who makes the first offer too. */
  readonly polite: boolean;
  readonly outgoing: Outgoing;
  readonly createConnection: () => RTCPeerConnection;
  readonly send: (signal: SignalInput) => void;
  /** Whether a signal would reach the other one now. */
  readonly reachable: () => boolean;
  /** To be waited for before candidates are gathered anew. Never rejects. */
  readonly freshServers: () => Promise<void>;
}

export interface LinkEvents {
  state: LinkState;
  track: { readonly source: MediaSource; readonly track: MediaStreamTrack; readonly stream: MediaStream };
  streams: { readonly stream: MediaStream | null; readonly screen: MediaStream | null };
  message: string | ArrayBuffer;
  /** What went wrong in the background. */
  error: Error;
}

/** How long a description waits for its first candidates, milliseconds: they save signals, and a round trip. */
const FIRST_CANDIDATES = 100;
/** Candidates that wait for their description; a connection gathers far fewer. */
const MOST_EARLY = 256;

export class Link extends Emitter<LinkEvents> {
  readonly joinSeq: number;
  readonly #options: LinkOptions;
  readonly #recovery: IceRecovery;
  readonly #batch: CandidateBatch;
  #connection!: RTCPeerConnection;
  #slots!: Slots;
  #channel!: RTCDataChannel;
  #state: LinkState = 'connecting';
  /** The highest seen on the link, from either side and over all its connections; 0 before the first offer. */
  #generation = 0;
  /** Of the local offer that waits for its answer; null where none does. */
  #offered: number | null = null;
  /** ICE is to be restarted as soon as that offer is answered. */
  #restartOwed = false;
  /** Our last one, for an offer that comes again. */
  #answer: { readonly sdp: string; readonly generation: number } | null = null;
  /** Of the remote description that was set last. */
  #described = 0;
  /** Whose connection that description is of; null where this connection has none. */
  #session: string | null = null;
  /** From an offer that is ignored to the answer to ours. */
  #ignoring = false;
  /** Candidates that came before their description. */
  #early: { readonly item: Candidate; readonly generation: number }[] = [];
  /** The polite one leaves the first offer to the other. */
  #mayOffer: boolean;
  #queue: Promise<void> = Promise.resolve();
  #closed = false;
  readonly #streams = { stream: new MediaStream(), screen: new MediaStream() };
  #counts: Counts | null = null;

  constructor(options: LinkOptions) {
    super();
    this.#options = options;
    this.joinSeq = options.joinSeq;
    this.#mayOffer = !options.polite;
    this.#batch = new CandidateBatch((items, generation) => {
      options.send({ candidates: { items, generation } });
    });
    this.#recovery = new IceRecovery({
      restart: () => this.restartIce(),
      rebuild: () => this.#rebuild(),
      reachable: options.reachable,
    });
    this.#build();
    if (this.#mayOffer) this.#slots.open();
  }

  get state(): LinkState {
    return this.#state;
  }

  receive(signal: Signal): void {
    if (signal.__typename === 'IceCandidates') this.#enqueue(() => this.#receiveCandidates(signal));
    else this.#negotiate(() => this.#receive(signal));
  }

  /** The source's track has changed, in `outgoing`. */
  fill(source: MediaSource): void {
    // The polite one's first tracks wait for the room in the other's first offer.
    if (this.#mayOffer) this.#slots.fill(source);
  }

  setConfiguration(configuration: RTCConfiguration): void {
    this.#connection.setConfiguration(configuration);
  }

  /**
   * New ICE credentials (RFC 8445 section 2.4). The polite one asks for an offer that has them: so the two do
   * not meet half-way, and nothing is rolled back, after which Chromium shows new video elements nothing.
   */
  restartIce(): void {
    if (this.#options.polite) {
      // They are wanted when that offer comes.
      void this.#options.freshServers();
      this.#options.send({ renegotiate: { iceRestart: true } });
    } else {
      this.#negotiate(async () => {
        // The other one may have taken the offer that waits, so it can't be taken back. Its answer may be lost.
        if (this.#offered !== null) {
          this.#restartOwed = true;
          this.#sendOffer(this.#offered, this.#connection.localDescription?.sdp ?? '');
          return;
        }
        await this.#options.freshServers();
        this.#slots.open();
        this.#connection.restartIce();
        await this.#offer();
      });
    }
  }

  /** `reachable` may have changed. */
  checkIn(): void {
    this.#recovery.check();
  }

  /** False where the channel is not open. */
  send(data: string | ArrayBuffer): boolean {
    if (this.#channel.readyState !== 'open') return false;
    this.#channel.send(data as string);
    return true;
  }

  async stats(): Promise<LinkStats> {
    const report = (await this.#connection.getStats()) as unknown as ReadonlyMap<
      string,
      Record<string, unknown>
    >;
    const { stats, counts } = summarise(report, this.#counts);
    this.#counts = counts;
    return stats;
  }

  close(): void {
    this.#closed = true;
    this.#recovery.close();
    this.#batch.close();
    this.#connection.close();
    for (const stream of Object.values(this.#streams)) {
      for (const track of stream.getTracks()) stream.removeTrack(track);
    }
  }

  #build(): void {
    const connection = this.#options.createConnection();
    this.#connection = connection;
    this.#slots = new Slots(connection, this.#options.outgoing);
    this.#session = null;
    this.#offered = null;
    this.#restartOwed = false;
    this.#answer = null;
    this.#ignoring = false;
    // Both have it from the start, so that there is a link without any media, too (RFC 8832 is not needed).
    this.#channel = connection.createDataChannel('ringdown', { negotiated: true, id: 0 });
    this.#channel.binaryType = 'arraybuffer';
    const current = () => connection === this.#connection && !this.#closed;
    this.#channel.onmessage = ({ data }) => {
      if (current()) this.emit('message', data);
    };
    connection.onnegotiationneeded = () => {
      if (current() && this.#mayOffer) this.#negotiate(() => this.#offer());
    };
    connection.onicecandidate = ({ candidate }) => {
      if (!current()) return;
      // Firefox says the end of the candidates twice, at first with an empty one.
      if (candidate === null) this.#batch.end();
      else if (candidate.candidate !== '') this.#batch.add(candidate.toJSON() as Candidate);
    };
    connection.onconnectionstatechange = () => {
      if (!current()) return;
      const { connectionState } = connection;
      this.#recovery.see(connectionState);
      if (connectionState === 'connected') this.#become('connected');
      else if (this.#state === 'connected') this.#become('reconnecting');
    };
    connection.ontrack = ({ track, transceiver }) => {
      if (current()) this.#adopt(track, this.#slots.sourceOf(transceiver));
    };
  }

  /** A new connection of ours, which the other one knows by its session. */
  #rebuild(): void {
    this.#negotiate(async () => {
      await this.#options.freshServers();
      if (this.#closed) return;
      this.#replace();
      this.#mayOffer = true;
      this.#slots.open();
      await this.#offer();
    });
  }

  #replace(): void {
    this.#connection.close();
    this.#batch.close();
    this.#early = [];
    this.#counts = null;
    if (this.#state === 'connected') this.#become('reconnecting');
    // The new one has its 30 s, too: its answer may never come.
    this.#recovery.startOver();
    this.#build();
  }

  #become(state: LinkState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }

  #adopt(track: MediaStreamTrack, source: MediaSource): void {
    const stream = this.#streams[source === 'screen' ? 'screen' : 'stream'];
    // What an earlier connection, or an unused transceiver, left there.
    for (const old of stream.getTracks()) {
      if (old.kind === track.kind && (source !== 'screen' || old.readyState === 'ended' || old.muted)) {
        stream.removeTrack(old);
      }
    }
    stream.addTrack(track);
    this.emit('track', { source, track, stream });
    const filled = (one: MediaStream) => (one.getTracks().length > 0 ? one : null);
    this.emit('streams', { stream: filled(this.#streams.stream), screen: filled(this.#streams.screen) });
  }

  /** A step of the negotiation. Where it fails on a connection that worked, a new one may do. */
  #negotiate(step: () => Promise<void>): void {
    this.#enqueue(async () => {
      try {
        await step();
      } catch (error) {
        if (!this.#closed && this.#session !== null) this.#rebuild();
        throw error;
      }
    });
  }

  #enqueue(operation: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#closed) return;
      try {
        await operation();
      } catch (error) {
        // Closing in the middle of an operation makes it fail.
        if (!this.#closed) this.emit('error', error as Error);
      }
    });
  }

  async #offer(): Promise<void> {
    // It will be needed again once the connection is stable, and then the event comes again.
    if (this.#connection.signalingState !== 'stable') return;
    const generation = this.#generation + 1;
    this.#batch.hold(generation);
    await this.#connection.setLocalDescription();
    this.#generation = generation;
    this.#offered = generation;
    const sdp = await this.#localSdp();
    if (this.#closed) return;
    this.#sendOffer(generation, sdp);
    this.#batch.release();
  }

  #sendOffer(generation: number, sdp: string): void {
    this.#options.send({ offer: { sdp, generation } });
  }

  async #receive(signal: Exclude<Signal, Candidates>): Promise<void> {
    switch (signal.__typename) {
      case 'Offer':
        return this.#receiveOffer(signal);
      case 'Answer':
        return this.#receiveAnswer(signal);
      case 'Renegotiate':
        if (this.#offered !== null) {
          // The one that is asked for is under way. Whoever has it drops this one; whoever lost it has it now.
          this.#sendOffer(this.#offered, this.#connection.localDescription?.sdp ?? '');
          return;
        }
        this.#mayOffer = true;
        this.#slots.open();
        if (signal.iceRestart) {
          await this.#options.freshServers();
          this.#connection.restartIce();
        }
        return this.#offer();
    }
  }

  async #receiveOffer({ sdp, generation }: { sdp: string; generation: number }): Promise<void> {
    // A late one: a newer one has been answered. Or the same one again, whose answer was lost.
    if (generation <= this.#described) {
      const again = this.#answer?.generation === generation && this.#session === sessionOf(sdp);
      if (again && this.#answer) this.#options.send({ answer: this.#answer });
      return;
    }
    this.#generation = Math.max(this.#generation, generation);
    this.#ignoring = !this.#options.polite && this.#offered !== null;
    if (this.#ignoring) return;
    const session = sessionOf(sdp);
    // The other one's connection is another than the one that ours was for: ours would take this offer for a
    // change of its own. And one whose first offer is rolled back would have its room twice.
    const began = this.#session !== null || this.#offered !== null;
    if (began && this.#session !== session) this.#replace();
    this.#mayOffer = true;
    this.#offered = null;
    // It may restart ICE, and then this end gathers, too.
    await this.#options.freshServers();
    // Rolls an offer of ours back.
    await this.#connection.setRemoteDescription({ type: 'offer', sdp });
    this.#session = session;
    this.#slots.adopt();
    await this.#describe(sdp, generation);
    this.#batch.hold(generation);
    await this.#connection.setLocalDescription();
    this.#answer = { sdp: await this.#localSdp(), generation };
    if (this.#closed) return;
    this.#options.send({ answer: this.#answer });
    this.#batch.release();
  }

  async #receiveAnswer({ sdp, generation }: { sdp: string; generation: number }): Promise<void> {
    // The answer to an offer that was taken back comes too late.
    if (generation !== this.#offered) return;
    const session = sessionOf(sdp);
    if (this.#session !== null && this.#session !== session) {
      // Another connection has answered than the one that ours was for.
      this.#rebuild();
      return;
    }
    await this.#connection.setRemoteDescription({ type: 'answer', sdp });
    this.#offered = null;
    this.#ignoring = false;
    this.#session = session;
    await this.#describe(sdp, generation);
    if (!this.#restartOwed) return;
    this.#restartOwed = false;
    await this.#options.freshServers();
    this.#connection.restartIce();
    await this.#offer();
  }

  /** The remote description of this generation is set: candidates that waited for it go in. */
  async #describe(sdp: string, generation: number): Promise<void> {
    this.#described = generation;
    const early = this.#early;
    this.#early = early.filter((waiting) => waiting.generation > generation);
    for (const waiting of early) {
      // In a glare both offers have one generation: those of the one that was ignored name other credentials.
      if (waiting.generation !== generation || !hasFragment(sdp, waiting.item.usernameFragment)) continue;
      await this.#connection.addIceCandidate(waiting.item);
    }
  }

  async #receiveCandidates({ items, generation }: Candidates): Promise<void> {
    if (generation < this.#described) return;
    const { remoteDescription } = this.#connection;
    if (generation > this.#described || this.#ignoring || remoteDescription === null) {
      for (const item of items) if (this.#early.length < MOST_EARLY) this.#early.push({ item, generation });
      return;
    }
    for (const item of items) {
      if (!hasFragment(remoteDescription.sdp, item.usernameFragment)) continue;
      await this.#connection.addIceCandidate(item);
    }
  }

  /** The local description, with the candidates that were quick to be found. */
  async #localSdp(): Promise<string> {
    const connection = this.#connection;
    if (connection.iceGatheringState !== 'complete') {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, FIRST_CANDIDATES);
        function done() {
          clearTimeout(timer);
          connection.onicegatheringstatechange = null;
          resolve();
        }
        connection.onicegatheringstatechange = () => {
          if (connection.iceGatheringState === 'complete') done();
        };
      });
    }
    return connection.localDescription?.sdp ?? '';
  }
}
