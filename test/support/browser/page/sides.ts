import type { IceCandidateInput, SignalInput } from '../../../../client/src/generated/graphql.ts';
import { Mesh } from '../../../../client/src/links/mesh.ts';
import type { MediaSource, Signal } from '../../../../client/src/links/types.ts';

/**
 * An end of a link: `sends` and `receives` are the SDK's, with media or without. `stranger` is another client,
 * no more than what the W3C's example of perfect negotiation says
 * (https://www.w3.org/TR/webrtc/#perfect-negotiation-example), on Ringdown's signals.
 */
export type SideKind = 'sends' | 'receives' | 'stranger';

export interface Side {
  receive(signal: SignalInput): void;
  restartIce(): void;
  setTrack(source: MediaSource, track: MediaStreamTrack): void;
  /** By the data channel. */
  say(text: string): void;
  close(): void;
}

export interface SideEvents {
  readonly send: (signal: SignalInput) => void;
  readonly made: (connection: RTCPeerConnection) => void;
  readonly failed: (error: unknown) => void;
  readonly heard: (text: string) => void;
  readonly shown: (source: 'camera' | 'screen', stream: MediaStream) => void;
}

export function createSide(kind: SideKind, polite: boolean, events: SideEvents): Side {
  return kind === 'stranger' ? createStranger(polite, events) : createOwn(kind === 'sends', polite, events);
}

function createOwn(sends: boolean, polite: boolean, events: SideEvents): Side {
  const [me, other] = polite ? [1, 2] : [2, 1];
  const mesh = new Mesh({
    configuration: {},
    send: (_to, _joinSeq, signal) => events.send(signal),
    reachable: () => true,
    sends,
    createConnection: (configuration) => {
      const connection = new RTCPeerConnection(configuration);
      events.made(connection);
      return connection;
    },
  });
  mesh.on('error', ({ error }) => events.failed(error));
  mesh.on('message', ({ data }) => events.heard(String(data)));
  mesh.on('streams', ({ stream, screen }) => {
    if (stream) events.shown('camera', stream);
    if (screen) events.shown('screen', screen);
  });
  mesh.update(me, [{ userId: 'other', joinSeq: other }]);
  return {
    receive: (signal) => mesh.receive('other', other, received(signal)),
    restartIce: () => mesh.restartIce(),
    setTrack: (source, track) => mesh.setTrack(source, track),
    say: (text) => void mesh.send(text),
    close: () => mesh.close(),
  };
}

function createStranger(polite: boolean, events: SideEvents): Side {
  const connection = new RTCPeerConnection();
  events.made(connection);
  const channel = connection.createDataChannel('ringdown', { negotiated: true, id: 0 });
  channel.onmessage = ({ data }) => events.heard(String(data));
  const senders = new Map<MediaSource, RTCRtpSender>();
  const waiting = new Map<MediaSource, MediaStreamTrack>();
  const pictures: MediaStreamTrack[] = [];
  let generation = 0;
  let makingOffer = false;
  let ignoring = false;
  // The polite one leaves the first offer to the other.
  let begun = !polite;

  const put = (source: MediaSource, track: MediaStreamTrack) => {
    const sender = senders.get(source);
    if (sender) void sender.replaceTrack(track);
    else senders.set(source, connection.addTrack(track, new MediaStream()));
  };
  connection.ontrack = ({ track }) => {
    if (track.kind !== 'video' || pictures.includes(track)) return;
    pictures.push(track);
    events.shown(pictures.length === 1 ? 'camera' : 'screen', new MediaStream([track]));
  };
  connection.onnegotiationneeded = async () => {
    if (!begun) return;
    try {
      makingOffer = true;
      await connection.setLocalDescription();
      generation += 1;
      events.send({ offer: { sdp: connection.localDescription!.sdp, generation } });
    } catch (error) {
      events.failed(error);
    } finally {
      makingOffer = false;
    }
  };
  connection.onicecandidate = ({ candidate }) => {
    if (candidate)
      events.send({ candidates: { items: [candidate.toJSON() as IceCandidateInput], generation } });
  };

  async function receive({ offer, answer, candidates, renegotiate }: SignalInput): Promise<void> {
    try {
      const description = offer ?? answer;
      if (description) {
        ignoring = !polite && offer !== undefined && (makingOffer || connection.signalingState !== 'stable');
        generation = Math.max(generation, description.generation);
        if (ignoring) return;
        // An answer to an offer that was rolled back.
        if (answer && connection.signalingState !== 'have-local-offer') return;
        await connection.setRemoteDescription({ type: offer ? 'offer' : 'answer', sdp: description.sdp });
        if (!offer) return;
        if (!begun) {
          begun = true;
          for (const [source, track] of waiting) put(source, track);
        }
        await connection.setLocalDescription();
        events.send({ answer: { sdp: connection.localDescription!.sdp, generation: offer.generation } });
      } else if (candidates) {
        for (const item of candidates.items) {
          await connection.addIceCandidate(item as RTCIceCandidateInit).catch((error: unknown) => {
            if (!ignoring) throw error;
          });
        }
      } else if (renegotiate?.iceRestart) connection.restartIce();
    } catch (error) {
      events.failed(error);
    }
  }

  let queue = Promise.resolve();
  return {
    receive: (signal) => {
      queue = queue.then(() => receive(signal));
    },
    restartIce: () => {
      if (begun) connection.restartIce();
    },
    setTrack: (source, track) => {
      if (begun) put(source, track);
      else waiting.set(source, track);
    },
    say: (text) => {
      if (channel.readyState === 'open') channel.send(text);
    },
    close: () => connection.close(),
  };
}

/** What the server makes of it. */
function received(signal: SignalInput): Signal {
  if (signal.offer) return { __typename: 'Offer', ...signal.offer };
  if (signal.answer) return { __typename: 'Answer', ...signal.answer };
  if (signal.renegotiate) return { __typename: 'Renegotiate', ...signal.renegotiate };
  const { items, generation } = signal.candidates!;
  return {
    __typename: 'IceCandidates',
    generation,
    items: items.map(({ candidate, sdpMid, sdpMLineIndex, usernameFragment }) => ({
      candidate,
      sdpMid: sdpMid ?? null,
      sdpMLineIndex: sdpMLineIndex ?? null,
      usernameFragment: usernameFragment ?? null,
    })),
  };
}
