import { setTimeout } from 'node:timers/promises';
import { NUMBER_TEXT, parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import type { End, OpenGroup } from './client.ts';

/** Those of Yoga's server: Ringdown's documents, as far as it has their fields. */

const SEND = `mutation SendSignal($to: ID!, $signal: SignalInput!) {
  sendSignal(to: $to, signal: $signal) {
    __typename
    at
  }
}`;
const EVENTS = `subscription Signals($user: ID!) {
  signals(user: $user) {
    __typename
    from
    to
    at
    signal {
      __typename
      ... on Offer {
        sdp
        generation
      }
      ... on IceCandidates {
        items {
          candidate
          sdpMid
          sdpMLineIndex
          usernameFragment
        }
        generation
      }
    }
  }
}`;

/** Milliseconds. */
const SUBSCRIBED_AFTER = 200;

export const openYogaGroup: OpenGroup = (urls, name, size) =>
  Promise.all(
    Array.from({ length: size }, async (_, place): Promise<End> => {
      const url = `${urls[place % urls.length]}/graphql`;
      const socket = await LoadSocket.open(url, 'graphql-transport-ws');
      const user = `${name}-${place}`;
      socket.sendText(JSON.stringify({ type: 'connection_init', payload: { user } }));
      await socket.message('"connection_ack"');
      const payload = { query: EVENTS, variables: { user } };
      socket.sendText(JSON.stringify({ id: 'events', type: 'subscribe', payload }));
      // Nothing says that it is live.
      await setTimeout(SUBSCRIBED_AFTER);
      return {
        socket,
        message: (payload, to) =>
          parts({
            id: NUMBER_TEXT,
            type: 'subscribe',
            payload: {
              query: SEND,
              variables: { to: `${name}-${to}`, signal: payload.signal(place) },
            },
          }),
        read(message) {
          if (message.includes('"SignalReceived"')) return 'signal';
          if (message.includes('"SendSignalSuccess"')) return 'accepted';
          if (message.includes('"type":"complete"')) return 'neither';
          throw new Error(`Not what was expected: ${message}`);
        },
      };
    }),
  );
