import { parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import type { End, OpenGroup } from './client.ts';

/** Those of socket.io, in Engine.IO 4 over a WebSocket from the start: `42` before an event, `2` asks and `3` answers. */
export const openSocketIoGroup: OpenGroup = async (urls, name, size) => {
  const sockets = await Promise.all(
    Array.from({ length: size }, async (_, place) => {
      const socket = await LoadSocket.open(
        `${urls[place % urls.length]}/socket.io/?EIO=4&transport=websocket`,
      );
      await socket.message('0{');
      // Its user, as an app's `auth`: the server joins it to that user's room.
      socket.sendText(`40${JSON.stringify({ user: `${name}-${place}` })}`);
      await socket.message('42["ready"]');
      return socket;
    }),
  );
  return sockets.map(
    (socket, place): End => ({
      socket,
      message: (payload, to) => parts(['signal', `${name}-${to}`, payload.signal(place)], '42'),
      read(message) {
        if (message.length > 1) return 'signal';
        socket.sendText('3');
        return 'neither';
      },
    }),
  );
};
