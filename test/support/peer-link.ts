import { type RTCDataChannel, type RTCIceCandidate, RTCPeerConnection } from 'werift';
import type { CallEventsSubscription, IceCandidateInput, SignalInput } from './generated/graphql.ts';

/**
 * One peer connection to one other participant's tenure, negotiated as PROTOCOL.md says: perfect negotiation
 * (https://www.w3.org/TR/webrtc/#perfect-negotiation-example) with a generation on every signal.
 *
 * What the link does with its connection stands in a queue. A browser has one inside (the operations chain of
 * https://www.w3.org/TR/webrtc/#dfn-operations-chain), werift has none; with it nothing is received between
 * an offer's making and its setting, so the example's `makingOffer` is not needed.
 */

export type Signal = Extract<
  CallEventsSubscription['callEvents'],
  { __typename: 'SignalReceived' }
>['signal'];
type Candidates = Extract<Signal, { __typename: 'IceCandidates' }>;

export interface LinkOptions {
  /** The other one's tenure. */
  readonly joinSeq: number;
  /** False for the one with the higher joinSeq, who makes the first offer too. */
  readonly polite: boolean;
  readonly send: (signal: SignalInput) => void;
  /** What went wrong in the background. */
  readonly failed: (error: unknown) => void;
}

/** One host candidate, on loopback, and no server asked: werift leaves loopback out unless it is named. */
const LOOPBACK_ONLY = {
  iceServers: [],
  iceUseIpv4: false,
  iceUseIpv6: false,
  iceAdditionalHostAddresses: ['127.0.0.1'],
  iceInterfaceAddresses: { udp4: '127.0.0.1' },
};

export class Link {
  readonly joinSeq: number;
  readonly polite: boolean;
  readonly connection = new RTCPeerConnection(LOOPBACK_ONLY);
  /** Texts that came through the data channel. */
  readonly messages: string[] = [];
  /** Offers of its own that it took back for the other one's. */
  rollbacks = 0;
  /** Offers of the other one that it ignored for its own. */
  ignoredOffers = 0;

  readonly #send: LinkOptions['send'];
  readonly #failed: LinkOptions['failed'];
  #channel: RTCDataChannel | null = null;
  /** The highest seen on the link, from either side; 0 before the first offer. */
  #generation = 0;
  /** Of the local offer that waits for its answer; null where none does. */
  #offered: number | null = null;
  /** Of the remote description that is set. */
  #described = 0;
  /** While an offer is ignored the candidates that come are of it, as in the W3C example. */
  #ignoring = false;
  /** Candidates that came before their description. */
  #early: Candidates[] = [];
  #queue: Promise<void> = Promise.resolve();
  #closed = false;

  constructor({ joinSeq, polite, send, failed }: LinkOptions) {
    this.joinSeq = joinSeq;
    this.polite = polite;
    this.#send = send;
    this.#failed = failed;
    this.connection.onIceCandidate.subscribe((candidate) => this.#trickle(candidate));
    this.connection.onNegotiationneeded.subscribe(() => this.#enqueue(() => this.#offer()));
    this.connection.onDataChannel.subscribe((channel) => this.#adopt(channel));
    // The first offer is the impolite one's: who is polite adds nothing before it has come.
    if (!polite) this.#adopt(this.connection.createDataChannel('chat'));
  }

  get open(): boolean {
    return this.#channel?.readyState === 'open';
  }

  say(text: string): void {
    if (this.#channel === null) throw new Error('There is no data channel yet');
    this.#channel.send(text);
  }

  receive(signal: Signal): void {
    this.#enqueue(() => this.#receive(signal));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.connection.close();
  }

  #adopt(channel: RTCDataChannel): void {
    this.#channel = channel;
    channel.onMessage.subscribe((data) => void this.messages.push(data.toString()));
  }

  #enqueue(operation: () => Promise<void>): void {
    this.#queue = this.#queue.then(async () => {
      if (this.#closed) return;
      try {
        await operation();
      } catch (error) {
        // Closing in the middle of an operation makes it fail.
        if (!this.#closed) this.#failed(error);
      }
    });
  }

  async #offer(iceRestart = false): Promise<void> {
    // It will be needed again once the connection is stable, and then the event comes again.
    if (this.connection.signalingState !== 'stable') return;
    const { sdp } = await this.connection.createOffer({ iceRestart });
    this.#generation += 1;
    this.#offered = this.#generation;
    // werift gathers while it sets; so it is sent before, and the candidates follow as they come.
    this.#send({ offer: { sdp, generation: this.#generation } });
    await this.connection.setLocalDescription({ type: 'offer', sdp });
  }

  async #receive(signal: Signal): Promise<void> {
    switch (signal.__typename) {
      case 'Offer':
        return this.#receiveOffer(signal);
      case 'Answer':
        return this.#receiveAnswer(signal);
      case 'IceCandidates':
        return this.#receiveCandidates(signal);
      case 'Renegotiate':
        return this.#offer(signal.iceRestart);
    }
  }

  async #receiveOffer({ sdp, generation }: { sdp: string; generation: number }): Promise<void> {
    this.#generation = Math.max(this.#generation, generation);
    this.#ignoring = !this.polite && this.#offered !== null;
    if (this.#ignoring) {
      this.ignoredOffers += 1;
      return;
    }
    if (this.#offered !== null) this.rollbacks += 1;
    this.#offered = null;
    // Rolls an offer of its own back.
    await this.connection.setRemoteDescription({ type: 'offer', sdp });
    await this.#describe(generation);
    const answer = await this.connection.createAnswer();
    this.#send({ answer: { sdp: answer.sdp, generation } });
    await this.connection.setLocalDescription(answer);
  }

  async #receiveAnswer({ sdp, generation }: { sdp: string; generation: number }): Promise<void> {
    // The answer to an offer that was rolled back comes too late.
    if (generation !== this.#offered) return;
    this.#offered = null;
    this.#ignoring = false;
    await this.connection.setRemoteDescription({ type: 'answer', sdp });
    await this.#describe(generation);
  }

  /** The remote description of this generation is set: candidates that waited for it go in. */
  async #describe(generation: number): Promise<void> {
    this.#described = generation;
    const early = this.#early;
    this.#early = [];
    for (const candidates of early) await this.#receiveCandidates(candidates);
  }

  async #receiveCandidates(candidates: Candidates): Promise<void> {
    const { generation, items } = candidates;
    if (this.#ignoring || generation < this.#described) return;
    if (generation > this.#described) {
      this.#early.push(candidates);
      return;
    }
    for (const item of items) await this.connection.addIceCandidate(item);
  }

  #trickle(candidate: RTCIceCandidate | undefined): void {
    // All media share one transport (BUNDLE), so the end of the first line's candidates is the end of all.
    const item: IceCandidateInput = candidate?.toJSON() ?? { candidate: '', sdpMLineIndex: 0 };
    this.#send({ candidates: { items: [item], generation: this.#generation } });
  }
}
