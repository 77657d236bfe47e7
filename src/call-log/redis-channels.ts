import { RedisPubSub } from 'graphql-redis-subscriptions';
import type { Redis } from 'ioredis';
import { LogUnavailable } from './call-log.ts';
import type { Channels } from './channels.ts';
import { type RedisConnection, unavailable } from './redis-connection.ts';

/** A channel with listeners on this instance. */
interface Line {
  readonly listeners: Set<(message: string) => void>;
  /** Settles with the confirmation of Redis. */
  live: Promise<void>;
  /** Its number in graphql-redis-subscriptions. */
  id: number;
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
    connection.onNewSubscriber(async () => {
      if (this.#lines.size > 0) await connection.subscriber.subscribe(...this.#lines.keys());
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

  /** Rejects with LogUnavailable, and then leaves nothing behind. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    if (this.#connection.health() === 'down') {
      this.#connection.hooks.onSubscribeFailed();
      throw new LogUnavailable('Redis: not connected');
    }
    const line = this.#lines.get(channel) ?? this.#open(channel);
    // A function of its own: the same listener may be given twice.
    const hear = (message: string) => listener(message);
    line.listeners.add(hear);
    await line.live;
    return async () => {
      line.listeners.delete(hear);
      if (line.listeners.size === 0) this.#drop(channel, line);
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
    const line: Line = { listeners: new Set(), live: Promise.resolve(), id: -1 };
    const hear = (message: Buffer) => {
      const text = message.toString();
      for (const listener of line.listeners) listener(text);
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
