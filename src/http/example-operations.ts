/** Operations that walk through a call, for GraphiQL's tabs. */

/** Who tries them out, and whom they may call. */
export interface ExampleUser {
  readonly id: string;
  readonly token: string;
  readonly conversationId: string;
  /** The other members of the conversation, at least one. */
  readonly others: readonly string[];
}

export interface Example {
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

const CALL = `fragment CallParts on Call {
  id
  type
  status
  version
  endReason
  participants { userId role status joinSeq leaveReason }
}`;
const REJECTED = '... on Rejection { code message retryAfterMs }';

export function exampleOperations({
  id,
  conversationId,
  others,
}: Omit<ExampleUser, 'token'>): readonly Example[] {
  const callId = 'the id that InitiateCall answered with, or that IncomingCalls shows';
  const sessionId = `${id}-1`;
  return [
    {
      query: `# Who am I, and which calls am I in?
query Viewer {
  viewer { id scopes activeCalls { ...CallParts } }
}

${CALL}
`,
      variables: {},
    },
    {
      query: `# Rings for you. Leave it running while somebody else starts a call.
subscription IncomingCalls {
  incomingCalls {
    __typename
    ... on IncomingSnapshot { calls { ...CallParts } }
    ... on CallRinging { call { ...CallParts } }
    ... on RingStopped { reason call { ...CallParts } }
  }
}

${CALL}
`,
      variables: {},
    },
    {
      query: `# Starts a call. Then open CallEvents: a seat without an event stream is soon lost.
mutation InitiateCall($input: InitiateCallInput!) {
  initiateCall(input: $input) {
    ... on InitiateCallSuccess { cursor joinedExisting call { ...CallParts } }
    ${REJECTED}
  }
}

${CALL}
`,
      variables: { input: { conversationId, calleeIds: others.slice(0, 1), type: 'VIDEO', sessionId } },
    },
    {
      query: `# Answers a call. Then open CallEvents: a seat without an event stream is soon lost.
mutation JoinCall($input: JoinCallInput!) {
  joinCall(input: $input) {
    ... on JoinCallSuccess { cursor rejoined call { ...CallParts } }
    ${REJECTED}
  }
}

${CALL}
`,
      variables: { input: { callId, sessionId } },
    },
    {
      query: `# Holds your seat, and shows what happens in the call: changes of state and signals, in order.
subscription CallEvents($callId: ID!, $sessionId: ID!, $after: Cursor) {
  callEvents(callId: $callId, sessionId: $sessionId, after: $after) {
    __typename
    cursor
    at
    ... on CallSnapshot { recovered call { ...CallParts } }
    ... on ParticipantChanged { version participant { userId status joinSeq leaveReason } }
    ... on CallChanged { call { ...CallParts } }
    ... on SignalReceived {
      from
      signal {
        __typename
        ... on Offer { sdp generation }
        ... on Answer { sdp generation }
        ... on IceCandidates { items { candidate sdpMid sdpMLineIndex } generation }
        ... on Renegotiate { iceRestart }
      }
    }
    ... on CallEnded { call { ...CallParts } }
  }
}

${CALL}
`,
      variables: { callId, sessionId },
    },
    {
      query: `# Reaches the others through their CallEvents. clientSeq: one more each time.
mutation SendSignal($input: SendSignalInput!) {
  sendSignal(input: $input) {
    ... on SendSignalSuccess { at duplicate }
    ${REJECTED}
  }
}
`,
      variables: {
        input: { callId, sessionId, clientSeq: 1, signal: { renegotiate: { iceRestart: false } } },
      },
    },
    {
      query: `# Hangs up. In a call of two it is over with that.
mutation LeaveCall($callId: ID!, $sessionId: ID!) {
  leaveCall(callId: $callId, sessionId: $sessionId) {
    ... on CallSuccess { call { ...CallParts } }
    ${REJECTED}
  }
}

${CALL}
`,
      variables: { callId, sessionId },
    },
    {
      query: `# Ends the call for everyone, and shows the record of it.
mutation EndCall($callId: ID!) {
  endCall(callId: $callId) {
    ... on CallSuccess {
      call { ...CallParts timeline { edges { node { at kind actorId subjectId detail } } } }
    }
    ${REJECTED}
  }
}

${CALL}
`,
      variables: { callId },
    },
  ];
}
