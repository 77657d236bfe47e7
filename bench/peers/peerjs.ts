import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PeerServer } from 'peer';

/** The PeerJS server as its documentation starts it from code. Prints its URL when it is ready. */

PeerServer({ host: '127.0.0.1', port: 0, path: '/' }, (server) => {
  const { port } = (server as Server).address() as AddressInfo;
  process.stdout.write(`ready at http://127.0.0.1:${port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
