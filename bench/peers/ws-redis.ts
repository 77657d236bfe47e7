import type { AddressInfo } from 'node:net';
import { Redis } from 'ioredis';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * The peer to measure against: a raw relay over `ws` and Redis Pub/Sub, a channel to each room. A socket's path is
 * its room and its name there; a message begins with the recipient's name and a blank. It checks nothing, keeps
 * nothing and acknowledges nothing. Argument: the URL of Redis. Prints its own when it is ready.
 */

const url = process.argv[2] as string;
const publisher = new Redis(url);
const subscriber = new Redis(url);
const rooms = new Map<string, Map<string, WebSocket>>();

subscriber.on('message', (room, message) => {
  const blank = message.indexOf(' ');
  rooms
    .get(room)
    ?.get(message.slice(0, blank))
    ?.send(message.slice(blank + 1));
});

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', async (socket, request) => {
  const [, room = '', name = ''] = (request.url as string).split('/');
  const members = rooms.get(room) ?? new Map<string, WebSocket>();
  rooms.set(room, members.set(name, socket));
  socket.on('message', (message) => void publisher.publish(room, message.toString()));
  socket.on('close', () => {
    members.delete(name);
    if (members.size > 0) return;
    rooms.delete(room);
    void subscriber.unsubscribe(room);
  });
  await subscriber.subscribe(room);
  socket.send('joined');
});
server.on('listening', () => {
  process.stdout.write(`ready at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
