import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JWK } from 'jose';

/** An issuer that publishes its keys (RFC 7517) on loopback. */
export interface KeyServer {
  readonly url: string;
  /** How often it was asked, for whatever path. */
  fetches: number;
  keys: JWK[];
  /** What it answers with; other than 200 is an issuer in trouble. */
  status: number;
  close(): Promise<void>;
}

export async function startKeyServer(keys: JWK[] = []): Promise<KeyServer> {
  const http = createServer((_, response) => {
    server.fetches++;
    response.writeHead(server.status, { connection: 'close' }).end(JSON.stringify({ keys: server.keys }));
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const server: KeyServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/jwks`,
    fetches: 0,
    keys,
    status: 200,
    close: () => new Promise((resolve) => void http.close(() => resolve())),
  };
  return server;
}
