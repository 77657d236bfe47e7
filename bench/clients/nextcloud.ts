import { parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import type { End, OpenGroup } from './client.ts';

/** Those of Nextcloud's signaling server: hello, a room, and messages to the session of another one there. */
export const nextcloudGroups =
  (backEndUrl: string): OpenGroup =>
  async (urls, name, size) => {
    const members = await Promise.all(
      Array.from({ length: size }, async (_, place) => {
        const url = urls[place % urls.length]!;
        const socket = await LoadSocket.open(`${url}/spreed`);
        const auth = { url: backEndUrl, params: { user: `${name}-${place}` } };
        socket.sendText(JSON.stringify({ id: '1', type: 'hello', hello: { version: '1.0', auth } }));
        const { hello } = JSON.parse(await socket.message('"hello"'));
        const room = { roomid: name, sessionid: `${name}-session-${place}` };
        socket.sendText(JSON.stringify({ id: '2', type: 'room', room }));
        await socket.message('"type":"room"');
        return { socket, sessionid: hello.sessionid as string };
      }),
    );
    return members.map(
      ({ socket, sessionid }, place): End => ({
        socket,
        message(payload, to) {
          const signal = payload.signal(place);
          const type = 'offer' in signal ? 'offer' : 'candidate';
          return parts({
            type: 'message',
            message: {
              recipient: { type: 'session', sessionid: members[to]!.sessionid },
              data: { type, roomType: 'video', from: sessionid, payload: signal },
            },
          });
        },
        read(message) {
          if (message.includes('"type":"message"')) return 'signal';
          // Who else has joined.
          if (message.includes('"type":"event"')) return 'neither';
          throw new Error(`Not what was expected: ${message}`);
        },
      }),
    );
  };
