/** Everything that an app needs to make calls through a Ringdown server. Hooks for React: `@ringdown/client/react`. */

export { Call, type CallEvents } from './call.ts';
export type { CallOver, CallState, MediaSends, ParticipantState } from './call-state.ts';
export {
  type CallInfo,
  type JoinOptions,
  Ringdown,
  type RingdownEvents,
  type RingdownOptions,
  type StartOptions,
} from './client.ts';
export type { ConnectionState } from './connection.ts';
export { ConnectionError, RejectionError, RequestError, RingdownError } from './errors.ts';
export { Emitter } from './events.ts';
export type {
  CallEndReason,
  CallFilter,
  CallOutcome,
  CallStatus,
  CallType,
  IceCandidateType,
  LeaveReason,
  LinkOutcome,
  ParticipantRole,
  ParticipantStatus,
  RejectionCode,
  RingStopReason,
} from './generated/graphql.ts';
export type { HistoryEntry, HistoryOptions, HistoryPage, TimelineEntry } from './history.ts';
export { IncomingCall, type IncomingEvents } from './incoming.ts';
export type { LinkStats } from './links/link-stats.ts';
export type { LinkState, MediaSource } from './links/types.ts';
export * from './media/index.ts';
export type { PushOptions } from './push.ts';
