import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * The peer to measure against: a raw relay over `ws` and Redis Pub/Sub. The path of a socket's URL is its
 * room and its channel; what it sends everyone else in the room gets. It checks nothing, keeps nothing and
 * acknowledges nothing. Argument: the URL of Redis. Prints its own when it is ready.
 */

/** Characters of the sender's id, which stands before each message in the channel. */
const ID_LENGTH = 36;

const url = process.argv[2] as string;
const publisher = new Redis(url);
const subscriber = new Redis(url);
const rooms = new Map<string, Map<string, WebSocket>>();

subscriber.on('message', (room, text) => {
  const from = text.slice(0, ID_LENGTH);
  const message = text.slice(ID_LENGTH);
  for (const [id, socket] of rooms.get(room) ?? []) if (id !== from) socket.send(message);
});

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', async (socket, request) => {
  const room = request.url as string;
  const id = randomUUID();
  const members = rooms.get(room) ?? new Map<string, WebSocket>();
  rooms.set(room, members.set(id, socket));
  socket.on('message', (message) => void publisher.publish(room, `${id}${message}`));
  socket.on('close', () => {
    members.delete(id);
    if (members.size === 0) {
      rooms.delete(room);
      void subscriber.unsubscribe(room);
    }
  });
  await subscriber.subscribe(room);
  socket.send('joined');
});
server.on('listening', () => {
  process.stdout.write(`ready at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
