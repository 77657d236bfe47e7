import { LocalMedia, type MediaSource } from '../../../../client/src/index.ts';

/**
 * LocalMedia in a page, on the browser's own fake devices. What no browser can be made to do is played here:
 * a user who takes their time, a device that is pulled out.
 */

declare global {
  interface Window {
    mediaLab: MediaLab;
  }
}

/** The user is asked, and waits for a test to answer for them. */
export interface Prompt {
  readonly asked: MediaStreamConstraints;
  /** The devices are the browser's then. */
  allow(): void;
  /** With what a browser rejects with (W3C Media Capture and Streams, section 10.2). */
  refuse(name?: string): void;
}

type Ask = (constraints: MediaStreamConstraints) => Promise<MediaStream>;

export class MediaLab {
  readonly media = new LocalMedia();
  /** `camera on`, `camera off`, in order. */
  readonly tracks: string[] = [];
  readonly errors: string[] = [];
  /** What the browser was asked for. */
  readonly asked: MediaStreamConstraints[] = [];
  /** All that the browser ever gave. */
  readonly given: MediaStreamTrack[] = [];
  /** What the user is being asked, where they take their time. */
  readonly prompts: Prompt[] = [];
  #slow = false;

  constructor() {
    this.media.on('track', ({ source, track }) => this.tracks.push(`${source} ${track ? 'on' : 'off'}`));
    this.media.on('error', ({ source, reason }) => this.errors.push(`${source} ${reason}`));
    // Not there where the page is not served over HTTPS.
    const { mediaDevices } = navigator;
    if (!mediaDevices) return;
    for (const name of ['getUserMedia', 'getDisplayMedia'] as const) {
      const own = mediaDevices[name].bind(mediaDevices) as Ask;
      mediaDevices[name] = (async (constraints: MediaStreamConstraints) => {
        this.asked.push(constraints);
        if (this.#slow) await this.#answer(constraints);
        const stream = await own(constraints);
        this.given.push(...stream.getTracks());
        return stream;
      }) as Ask;
    }
  }

  /** A stand-in for a user who takes their time, from now on. */
  takeTime(): void {
    this.#slow = true;
  }

  #answer(asked: MediaStreamConstraints): Promise<void> {
    return new Promise((resolve, reject) => {
      this.prompts.push({
        asked,
        allow: resolve,
        refuse: (name = 'NotAllowedError') => reject(new DOMException('The user said no', name)),
      });
    });
  }

  /** Until the user has been asked so many times, and the last of it. */
  async prompt(count = 1): Promise<Prompt> {
    await this.until(() => this.prompts.length >= count);
    return this.prompts[count - 1]!;
  }

  /** A stand-in for a track that ends by itself, for only the browser can make it tell. */
  end(track: MediaStreamTrack | null): void {
    track!.stop();
    track!.dispatchEvent(new Event('ended'));
  }

  /** A stand-in for a device that is pulled out: the browser has none of this name any more. */
  unplug(track: MediaStreamTrack | null): void {
    const gone = track!.getSettings().deviceId;
    const { mediaDevices } = navigator;
    const ask = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = (constraints) => {
      const { video } = constraints as { video?: MediaTrackConstraints };
      const { exact } = (video?.deviceId ?? {}) as ConstrainDOMStringParameters;
      return ask(exact === gone ? { video: { deviceId: { exact: 'unplugged' } } } : constraints);
    };
    this.end(track);
  }

  /** A picture of the app's own. */
  canvas(): MediaStreamTrack {
    const canvas = document.createElement('canvas');
    canvas.getContext('2d');
    return canvas.captureStream(1).getVideoTracks()[0]!;
  }

  /** The ids of all cameras. */
  async cameras(): Promise<string[]> {
    return (await this.media.devices()).cameras.map(({ deviceId }) => deviceId);
  }

  track(source: MediaSource): MediaStreamTrack | null {
    return this.media.state[source].track;
  }

  /** What the browser gave and is not stopped: whose lamps are on. */
  live(): string[] {
    return this.given.filter(({ readyState }) => readyState === 'live').map(({ kind }) => kind);
  }

  /** The state as a test can have it. */
  view() {
    const { microphone, camera, screen } = this.media.state;
    return {
      microphone: microphone.track?.readyState ?? microphone.error?.reason ?? 'off',
      camera: camera.track?.readyState ?? camera.error?.reason ?? 'off',
      screen: screen.track?.readyState ?? screen.error?.reason ?? 'off',
      live: this.live(),
      preview: this.media.stream.getTracks().map(({ kind }) => kind),
    };
  }

  async until(holds: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!holds()) {
      if (performance.now() > deadline) {
        const { asked, tracks, errors } = this;
        const seen = JSON.stringify({ ...this.view(), asked, tracks, errors });
        throw new Error(`Waited in vain: ${holds}\n${seen}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

window.mediaLab = new MediaLab();
