import { type Kysely, type Selectable, sql, type Transaction } from 'kysely';
import type { Tables } from '../database/tables.ts';
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

/**
 * Locks the call's row, then reads its participants in a statement of their own: one statement for both
 * would see the participants as they were before it waited for the lock.
 * `skipLocked`: null also where somebody else has the lock.
 */
export async function lockCall(tx: Tx, callId: string, skipLocked = false): Promise<LockedCall | null> {
  let query = tx.selectFrom('calls').selectAll().where('id', '=', callId).forUpdate();
  if (skipLocked) query = query.skipLocked();
  const row = await query.executeTakeFirst();
  if (!row) return null;
  const participants = await tx
    .selectFrom('call_participants')
    .selectAll()
    .select([isMember, databaseNow])
    .where('call_id', '=', callId)
    .orderBy('invited_at')
    .orderBy('user_id')
    .execute();
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
  const { rows } = await sql<{ userId: string; silence: Silence }>`
    select user_id as "userId", 'BLOCKED' as silence from blocked_users
      where blocked_id = ${inviterId} and user_id = any(${[...userIds]}::text[])
    union all
    select user_id, 'MUTED' from conversation_members
      where conversation_id = ${conversationId} and user_id = any(${[...userIds]}::text[]) and muted
    order by silence desc`.execute(db);
  // BLOCKED comes last, and says more.
  return new Map(rows.map(({ userId, silence }) => [userId, silence]));
}

/** Saves what changed and the version's event, in one statement. */
export async function saveCall(
  tx: Tx,
  before: Call,
  after: Call,
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
): Promise<void> {
  const changed = after.participants.filter((participant) => {
    const was = before.participants.find((p) => p.userId === participant.userId);
    return JSON.stringify(was) !== JSON.stringify(participant);
  });
  const { id: _, ...columns } = callRow(after);
  const withCall = tx.with('saved_call', (qb) =>
    qb.updateTable('calls').set(columns).where('id', '=', after.id).returning('id'),
  );
  const withParticipants =
    changed.length === 0
      ? withCall
      : withCall.with('saved_participants', (qb) =>
          qb
            .insertInto('call_participants')
            .values(changed.map((participant) => participantRow(after.id, participant)))
            .onConflict((conflict) => conflict.columns(['call_id', 'user_id']).doUpdateSet(participantUpdate))
            .returning('user_id'),
        );
  const history = historyRows(before, after, event.at);
  const saved =
    history.length === 0
      ? withParticipants
      : withParticipants.with('saved_history', (qb) =>
          qb
            .insertInto('call_history')
            .values(history)
            .onConflict((conflict) =>
              conflict
                .columns(['call_id', 'user_id'])
                .doUpdateSet({ missed_at: sql.ref('excluded.missed_at') }),
            )
            .returning('user_id'),
        );
  await saved.insertInto('call_events').values(eventRow(after, event)).execute();
}

/**
 * Saves what the public does not see, so without a version or an event: which stream holds a seat, when the
 * sweeper is to look next.
 */
export async function saveQuietly(tx: Tx, before: Call, after: Call): Promise<void> {
  for (const participant of after.participants) {
    const was = before.participants.find((p) => p.userId === participant.userId);
    if (JSON.stringify(was) === JSON.stringify(participant)) continue;
    await tx
      .updateTable('call_participants')
      .set(participantRow(after.id, participant))
      .where('call_id', '=', after.id)
      .where('user_id', '=', participant.userId)
      .execute();
  }
  await tx.updateTable('calls').set(callRow(after)).where('id', '=', after.id).execute();
}

/** Inserts a new call; a unique violation on `calls_people` where a live call of the same people exists. */
export async function insertCall(
  tx: Tx,
  call: Call,
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
): Promise<void> {
  await tx
    .with('saved_call', (qb) => qb.insertInto('calls').values(callRow(call)).returning('id'))
    .with('saved_participants', (qb) =>
      qb
        .insertInto('call_participants')
        .values(call.participants.map((participant) => participantRow(call.id, participant)))
        .returning('user_id'),
    )
    .with('saved_history', (qb) =>
      qb
        .insertInto('call_history')
        .values(historyRows(null, call, event.at))
        .returning('user_id'),
    )
    .insertInto('call_events')
    .values(eventRow(call, event))
    .execute();
}

export async function findByPeople(db: Db, peopleKey: string): Promise<string | null> {
  const row = await db
    .selectFrom('calls')
    .select('id')
    .where('people_key', '=', peopleKey)
    .executeTakeFirst();
  return row?.id ?? null;
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

/** Every column but the key, from the row that was to be inserted. */
const participantUpdate = Object.fromEntries(
  (
    [
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
    ] as const
  ).map((column) => [column, sql.ref(`excluded.${column}`)]),
);

function historyRows(before: Call | null, after: Call, at: number) {
  return historyChanges(before, after, at).map(({ userId, outgoing, missedAt }) => ({
    call_id: after.id,
    user_id: userId,
    conversation_id: after.conversationId,
    outgoing,
    missed_at: date(missedAt),
  }));
}

function eventRow(
  call: Call,
  event: { readonly at: number; readonly change: StateChange; readonly facts: readonly Fact[] },
) {
  return {
    call_id: call.id,
    version: call.version,
    at: new Date(event.at),
    change: JSON.stringify(event.change),
    facts: JSON.stringify(event.facts),
  };
}
