import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

/**
 * A raw relay over `ws` alone, in one process. A socket's path is its room and its name there; a message begins with
 * the recipient's name and a blank. It checks nothing, keeps nothing and acknowledges nothing. Prints its URL.
 */

const rooms = new Map<string, Map<string, WebSocket>>();

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket, request) => {
  const [, room = '', name = ''] = (request.url as string).split('/');
  const members = rooms.get(room) ?? new Map<string, WebSocket>();
  rooms.set(room, members.set(name, socket));
  socket.on('message', (message: Buffer) => {
    const blank = message.indexOf(' ');
    members.get(message.toString('latin1', 0, blank))?.send(message.subarray(blank + 1), { binary: false });
  });
  socket.on('close', () => {
    members.delete(name);
    if (members.size === 0) rooms.delete(room);
  });
  socket.send('joined');
});
server.on('listening', () => {
  process.stdout.write(`ready at http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
