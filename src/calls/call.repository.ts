import { CompiledQuery, type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Tables } from '../database/tables.ts';
import { finish, together } from '../database/transaction.ts';
import { historyChanges } from '../history/history-rules.ts';
import type { Call, Fact, Participant, Silence } from './call.ts';
import type { StateChange } from './changes.ts';
import { nextDeadline } from './deadlines.ts';

/** The SQL of calls. Row types stop here; what needs the call row's lock takes a Transaction. */

export type Tx = Transaction<Tables>;
export type Db = Kysely<Tables>;

type CallRow = Selectable<Tables['calls']>;
type ParticipantRow = Selectable<Tables['call_participants']>;

export interface LockedCall {
  readonly call: Call;
  /** The database's time, after the lock was had. */
  readonly now: number;
  /** When the sweeper is to look at it, as stored. */
  readonly dueAt: number | null;
}

const isMember = sql<boolean>`exists (
  select from conversation_members m, calls c
  where c.id = call_participants.call_id and m.conversation_id = c.conversation_id
    and m.user_id = call_participants.user_id)`.as('member');
const databaseNow = sql<Date>`clock_timestamp()`.as('now');

/** What every command does is one text each, made once: Kysely would make it anew for each command. */
const LOCK = 'select * from calls where id = $1 for update';
const LOCK_WHERE_FREE = `${LOCK} skip locked`;
const PARTICIPANTS = `
  select p.*, m.user_id is not null as member, clock_timestamp() as now
  from call_participants p
    join calls c on c.id = p.call_id
    left join conversation_members m on m.conversation_id = c.conversation_id and m.user_id = p.user_id
  where p.call_id = $1 order by p.invited_at, p.user_id`;
const SILENCES = `
  select user_id as "userId", 'BLOCKED' as silence from blocked_users
    where blocked_id = $2 and user_id = any($3::text[])
  union all
  select user_id, 'MUTED' from conversation_members
    where conversation_id = $1 and user_id = any($3::text[]) and muted
  order by silence desc`;

interface SilenceRow {
  readonly userId: string;
  readonly silence: Silence;
}

/**
 * Locks the call's row, then reads its participants in a statement of their own: one statement for both
 * would see the participants as they were before it waited for the lock. They make one round trip.
 * `skipLocked`: null also where somebody else has the lock.
 */
export async function lockCall(tx: Tx, callId: string, skipLocked = false): Promise<LockedCall | null> {
  const lock = CompiledQuery.raw(skipLocked ? LOCK_WHERE_FREE : LOCK, [callId]);
  const [calls, participants] = (await together(tx, [lock, CompiledQuery.raw(PARTICIPANTS, [callId])])) as [
    CallRow[],
    (ParticipantRow & { member: boolean; now: Date })[],
  ];
  const row = calls[0];
  if (!row) return null;
  return {
    call: toCall(row, participants),
    now: participants[0]?.now.getTime() ?? 0,
    dueAt: ms(row.due_at),
  };
}

/** One call as it is, without a lock. */
export async function readCall(db: Db, callId: string): Promise<LockedCall | null> {
  const calls = await readCalls(db, [callId]);
  return calls[0] ?? null;
}

/** Several calls, in the order of the ids given; those that are not there are left out. */
export async function readCalls(db: Db, callIds: readonly string[]): Promise<LockedCall[]> {
  if (callIds.length === 0) return [];
  // One statement, so that a call and its participants are of the same moment.
  const rows = await db
    .selectFrom('calls')
    .innerJoin('call_participants', 'call_participants.call_id', 'calls.id')
    .select([
      sql<CallRow>`to_jsonb(calls)`.as('call'),
      sql<ParticipantRow>`to_jsonb(call_participants)`.as('participant'),
      isMember,
      databaseNow,
    ])
    .where('calls.id', '=', sql<string>`any(${callIds})`)
    .orderBy('call_participants.invited_at')
    .orderBy('call_participants.user_id')
    .execute();
  const byId = new Map<string, { row: CallRow; participants: (ParticipantRow & { member: boolean })[] }>();
  for (const { call, participant, member } of rows) {
    const known = byId.get(call.id) ?? { row: call, participants: [] };
    known.participants.push({ ...participant, member });
    byId.set(call.id, known);
  }
  const now = rows[0]?.now.getTime() ?? 0;
  return callIds.flatMap((id) => {
    const known = byId.get(id);
    return known ? [{ call: toCall(known.row, known.participants), now, dueAt: ms(known.row.due_at) }] : [];
  });
}

/** Which of the users are members of the conversation, now. */
export async function membersAmong(
  db: Db,
  conversationId: string,
  userIds: readonly string[],
): Promise<Set<string>> {
  const rows = await db
    .selectFrom('conversation_members')
    .select('user_id')
    .where('conversation_id', '=', conversationId)
    .where('user_id', '=', sql<string>`any(${[...userIds]})`)
    .execute();
  return new Set(rows.map((row) => row.user_id));
}

/** For which of the users a ring by the inviter in this conversation is silent, now. */
export async function silencesOf(
  db: Db,
  conversationId: string,
  inviterId: string,
  userIds: readonly string[],
): Promise<Map<string, Silence>> {
  const { rows } = await db.executeQuery<SilenceRow>(silencesQuery(conversationId, inviterId, userIds));
  return toSilences(rows);
}

function silencesQuery(
  conversationId: string,
  inviterId: string,
  userIds: readonly string[],
): CompiledQuery<SilenceRow> {
  return CompiledQuery.raw(SILENCES, [conversationId, inviterId, [...userIds]]) as CompiledQuery<SilenceRow>;
}

/** BLOCKED comes last, and says more. */
function toSilences(rows: readonly SilenceRow[]): Map<string, Silence> {
  return new Map(rows.map(({ userId, silence }) => [userId, silence]));
}

/** Saves what changed and the version's event, in one statement, and commits. */
export async function saveCall(
  tx: Tx,
  before: Call,
  after: Call,
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
): Promise<void> {
  const saved = savedValues(
    after,
    changedParticipants(before, after),
    event,
    historyRows(before, after, event.at),
  );
  await finish(tx, CompiledQuery.raw(SAVE, saved));
}

/**
 * Saves what the public does not see, so without a version or an event: which stream holds a seat, when the
 * sweeper is to look next. And commits.
 */
export async function saveQuietly(tx: Tx, before: Call, after: Call): Promise<void> {
  const changed = changedParticipants(before, after);
  await finish(tx, CompiledQuery.raw(SAVE_QUIETLY, [...callValues(after), rowsOf(after, changed)]));
}

/**
 * Inserts a new call; a unique violation on `calls_people` where a live call of the same people exists. `last`: and
 * commits.
 */
export async function insertCall(
  tx: Tx,
  call: Call,
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
  last: boolean,
): Promise<void> {
  const values = savedValues(call, call.participants, event, historyRows(null, call, event.at));
  const insert = CompiledQuery.raw(INSERT, values);
  await (last ? finish(tx, insert) : together(tx, [insert]));
}

/** What starting a call needs to know of the database, in one round trip. */
export interface InitiationFacts {
  /** The live call of these very people. */
  readonly existing: string | null;
  /** The database's time; null where there is no such conversation. */
  readonly now: number | null;
  /** Which of the users are members. */
  readonly members: ReadonlySet<string>;
  /** Of which callees the ring is silent. */
  readonly silences: ReadonlyMap<string, Silence>;
}

/** Locks the conversation against a change of its members at the same time: theirs waits, or ours sees it. */
export async function readForInitiation(
  tx: Tx,
  peopleKey: string,
  conversationId: string,
  callerId: string,
  calleeIds: readonly string[],
): Promise<InitiationFacts> {
  const [calls, conversations, members, silences] = (await together(tx, [
    CompiledQuery.raw('select id from calls where people_key = $1', [peopleKey]),
    CompiledQuery.raw('select clock_timestamp() as now from conversations where id = $1 for key share', [
      conversationId,
    ]),
    CompiledQuery.raw(
      'select user_id from conversation_members where conversation_id = $1 and user_id = any($2)',
      [conversationId, [callerId, ...calleeIds]],
    ),
    silencesQuery(conversationId, callerId, calleeIds),
  ])) as [{ id: string }[], { now: Date }[], { user_id: string }[], SilenceRow[]];
  return {
    existing: calls[0]?.id ?? null,
    now: conversations[0]?.now.getTime() ?? null,
    members: new Set(members.map((row) => row.user_id)),
    silences: toSilences(silences),
  };
}

/** Live calls in which something is due, the longest due first. */
export async function dueCalls(db: Db, limit: number): Promise<{ id: string; dueAt: number; now: number }[]> {
  const rows = await db
    .selectFrom('calls')
    .select(['id', 'due_at', databaseNow])
    .where('due_at', '<=', sql<Date>`now()`)
    .orderBy('due_at')
    .limit(limit)
    .execute();
  return rows.map((row) => ({
    id: row.id,
    dueAt: row.due_at?.getTime() ?? 0,
    now: row.now.getTime(),
  }));
}

/**
 * Deletes the events of calls that ended longer ago than `keptMs`, and what else their timeline has, of at most so
 * many calls. Calls that another instance is at are skipped. Returns how many it did.
 */
export async function forgetEvents(db: Db, keptMs: number, limit: number): Promise<number> {
  const { rows } = await sql`
    with old as (
      select id from calls
      where events_kept and ended_at < now() - ${keptMs}::int8 * interval '1 millisecond'
      order by ended_at limit ${limit} for update skip locked
    ), gone as (
      delete from call_events using old where call_events.call_id = old.id
    ), gone_counts as (
      delete from call_signal_counts using old where call_signal_counts.call_id = old.id
    ), gone_reports as (
      delete from call_quality_reports using old where call_quality_reports.call_id = old.id
    )
    update calls set events_kept = false from old where calls.id = old.id returning calls.id`.execute(db);
  return rows.length;
}

/** Which calls ring, and are heard, for which of the users, the oldest first; at most 100 for each. */
export async function ringsOf(
  db: Db,
  userIds: readonly string[],
): Promise<{ userId: string; callId: string }[]> {
  // The limit keeps the lateral join one look into the index of rings for each user, and that look is
  // without an order so that the planner does not take the index of all the calls that a user ever had.
  const { rows } = await sql<{ userId: string; callId: string }>`
    select asked.user_id as "userId", ring.call_id as "callId"
    from unnest(${[...userIds]}::text[]) as asked (user_id)
      cross join lateral (
        select call_id from call_participants
        where call_participants.user_id = asked.user_id and invitation = 'RINGING' and silence is null limit 100
      ) as ring
    order by ring.call_id`.execute(db);
  return rows;
}

/** Calls in which the user has a seat. */
export async function seatedCallIds(db: Db, userId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('call_participants')
    .select('call_id')
    .where('user_id', '=', userId)
    .where('seat', 'is not', null)
    .orderBy('call_id')
    .limit(100)
    .execute();
  return rows.map((row) => row.call_id);
}

// --- rows and state ---

const ms = (date: Date | string | null): number | null =>
  date === null ? null : date instanceof Date ? date.getTime() : Date.parse(date);
const date = (instant: number | null): Date | null => (instant === null ? null : new Date(instant));

function toCall(row: CallRow, participants: readonly (ParticipantRow & { member: boolean })[]): Call {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    type: row.type,
    status: row.status,
    version: row.version,
    callerId: row.caller_id,
    isGroup: row.is_group,
    createdAt: ms(row.created_at) as number,
    answeredAt: ms(row.answered_at),
    expiresAt: ms(row.expires_at) as number,
    warnAt: ms(row.warn_at),
    aloneDeadline: ms(row.alone_deadline),
    endedAt: ms(row.ended_at),
    endReason: row.end_reason,
    endedBy: row.ended_by,
    peopleKey: row.people_key,
    nextJoinSeq: row.next_join_seq,
    participants: participants.map(toParticipant),
  };
}

function toParticipant(row: ParticipantRow & { member: boolean }): Participant {
  return {
    userId: row.user_id,
    role: row.role,
    member: row.member,
    invitation: row.invitation,
    silence: row.silence,
    invitedBy: row.invited_by,
    invitedAt: ms(row.invited_at) as number,
    ringDeadline: ms(row.ring_deadline),
    declinedBusy: row.declined_busy,
    seat:
      row.seat === null
        ? null
        : {
            state: row.seat,
            joinSeq: row.join_seq as number,
            sessionId: row.session_id as string,
            deadline: ms(row.seat_deadline),
            streamId: row.stream_id,
            instanceId: row.instance_id,
            orphaned: row.orphaned,
          },
    lastSessionId: row.session_id,
    joinedAt: ms(row.joined_at),
    leftAt: ms(row.left_at),
    leaveReason: row.leave_reason,
    media: { muted: row.muted, videoOn: row.video_on, screenOn: row.screen_on },
  };
}

function callRow(call: Call) {
  return {
    id: call.id,
    conversation_id: call.conversationId,
    type: call.type,
    status: call.status,
    version: call.version,
    caller_id: call.callerId,
    is_group: call.isGroup,
    next_join_seq: call.nextJoinSeq,
    people_key: call.peopleKey,
    created_at: new Date(call.createdAt),
    answered_at: date(call.answeredAt),
    expires_at: new Date(call.expiresAt),
    warn_at: date(call.warnAt),
    alone_deadline: date(call.aloneDeadline),
    ended_at: date(call.endedAt),
    end_reason: call.endReason,
    ended_by: call.endedBy,
    due_at: date(nextDeadline(call)),
  };
}

function participantRow(callId: string, participant: Participant) {
  const { seat } = participant;
  return {
    call_id: callId,
    user_id: participant.userId,
    role: participant.role,
    invitation: participant.invitation,
    silence: participant.silence,
    invited_by: participant.invitedBy,
    invited_at: new Date(participant.invitedAt),
    ring_deadline: date(participant.ringDeadline),
    declined_busy: participant.declinedBusy,
    session_id: seat?.sessionId ?? participant.lastSessionId,
    joined_at: date(participant.joinedAt),
    left_at: date(participant.leftAt),
    leave_reason: participant.leaveReason,
    seat: seat?.state ?? null,
    join_seq: seat?.joinSeq ?? null,
    seat_deadline: date(seat?.deadline ?? null),
    stream_id: seat?.streamId ?? null,
    instance_id: seat?.instanceId ?? null,
    orphaned: seat?.orphaned ?? false,
    muted: participant.media.muted,
    video_on: participant.media.videoOn,
    screen_on: participant.media.screenOn,
  };
}

type HistoryRow = ReturnType<typeof historyRows>[number];

function historyRows(before: Call | null, after: Call, at: number) {
  return historyChanges(before, after, at).map(({ userId, outgoing, missedAt }) => ({
    call_id: after.id,
    user_id: userId,
    conversation_id: after.conversationId,
    outgoing,
    missed_at: date(missedAt),
  }));
}

function changedParticipants(before: Call, after: Call): Participant[] {
  return after.participants.filter((participant) => {
    const was = before.participants.find((p) => p.userId === participant.userId);
    return JSON.stringify(was) !== JSON.stringify(participant);
  });
}

// --- the texts of what is saved ---

const CALL_COLUMNS = [
  'id',
  'conversation_id',
  'type',
  'status',
  'version',
  'caller_id',
  'is_group',
  'next_join_seq',
  'people_key',
  'created_at',
  'answered_at',
  'expires_at',
  'warn_at',
  'alone_deadline',
  'ended_at',
  'end_reason',
  'ended_by',
  'due_at',
] as const satisfies readonly (keyof ReturnType<typeof callRow>)[];

const PARTICIPANT_COLUMNS = [
  'call_id',
  'user_id',
  'role',
  'invitation',
  'silence',
  'invited_by',
  'invited_at',
  'ring_deadline',
  'declined_busy',
  'session_id',
  'joined_at',
  'left_at',
  'leave_reason',
  'seat',
  'join_seq',
  'seat_deadline',
  'stream_id',
  'instance_id',
  'orphaned',
  'muted',
  'video_on',
  'screen_on',
] as const satisfies readonly (keyof ReturnType<typeof participantRow>)[];

const placeholders = CALL_COLUMNS.map((_, i) => `$${i + 1}`);
const ROWS = CALL_COLUMNS.length + 1;
const UPDATE_CALL = `update calls set ${CALL_COLUMNS.slice(1)
  .map((column, i) => `${column} = ${placeholders[i + 1]}`)
  .join(', ')} where id = $1`;
/** All rows are one parameter, so that the text is the same for any number of them. */
const INSERT_PARTICIPANTS = `insert into call_participants (${PARTICIPANT_COLUMNS.join(', ')})
  select ${PARTICIPANT_COLUMNS.join(', ')} from json_populate_recordset(null::call_participants, $${ROWS}::json)`;
const SAVE_PARTICIPANTS = `${INSERT_PARTICIPANTS} on conflict (call_id, user_id) do update set ${PARTICIPANT_COLUMNS.slice(
  2,
)
  .map((column) => `${column} = excluded.${column}`)
  .join(', ')}`;
const INSERT_EVENT = `insert into call_events (call_id, version, at, change, facts)
  values ($1, $5, $${ROWS + 1}, $${ROWS + 2}, $${ROWS + 3})`;
const HISTORY_COLUMNS = 'call_id, user_id, conversation_id, outgoing, missed_at';
const SAVE_HISTORY = `insert into call_history (${HISTORY_COLUMNS})
  select ${HISTORY_COLUMNS} from json_populate_recordset(null::call_history, $${ROWS + 4}::json)
  on conflict (call_id, user_id) do update set missed_at = excluded.missed_at`;

const SAVE = `with saved_call as (${UPDATE_CALL}), saved_participants as (${SAVE_PARTICIPANTS}),
  saved_history as (${SAVE_HISTORY}) ${INSERT_EVENT}`;
const SAVE_QUIETLY = `with saved_participants as (${SAVE_PARTICIPANTS}) ${UPDATE_CALL}`;
const INSERT = `with saved_call as (insert into calls (${CALL_COLUMNS.join(', ')}) values (${placeholders.join(', ')})),
  saved_participants as (${INSERT_PARTICIPANTS}), saved_history as (${SAVE_HISTORY}) ${INSERT_EVENT}`;

function savedValues(
  call: Call,
  participants: readonly Participant[],
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
  history: readonly HistoryRow[],
): unknown[] {
  return [
    ...callValues(call),
    rowsOf(call, participants),
    new Date(event.at),
    JSON.stringify(event.change),
    JSON.stringify(event.facts),
    JSON.stringify(history),
  ];
}

function callValues(call: Call): unknown[] {
  const row = callRow(call);
  return CALL_COLUMNS.map((column) => row[column]);
}

function rowsOf(call: Call, participants: readonly Participant[]): string {
  return JSON.stringify(participants.map((participant) => participantRow(call.id, participant)));
}
