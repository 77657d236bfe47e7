import { graphql } from './generated/index.ts';

/** The operations that an app would use. `npm run codegen` gives them their types. */

export const CallParts = graphql(`
  fragment CallParts on Call {
    id
    conversationId
    type
    status
    version
    callerId
    participants {
      ...ParticipantParts
    }
    createdAt
    answeredAt
    expiresAt
    endedAt
    endReason
    endedBy
    durationSeconds
  }
`);

export const ParticipantParts = graphql(`
  fragment ParticipantParts on Participant {
    id
    userId
    role
    status
    sessionId
    joinSeq
    media {
      muted
      videoOn
      screenOn
    }
    invitedAt
    ringDeadline
    declinedBusy
    joinedAt
    leftAt
    leaveReason
  }
`);

export const RejectionParts = graphql(`
  fragment RejectionParts on Rejection {
    code
    message
    retryAfterMs
  }
`);

export const CallResultParts = graphql(`
  fragment CallResultParts on CallResult {
    __typename
    ... on CallSuccess {
      call {
        ...CallParts
      }
    }
    ...RejectionParts
  }
`);

export const Viewer = graphql(`
  query Viewer {
    viewer {
      id
      scopes
      activeCalls {
        ...CallParts
      }
    }
  }
`);

export const GetCall = graphql(`
  query GetCall($id: ID!) {
    call(id: $id) {
      ...CallParts
    }
  }
`);

export const GetTimeline = graphql(`
  query GetTimeline($id: ID!, $first: Int! = 100, $after: String) {
    call(id: $id) {
      timeline(first: $first, after: $after) {
        edges {
          cursor
          node {
            at
            kind
            actorId
            subjectId
            detail
          }
        }
        pageInfo {
          ...PageParts
        }
      }
    }
  }
`);

/** All that a timeline has, which is much: so the page's size stands in the document. */
export const GetRecord = graphql(`
  query GetRecord($id: ID!) {
    call(id: $id) {
      timeline(first: 200) {
        edges {
          node {
            at
            kind
            actorId
            subjectId
            detail
            count
            until
            quality {
              outcome
              connectedAfterMs
              relayed
              localCandidate
              remoteCandidate
              lossPercent
              jitterMs
              roundTripMs
              reconnects
            }
          }
        }
      }
    }
  }
`);

export const PageParts = graphql(`
  fragment PageParts on PageInfo {
    hasNextPage
    hasPreviousPage
    startCursor
    endCursor
  }
`);

export const GetCalls = graphql(`
  query GetCalls($first: Int, $after: String, $last: Int, $before: String, $filter: CallFilter) {
    calls(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
      edges {
        cursor
        outcome
        outgoing
        missedAt
        seen
        node {
          ...CallParts
        }
      }
      pageInfo {
        ...PageParts
      }
    }
  }
`);

export const MarkMissedCallsSeen = graphql(`
  mutation MarkMissedCallsSeen($through: DateTime) {
    markMissedCallsSeen(through: $through) {
      missedCallCount
    }
  }
`);

export const GetMissedCallCount = graphql(`
  query GetMissedCallCount {
    viewer {
      missedCallCount
    }
  }
`);

export const ReportCallQuality = graphql(`
  mutation ReportCallQuality($input: ReportCallQualityInput!) {
    reportCallQuality(input: $input) {
      __typename
      ... on ReportCallQualitySuccess {
        at
        duplicate
      }
      ... on Rejection {
        ...RejectionParts
      }
    }
  }
`);

export const GetIceServers = graphql(`
  query GetIceServers($callId: ID!) {
    iceServers(callId: $callId) {
      __typename
      ... on IceServers {
        servers {
          urls
          username
          credential
        }
        refreshAt
      }
      ...RejectionParts
    }
  }
`);

export const InitiateCall = graphql(`
  mutation InitiateCall($input: InitiateCallInput!) {
    initiateCall(input: $input) {
      __typename
      ... on InitiateCallSuccess {
        call {
          ...CallParts
        }
        cursor
        joinedExisting
      }
      ...RejectionParts
    }
  }
`);

export const JoinCall = graphql(`
  mutation JoinCall($input: JoinCallInput!) {
    joinCall(input: $input) {
      __typename
      ... on JoinCallSuccess {
        call {
          ...CallParts
        }
        cursor
        rejoined
      }
      ...RejectionParts
    }
  }
`);

export const DeclineCall = graphql(`
  mutation DeclineCall($callId: ID!, $busy: Boolean! = false) {
    declineCall(callId: $callId, busy: $busy) {
      ...CallResultParts
    }
  }
`);

export const LeaveCall = graphql(`
  mutation LeaveCall($callId: ID!, $sessionId: ID!) {
    leaveCall(callId: $callId, sessionId: $sessionId) {
      ...CallResultParts
    }
  }
`);

export const EndCall = graphql(`
  mutation EndCall($callId: ID!) {
    endCall(callId: $callId) {
      ...CallResultParts
    }
  }
`);

export const InviteToCall = graphql(`
  mutation InviteToCall($callId: ID!, $userIds: [ID!]!) {
    inviteToCall(callId: $callId, userIds: $userIds) {
      ...CallResultParts
    }
  }
`);

export const RemoveParticipant = graphql(`
  mutation RemoveParticipant($callId: ID!, $userId: ID!) {
    removeParticipant(callId: $callId, userId: $userId) {
      ...CallResultParts
    }
  }
`);

export const MuteParticipant = graphql(`
  mutation MuteParticipant($callId: ID!, $userId: ID!) {
    muteParticipant(callId: $callId, userId: $userId) {
      ...CallResultParts
    }
  }
`);

export const SetMediaState = graphql(`
  mutation SetMediaState(
    $callId: ID!
    $sessionId: ID!
    $muted: Boolean
    $videoOn: Boolean
    $screenOn: Boolean
  ) {
    setMediaState(
      callId: $callId
      sessionId: $sessionId
      muted: $muted
      videoOn: $videoOn
      screenOn: $screenOn
    ) {
      ...CallResultParts
    }
  }
`);

export const SendSignal = graphql(`
  mutation SendSignal($input: SendSignalInput!) {
    sendSignal(input: $input) {
      __typename
      ... on SendSignalSuccess {
        at
        duplicate
      }
      ...RejectionParts
    }
  }
`);

export const PutConversation = graphql(`
  mutation PutConversation($id: ID!, $memberIds: [ID!]!, $version: Int) {
    putConversation(id: $id, memberIds: $memberIds, version: $version) {
      ...ConversationParts
    }
  }
`);

export const ConversationParts = graphql(`
  fragment ConversationParts on Conversation {
    id
    memberIds
    version
  }
`);

export const AddMembers = graphql(`
  mutation AddMembers($conversationId: ID!, $userIds: [ID!]!) {
    addMembers(conversationId: $conversationId, userIds: $userIds) {
      ...ConversationParts
    }
  }
`);

export const RemoveMembers = graphql(`
  mutation RemoveMembers($conversationId: ID!, $userIds: [ID!]!) {
    removeMembers(conversationId: $conversationId, userIds: $userIds) {
      ...ConversationParts
    }
  }
`);

export const DeleteConversation = graphql(`
  mutation DeleteConversation($id: ID!) {
    deleteConversation(id: $id)
  }
`);

export const TerminateCall = graphql(`
  mutation TerminateCall($callId: ID!) {
    terminateCall(callId: $callId) {
      ...CallResultParts
    }
  }
`);

export const DeadLetters = graphql(`
  query DeadLetters($first: Int, $after: ID) {
    deadLetters(first: $first, after: $after) {
      id
      channel
      receiver
      notificationId
      kind
      callId
      sequence
      at
      failedAt
      attempts
      error
    }
  }
`);

export const Redeliver = graphql(`
  mutation Redeliver($ids: [ID!]) {
    redeliver(ids: $ids)
  }
`);

export const CallEvents = graphql(`
  subscription CallEvents($callId: ID!, $sessionId: ID!, $after: Cursor) {
    callEvents(callId: $callId, sessionId: $sessionId, after: $after) {
      __typename
      cursor
      callId
      at
      ... on CallSnapshot {
        recovered
        call {
          ...CallParts
        }
      }
      ... on SignalReceived {
        from
        fromJoinSeq
        to
        signal {
          __typename
          ... on Offer {
            sdp
            generation
          }
          ... on Answer {
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
          ... on Renegotiate {
            iceRestart
          }
        }
      }
      ... on ParticipantChanged {
        version
        participant {
          ...ParticipantParts
        }
      }
      ... on CallChanged {
        call {
          ...CallParts
        }
      }
      ... on CallExpiring {
        expiresAt
      }
      ... on CallEnded {
        call {
          ...CallParts
        }
      }
      ... on SignalingDegraded {
        reason
      }
    }
  }
`);

export const IncomingCalls = graphql(`
  subscription IncomingCalls {
    incomingCalls {
      __typename
      ... on IncomingSnapshot {
        at
        calls {
          ...CallParts
        }
      }
      ... on CallRinging {
        at
        call {
          ...CallParts
        }
      }
      ... on RingStopped {
        at
        reason
        call {
          ...CallParts
        }
      }
    }
  }
`);

export const MuteConversation = graphql(`
  mutation MuteConversation($conversationId: ID!, $muted: Boolean! = true) {
    muteConversation(conversationId: $conversationId, muted: $muted) {
      __typename
      ... on MuteConversationSuccess {
        conversationId
        muted
      }
      ...RejectionParts
    }
  }
`);

export const MutedConversations = graphql(`
  query MutedConversations {
    mutedConversations
  }
`);

export const BlockUsers = graphql(`
  mutation BlockUsers($userId: ID!, $blockedIds: [ID!]!) {
    blockUsers(userId: $userId, blockedIds: $blockedIds) {
      userId
      blockedIds
    }
  }
`);

export const UnblockUsers = graphql(`
  mutation UnblockUsers($userId: ID!, $blockedIds: [ID!]!) {
    unblockUsers(userId: $userId, blockedIds: $blockedIds) {
      userId
      blockedIds
    }
  }
`);

export const BlockedUsers = graphql(`
  query BlockedUsers($userId: ID!) {
    blockedUsers(userId: $userId) {
      userId
      blockedIds
    }
  }
`);

export const RegisterDevice = graphql(`
  mutation RegisterDevice($input: RegisterDeviceInput!) {
    registerDevice(input: $input) {
      __typename
      ... on RegisterDeviceSuccess {
        device {
          id
          name
          createdAt
          registeredAt
        }
      }
      ...RejectionParts
    }
  }
`);

export const UnregisterDevice = graphql(`
  mutation UnregisterDevice($id: ID!) {
    unregisterDevice(id: $id)
  }
`);

export const Devices = graphql(`
  query Devices {
    webPushKey
    devices {
      id
      name
      createdAt
      registeredAt
    }
  }
`);
