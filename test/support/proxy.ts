import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

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
  allow(): void;
  /** From the next connection on. */
  target(url: string): void;
  close(): Promise<void>;
}

export async function startProxy(url: string): Promise<NetworkProxy> {
  let target = new URL(url);
  let refusing = false;
  let connections = 0;
  const pairs = new Set<readonly [Socket, Socket]>();

  const server = createServer((client) => {
    if (refusing) {
      client.resetAndDestroy();
      return;
    }
    connections += 1;
    const upstream = connect(Number(target.port), target.hostname);
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        pairs.delete(pair);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  function cut(): void {
    for (const [client, upstream] of pairs) {
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
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream);
        upstream.unpipe(client);
        client.pause();
        upstream.pause();
      }
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
