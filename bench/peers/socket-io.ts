import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

/**
 * socket.io as its documentation has private messages: each user is a room. Argument: the URL of Redis, and then with
 * its Redis adapter; without, on its own. Prints its URL when it is ready.
 */

const redisUrl = process.argv[2];
const http = createServer();
const io = new Server(http, { perMessageDeflate: false });
if (redisUrl !== undefined) {
  const publisher = new Redis(redisUrl);
  io.adapter(createAdapter(publisher, publisher.duplicate()));
}

io.on('connection', async (socket) => {
  const { user } = socket.handshake.auth;
  socket.on('signal', (to: string, signal: unknown) => {
    io.to(to).emit('signal', { from: user, signal });
  });
  await socket.join(user);
  socket.emit('ready');
});

http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready at http://127.0.0.1:${(http.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
