import { randomUUID } from 'node:crypto';
import { RedisPubSub } from 'graphql-redis-subscriptions';
import type { Redis } from 'ioredis';
import { LogUnavailable } from './call-log.ts';
import type { Channels } from './channels.ts';
import { type RedisConnection, unavailable } from './redis-connection.ts';

/** A channel with listeners on this instance. */
interface Line {
  readonly listeners: Set<(message: Buffer) => void>;
  /** Settles with the confirmation of Redis. */
  live: Promise<void>;
  /** Its number in graphql-redis-subscriptions. */
  id: number;
  /** The own channel of the connection that Redis has confirmed it on. */
  on: string;
}

/** A listener of a channel. */
export interface Hearing {
  /** Hears no more. */
  stop(): void;
  /** After `stop`: the channel is let go where nobody else here listens. */
  leave(): void;
}

/**
 * Channels over Redis Pub/Sub, each subscribed once however many listen. graphql-redis-subscriptions keeps
 * the books of who hears what; it never learns of a failure, because of what it would do then: reject a
 * promise that nobody holds, and keep its entry for ever. Failures are dealt with here.
 */
export class RedisChannels implements Channels {
  readonly #connection: RedisConnection;
  readonly #pubSub: RedisPubSub;
  readonly #lines = new Map<string, Line>();
  /** Of the subscriber connection of now; empty until Redis has confirmed it and all others. */
  #own = '';
  /** What Redis is about to say to the newest SUBSCRIBE. */
  #confirmation: Promise<unknown> = Promise.resolve();

  constructor(connection: RedisConnection) {
    this.#connection = connection;
    this.#pubSub = new RedisPubSub({
      publisher: connection.commands,
      subscriber: this.#tamedSubscriber(connection.subscriber),
      // Strings as they are. Of a Buffer it makes neither a copy nor JSON.
      serializer: (message: string) => message,
      messageEventName: 'messageBuffer',
    });
    connection.subscriber.on('close', () => {
      this.#own = '';
    });
    connection.onNewSubscriber(async () => {
      const own = `ringdown:connection:${randomUUID()}`;
      const lines = [...this.#lines];
      await connection.subscriber.subscribe(own, ...lines.map(([channel]) => channel));
      for (const [, line] of lines) line.on = own;
      this.#own = own;
    });
  }

  /** Rejects with LogUnavailable. */
  async publish(channel: string, message: string): Promise<void> {
    try {
      await this.#pubSub.publish(channel, message);
    } catch (error) {
      throw this.#connection.failed(error);
    }
  }

  /**
   * A channel that nobody but this instance hears, over the connection over which it hears the others: whoever finds it
   * heard in Redis knows that they are, too. Empty while that is not sure.
   */
  get ownChannel(): string {
    return this.#own;
  }

  /** Whether somebody here listens, by a subscription that Redis has confirmed. */
  hears(channel: string): boolean {
    const line = this.#lines.get(channel);
    return line !== undefined && line.listeners.size > 0 && line.on !== '' && line.on === this.#own;
  }

  /** Rejects with LogUnavailable, and then leaves nothing behind. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const hearing = await this.hear(channel, (message) => listener(message.toString()));
    return async () => {
      hearing.stop();
      hearing.leave();
    };
  }

  /** As `subscribe`, with the bytes of each message, and an end in two steps. */
  async hear(channel: string, listener: (message: Buffer) => void): Promise<Hearing> {
    if (this.#connection.health() === 'down') {
      this.#connection.hooks.onSubscribeFailed();
      throw new LogUnavailable('Redis: not connected');
    }
    const line = this.#lines.get(channel) ?? this.#open(channel);
    // A function of its own: the same listener may be given twice.
    const hear = (message: Buffer) => listener(message);
    line.listeners.add(hear);
    await line.live;
    return {
      stop: () => void line.listeners.delete(hear),
      leave: () => {
        if (line.listeners.size === 0) this.#drop(channel, line);
      },
    };
  }

  onHealth(listener: (health: 'up' | 'down') => void): () => void {
    return this.#connection.onHealth(listener);
  }

  health(): 'up' | 'down' {
    return this.#connection.health();
  }

  /** Closes the connection too. */
  async close(): Promise<void> {
    this.#lines.clear();
    await this.#connection.close();
  }

  #open(channel: string): Line {
    const line: Line = { listeners: new Set(), live: Promise.resolve(), id: -1, on: '' };
    const hear = (message: Buffer) => {
      for (const listener of line.listeners) listener(message);
    };
    line.live = this.#ask(channel, line, hear);
    this.#lines.set(channel, line);
    return line;
  }

  async #ask(channel: string, line: Line, hear: (message: Buffer) => void): Promise<void> {
    const id = this.#pubSub.subscribe(channel, hear);
    const confirmation = this.#confirmation;
    try {
      [line.id] = await Promise.all([id, confirmation]);
      line.on = this.#own;
    } catch (error) {
      line.id = await id;
      line.listeners.clear();
      this.#drop(channel, line);
      this.#connection.hooks.onSubscribeFailed();
      throw unavailable(error);
    }
  }

  /**
   * A later subscription of the same channel is a new line; its SUBSCRIBE goes over the same connection
   * after this UNSUBSCRIBE, so it is the one that holds.
   */
  #drop(channel: string, line: Line): void {
    if (this.#lines.get(channel) !== line) return;
    this.#lines.delete(channel);
    this.#pubSub.unsubscribe(line.id);
  }

  /** What graphql-redis-subscriptions has for a Redis. */
  #tamedSubscriber(redis: Redis): Redis {
    return {
      on: redis.on.bind(redis),
      subscribe: (channel: string, done: (error: null) => void) => {
        this.#confirmation = redis.subscribe(channel);
        done(null);
      },
      // Where it fails the connection is gone, and the next one begins without the channel.
      unsubscribe: (channel: string) => void redis.unsubscribe(channel).catch(() => {}),
      // It is sent beside each `unsubscribe`; there are no patterns here.
      punsubscribe: () => {},
    } as unknown as Redis;
  }
}
