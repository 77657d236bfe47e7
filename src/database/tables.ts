import type { ColumnType, Generated, JSONColumnType } from 'kysely';
import type { Fact, Invitation, SeatState, Silence } from '../calls/call.ts';
import type {
  CallEndReason,
  CallStatus,
  CallType,
  LeaveReason,
  ParticipantRole,
} from '../calls/call-view.ts';
import type { StateChange } from '../calls/changes.ts';
import type { LinkQuality } from '../quality/quality-report.ts';
import type { SignalCount } from '../timeline/signal-tally.ts';

/** The tables of migrations/, as Kysely sees them. Row types stop at the repositories. */
export interface Tables {
  conversations: ConversationTable;
  conversation_members: ConversationMemberTable;
  calls: CallTable;
  call_participants: CallParticipantTable;
  call_events: CallEventTable;
  call_history: CallHistoryTable;
  missed_calls_seen: MissedCallsSeenTable;
  call_signal_counts: CallSignalCountTable;
  call_quality_reports: CallQualityReportTable;
  initiations: InitiationTable;
  instances: InstanceTable;
  blocked_users: BlockedUserTable;
  devices: DeviceTable;
}

/** Read as a Date; written as a Date. */
type Instant = ColumnType<Date, Date, Date>;
type NullableInstant = ColumnType<Date | null, Date | null, Date | null>;

export interface ConversationTable {
  id: string;
  version: number;
  updated_at: Generated<Date>;
}

export interface ConversationMemberTable {
  conversation_id: string;
  user_id: string;
  muted: Generated<boolean>;
}

export interface CallTable {
  id: string;
  conversation_id: string;
  type: CallType;
  status: CallStatus;
  version: number;
  caller_id: string;
  is_group: boolean;
  next_join_seq: number;
  people_key: string | null;
  created_at: Instant;
  answered_at: NullableInstant;
  expires_at: Instant;
  warn_at: NullableInstant;
  alone_deadline: NullableInstant;
  ended_at: NullableInstant;
  end_reason: CallEndReason | null;
  ended_by: string | null;
  due_at: NullableInstant;
  /** False once its events were deleted for their age. */
  events_kept: Generated<boolean>;
}

export interface CallParticipantTable {
  call_id: string;
  user_id: string;
  role: ParticipantRole;
  invitation: Invitation;
  silence: Silence | null;
  invited_by: string;
  invited_at: Instant;
  ring_deadline: NullableInstant;
  declined_busy: boolean;
  session_id: string | null;
  joined_at: NullableInstant;
  left_at: NullableInstant;
  leave_reason: LeaveReason | null;
  seat: SeatState | null;
  join_seq: number | null;
  seat_deadline: NullableInstant;
  stream_id: string | null;
  instance_id: string | null;
  orphaned: boolean;
  muted: boolean;
  video_on: boolean;
  screen_on: boolean;
}

export interface CallEventTable {
  call_id: string;
  version: number;
  at: Instant;
  change: JSONColumnType<StateChange>;
  facts: JSONColumnType<Fact[]>;
  published: Generated<boolean>;
}

export interface CallHistoryTable {
  call_id: string;
  user_id: string;
  conversation_id: string;
  outgoing: boolean;
  missed_at: NullableInstant;
  missed: ColumnType<boolean, never, never>;
}

export interface MissedCallsSeenTable {
  user_id: string;
  through: Instant;
}

export interface CallSignalCountTable {
  call_id: string;
  stretch: string;
  started_at: Instant;
  counts: JSONColumnType<SignalCount[]>;
}

export interface CallQualityReportTable {
  call_id: string;
  user_id: string;
  report_id: string;
  at: Instant;
  links: JSONColumnType<LinkQuality[]>;
  rating: number | null;
}

export interface InitiationTable {
  caller_id: string;
  key: string;
  input_hash: string;
  call_id: string;
  joined_existing: boolean;
  created_at: Instant;
}

export interface InstanceTable {
  id: string;
  started_at: Generated<Date>;
  heartbeat_at: Generated<Date>;
  /** Since when its heartbeats have come without a silence. */
  awake_since: Generated<Date>;
  has_redis: boolean;
}

/** `user_id` is not rung by `blocked_id`. */
export interface BlockedUserTable {
  user_id: string;
  blocked_id: string;
  blocked_at: Generated<Date>;
}

/** A browser with a push subscription. `endpoint` and the keys are secrets. */
export interface DeviceTable {
  id: Generated<string>;
  user_id: string;
  name: string | null;
  endpoint: string;
  p256dh: string;
  auth: string;
  /** The application server key that the subscription was made for. */
  vapid_key: string;
  created_at: Generated<Date>;
  registered_at: Generated<Date>;
}
