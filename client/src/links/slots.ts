import type { MediaSource } from './types.ts';

/**
 * Which transceiver of a connection is for what. A source has one, made or taken when it is first needed;
 * from then on its track changes without negotiation (W3C WebRTC, `replaceTrack`).
 */

const KINDS = { microphone: 'audio', camera: 'video', screen: 'video' } as const;

/** What every link of this page sends. One for all links, changed in place. */
export interface Outgoing {
  /** Sources that this page means to send; room is made for them from the start. */
  readonly sources: Set<MediaSource>;
  readonly tracks: Map<MediaSource, MediaStreamTrack>;
  /** Tells the others what belongs together and is played in step: microphone and camera; the screen. */
  readonly streams: Readonly<Record<MediaSource, MediaStream>>;
}

export class Slots {
  readonly #connection: RTCPeerConnection;
  readonly #outgoing: Outgoing;
  readonly #transceivers = new Map<MediaSource, RTCRtpTransceiver>();

  constructor(connection: RTCPeerConnection, outgoing: Outgoing) {
    this.#connection = connection;
    this.#outgoing = outgoing;
  }

  /** Before an offer of ours: room for everything that is sent. */
  open(): void {
    for (const source of this.#outgoing.sources) this.fill(source);
  }

  /** After an offer of theirs: its room is ours too. What it lacks is added, which asks for an offer of ours. */
  adopt(): void {
    for (const transceiver of this.#connection.getTransceivers()) {
      if (this.#owns(transceiver)) continue;
      const source = this.sourceOf(transceiver);
      if (!this.#transceivers.has(source)) this.#transceivers.set(source, transceiver);
    }
    // Who sends anything may share a screen later: that needs no negotiation then.
    const sends = this.#outgoing.sources.size > 0;
    if (sends && this.#transceivers.has('screen')) this.fill('screen');
    this.open();
  }

  /** Puts the source's track of now into its transceiver. */
  fill(source: MediaSource): void {
    const track = this.#outgoing.tracks.get(source) ?? null;
    const stream = this.#outgoing.streams[source];
    const known = this.#transceivers.get(source);
    if (known === undefined) {
      const init: RTCRtpTransceiverInit = { direction: 'sendrecv', streams: [stream] };
      this.#transceivers.set(source, this.#connection.addTransceiver(track ?? KINDS[source], init));
      return;
    }
    if (!known.direction.startsWith('send')) {
      known.direction = 'sendrecv';
      known.sender.setStreams(stream);
    }
    // It rejects where the connection is closed, and then nothing is to be sent any more.
    known.sender.replaceTrack(track).catch(() => {});
  }

  /** The first audio is the microphone, the first video the camera, any further one a screen. */
  sourceOf(transceiver: RTCRtpTransceiver): MediaSource {
    for (const [source, own] of this.#transceivers) if (own === transceiver) return source;
    if (transceiver.receiver.track.kind === 'audio') return 'microphone';
    return this.#transceivers.has('camera') ? 'screen' : 'camera';
  }

  #owns(transceiver: RTCRtpTransceiver): boolean {
    return [...this.#transceivers.values()].includes(transceiver);
  }
}
