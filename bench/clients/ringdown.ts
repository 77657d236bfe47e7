import { randomBytes } from 'node:crypto';
import { SignJWT } from 'jose';
import documents from '../../src/graphql/sdk-documents.json' with { type: 'json' };
import { NUMBER, NUMBER_TEXT, type Payload, parts } from '../payloads.ts';
import { LoadSocket } from '../socket.ts';
import type { End, OpenGroup } from './client.ts';

/** Callers and callees of Ringdown. They send the documents of the SDK, letter by letter. */

const SECRET = randomBytes(48).toString('base64');
const ISSUER = 'https://bench.test';
const AUDIENCE = 'ringdown-bench';
/** The identity settings that the tokens here fit. */
export const IDENTITY = { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };

function documentOf(operation: string): string {
  const found = Object.values(documents).find((text) => new RegExp(`^\\s*\\w+ ${operation}\\b`).test(text));
  if (found === undefined) throw new Error(`The SDK has no ${operation}`);
  return found;
}

/** The application's back end says who may call whom. */
const PUT =
  'mutation Put($id: ID!, $memberIds: [ID!]!) { putConversation(id: $id, memberIds: $memberIds) { id } }';
const INITIATE = documentOf('InitiateCall');
const JOIN = documentOf('JoinCall');
const SEND = documentOf('SendSignal');
const EVENTS = documentOf('CallEvents');

/** So many in a call of their own: the first one rings all others, and they join one after the other. */
export const openRingdownGroup: OpenGroup = async (urls, name, size) => {
  const urlOf = (place: number) => urls[place % urls.length] as string;
  const users = Array.from({ length: size }, (_, place) => `${name}-user-${place}`);
  const tokens = await Promise.all(users.map((user) => tokenFor(user)));
  const sessionOf = (place: number) => `${name}-session-${place}`;
  await request(urls[0]!, await tokenFor('back-end', 'service'), PUT, { id: name, memberIds: users });
  const { call } = await request(urlOf(0), tokens[0]!, INITIATE, {
    input: {
      conversationId: name,
      calleeIds: users.slice(1),
      type: 'VIDEO',
      sessionId: sessionOf(0),
    },
  });
  const ends: End[] = [];
  /** Of each user, as the last join left it. */
  const joinSeqs = new Map<string, number>();
  const note = (participants: Success['call']['participants']) => {
    for (const { userId, joinSeq } of participants) joinSeqs.set(userId, joinSeq);
  };
  note(call.participants);
  for (let place = 0; place < size; place++) {
    const sessionId = sessionOf(place);
    if (place > 0) {
      const joined = await request(urlOf(place), tokens[place]!, JOIN, {
        input: { callId: call.id, sessionId },
      });
      note(joined.call.participants);
    }
    const socket = await openStream(urlOf(place), tokens[place]!, call.id, sessionId);
    const message = (payload: Payload, to: number) =>
      parts({
        id: NUMBER_TEXT,
        type: 'subscribe',
        payload: {
          query: SEND,
          variables: {
            input: {
              callId: call.id,
              sessionId,
              to: users[to],
              toJoinSeq: joinSeqs.get(users[to]!),
              clientSeq: NUMBER,
              signal: payload.signal(place),
            },
          },
        },
      });
    ends.push({ socket, message, read });
  }
  return ends;
};

async function openStream(
  url: string,
  token: string,
  callId: string,
  sessionId: string,
): Promise<LoadSocket> {
  const socket = await LoadSocket.open(`${url}/graphql`, 'graphql-transport-ws');
  socket.sendText(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await socket.message('"connection_ack"');
  const payload = { query: EVENTS, variables: { callId, sessionId } };
  socket.sendText(JSON.stringify({ id: 'events', type: 'subscribe', payload }));
  await socket.message('"CallSnapshot"');
  return socket;
}

/** By how graphql-ws writes its messages: `{"id":"…","type":"…","payload":…}`. */
export function read(message: Buffer): 'accepted' | 'signal' | 'neither' {
  if (message.includes('{"id":"events"')) {
    if (message.includes('"SignalReceived"')) return 'signal';
    if (message.includes('"type":"next"') && !message.includes('"CallEnded"')) return 'neither';
  } else {
    if (message.includes('"SendSignalSuccess"')) return 'accepted';
    if (message.includes('"type":"complete"')) return 'neither';
  }
  throw new Error(`Not what was expected: ${message}`);
}

interface Success {
  readonly call: {
    readonly id: string;
    readonly participants: readonly { readonly userId: string; readonly joinSeq: number }[];
  };
}

async function request(url: string, token: string, query: string, variables: object): Promise<Success> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const answer = (await response.json()) as { data?: Record<string, Success>; errors?: unknown };
  const [result] = Object.values(answer.data ?? {});
  if (answer.errors !== undefined || result === undefined || 'code' in result) {
    throw new Error(`Refused: ${JSON.stringify(answer)}`);
  }
  return result;
}

function tokenFor(userId: string, scope = ''): Promise<string> {
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(userId)
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
}
