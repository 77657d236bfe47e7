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
  /** After any change, with the state of then. */
  change: LocalMediaState;
  /** What a source gives from now on; null: nothing. */
  track: { readonly source: MediaSource; readonly track: MediaStreamTrack | null };
  /** One was plugged in or out. */
  devices: MediaDevicesList;
  /** A source could not be had; the state has it too. */
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
  /** Grows when the source is turned off or given by the app: what was asked for before is not wanted then. */
  turn: number;
}

/** A device that was asked for, and in which turn. */
interface Wish {
  readonly device: Device;
  readonly turn: number;
}

const EMPTY = (): Slot => ({ track: null, own: true, wanted: {}, deviceId: null, error: null, turn: 0 });

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

  /** What is sent now: a new object after each change. */
  get state(): LocalMediaState {
    return this.#state;
  }

  /**
   * Asks the user for the devices and opens them. It never rejects: a device that can't be had is an error in
   * the state, and the other one works all the same.
   */
  async open({ microphone = false, camera = false }: OpenOptions): Promise<LocalMediaState> {
    const asked = { microphone, camera };
    const devices = (['microphone', 'camera'] as const).filter((device) => asked[device] !== false);
    // As of now: what is turned off before its time comes is not asked for.
    const wishes = devices.map((device) => this.#wish(device));
    await this.#enqueue(async () => {
      for (const device of devices) {
        const wanted = asked[device];
        this.#slots[device].wanted = typeof wanted === 'object' ? wanted : {};
      }
      await this.#acquire(wishes);
    });
    return this.#state;
  }

  /**
   * Silence, at once, with the microphone kept (`track.enabled`). Unmuting opens one where there is none, and
   * resolves then.
   */
  async setMuted(muted: boolean): Promise<void> {
    this.#muted = muted;
    const { track } = this.#slots.microphone;
    if (track) track.enabled = !muted;
    this.#change();
    if (muted || track) return;
    await this.#enqueue(async () => {
      if (!this.#muted && this.#slots.microphone.track === null) await this.#reopen(this.#wish('microphone'));
    });
  }

  /** Off stops the camera at once, so that its lamp goes out, also where the user is still being asked. */
  async setCamera(on: boolean): Promise<void> {
    const { camera } = this.#slots;
    if (!on) {
      camera.turn += 1;
      this.#put('camera', null);
      return;
    }
    const wish = this.#wish('camera');
    await this.#enqueue(async () => {
      if (camera.track === null) await this.#reopen(wish);
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
      await this.#acquire([this.#wish(device)]);
      if (slot.error !== null) slot.wanted = before;
    });
  }

  /** Asks the user for a screen, window or tab; to be called from their click. False where they chose none. */
  async startScreen(): Promise<boolean> {
    if (this.#closed) return false;
    const { screen } = this.#slots;
    const { turn } = screen;
    try {
      const track = await this.#askScreen();
      if (track === null) return false;
      if (screen.turn !== turn) {
        track.stop();
        return false;
      }
      this.#put('screen', track, true);
      return screen.track === track;
    } catch (cause) {
      this.#fail('screen', cause);
      return false;
    }
  }

  /** The others see that it has ended. */
  stopScreen(): void {
    this.#slots.screen.turn += 1;
    this.#put('screen', null);
  }

  /** The app's own track, such as a canvas, or a camera with its background blurred. It is not stopped here. */
  setTrack(source: MediaSource, track: MediaStreamTrack | null): void {
    this.#slots[source].turn += 1;
    this.#put(source, track, false);
  }

  /** The devices of this machine now. */
  devices(): Promise<MediaDevicesList> {
    return listDevices();
  }

  /** Stops everything that was opened here. */
  close(): void {
    for (const source of ['microphone', 'camera', 'screen'] as const) this.#put(source, null);
    this.#closed = true;
    navigator.mediaDevices?.removeEventListener('devicechange', this.#onDevices);
  }

  #wish(device: Device): Wish {
    return { device, turn: this.#slots[device].turn };
  }

  #isWanted({ device, turn }: Wish): boolean {
    return this.#slots[device].turn === turn;
  }

  async #acquire(asked: readonly Wish[]): Promise<void> {
    const wishes = asked.filter((wish) => this.#isWanted(wish));
    const [first] = wishes;
    if (first === undefined || this.#closed) return;
    try {
      const stream = await this.#ask(wishes.map(({ device }) => device));
      for (const wish of wishes) {
        const [track] = wish.device === 'camera' ? stream.getVideoTracks() : stream.getAudioTracks();
        if (this.#isWanted(wish)) this.#put(wish.device, track ?? null, true);
        else track?.stop();
      }
    } catch (cause) {
      // Asked for together one refusal takes both: so each by itself.
      if (wishes.length > 1) for (const wish of wishes) await this.#acquire([wish]);
      else if (this.#isWanted(first)) this.#fail(first.device, cause);
    }
  }

  /** The device that was chosen, or where it is not there any more another one. */
  async #reopen(wish: Wish): Promise<void> {
    const slot = this.#slots[wish.device];
    await this.#acquire([wish]);
    if (slot.error?.reason !== 'missing' || slot.wanted.deviceId === undefined) return;
    slot.wanted = { ...slot.wanted };
    delete slot.wanted.deviceId;
    await this.#acquire([wish]);
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
    const { own } = slot;
    this.#put(source, null);
    if (source === 'screen' || !own) return;
    const wish = this.#wish(source);
    void this.#enqueue(async () => {
      if (slot.track === null) await this.#reopen(wish);
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
