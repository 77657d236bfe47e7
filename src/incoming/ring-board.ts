import { LogUnavailable } from '../call-log/call-log.ts';
import type { Channels } from '../call-log/channels.ts';
import type { CallView } from '../calls/call-view.ts';
import { TIMINGS } from '../config.ts';
import { inParts } from '../in-parts.ts';
import { IncomingStream } from './incoming-stream.ts';

/**
 * Rings, between the instance that changes a call and those where its people's devices listen: a channel
 * for each user, that carries the whole call. It has no memory: whoever opens a stream starts from what the
 * database knows. While the channels are out of reach, and once more when they are back, the board looks
 * into the database who is rung, and reads those calls alone of which a device shows something else.
 */

export interface RingSource {
  /** Which calls ring for which of the users. */
  ringing(userIds: readonly string[]): Promise<readonly { userId: string; callId: string }[]>;
  /** These calls as they are, and the database's time. */
  calls(callIds: readonly string[]): Promise<{ calls: readonly CallView[]; now: number }>;
  onError(error: unknown): void;
}

/** Users that one query asks for: it holds its connection for some milliseconds, and others go in between. */
const USERS_AT_ONCE = 1_000;
/** Calls that are read at once, each with all who were ever invited. */
const CALLS_AT_ONCE = 100;
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
  #clock: NodeJS.Timeout | undefined;
  #turn: Promise<void> | null = null;
  /** How often the channels were lost. */
  #outages = 0;

  constructor(channels: Channels, source: RingSource) {
    this.#channels = channels;
    this.#source = source;
    this.#stopListening = channels.onHealth((health) => {
      if (health === 'down') this.#goByDatabase();
      else this.#startTurn();
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
      await this.#tellAll(stream);
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
        return await this.#tellAll(stream);
      } catch (error) {
        this.#source.onError(error);
        await new Promise((resolve) => setTimeout(resolve, SNAPSHOT_RETRY).unref());
      }
    }
  }

  async #tellAll(stream: IncomingStream): Promise<void> {
    const rings = await this.#source.ringing([stream.userId]);
    const { calls, now } = await this.#source.calls(rings.map(({ callId }) => callId));
    stream.snapshot(calls, now);
  }

  #goByDatabase(): void {
    this.#outages++;
    this.#clock ??= setInterval(() => this.#startTurn(), TIMINGS.statePollMs);
  }

  #startTurn(): void {
    this.#turn ??= this.#lookIntoDatabase()
      .catch((error) => this.#source.onError(error))
      .finally(() => {
        this.#turn = null;
      });
  }

  /** The last time after the channels are back: what was published before that did not get here. */
  async #lookIntoDatabase(): Promise<void> {
    const outages = this.#outages;
    let done = this.#channels.health() === 'up' && (await this.#subscribeAll());
    for (const userIds of inParts([...this.#listening.keys()], USERS_AT_ONCE)) {
      try {
        await this.#look(userIds);
      } catch (error) {
        this.#source.onError(error);
        done = false;
      }
    }
    if (!done || outages !== this.#outages) return;
    clearInterval(this.#clock);
    this.#clock = undefined;
  }

  /** Those who came while there were no channels. */
  async #subscribeAll(): Promise<boolean> {
    const without = [...this.#listening].filter(([, { undo }]) => undo === null);
    for (const part of inParts(without, USERS_AT_ONCE)) {
      await Promise.all(
        part.map(async ([userId, listening]) => {
          // It may be under way, and is asked for once.
          await listening.started.catch(() => {});
          if (listening.undo || this.#listening.get(userId) !== listening) return;
          listening.started = this.#subscribe(userId, listening);
          await listening.started;
        }),
      );
    }
    return without.every(
      ([userId, listening]) => listening.undo || this.#listening.get(userId) !== listening,
    );
  }

  /** Brings the devices of these users up to now. */
  async #look(userIds: readonly string[]): Promise<void> {
    const ringing = new Map<string, Set<string>>(userIds.map((userId) => [userId, new Set()]));
    for (const { userId, callId } of await this.#source.ringing(userIds)) ringing.get(userId)?.add(callId);
    /** Of which a device shows something else. It is the call, read anew, that says what is true. */
    const differing = new Map<string, IncomingStream[]>();
    for (const [userId, callIds] of ringing) {
      for (const stream of this.#listening.get(userId)?.streams ?? []) {
        const shown = new Set(stream.ringing);
        for (const callId of new Set([...callIds, ...shown])) {
          if (callIds.has(callId) && shown.has(callId)) continue;
          const streams = differing.get(callId) ?? [];
          differing.set(callId, streams);
          streams.push(stream);
        }
      }
    }
    for (const callIds of inParts([...differing.keys()], CALLS_AT_ONCE)) {
      const { calls, now } = await this.#source.calls(callIds);
      for (const call of calls) for (const stream of differing.get(call.id) ?? []) stream.see(call, now);
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    clearInterval(this.#clock);
    const all = [...this.#listening.values()];
    this.#listening.clear();
    for (const { streams } of all) for (const stream of [...streams]) stream.close();
    await Promise.all([this.#turn, ...all.map((listening) => listening.undo?.())]);
  }
}

function channelOf(userId: string): string {
  return `ringdown:user:${userId}`;
}
