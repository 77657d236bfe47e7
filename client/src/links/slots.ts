import type { MediaSource } from './types.ts';

/**
 * Which transceiver of a connection is for what. Room for every source is made at once and in one order, so
 * that neither side has to guess which is which, and a track that changes, comes or goes needs no negotiation
 * (W3C WebRTC, `replaceTrack`).
 */

const ROOM = [
  ['microphone', 'audio'],
  ['camera', 'video'],
  ['screen', 'video'],
] as const;

/** What every link of this page sends. One for all links, changed in place. */
export interface Outgoing {
  /** False: this page only receives. */
  readonly sends: boolean;
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

  /** Before an offer of ours: room for everything that either side may send. */
  open(): void {
    for (const [source, kind] of ROOM) {
      if (this.#transceivers.has(source)) this.fill(source);
      else {
        const init: RTCRtpTransceiverInit = {
          direction: this.#outgoing.sends ? 'sendrecv' : 'recvonly',
          streams: [this.#outgoing.streams[source]],
        };
        const track = this.#outgoing.tracks.get(source) ?? kind;
        this.#transceivers.set(source, this.#connection.addTransceiver(track, init));
      }
    }
  }

  /** After an offer of theirs: its room is ours too. What it lacks for us is added, which takes an offer of ours. */
  adopt(): void {
    for (const transceiver of this.#connection.getTransceivers()) this.sourceOf(transceiver);
    if (this.#outgoing.sends) this.open();
  }

  /** Puts the source's track of now into its transceiver, where there is one. */
  fill(source: MediaSource): void {
    const transceiver = this.#transceivers.get(source);
    if (transceiver === undefined || !this.#outgoing.sends) return;
    if (!transceiver.direction.startsWith('send')) {
      transceiver.direction = 'sendrecv';
      transceiver.sender.setStreams(this.#outgoing.streams[source]);
    }
    // It rejects where the connection is closed, and then nothing is to be sent any more.
    transceiver.sender.replaceTrack(this.#outgoing.tracks.get(source) ?? null).catch(() => {});
  }

  /**
   * The first audio is the microphone, the first video the camera, any further one a screen. One that is asked
   * for has its place from then on, so they are to be asked for in their order.
   */
  sourceOf(transceiver: RTCRtpTransceiver): MediaSource {
    for (const [source, own] of this.#transceivers) if (own === transceiver) return source;
    const { kind } = transceiver.receiver.track;
    const source = kind === 'audio' ? 'microphone' : this.#transceivers.has('camera') ? 'screen' : 'camera';
    if (!this.#transceivers.has(source)) this.#transceivers.set(source, transceiver);
    return source;
  }
}
