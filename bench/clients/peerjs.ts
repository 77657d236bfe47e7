import { parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import { always, type End, type OpenGroup } from './client.ts';

/** Those of PeerJS: `CANDIDATE` and `OFFER` to an id. */
export const openPeerJsGroup: OpenGroup = (urls, name, size) =>
  Promise.all(
    Array.from({ length: size }, async (_, place): Promise<End> => {
      const id = `${name}-${place}`;
      const url = `${urls[place % urls.length]}/peerjs?key=peerjs&id=${id}&token=${id}&version=1.5.5`;
      const socket = await LoadSocket.open(url);
      await socket.message('"OPEN"');
      // As its client does, or it is let go after a minute.
      setInterval(() => socket.sendText('{"type":"HEARTBEAT"}'), 5_000).unref();
      return {
        socket,
        message(payload, to) {
          const signal = payload.signal(place);
          const type = 'offer' in signal ? 'OFFER' : 'CANDIDATE';
          const body = { ...signal, type: 'media', connectionId: `mc_${id}` };
          return parts({ type, payload: body, dst: `${name}-${to}` });
        },
        read: always,
      };
    }),
  );
