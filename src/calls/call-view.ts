/**
 * A call as participants see it: what GraphQL's `Call` and `Participant` resolve from, and what stands in
 * an event's payload, as of that event's version. Instants are milliseconds since the epoch.
 */

export type CallType = 'AUDIO' | 'VIDEO';
export type CallStatus = 'RINGING' | 'ACTIVE' | 'ENDED';
export type CallEndReason =
  | 'HANGUP'
  | 'ENDED_BY_HOST'
  | 'CANCELLED'
  | 'DECLINED'
  | 'NO_ANSWER'
  | 'CONNECTION_LOST'
  | 'MAX_DURATION'
  | 'ALONE'
  | 'TERMINATED';
export type ParticipantRole = 'HOST' | 'GUEST';
export type ParticipantStatus =
  | 'RINGING'
  | 'CONNECTING'
  | 'CONNECTED'
  | 'RECONNECTING'
  | 'LEFT'
  | 'DECLINED'
  | 'MISSED';
export type LeaveReason =
  | 'HANGUP'
  | 'DISCONNECTED'
  | 'NEVER_CONNECTED'
  | 'REMOVED'
  | 'REPLACED'
  | 'MEMBERSHIP_LOST'
  | 'CALL_ENDED';

export interface MediaState {
  readonly muted: boolean;
  readonly videoOn: boolean;
  readonly screenOn: boolean;
}

export interface ParticipantView {
  readonly id: string;
  readonly userId: string;
  readonly role: ParticipantRole;
  readonly status: ParticipantStatus;
  /** Their ring is heard by none of their devices. Only where rings are told; no field of the schema has it. */
  readonly silenced?: true;
  readonly sessionId: string | null;
  readonly joinSeq: number | null;
  readonly media: MediaState;
  readonly invitedAt: number;
  readonly ringDeadline: number | null;
  readonly declinedBusy: boolean;
  readonly joinedAt: number | null;
  readonly leftAt: number | null;
  readonly leaveReason: LeaveReason | null;
}

export interface CallView {
  readonly id: string;
  readonly conversationId: string;
  readonly type: CallType;
  readonly status: CallStatus;
  readonly version: number;
  readonly callerId: string;
  readonly participants: readonly ParticipantView[];
  readonly createdAt: number;
  readonly answeredAt: number | null;
  readonly expiresAt: number;
  readonly endedAt: number | null;
  readonly endReason: CallEndReason | null;
  readonly endedBy: string | null;
  readonly durationSeconds: number | null;
}

/** What a change of state tells the participants; the contract's CallEvent types of the same names. */
export type StateEvent =
  | {
      readonly __typename: 'ParticipantChanged';
      readonly participant: ParticipantView;
      readonly version: number;
    }
  | { readonly __typename: 'CallChanged'; readonly call: CallView }
  | { readonly __typename: 'CallExpiring'; readonly expiresAt: number }
  | { readonly __typename: 'CallEnded'; readonly call: CallView };
