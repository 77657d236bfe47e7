import type { Socket } from 'node:net';
import pg from 'pg';
import { DatabaseTimeout, DatabaseUnavailable } from './failures.ts';

/**
 * Milliseconds an attempt to connect may take, however soon whoever waits gives up. A server that needs seconds to
 * begin a connection comes to the dead ones first: to end an attempt and begin another is to wait longer.
 */
const ATTEMPT_MS = 10_000;
/** Attempts at once, while they succeed. */
const FRESH = 2;
/** Milliseconds after which an attempt is slow. It goes on, and a newer one may reach what it did not. */
const SLOW_MS = 2_000;
/** Milliseconds between attempts, at first and at most, after one that was refused or slow. */
const PAUSE = { first: 50, longest: 1_000 };
/** As many can be under way, then: two at once, and one each SLOW_MS. */
const ATTEMPTS = FRESH + ATTEMPT_MS / SLOW_MS;

interface Waiter {
  readonly resolve: (client: pg.PoolClient) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * Gives out a pool's connections, first come, first served. pg-pool alone ties each attempt to connect to one
 * caller's patience, and begins as many as there are callers.
 */
export class Connections {
  readonly #pool: pg.Pool;
  readonly #size: number;
  /** Connections and attempts at most. A pool of one has to begin anew beside an attempt that is slow. */
  readonly #most: number;
  readonly #patienceMs: number;
  readonly #waiting = new Set<Waiter>();
  /** Not connected yet: pg-pool would wait for them at its end. */
  readonly #connecting = new Set<pg.Client>();
  /** Idle connections that are on their way here. */
  #taking = 0;
  /** Those under way. */
  readonly #attempts = new Set<{ slow: boolean }>();
  /** Why the last attempt failed, where none has succeeded since. */
  #failure: Error | undefined;
  /** Not 0: the last attempt was of no use. */
  #pauseMs = 0;
  #pause: NodeJS.Timeout | undefined;

  /**
   * @param config of the pool; `max`: connections at most
   * @param patienceMs milliseconds that a caller waits for a connection
   * @param onError told of idle connections that were lost
   */
  constructor(
    config: pg.PoolConfig & { readonly max: number },
    patienceMs: number,
    onError: (error: Error) => void,
  ) {
    this.#size = config.max;
    this.#most = Math.max(config.max, ATTEMPTS);
    this.#patienceMs = patienceMs;
    const connecting = this.#connecting;
    class Client extends pg.Client {
      constructor(clientConfig?: pg.ClientConfig) {
        super(clientConfig);
        connecting.add(this);
        // There are moments in which nobody else listens, and an error without a listener ends the process.
        this.on('error', () => {});
        const over = () => connecting.delete(this);
        this.once('connect', over).once('end', over);
      }
    }
    this.#pool = new pg.Pool({
      ...config,
      Client,
      max: this.#most,
      connectionTimeoutMillis: Math.max(ATTEMPT_MS, patienceMs),
    });
    this.#pool.on('error', onError);
  }

  get totalCount(): number {
    return this.#pool.totalCount;
  }
  get idleCount(): number {
    return this.#pool.idleCount;
  }
  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Throws DatabaseTimeout or DatabaseUnavailable. */
  acquire(): Promise<pg.PoolClient> {
    if (this.#pool.ending) return Promise.reject(new DatabaseUnavailable('The database was closed'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        const cause = this.#failure;
        reject(new DatabaseTimeout('No connection to the database in time', cause && { cause }));
      }, this.#patienceMs);
      const waiter = { resolve, reject, timer };
      this.#waiting.add(waiter);
      this.#serve();
    });
  }

  /** `broken`: it is not to be used again. */
  release(client: pg.PoolClient, broken: boolean): void {
    client.release(broken || this.#established > this.#size);
    this.#serve();
  }

  /** Ends attempts at once, and other connections when they are given back. */
  async close(): Promise<void> {
    if (this.#pool.ending) return;
    clearTimeout(this.#pause);
    const ended = this.#pool.end();
    this.#refuse(new DatabaseUnavailable('The database was closed'));
    for (const client of this.#connecting) hangUp(client);
    await ended;
  }

  #serve(): void {
    if (this.#pool.ending) return;
    while (this.#taking < this.#waiting.size && this.#taking < this.#pool.idleCount) void this.#take();
    while (this.#taking + this.#fresh < this.#waiting.size && this.#mayAttempt()) void this.#attempt();
  }

  get #fresh(): number {
    let fresh = 0;
    for (const { slow } of this.#attempts) if (!slow) fresh += 1;
    return fresh;
  }

  get #established(): number {
    return this.#pool.totalCount - this.#attempts.size;
  }

  #mayAttempt(): boolean {
    if (this.#pause !== undefined || this.#fresh >= (this.#pauseMs > 0 ? 1 : FRESH)) return false;
    // The pool would give an idle one that is on its way to somebody else.
    if (this.#pool.idleCount > 0) return false;
    return this.#established + this.#fresh < this.#size && this.#pool.totalCount < this.#most;
  }

  async #take(): Promise<void> {
    this.#taking += 1;
    // Lost at that moment, it is a new one that the pool gives, or tried to get.
    const taken = await this.#connect();
    this.#taking -= 1;
    this.#came(taken);
  }

  async #attempt(): Promise<void> {
    const attempt = { slow: false };
    this.#attempts.add(attempt);
    const timer = setTimeout(() => {
      attempt.slow = true;
      this.#rest();
    }, SLOW_MS);
    const result = await this.#connect();
    clearTimeout(timer);
    this.#attempts.delete(attempt);
    if (!(result instanceof Error)) this.#stopResting();
    this.#came(result);
  }

  async #connect(): Promise<pg.PoolClient | Error> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      return error as Error;
    }
  }

  #came(result: pg.PoolClient | Error): void {
    if (result instanceof Error) this.#failed(result);
    else this.#give(result);
  }

  #failed(cause: Error): void {
    this.#failure = cause;
    this.#rest();
    // Others may still be of use.
    if (this.#established + this.#fresh > 0) this.#serve();
    else this.#refuse(new DatabaseUnavailable('No connection to the database', { cause }));
  }

  /** No attempt for a while, longer each time. */
  #rest(): void {
    if (this.#pool.ending) return;
    this.#pauseMs = Math.min(this.#pauseMs * 2 || PAUSE.first, PAUSE.longest);
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#serve();
    }, this.#pauseMs);
  }

  #stopResting(): void {
    this.#failure = undefined;
    this.#pauseMs = 0;
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #give(client: pg.PoolClient): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.release(client, false);
      return;
    }
    this.#waiting.delete(first);
    clearTimeout(first.timer);
    first.resolve(client);
    this.#serve();
  }

  #refuse(error: Error): void {
    for (const { timer, reject } of this.#waiting) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}

/** pg would take its leave politely and wait for a server that may never answer. */
export function hangUp(client: pg.ClientBase): void {
  streamOf(client).destroy();
}

/** Its socket, which pg does not show. */
export function streamOf(client: pg.ClientBase): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}
