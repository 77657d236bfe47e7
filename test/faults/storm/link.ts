import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * The network between two parties, as a TCP proxy that can be told to be bad. `tc netem` would be more real,
 * and is not in every kernel.
 */

export interface Target {
  readonly port: number;
  /** What its connections are known by. */
  readonly name: number;
}

export interface Condition {
  /** Milliseconds each way. */
  latency: number;
  /** Nothing passes, in either direction, not even an end: half-open. */
  frozen: boolean;
  /** The next COMMIT is lost with its connection, or the answer to it is. Back to null once it was. */
  loses: 'commit' | 'answer' | null;
}

/** As Postgres's simple protocol has it. */
const COMMIT = Buffer.from('commit\0');

type Piece = { readonly bytes: Buffer | null; readonly due: number };

interface Pair {
  readonly name: number;
  reset(): void;
  pump(): void;
}

export class Link {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #conditions = new Map<number, Condition>();
  readonly #targets: () => readonly Target[];

  private constructor(targets: () => readonly Target[]) {
    this.#targets = targets;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** `targets`: asked at each connection; the first one that takes it has it. */
  static async open(targets: () => readonly Target[]): Promise<Link> {
    const link = new Link(targets);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get size(): number {
    return this.#pairs.size;
  }

  condition(name: number): Condition {
    let condition = this.#conditions.get(name);
    if (!condition) {
      condition = { latency: 0, frozen: false, loses: null };
      this.#conditions.set(name, condition);
    }
    return condition;
  }

  thaw(name: number): void {
    this.condition(name).frozen = false;
    for (const pair of this.#pairs) pair.pump();
  }

  /** Resets the connections, all of them or those with one target. */
  cut(name?: number): void {
    for (const pair of this.#pairs) if (name === undefined || pair.name === name) pair.reset();
  }

  #accept(client: Socket): void {
    client.on('error', () => {});
    client.pause();
    const queue = [...this.#targets()];
    const tryNext = () => {
      const target = queue.shift();
      if (!target || client.destroyed) return void client.resetAndDestroy();
      const upstream = connect({ port: target.port, host: '127.0.0.1', noDelay: true });
      upstream.once('error', tryNext);
      upstream.once('connect', () => {
        upstream.off('error', tryNext);
        if (client.destroyed) upstream.destroy();
        else this.#join(client, upstream, target.name);
      });
    };
    tryNext();
  }

  #join(client: Socket, upstream: Socket, name: number): void {
    client.setNoDelay(true);
    const condition = this.condition(name);
    const reset = () => {
      if (!this.#pairs.delete(pair)) return;
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    };
    /** What was lost on the way is followed by the end of its connection. */
    let answersAreLost = false;
    const sees = (bytes: Buffer, toServer: boolean): boolean => {
      if (answersAreLost && !toServer) {
        reset();
        return false;
      }
      if (condition.loses === null || !toServer || !bytes.includes(COMMIT)) return true;
      if (condition.loses === 'answer') answersAreLost = true;
      else reset();
      const passes = condition.loses === 'answer';
      condition.loses = null;
      return passes;
    };
    const ways = [
      new Way(client, upstream, condition, (bytes) => sees(bytes, true)),
      new Way(upstream, client, condition, (bytes) => sees(bytes, false)),
    ];
    const pair: Pair = { name, reset, pump: () => ways.forEach((way) => void way.pump()) };
    this.#pairs.add(pair);
    for (const socket of [client, upstream]) {
      // An end is passed on in its turn; what ends without one was reset.
      socket.on('error', () => {
        if (!condition.frozen) reset();
      });
      socket.on('close', () => {
        if (client.closed && upstream.closed) this.#pairs.delete(pair);
      });
    }
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) pair.reset();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** One direction of a connection. */
class Way {
  readonly #to: Socket;
  readonly #condition: Condition;
  readonly #sees: (bytes: Buffer) => boolean;
  readonly #queue: Piece[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, condition: Condition, sees: (bytes: Buffer) => boolean) {
    this.#to = to;
    this.#condition = condition;
    this.#sees = sees;
    from.on('error', () => {});
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    from.resume();
  }

  #take(bytes: Buffer | null): void {
    this.#queue.push({ bytes, due: performance.now() + this.#condition.latency });
    this.pump();
  }

  pump(): void {
    for (;;) {
      const next = this.#queue[0];
      if (!next || this.#condition.frozen || this.#to.destroyed) return;
      const wait = next.due - performance.now();
      if (wait > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.pump();
        }, wait);
        return;
      }
      this.#queue.shift();
      if (next.bytes === null) this.#to.end();
      else if (this.#sees(next.bytes)) this.#to.write(next.bytes);
    }
  }
}
