import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { SignJWT } from 'jose';
import { WebSocket } from 'ws';
import { type End, mark } from './load.ts';

/**
 * Pairs of clients for the load, of Ringdown and of the relay. They speak by hand, in ready-made strings, so
 * that the load generator costs less than the server. Both send the very same frames.
 */

const SECRET = randomBytes(48).toString('base64');
const ISSUER = 'https://bench.test';
const AUDIENCE = 'ringdown-bench';
/** The identity settings that the tokens here fit. */
export const IDENTITY = { JWT_SECRET: SECRET, JWT_ISSUER: ISSUER, JWT_AUDIENCE: AUDIENCE };

/** Opens a pair of its own name: the first end on the first instance, the second on the second. */
export type OpenPair = (urls: readonly [string, string], name: string) => Promise<readonly [End, End]>;

/** What an app asks for; each text stays the same, as it does in an app. */
const PUT =
  'mutation Put($id: ID!, $memberIds: [ID!]!) { putConversation(id: $id, memberIds: $memberIds) { id } }';
const CALL = 'call { id participants { userId joinSeq } }';
const INITIATE = `mutation Initiate($input: InitiateCallInput!) {
  initiateCall(input: $input) { ... on InitiateCallSuccess { ${CALL} } ... on Rejection { code } }
}`;
const JOIN = `mutation Join($input: JoinCallInput!) {
  joinCall(input: $input) { ... on JoinCallSuccess { ${CALL} } ... on Rejection { code } }
}`;
const SEND = `mutation Send($input: SendSignalInput!) {
  sendSignal(input: $input) { __typename ... on Rejection { code message retryAfterMs } }
}`;
const EVENTS = `subscription Events($callId: ID!, $sessionId: ID!, $after: Cursor) {
  callEvents(callId: $callId, sessionId: $sessionId, after: $after) {
    __typename
    cursor
    ... on SignalReceived {
      from
      fromJoinSeq
      signal {
        __typename
        ... on Offer { sdp generation }
        ... on Answer { sdp generation }
        ... on IceCandidates { items { candidate sdpMid sdpMLineIndex usernameFragment } generation }
        ... on Renegotiate { iceRestart }
      }
    }
    ... on CallSnapshot { recovered call { ...CallParts } }
    ... on CallChanged { call { ...CallParts } }
    ... on CallEnded { call { ...CallParts } }
    ... on ParticipantChanged { version participant { ...ParticipantParts } }
  }
}
fragment CallParts on Call { id status version endReason participants { ...ParticipantParts } }
fragment ParticipantParts on Participant { userId status sessionId joinSeq media { muted videoOn screenOn } }`;

/** Candidates of a signal, beside the first: with these a frame has about 1 KB. */
const MORE_CANDIDATES = [
  candidate('a 1 udp 2122194687 192.168.17.4 51472 typ host generation 0 network-id 2'),
  candidate('b 1 udp 1685987071 203.0.113.77 51472 typ srflx raddr 192.168.17.4 rport 51472 generation 0'),
].join();

function candidate(text: string): string {
  return `{"candidate":"candidate:${text}","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"kQ3x"}`;
}

interface Address {
  readonly callId: string;
  readonly sessionId: string;
  readonly to: string;
  readonly toJoinSeq: number;
}

/** Makes the frames of a session's signals: `clientSeq` counts, all else stays. */
function frames({ callId, sessionId, to, toJoinSeq }: Address): (n: number) => string {
  const query = JSON.stringify(SEND);
  const start = `","type":"subscribe","payload":{"query":${query},"variables":{"input":{"callId":"${callId}","sessionId":"${sessionId}","to":"${to}","toJoinSeq":${toJoinSeq},"clientSeq":`;
  const [head, tail] = candidate('\n2122260223 192.168.17.4 60769 typ host generation 0 network-id 1').split(
    'candidate:\n',
  ) as [string, string];
  const middle = `,"signal":{"candidates":{"items":[${head}`;
  const end = `${tail},${MORE_CANDIDATES}],"generation":1}}}}}}`;
  return (n) => `{"id":"${n}${start}${n}${middle}${mark(n)}1 udp ${end}`;
}

/** A caller and a callee in a call of their own. */
export const ringdownPair: OpenPair = async (urls, name) => {
  const users = [`${name}-caller`, `${name}-callee`] as const;
  const [service, ...tokens] = await Promise.all([
    tokenFor('back-end', 'service'),
    ...users.map((user) => tokenFor(user)),
  ]);
  await request(urls[0], service, PUT, { id: name, memberIds: users });
  const [sessionId, peerSessionId] = [`${name}-session-1`, `${name}-session-2`] as const;
  const initiated = await request(urls[0], tokens[0]!, INITIATE, {
    input: { conversationId: name, calleeIds: [users[1]], type: 'VIDEO', sessionId },
  });
  const callId = initiated.call.id;
  const { call } = await request(urls[1], tokens[1]!, JOIN, { input: { callId, sessionId: peerSessionId } });
  const joinSeq = (user: string) => call.participants.find(({ userId }) => userId === user)!.joinSeq;
  const ends = [
    { url: urls[0], token: tokens[0]!, callId, sessionId, to: users[1], toJoinSeq: joinSeq(users[1]) },
    {
      url: urls[1],
      token: tokens[1]!,
      callId,
      sessionId: peerSessionId,
      to: users[0],
      toJoinSeq: joinSeq(users[0]),
    },
  ] as const;
  return [await ringdownEnd(ends[0]), await ringdownEnd(ends[1])];
};

async function ringdownEnd(end: Address & { url: string; token: string }): Promise<End> {
  const socket = connect(`${end.url}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  socket.send(`{"type":"connection_init","payload":{"authorization":"Bearer ${end.token}"}}`);
  await message(socket, '"connection_ack"');
  const { callId, sessionId } = end;
  const payload = { query: EVENTS, variables: { callId, sessionId } };
  socket.send(JSON.stringify({ id: 'events', type: 'subscribe', payload }));
  await message(socket, '"CallSnapshot"');
  return { socket, frame: frames(end), read: readRingdown };
}

/** By how graphql-ws writes its messages: `{"id":"…","type":"…","payload":…}`. */
function readRingdown(message: Buffer): 'accepted' | 'signal' | 'neither' {
  if (message.includes('{"id":"events"')) {
    if (message.includes('"SignalReceived"')) return 'signal';
    if (message.includes('"type":"next"') && !message.includes('"CallEnded"')) return 'neither';
  } else {
    if (message.includes('"SendSignalSuccess"')) return 'accepted';
    if (message.includes('"type":"complete"')) return 'neither';
  }
  throw new Error(`Not what was expected: ${message}`);
}

/** Two in a room of their own. */
export const relayPair: OpenPair = async (urls, name) => {
  const end = async (index: 0 | 1): Promise<End> => {
    const socket = connect(`${urls[index]}/${name}`);
    await message(socket, 'joined');
    // As long as Ringdown's: a UUID, and names that differ in one letter.
    const names = {
      sessionId: `${name}-session-${index + 1}`,
      to: `${name}-${index === 0 ? 'callee' : 'caller'}`,
    };
    return {
      socket,
      frame: frames({ callId: crypto.randomUUID(), ...names, toJoinSeq: 1 }),
      read: () => 'signal',
    };
  };
  return [await end(0), await end(1)];
};

function connect(url: string, protocol: string[] | string = []): WebSocket {
  return new WebSocket(url.replace(/^http/, 'ws'), protocol, {
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
}

/** Resolves with the next message that has `text` in it; rejects where the socket is closed first. */
function message(socket: WebSocket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = (code: number) => reject(new Error(`Closed with ${code} before ${text}`));
    const hear = (data: Buffer) => {
      if (!data.includes(text)) return;
      socket.off('message', hear).off('close', closed);
      resolve();
    };
    socket.on('message', hear).on('close', closed);
  });
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
