import { type Call, type CallState, LocalMedia, Ringdown } from '../../../../client/src/index.ts';

/**
 * What a test drives in a page: the SDK, as an app has it, with a canvas of the person's own colour for a
 * camera, so that a picture that comes out elsewhere is told from any other.
 */

export interface PhoneOptions {
  readonly url: string;
  /** `red`, `#00ff00` …; null: a data channel alone. */
  readonly colour: string | null;
  readonly rtcConfiguration?: RTCConfiguration;
}

declare global {
  interface Window {
    /** Given by the test. */
    freshToken: () => Promise<string>;
    phone: Phone;
    createPhone: (options: PhoneOptions) => Promise<void>;
  }
}

/** A canvas that is painted again and again, for a canvas that does not change gives no frames. */
function paint(colour: string): {
  readonly track: MediaStreamTrack;
  readonly repaint: (colour: string) => void;
} {
  const canvas = document.createElement('canvas');
  canvas.width = 160;
  canvas.height = 120;
  const context = canvas.getContext('2d')!;
  let now = colour;
  let turn = 0;
  setInterval(() => {
    turn += 1;
    context.fillStyle = now;
    context.fillRect(0, 0, canvas.width, canvas.height);
    // One corner moves, so that every frame is another.
    context.fillStyle = turn % 2 === 0 ? '#000' : '#fff';
    context.fillRect(0, 0, 8, 8);
  }, 66);
  const [track] = canvas.captureStream(15).getVideoTracks();
  return {
    track: track!,
    repaint: (other) => {
      now = other;
    },
  };
}

export class Phone {
  readonly ringdown: Ringdown;
  readonly media: LocalMedia | null;
  /** What happened, in words. */
  readonly events: string[] = [];
  readonly errors: string[] = [];
  /** Whose media have come, and from where, in the order of the events. */
  readonly tracks: string[] = [];
  readonly messages: { readonly from: string; readonly data: string }[] = [];
  call: Call | null = null;
  /** Of the calls that are started from here. */
  type: 'AUDIO' | 'VIDEO' = 'VIDEO';
  /** Milliseconds from the answer to the first frame of each other one. */
  readonly firstFrames: Record<string, number> = {};
  #answeredAt = 0;
  readonly #connections: RTCPeerConnection[] = [];
  readonly #videos = new Map<string, HTMLVideoElement>();

  constructor({ url, colour, rtcConfiguration = {} }: PhoneOptions) {
    this.ringdown = new Ringdown({ url, token: () => window.freshToken(), rtcConfiguration });
    this.media = colour === null ? null : new LocalMedia();
    if (colour !== null) this.media?.setTrack('camera', paint(colour).track);
    this.media?.on('error', ({ source, reason }) => this.events.push(`${source} ${reason}`));
    window.RTCPeerConnection = new Proxy(RTCPeerConnection, {
      construct: (target, args) => {
        const connection = new target(...(args as [RTCConfiguration]));
        this.#connections.push(connection);
        return connection;
      },
    });
    this.ringdown.on('error', (error) => this.errors.push(String(error)));
    this.ringdown.on('connection', (state) => this.events.push(`connection ${state}`));
    this.ringdown.on('incomingCall', ({ callerId }) => this.events.push(`ring ${callerId}`));
    this.ringdown.on('ringStopped', ({ reason }) => this.events.push(`ring stopped ${reason}`));
  }

  /** Peer connections that negotiated so far: the others only showed that the browser can. */
  get connections(): number {
    return this.#connections.filter(({ localDescription }) => localDescription !== null).length;
  }

  /** ICE credentials of now, which change when ICE is restarted. */
  get fragments(): string[] {
    return this.#connections.flatMap(({ localDescription, signalingState }) =>
      signalingState === 'closed' ? [] : (/a=ice-ufrag:(\S+)/.exec(localDescription?.sdp ?? '')?.[1] ?? []),
    );
  }

  async start(conversationId: string, calleeIds: string[]): Promise<string> {
    const { type, media } = this;
    return this.#enter(await this.ringdown.start({ conversationId, calleeIds, type, media }));
  }

  /** Answers the first call that rings, or waits for one. */
  async answer(): Promise<string> {
    const ring =
      this.ringdown.incomingCalls[0] ??
      (await new Promise<(typeof this.ringdown.incomingCalls)[number]>((resolve) => {
        const stop = this.ringdown.on('incomingCall', (call) => {
          stop();
          resolve(call);
        });
      }));
    this.#answeredAt = performance.now();
    return this.#enter(await ring.answer({ media: this.media }));
  }

  async decline(busy = false): Promise<void> {
    await this.ringdown.incomingCalls[0]!.decline({ busy });
  }

  async join(callId: string, takeOver = false): Promise<string> {
    this.#answeredAt = performance.now();
    return this.#enter(await this.ringdown.join(callId, { media: this.media, takeOver }));
  }

  get state(): CallState | null {
    return this.call?.state ?? null;
  }

  /** The call as a test can have it: without what can't leave the page. */
  view() {
    const { state } = this;
    if (state === null) return null;
    const of = ({ stream, screen, ...rest }: CallState['me']) => ({
      ...rest,
      tracks: stream?.getTracks().map(({ kind }) => kind) ?? [],
      screen: screen !== null,
    });
    return { ...state, me: of(state.me), participants: state.participants.map(of) };
  }

  /** The colour in the middle of what comes from them; null before there is a picture. */
  colourOf(userId: string, source: 'stream' | 'screen' = 'stream'): string | null {
    const video = this.#video(userId, source);
    if (video === null || video.videoWidth === 0) return null;
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext('2d')!;
    context.drawImage(video, 0, 0);
    const { data } = context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1);
    // Video changes colours a little.
    const [red, green, blue] = [...data].map((value) => (value > 170 ? 'f' : value < 85 ? '0' : '8'));
    return `#${red}${green}${blue}`;
  }

  /** Frames that were shown so far. */
  framesOf(userId: string): number {
    return this.#video(userId, 'stream')?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
  }

  /** Changes what the camera shows, by another track. */
  show(colour: string): void {
    this.media?.setTrack('camera', paint(colour).track);
  }

  /** As if the user had chosen a screen to share. */
  share(colour: string | null): void {
    this.media?.setTrack('screen', colour === null ? null : paint(colour).track);
  }

  #enter(call: Call): string {
    if (this.call === call) return call.id;
    this.call = call;
    call.on('error', (error) => this.errors.push(String(error)));
    call.on('link', ({ userId, state }) => this.events.push(`link ${userId} ${state}`));
    call.on('ended', ({ over }) => this.events.push(`ended ${over?.reason}`));
    call.on('track', ({ userId, source }) => this.tracks.push(`${userId} ${source}`));
    call.on('mutedByHost', () => this.events.push('muted by host'));
    call.on('message', ({ from, data }) => this.messages.push({ from, data: String(data) }));
    call.on('change', () => {
      for (const { userId, stream } of call.state.participants) if (stream) this.#video(userId, 'stream');
    });
    return call.id;
  }

  #video(userId: string, source: 'stream' | 'screen'): HTMLVideoElement | null {
    const stream = this.state?.participants.find((other) => other.userId === userId)?.[source];
    if (!stream) return null;
    const key = `${userId} ${source}`;
    const known = this.#videos.get(key);
    if (known?.srcObject === stream) return known;
    known?.remove();
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, muted: true, playsInline: true, srcObject: stream });
    document.body.append(video);
    this.#videos.set(key, video);
    video.requestVideoFrameCallback(() => {
      this.firstFrames[userId] ??= performance.now() - this.#answeredAt;
    });
    return video;
  }
}

window.createPhone = async (options) => {
  window.phone = new Phone(options);
  await window.phone.ringdown.connect();
};
