import { Redis } from 'ioredis';
import { LogUnavailable } from './call-log.ts';

/** How often each connection is asked whether it lives, milliseconds. */
const PING_INTERVAL = 500;
/**
 * How long an answer may take, milliseconds. A connection that owes one for longer is cut, and with it every
 * command that waits on it: so nothing hangs, and a half-open connection is found within 1.5 s. Commands
 * need no timer of their own: answers come in the order of the questions.
 */
const ANSWER_LIMIT = 1_000;
/** Longest wait before the next attempt to connect, milliseconds. */
const RETRY_LIMIT = 400;

/** For metrics and the log. No reason bears what was sent. */
export interface RedisHooks {
  /** A channel could not be subscribed. */
  onSubscribeFailed(): void;
  /** A connection failed or was lost, or Redis did not take a publish, an append or a read. */
  onPubSubError(reason: string): void;
}

/**
 * The two connections to Redis, one for commands and one for what is published, and whether both work. They
 * heal by themselves. A command sent while its connection is down fails at once: nothing waits in a queue,
 * and nothing is sent twice.
 */
export class RedisConnection {
  readonly commands: Redis;
  readonly subscriber: Redis;
  readonly hooks: RedisHooks;
  readonly #listeners = new Set<(health: 'up' | 'down') => void>();
  readonly #clock: NodeJS.Timeout;
  #health: 'up' | 'down' = 'down';
  #restore: () => Promise<unknown> = async () => {};
  /** Grows with each loss of the subscriber connection. */
  #epoch = 0;
  #restored = false;
  #closed = false;

  /** `url`: `redis://` or `rediss://`. Connects on its own; `onHealth` tells when. */
  constructor(url: string, hooks: RedisHooks) {
    this.hooks = hooks;
    this.commands = this.#connect(url);
    this.subscriber = this.#connect(url);
    this.subscriber.on('ready', () => void this.#restoreSubscriptions());
    const pulses = [new Pulse(this.commands), new Pulse(this.subscriber)];
    this.#clock = setInterval(() => {
      for (const pulse of pulses) pulse.beat();
    }, PING_INTERVAL).unref();
  }

  /** What has to succeed on each new subscriber connection before it counts. */
  onNewSubscriber(restore: () => Promise<unknown>): void {
    this.#restore = restore;
  }

  onHealth(listener: (health: 'up' | 'down') => void): () => void {
    const hear = (health: 'up' | 'down') => listener(health);
    this.#listeners.add(hear);
    return () => void this.#listeners.delete(hear);
  }

  health(): 'up' | 'down' {
    return this.#health;
  }

  /** Counts a command that failed, and makes of it what callers may see. */
  failed(error: unknown): LogUnavailable {
    this.hooks.onPubSubError(reasonOf(error));
    return unavailable(error);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#clock);
    this.#listeners.clear();
    this.#health = 'down';
    for (const redis of [this.commands, this.subscriber]) {
      redis.disconnect();
      // Half-open, it would not end by itself. There is none before the first attempt.
      (redis.stream as typeof redis.stream | undefined)?.destroy();
    }
  }

  #connect(url: string): Redis {
    const redis = new Redis(url, {
      connectTimeout: ANSWER_LIMIT,
      retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, RETRY_LIMIT) * (0.75 + Math.random() / 2),
      enableOfflineQueue: false,
      // None is sent again: all that wait are rejected when the connection closes.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // ioredis would drop the promise of it, which ends the process if it rejects.
      autoResubscribe: false,
      // After a failover this may be a replica; the next connection finds the new master.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    });
    redis.on('error', (error) => this.hooks.onPubSubError(reasonOf(error)));
    redis.on('ready', () => this.#look());
    redis.on('close', () => {
      if (redis === this.subscriber) {
        this.#epoch++;
        this.#restored = false;
      }
      this.#look();
    });
    return redis;
  }

  async #restoreSubscriptions(): Promise<void> {
    const epoch = this.#epoch;
    try {
      await this.#restore();
      if (epoch !== this.#epoch) return;
      this.#restored = true;
      this.#look();
    } catch (error) {
      this.hooks.onPubSubError(reasonOf(error));
      // Not by halves: a new connection tries all of it again.
      if (epoch === this.#epoch) this.subscriber.stream.destroy();
    }
  }

  #look(): void {
    const works = this.#restored && this.commands.status === 'ready' && this.subscriber.status === 'ready';
    const health = works ? 'up' : 'down';
    if (this.#closed || health === this.#health) return;
    this.#health = health;
    if (health === 'down') this.hooks.onPubSubError('connection lost');
    for (const listener of this.#listeners) listener(health);
  }
}

/** Without a `cause`: an error of ioredis bears the arguments of its command. */
export function unavailable(error: unknown): LogUnavailable {
  return new LogUnavailable(`Redis: ${reasonOf(error)}`);
}

/** Asks a connection whether it lives, and cuts it where the answer does not come in time. */
class Pulse {
  readonly #redis: Redis;
  /** Since when an answer is owed, milliseconds; null where none is. */
  #since: number | null = null;
  #stream: unknown;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('ready', () => {
      this.#since = null;
    });
  }

  beat(): void {
    const { status, stream } = this.#redis;
    // While it connects it has a time limit of its own; `connect` is the handshake, which has none.
    if (status !== 'ready' && status !== 'connect') return;
    if (stream !== this.#stream) {
      this.#stream = stream;
      this.#since = null;
    }
    const now = performance.now();
    if (this.#since === null) {
      this.#since = now;
      if (status === 'ready') this.#redis.ping().then(() => this.#answered(stream), ignore);
    } else if (now - this.#since >= ANSWER_LIMIT - PING_INTERVAL / 2) {
      // At the turn nearest to the limit: one that comes a moment early must not put it off by another turn.
      // If it was this process that stood still, the answer has come and is not read yet: read first.
      setImmediate(() => {
        if (this.#stream === stream && this.#since !== null) stream.destroy();
      });
    }
  }

  #answered(stream: unknown): void {
    if (this.#stream === stream) this.#since = null;
  }
}

function ignore(): void {}

/** Short: what a reply quotes of its command comes later in it than this. */
function reasonOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return (message || code || 'failed').slice(0, 80);
}
