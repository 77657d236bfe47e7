import { Emitter } from '../events.ts';
import type { MediaSource } from '../links/types.ts';
import { listDevices, type MediaDevicesList } from './devices.ts';
import { MediaError, mediaError } from './media-error.ts';

/** What this page sends: its camera, its microphone, its screen. It outlives calls, and knows none. */

/** A new object after each change. */
export interface LocalMediaState {
  readonly microphone: {
    readonly track: MediaStreamTrack | null;
    readonly muted: boolean;
    readonly deviceId: string | null;
    /** Why there is none, or why the last change failed; null after one that worked. */
    readonly error: MediaError | null;
  };
  readonly camera: {
    readonly track: MediaStreamTrack | null;
    readonly deviceId: string | null;
    readonly error: MediaError | null;
  };
  readonly screen: { readonly track: MediaStreamTrack | null; readonly error: MediaError | null };
}

export interface LocalMediaEvents {
  change: LocalMediaState;
  /** What a source gives from now on; null: nothing. */
  track: { readonly source: MediaSource; readonly track: MediaStreamTrack | null };
  /** One was plugged in or out. */
  devices: MediaDevicesList;
  error: MediaError;
}

/** True: whichever the browser chooses. Else what it is to be (W3C Media Capture and Streams, section 11). */
export interface OpenOptions {
  readonly microphone?: boolean | MediaTrackConstraints;
  readonly camera?: boolean | MediaTrackConstraints;
}

type Device = 'microphone' | 'camera';
const CONSTRAINT = { microphone: 'audio', camera: 'video' } as const;

interface Slot {
  track: MediaStreamTrack | null;
  /** False: the app's, which is not stopped here. */
  own: boolean;
  /** What the source is opened with, the next time too. */
  wanted: MediaTrackConstraints;
  deviceId: string | null;
  error: MediaError | null;
}

const EMPTY = (): Slot => ({ track: null, own: true, wanted: {}, deviceId: null, error: null });

export class LocalMedia extends Emitter<LocalMediaEvents> {
  /** Camera and microphone, for a preview; always the same object. */
  readonly stream = new MediaStream();
  readonly #slots = { microphone: EMPTY(), camera: EMPTY(), screen: EMPTY() };
  #muted = false;
  #state = this.#view();
  #closed = false;
  /** One thing at a time: a camera that is turned off and on again quickly is on in the end. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #onDevices = () => {
    void listDevices().then((devices) => {
      if (!this.#closed) this.emit('devices', devices);
    });
  };

  constructor() {
    super();
    navigator.mediaDevices?.addEventListener('devicechange', this.#onDevices);
  }

  get state(): LocalMediaState {
    return this.#state;
  }

  /**
   * Asks the user for the devices and opens them. It never rejects: a device that can't be had is an error in
   * the state, and the other one works all the same.
   */
  async open({ microphone = false, camera = false }: OpenOptions): Promise<LocalMediaState> {
    await this.#enqueue(async () => {
      const asked = { microphone, camera };
      const devices = (['microphone', 'camera'] as const).filter((device) => asked[device] !== false);
      for (const device of devices) {
        const wanted = asked[device];
        this.#slots[device].wanted = typeof wanted === 'object' ? wanted : {};
      }
      await this.#acquire(devices);
    });
    return this.#state;
  }

  /** Silence, with the microphone kept (`track.enabled`). Unmuting opens one where there is none. */
  async setMuted(muted: boolean): Promise<void> {
    await this.#enqueue(async () => {
      this.#muted = muted;
      const { track } = this.#slots.microphone;
      if (track) track.enabled = !muted;
      this.#change();
      if (!muted && track === null) await this.#acquire(['microphone']);
    });
  }

  /** Off stops the camera, so that its lamp goes out. */
  async setCamera(on: boolean): Promise<void> {
    await this.#enqueue(async () => {
      if (!on) this.#put('camera', null);
      else if (this.#slots.camera.track === null) await this.#acquire(['camera']);
    });
  }

  /** Changes the device, in mid-call too. Where the new one can't be had the old one stays. */
  async setDevice(device: Device, deviceId: string): Promise<void> {
    await this.#enqueue(async () => {
      const slot = this.#slots[device];
      const before = slot.wanted;
      slot.wanted = { ...before, deviceId: { exact: deviceId } };
      // A camera that is off stays off: it will be that one when it is turned on.
      if (slot.track === null && slot.error === null) {
        slot.deviceId = deviceId;
        this.#change();
        return;
      }
      await this.#acquire([device]);
      if (slot.error !== null) slot.wanted = before;
    });
  }

  /** Asks the user for a screen, window or tab. False where they chose none. */
  startScreen(): Promise<boolean> {
    // At once, not in the queue: it has to come from the user's own click.
    const asked = this.#askScreen();
    return this.#enqueue(async () => {
      try {
        const track = await asked;
        if (track === null) return false;
        this.#put('screen', track, true);
        return this.#slots.screen.track === track;
      } catch (cause) {
        this.#fail('screen', cause);
        return false;
      }
    });
  }

  stopScreen(): void {
    this.#put('screen', null);
  }

  /** The app's own track, such as a canvas, or a camera with its background blurred. It is not stopped here. */
  setTrack(source: MediaSource, track: MediaStreamTrack | null): void {
    this.#put(source, track, false);
  }

  devices(): Promise<MediaDevicesList> {
    return listDevices();
  }

  /** Stops everything that was opened here. */
  close(): void {
    for (const source of ['microphone', 'camera', 'screen'] as const) this.#put(source, null);
    this.#closed = true;
    navigator.mediaDevices?.removeEventListener('devicechange', this.#onDevices);
  }

  async #acquire(devices: readonly Device[]): Promise<void> {
    if (devices.length === 0 || this.#closed) return;
    try {
      const stream = await this.#ask(devices);
      for (const device of devices) {
        const [track] = device === 'camera' ? stream.getVideoTracks() : stream.getAudioTracks();
        this.#put(device, track ?? null, true);
      }
    } catch (cause) {
      const [device, ...others] = devices;
      // Asked for together one refusal takes both: so each by itself.
      if (others.length > 0) for (const each of devices) await this.#acquire([each]);
      else this.#fail(device!, cause);
    }
  }

  async #ask(devices: readonly Device[]): Promise<MediaStream> {
    const [device] = devices;
    if (!navigator.mediaDevices) throw new MediaError(device!, 'unsupported');
    const constraints: MediaStreamConstraints = {};
    for (const each of devices) constraints[CONSTRAINT[each]] = this.#slots[each].wanted;
    return navigator.mediaDevices.getUserMedia(constraints);
  }

  async #askScreen(): Promise<MediaStreamTrack | null> {
    if (!navigator.mediaDevices?.getDisplayMedia) throw new MediaError('screen', 'unsupported');
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({ video: true });
      return stream.getVideoTracks()[0] ?? null;
    } catch (cause) {
      // The same for a user who chose none, and for one who must not: nothing to report.
      if ((cause as DOMException).name === 'NotAllowedError') return null;
      throw cause;
    }
  }

  #put(source: MediaSource, track: MediaStreamTrack | null, own = true): void {
    if (this.#closed) {
      // Asked for before the end, and nobody's now.
      if (own) track?.stop();
      return;
    }
    const slot = this.#slots[source];
    const old = slot.track;
    const wasOwn = slot.own;
    slot.track = track;
    slot.own = own;
    slot.error = null;
    if (track) slot.deviceId = track.getSettings().deviceId ?? null;
    if (source === 'microphone' && track) track.enabled = !this.#muted;
    if (source !== 'screen') {
      if (old) this.stream.removeTrack(old);
      if (track) this.stream.addTrack(track);
    }
    if (old !== track) {
      track?.addEventListener('ended', () => this.#ended(source, track), { once: true });
      this.emit('track', { source, track });
      // After its successor is on its way, so that nobody sees a gap.
      if (old && wasOwn) old.stop();
    }
    this.#change();
  }

  /** It ended by itself: unplugged, its permission taken back, or the browser's own button pressed. */
  #ended(source: MediaSource, track: MediaStreamTrack): void {
    const slot = this.#slots[source];
    if (slot.track !== track) return;
    this.#put(source, null);
    if (source === 'screen' || !slot.own) return;
    void this.#enqueue(async () => {
      if (slot.track !== null) return;
      // Another one may be there.
      slot.wanted = { ...slot.wanted };
      delete slot.wanted.deviceId;
      await this.#acquire([source]);
    });
  }

  #fail(source: MediaSource, cause: unknown): void {
    if (this.#closed) return;
    const error = mediaError(source, cause);
    this.#slots[source].error = error;
    this.#change();
    this.emit('error', error);
  }

  #enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  #change(): void {
    this.#state = this.#view();
    this.emit('change', this.#state);
  }

  #view(): LocalMediaState {
    const { microphone, camera, screen } = this.#slots;
    const of = ({ track, deviceId, error }: Slot) => ({ track, deviceId, error });
    return {
      microphone: { ...of(microphone), muted: this.#muted },
      camera: of(camera),
      screen: { track: screen.track, error: screen.error },
    };
  }
}
