import { RawSocket } from './raw-socket.ts';

/** One request to a server, by either of its ways. */

export interface Payload {
  readonly query?: string | undefined;
  readonly variables?: object;
  readonly operationName?: string;
  readonly documentId?: string;
  readonly extensions?: object;
}

export interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { message: string; extensions: Record<string, unknown> }[];
}

export type Ask = (url: string, payload: Payload, token?: string) => Promise<Answer>;

export const overHttp: Ask = async (url, payload, token = 'ada') => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(payload),
  });
  return (await response.json()) as Answer;
};

/** On a socket of its own. A document that is named by its id has an empty text: graphql-ws wants one. */
export const overWebSocket: Ask = async (url, payload, token = 'ada') => {
  const socket = await RawSocket.open(url, token);
  try {
    socket.send({ id: '1', type: 'subscribe', payload: { query: '', ...payload } });
    return (await socket.answer('1')) as Answer;
  } finally {
    await socket.close();
  }
};

export const BOTH_WAYS: readonly (readonly [string, Ask])[] = [
  ['HTTP', overHttp],
  ['WebSocket', overWebSocket],
];
