import { tokenFor } from '../../test/support/app.ts';
import { ScaleSocket } from './socket.ts';

/** One call's life as three people live it, over and over: initiate, join, leave, end. */

const CALL = 'call { id version status participants { userId status joinSeq } }';
const INITIATE = `mutation Initiate($input: InitiateCallInput!) {
  initiateCall(input: $input) { __typename ... on InitiateCallSuccess { ${CALL} cursor } ... on Rejection { code } }
}`;
const JOIN = `mutation Join($input: JoinCallInput!) {
  joinCall(input: $input) { __typename ... on JoinCallSuccess { ${CALL} cursor } ... on Rejection { code } }
}`;
const LEAVE = `mutation Leave($callId: ID!, $sessionId: ID!) {
  leaveCall(callId: $callId, sessionId: $sessionId) { __typename ... on CallSuccess { ${CALL} } ... on Rejection { code } }
}`;
const END = `mutation End($callId: ID!) {
  endCall(callId: $callId) { __typename ... on CallSuccess { ${CALL} } ... on Rejection { code } }
}`;

export const COMMANDS_OF_A_LIFE = 4;

/** The group of one worker: its conversation and people, told from others' by the name. */
export interface Group {
  readonly conversationId: string;
  readonly userIds: readonly [string, string, string];
}

export function groupOf(name: string): Group {
  return { conversationId: `${name}-room`, userIds: [`${name}-a`, `${name}-b`, `${name}-c`] };
}

export interface Worker {
  /** One call from its start to its end; rejects where a command is refused. */
  live(): Promise<string>;
  close(): void;
}

export async function worker(url: string, { conversationId, userIds }: Group): Promise<Worker> {
  const [caller, callee] = await Promise.all(
    [userIds[0], userIds[1]].map(async (id) => ScaleSocket.open(url, await tokenFor(id, '', 3_600_000))),
  );
  const [session, peerSession] = [`${userIds[0]}-session`, `${userIds[1]}-session`];
  const initiate = {
    input: { conversationId, calleeIds: userIds.slice(1), type: 'VIDEO', sessionId: session },
  };
  return {
    async live() {
      const callId = idIn(await caller!.ask(INITIATE, initiate));
      idIn(await callee!.ask(JOIN, { input: { callId, sessionId: peerSession } }));
      idIn(await callee!.ask(LEAVE, { callId, sessionId: peerSession }));
      idIn(await caller!.ask(END, { callId }));
      return callId;
    },
    close() {
      caller!.close();
      callee!.close();
    },
  };
}

function idIn(answer: string): string {
  const id = /"call":\{"id":"([^"]+)"/.exec(answer)?.[1];
  if (id === undefined) throw new Error(`Refused: ${answer}`);
  return id;
}
