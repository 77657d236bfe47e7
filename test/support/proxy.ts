import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** A TCP proxy between a client and a server: the network that can be cut. */
export interface NetworkProxy {
  /** `http://host:port` */
  readonly url: string;
  /** How many were let through so far. */
  readonly connections: number;
  /** Cuts what is open; what comes next is let through. */
  cut(): void;
  /** Cuts what is open, and refuses what comes until `allow`. */
  refuse(): void;
  /** Keeps what is open, and lets nothing through any more, in either direction: half-open. */
  freeze(): void;
  /** On what is open, what the client says goes through, and what the server says is lost. */
  loseReplies(): void;
  /** Each way takes so many milliseconds from now on. */
  delay(ms: number): void;
  allow(): void;
  /** From the next connection on. */
  target(url: string): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly upstream: Socket;
  /** On the way from the server. */
  readonly replies: Transform;
}

export async function startProxy(url: string): Promise<NetworkProxy> {
  let target = new URL(url);
  let refusing = false;
  let connections = 0;
  let latency = 0;
  const pairs = new Set<Pair>();

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    connections += 1;
    const upstream = connect(Number(target.port), target.hostname);
    const pair = { client, upstream, replies: late() };
    pairs.add(pair);
    for (const socket of [client, upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(late()).pipe(upstream).pipe(pair.replies).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  /** What came first goes first, also where it takes longer than what comes next. */
  function late(): Transform {
    let waiting = 0;
    let last: Promise<unknown> = Promise.resolve();
    return new Transform({
      transform(chunk, _encoding, taken) {
        if (latency === 0 && waiting === 0) return taken(null, chunk);
        waiting += 1;
        last = Promise.all([last, sleep(latency)]).then(() => {
          waiting -= 1;
          this.push(chunk);
        });
        taken();
      },
      flush: (done) => void last.then(() => done()),
    });
  }

  function cut(): void {
    for (const { client, upstream } of pairs) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  }

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    cut,
    refuse() {
      refusing = true;
      cut();
    },
    freeze() {
      for (const { client, upstream, replies } of pairs) {
        client.unpipe();
        upstream.unpipe();
        replies.unpipe();
        client.pause();
        upstream.pause();
      }
    },
    loseReplies() {
      for (const { replies } of pairs) {
        replies.unpipe();
        replies.resume();
      }
    },
    delay(ms) {
      latency = ms;
    },
    allow() {
      refusing = false;
    },
    target(other) {
      target = new URL(other);
    },
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
