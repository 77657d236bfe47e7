import { type Payload, parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import { always, type End, type OpenGroup } from './client.ts';

/** Those of the raw relays: the room and one's name in the path, the recipient's before the message. */
export const openRelayGroup: OpenGroup = (urls, room, size) =>
  Promise.all(
    Array.from({ length: size }, async (_, place): Promise<End> => {
      const socket = await LoadSocket.open(`${urls[place % urls.length]}/${room}/${place}`);
      await socket.message('joined');
      return {
        socket,
        message: (payload: Payload, to) => parts(payload.signal(place), `${to} `),
        read: always,
      };
    }),
  );
