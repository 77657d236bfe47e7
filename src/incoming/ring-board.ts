import { LogUnavailable } from '../call-log/call-log.ts';
import type { Channels } from '../call-log/channels.ts';
import type { CallView } from '../calls/call-view.ts';
import { TIMINGS } from '../config.ts';
import { IncomingStream } from './incoming-stream.ts';

/**
 * Rings, between the instance that changes a call and those where its people's devices listen: a channel
 * for each user, that carries the whole call. It has no memory: whoever opens a stream, or comes back from
 * an outage, starts from what the database knows.
 */

export interface RingSource {
  /** The calls that ring for the user, and the database's time. */
  ringing(userId: string): Promise<{ calls: readonly CallView[]; now: number }>;
  calls(callIds: readonly string[]): Promise<readonly CallView[]>;
  onError(error: unknown): void;
}

/** Users whose devices are told at once what rings: all of them would fill the pool. */
const COME_BACK_SIDE_BY_SIDE = 4;
/** How often a snapshot that could not be read is tried again, milliseconds. */
const SNAPSHOT_RETRY = 500;

interface Listening {
  readonly streams: Set<IncomingStream>;
  started: Promise<void>;
  undo: (() => Promise<void>) | null;
}

export class RingBoard {
  readonly #channels: Channels;
  readonly #source: RingSource;
  readonly #listening = new Map<string, Listening>();
  readonly #stopListening: () => void;
  #poll: NodeJS.Timeout | undefined;
  #polling = false;

  constructor(channels: Channels, source: RingSource) {
    this.#channels = channels;
    this.#source = source;
    this.#stopListening = channels.onHealth((health) => {
      if (health === 'down') this.#goByDatabase();
      else this.#goByChannels();
    });
    if (channels.health() === 'down') this.#goByDatabase();
  }

  /** Throws LogUnavailable where the other instances can't be reached; devices here have heard it then. */
  async publish(
    rings: { readonly userIds: readonly string[]; readonly call: CallView },
    at: number,
  ): Promise<void> {
    for (const userId of rings.userIds) {
      for (const stream of this.#listening.get(userId)?.streams ?? []) stream.see(rings.call, at);
    }
    const message = JSON.stringify({ call: rings.call, at });
    await Promise.all(rings.userIds.map((userId) => this.#channels.publish(channelOf(userId), message)));
  }

  async open(userId: string): Promise<IncomingStream> {
    const listening = this.#listen(userId);
    const stream = new IncomingStream(
      userId,
      () => this.#leave(userId, stream),
      () => void this.#snapshot(stream),
    );
    listening.streams.add(stream);
    try {
      await listening.started;
      const { calls, now } = await this.#source.ringing(userId);
      stream.snapshot(calls, now);
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  #listen(userId: string): Listening {
    const known = this.#listening.get(userId);
    if (known) return known;
    const listening: Listening = { streams: new Set(), started: Promise.resolve(), undo: null };
    this.#listening.set(userId, listening);
    listening.started = this.#subscribe(userId, listening);
    return listening;
  }

  async #subscribe(userId: string, listening: Listening): Promise<void> {
    if (this.#channels.health() === 'down') return;
    try {
      const undo = await this.#channels.subscribe(channelOf(userId), (message) => {
        const { call, at } = JSON.parse(message) as { call: CallView; at: number };
        for (const stream of listening.streams) stream.see(call, at);
      });
      listening.undo = undo;
      if (this.#listening.get(userId) !== listening) void undo();
    } catch (error) {
      if (!(error instanceof LogUnavailable)) throw error;
      // By the database then, until the channels are back.
      this.#goByDatabase();
    }
  }

  #leave(userId: string, stream: IncomingStream): void {
    const listening = this.#listening.get(userId);
    listening?.streams.delete(stream);
    if (!listening || listening.streams.size > 0) return;
    this.#listening.delete(userId);
    void listening.undo?.();
  }

  async #snapshot(stream: IncomingStream): Promise<void> {
    stream.hold();
    // Without it the client would show what is no longer true, so until it is there.
    while (!stream.closed) {
      try {
        const { calls, now } = await this.#source.ringing(stream.userId);
        stream.snapshot(calls, now);
        return;
      } catch (error) {
        this.#source.onError(error);
        await new Promise((resolve) => setTimeout(resolve, SNAPSHOT_RETRY).unref());
      }
    }
  }

  #goByDatabase(): void {
    this.#poll ??= setInterval(() => void this.#pollOnce(), TIMINGS.statePollMs);
  }

  #goByChannels(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
    const queue = [...this.#listening];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) await this.#comeBack(...next);
    };
    for (let i = 0; i < COME_BACK_SIDE_BY_SIDE; i++) void worker();
  }

  /** What was published meanwhile is lost: everyone starts over with a snapshot. */
  async #comeBack(userId: string, listening: Listening): Promise<void> {
    try {
      if (!listening.undo) await this.#subscribe(userId, listening);
    } catch (error) {
      this.#source.onError(error);
    }
    for (const stream of listening.streams) await this.#snapshot(stream);
  }

  async #pollOnce(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    try {
      for (const [userId, { streams }] of this.#listening) {
        const { calls, now } = await this.#source.ringing(userId);
        const stopped = new Set([...streams].flatMap((stream) => stream.ringing));
        for (const call of calls) stopped.delete(call.id);
        const over = await this.#source.calls([...stopped]);
        for (const stream of streams) for (const call of [...calls, ...over]) stream.see(call, now);
      }
    } catch (error) {
      this.#source.onError(error);
    } finally {
      this.#polling = false;
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    clearInterval(this.#poll);
    const all = [...this.#listening.values()];
    this.#listening.clear();
    for (const { streams } of all) for (const stream of [...streams]) stream.close();
    await Promise.all(all.map((listening) => listening.undo?.()));
  }
}

function channelOf(userId: string): string {
  return `ringdown:user:${userId}`;
}
