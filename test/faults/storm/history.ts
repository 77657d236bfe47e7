import type pg from 'pg';
import type { CallView, ParticipantView, StateEvent } from '../../../src/calls/call-view.ts';
import type { StateChange } from '../../../src/calls/changes.ts';

/** What the database has of a call: each version, as its transaction wrote it. */

export interface Version {
  readonly version: number;
  /** The database's time, milliseconds since the epoch. */
  readonly at: number;
  readonly change: StateChange;
  readonly published: boolean;
}

export interface History {
  readonly callId: string;
  readonly conversationId: string;
  readonly status: string;
  readonly expiresAt: number;
  readonly endedAt: number | null;
  readonly versions: readonly Version[];
}

/** The calls of conversations whose ids begin so. */
export async function readHistories(sql: pg.Pool, prefix: string): Promise<History[]> {
  const calls = await sql.query<{
    id: string;
    conversation_id: string;
    status: string;
    expires_at: Date;
    ended_at: Date | null;
  }>(`select * from calls where starts_with(conversation_id, $1) order by id`, [prefix]);
  const events = await sql.query<{
    call_id: string;
    version: number;
    at: Date;
    change: StateChange;
    published: boolean;
  }>(
    `select e.* from call_events e join calls c on c.id = e.call_id
     where starts_with(c.conversation_id, $1) order by call_id, e.version`,
    [prefix],
  );
  return calls.rows.map((call) => ({
    callId: call.id,
    conversationId: call.conversation_id,
    status: call.status,
    expiresAt: call.expires_at.getTime(),
    endedAt: call.ended_at?.getTime() ?? null,
    versions: events.rows
      .filter(({ call_id }) => call_id === call.id)
      .map(({ version, at, change, published }) => ({ version, at: at.getTime(), change, published })),
  }));
}

/** A call as it was after a version. */
export interface Moment {
  readonly at: number;
  readonly version: number;
  readonly status: CallView['status'];
  readonly participants: ReadonlyMap<string, ParticipantView>;
}

/** The call after each of its versions. */
export function momentsOf({ versions }: History): Moment[] {
  const moments: Moment[] = [];
  let participants = new Map<string, ParticipantView>();
  let status: CallView['status'] = 'RINGING';
  for (const { version, at, change } of versions) {
    participants = new Map(participants);
    for (const event of change.events) {
      if (event.__typename === 'ParticipantChanged')
        participants.set(event.participant.userId, event.participant);
      else if ('call' in event) {
        status = event.call.status;
        for (const participant of event.call.participants) participants.set(participant.userId, participant);
      }
    }
    moments.push({ at, version, status, participants });
  }
  return moments;
}

/** What a participant is told of a change, shortened to what has to be the same on the way. */
export function nameOfEvent(event: StateEvent): string {
  if (event.__typename === 'ParticipantChanged') {
    const { userId, status, joinSeq, media } = event.participant;
    return `${event.version} ${userId} ${status} ${joinSeq} ${media.muted}`;
  }
  if (event.__typename === 'CallExpiring') return 'expiring';
  return `${event.call.version} ${event.__typename} ${event.call.status}`;
}
