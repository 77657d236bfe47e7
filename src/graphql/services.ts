import type { Viewer } from '../auth/viewer.ts';
import type { CallStatus, CallType, CallView, StateEvent } from '../calls/call-view.ts';
import type { Rejection } from '../errors.ts';
import type { CallOutcome } from '../history/history-rules.ts';
import type { DeadLetter } from '../notifications/notice-queue.ts';
import type { LinkQuality, QualityReport } from '../quality/quality-report.ts';
import type { Signal } from '../signals/signal.ts';

/**
 * What the schema asks of the services: the whole surface between GraphQL and the rest. `*.schema.ts`
 * files map arguments and results and decide nothing.
 */

/** A success, or the rule that said no. */
export type Result<T> = T | { readonly rejection: Rejection };

export interface InitiateCallInput {
  readonly conversationId: string;
  readonly calleeIds: readonly string[];
  readonly type: CallType;
  readonly sessionId: string;
  readonly ringTimeoutSeconds: number | null;
  readonly idempotencyKey: string | null;
}
export interface JoinCallInput {
  readonly callId: string;
  readonly sessionId: string;
  readonly takeOver: boolean;
}
export interface MediaChange {
  readonly muted: boolean | null;
  readonly videoOn: boolean | null;
  readonly screenOn: boolean | null;
}
export interface CallFilter {
  readonly conversationId: string | null;
  readonly statuses: readonly CallStatus[] | null;
  readonly missed: boolean | null;
  readonly outgoing: boolean | null;
  readonly createdFrom: number | null;
  readonly createdBefore: number | null;
}
/** Relay's arguments; the service refuses what does not go together (a GraphQL error, BAD_USER_INPUT). */
export interface PageArgs {
  readonly first: number | null;
  readonly after: string | null;
  readonly last: number | null;
  readonly before: string | null;
}
/** `Edge`: what an edge has beside its cursor and its node. */
export interface Connection<T, Edge extends object = object> {
  readonly edges: readonly ({ readonly cursor: string; readonly node: T } & Edge)[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}
/** What a call was to one of those who were asked to it. */
export interface HistoryEdge {
  readonly outcome: CallOutcome;
  readonly outgoing: boolean;
  readonly missedAt: number | null;
  readonly seen: boolean;
}
export interface TimelineEntry {
  readonly at: number;
  readonly kind: string;
  readonly actorId: string | null;
  readonly subjectId: string | null;
  readonly detail: string;
  /** Of signals alone: how many, and when the last of them came. */
  readonly count: number | null;
  readonly until: number | null;
  readonly quality: Omit<LinkQuality, 'userId'> | null;
}

export interface CallService {
  initiateCall(
    viewer: Viewer,
    input: InitiateCallInput,
  ): Promise<Result<{ call: CallView; cursor: string; joinedExisting: boolean }>>;
  joinCall(
    viewer: Viewer,
    input: JoinCallInput,
  ): Promise<Result<{ call: CallView; cursor: string; rejoined: boolean }>>;
  declineCall(viewer: Viewer, callId: string, busy: boolean): Promise<Result<{ call: CallView }>>;
  leaveCall(viewer: Viewer, callId: string, sessionId: string): Promise<Result<{ call: CallView }>>;
  endCall(viewer: Viewer, callId: string): Promise<Result<{ call: CallView }>>;
  inviteToCall(
    viewer: Viewer,
    callId: string,
    userIds: readonly string[],
  ): Promise<Result<{ call: CallView }>>;
  removeParticipant(viewer: Viewer, callId: string, userId: string): Promise<Result<{ call: CallView }>>;
  muteParticipant(viewer: Viewer, callId: string, userId: string): Promise<Result<{ call: CallView }>>;
  setMediaState(
    viewer: Viewer,
    callId: string,
    sessionId: string,
    change: MediaChange,
  ): Promise<Result<{ call: CallView }>>;
  /** Scope `admin` is the schema's to check. */
  terminateCall(viewer: Viewer, callId: string): Promise<Result<{ call: CallView }>>;

  /** Null for whoever was not invited, as for no such call. */
  call(viewer: Viewer, id: string): Promise<CallView | null>;
  activeCalls(viewer: Viewer): Promise<readonly CallView[]>;
}

export interface HistoryService {
  calls(
    viewer: Viewer,
    page: PageArgs,
    filter: CallFilter | null,
  ): Promise<Connection<CallView, HistoryEdge>>;
  /** Not seen yet, counted up to 100. */
  missedCallCount(viewer: Viewer): Promise<number>;
  /** `through` null: up to now. */
  markMissedCallsSeen(viewer: Viewer, through: number | null): Promise<void>;
}

export interface TimelineService {
  /** Whoever was given the call may read it. */
  timeline(
    viewer: Viewer,
    callId: string,
    page: { first: number; after: string | null },
  ): Promise<Connection<TimelineEntry>>;
}

export interface QualityService {
  reportCallQuality(
    viewer: Viewer,
    report: QualityReport,
  ): Promise<Result<{ readonly at: number; readonly duplicate: boolean }>>;
}

/** A place in the order in which a socket's signals arrived; see http/arrival-order.ts. */
export interface Turn {
  /** Null where it is this one's turn already: nothing to wait for. */
  readonly ready: Promise<void> | null;
  /** Lets the next one go. Harmless when called again. */
  done(): void;
}
/** A signal as the client sent it: exactly one of them is set; not validated yet. */
export interface SignalInput {
  readonly offer?: { sdp: string; generation: number } | null;
  readonly answer?: { sdp: string; generation: number } | null;
  readonly candidates?: {
    items: readonly {
      candidate: string;
      sdpMid?: string | null;
      sdpMLineIndex?: number | null;
      usernameFragment?: string | null;
    }[];
    generation: number;
  } | null;
  readonly renegotiate?: { iceRestart: boolean } | null;
}
export interface SendSignalInput {
  readonly callId: string;
  readonly sessionId: string;
  readonly to: string | null;
  readonly toJoinSeq: number | null;
  readonly clientSeq: number;
  readonly signal: SignalInput;
}
export interface SignalService {
  sendSignal(
    viewer: Viewer,
    input: SendSignalInput,
    turn: Turn | null,
  ): Promise<Result<{ at: number; duplicate: boolean }>>;
}

export interface ConversationView {
  readonly id: string;
  readonly memberIds: readonly string[];
  readonly version: number;
}
/** Scope `service` is the schema's to check. Malformed input throws a BAD_USER_INPUT error. */
export interface ConversationService {
  put(id: string, memberIds: readonly string[], version: number | null): Promise<ConversationView>;
  addMembers(id: string, userIds: readonly string[]): Promise<ConversationView>;
  removeMembers(id: string, userIds: readonly string[]): Promise<ConversationView>;
  /** False where there was none. */
  delete(id: string): Promise<boolean>;
}

/** A block or a mute holds for rings that begin after it. Scope `service`, for blocks, is the schema's to check. */
export interface SilenceService {
  /** Who is blocked by the user after it. Malformed input throws a BAD_USER_INPUT error. */
  block(userId: string, blockedIds: readonly string[]): Promise<readonly string[]>;
  unblock(userId: string, blockedIds: readonly string[]): Promise<readonly string[]>;
  blocked(userId: string): Promise<readonly string[]>;
  setMuted(
    viewer: Viewer,
    conversationId: string,
    muted: boolean,
  ): Promise<Result<{ conversationId: string; muted: boolean }>>;
  mutedConversations(viewer: Viewer): Promise<readonly string[]>;
}

/** A browser's push subscription (PushSubscription.toJSON()). All three are secrets. */
export interface WebPushSubscription {
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
}
export interface DeviceView {
  readonly id: string;
  readonly name: string | null;
  readonly createdAt: number;
  readonly registeredAt: number;
}
export interface DeviceService {
  /** For PushManager.subscribe(); null: web push is off. */
  readonly webPushKey: string | null;
  register(
    viewer: Viewer,
    input: { readonly name: string | null; readonly webPush: WebPushSubscription },
  ): Promise<Result<{ device: DeviceView }>>;
  /** False where there was none. */
  unregister(viewer: Viewer, id: string): Promise<boolean>;
  devices(viewer: Viewer): Promise<readonly DeviceView[]>;
}

export interface IceServer {
  readonly urls: readonly string[];
  readonly username: string | null;
  readonly credential: string | null;
}
export interface IceServerService {
  iceServers(
    viewer: Viewer,
    callId: string,
  ): Promise<Result<{ servers: readonly IceServer[]; refreshAt: number }>>;
}

/** What every event of callEvents carries. */
export interface EventPlace {
  readonly cursor: string;
  readonly callId: string;
  readonly at: number;
}
export type CallEvent = EventPlace &
  (
    | StateEvent
    | { readonly __typename: 'CallSnapshot'; readonly call: CallView; readonly recovered: boolean }
    | {
        readonly __typename: 'SignalReceived';
        readonly from: string;
        readonly fromJoinSeq: number;
        readonly to: string | null;
        readonly signal: Signal;
        /** `signal` as JSON, laid out as `SIGNAL_LAYOUT` says. */
        readonly signalJson: string;
      }
    | { readonly __typename: 'SignalingDegraded'; readonly reason: string }
    | { readonly __typename: 'SignalingRestored' }
  );

export type RingStopReason =
  | 'ANSWERED_ELSEWHERE'
  | 'DECLINED_ELSEWHERE'
  | 'CANCELLED'
  | 'NO_ANSWER'
  | 'ENDED';
export type IncomingCallEvent =
  | { readonly __typename: 'IncomingSnapshot'; readonly calls: readonly CallView[]; readonly at: number }
  | { readonly __typename: 'CallRinging'; readonly call: CallView; readonly at: number }
  | {
      readonly __typename: 'RingStopped';
      readonly call: CallView;
      readonly at: number;
      readonly reason: RingStopReason;
    };

/** What a subscription knows of the socket that carries it. */
export interface SocketLink {
  /** Bytes written and not yet taken by the network. */
  unsentBytes(): number;
  /** Closes the socket with a code of errors.ts. */
  close(close: { readonly code: number; readonly reason: string }): void;
}
export interface SubscriptionService {
  /**
   * Throws a coded GraphQL error where it is refused. `socket` is null where the transport is not a
   * WebSocket: then it is always refused. The iterator's return() frees everything.
   */
  callEvents(
    viewer: Viewer,
    args: { callId: string; sessionId: string; after: string | null },
    socket: SocketLink | null,
  ): Promise<AsyncIterableIterator<CallEvent>>;
  incomingCalls(viewer: Viewer): Promise<AsyncIterableIterator<IncomingCallEvent>>;
}

/** Notifications that were given up. Scope `admin` is the schema's to check. */
export interface DeadLetterService {
  /** The oldest first. An `after` that is none of them is a GraphQL error, BAD_USER_INPUT. */
  deadLetters(page: { first: number; after: string | null }): Promise<readonly DeadLetter[]>;
  /** Null: all. How many are on their way again. */
  redeliver(ids: readonly string[] | null): Promise<number>;
}

export interface Services {
  readonly calls: CallService;
  readonly history: HistoryService;
  readonly timeline: TimelineService;
  readonly quality: QualityService;
  readonly signals: SignalService;
  readonly conversations: ConversationService;
  readonly silence: SilenceService;
  readonly devices: DeviceService;
  readonly iceServers: IceServerService;
  readonly deadLetters: DeadLetterService;
  readonly subscriptions: SubscriptionService;
}
