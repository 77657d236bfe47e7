import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { Outage } from '../calls/call.ts';
import type { CallUnit } from '../calls/call-unit.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { Presence } from './presence.ts';
import { instanceLost } from './seat-rules.ts';

/** Heartbeats: which instances live, and what a dead one leaves behind. */

export interface Instances {
  /** True where this instance had been taken for dead, and has to reclaim its seats. */
  beat(): Promise<boolean>;
  /** The latest time in which nobody could reach the database, as seen at `now`. */
  outage(now: number): Outage | null;
  /** The grace for every seat that an instance held which is no more. Returns how many calls were touched. */
  releaseSeatsOfTheDead(): Promise<number>;
  /** Other instances that live on this database. */
  others(): Promise<{ hasRedis: boolean }[]>;
  /** The last word of an instance that goes: it needs no time to be found dead. */
  leave(): Promise<void>;
}

/** Calls of dead instances that are taken up in one turn. */
const BATCH = 200;

/** `pulse`: where heartbeats are written; a connection of their own, that no full pool holds up. */
export function createInstances(
  database: Database,
  pulse: Db,
  /** Through which seats change; made later, since it asks for outages. */
  unit: () => CallUnit,
  self: { readonly id: string; readonly hasRedis: boolean },
  deadAfterMs: number,
): Instances {
  const db: Db = database.db;
  const deadline = sql<Date>`clock_timestamp() - ${deadAfterMs}::int8 * interval '1 millisecond'`;
  let presence: Presence | null = null;
  return {
    async beat() {
      const row = await pulse
        .updateTable('instances')
        .set({
          heartbeat_at: sql<Date>`clock_timestamp()`,
          awake_since: sql<Date>`case when heartbeat_at < ${deadline} then clock_timestamp() else awake_since end`,
        })
        .where('id', '=', self.id)
        .returning('heartbeat_at')
        .executeTakeFirst();
      if (row) {
        presence?.beat(row.heartbeat_at.getTime());
        return false;
      }
      const wasDead = presence !== null;
      presence ??= new Presence(deadAfterMs, await lastBeatOfAny(pulse));
      const made = await pulse
        .insertInto('instances')
        .values({ id: self.id, has_redis: self.hasRedis })
        .returning('heartbeat_at')
        .executeTakeFirstOrThrow();
      presence.beat(made.heartbeat_at.getTime());
      return wasDead;
    },

    outage: (now) => presence?.outage(now) ?? null,

    async releaseSeatsOfTheDead() {
      // The row goes first: an instance that was only stalled finds it gone, and reclaims. Whoever was silent
      // too may not judge for as long again: then it was the database that was away.
      await db
        .deleteFrom('instances')
        .where('heartbeat_at', '<', deadline)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom('instances as self')
              .select('self.id')
              .where('self.id', '=', self.id)
              .where('self.heartbeat_at', '>=', deadline)
              .where('self.awake_since', '<=', deadline),
          ),
        )
        .execute();
      const orphans = await orphanedCalls(db);
      for (const { callId, instanceId } of orphans) {
        await unit().change(callId, async (draft, tx) => {
          // Looked up again under the call's lock: it may have come back, and reclaimed the seat already.
          const back = await tx
            .selectFrom('instances')
            .select('id')
            .where('id', '=', instanceId)
            .executeTakeFirst();
          if (!back) instanceLost(draft, instanceId);
          return null;
        });
      }
      return orphans.length;
    },

    async others() {
      const rows = await pulse
        .selectFrom('instances')
        .select('has_redis')
        .where('id', '<>', self.id)
        .where('heartbeat_at', '>=', deadline)
        .execute();
      return rows.map((row) => ({ hasRedis: row.has_redis }));
    },

    async leave() {
      await transact(database, async (tx) => {
        await tx.deleteFrom('instances').where('id', '=', self.id).execute();
      });
    },
  };
}

async function lastBeatOfAny(db: Db): Promise<number | null> {
  const { last } = await db
    .selectFrom('instances')
    .select((eb) => eb.fn.max('heartbeat_at').as('last'))
    .executeTakeFirstOrThrow();
  return last ? last.getTime() : null;
}

/**
 * Calls with a seat whose instance has no row any more. The instances that hold seats are few: a loose
 * index scan steps from one to the next, whatever the number of seats. A range in order, where an equality
 * would do, so that the planner looks into that index again: a join it makes by reading all participants.
 */
async function orphanedCalls(db: Db): Promise<{ callId: string; instanceId: string }[]> {
  const { rows } = await sql<{ call_id: string; instance_id: string }>`
    with recursive holders as (
      (select instance_id from call_participants where instance_id is not null order by instance_id limit 1)
      union all
      select (select p.instance_id from call_participants p
              where p.instance_id > h.instance_id order by p.instance_id limit 1)
      from holders h where h.instance_id is not null
    ), dead as (
      select instance_id from holders
      where instance_id is not null and not exists (select from instances i where i.id = holders.instance_id)
    )
    select distinct seat.call_id, seat.instance_id from dead cross join lateral (
      select call_id, instance_id from call_participants p
      where p.instance_id between dead.instance_id and dead.instance_id
      order by p.instance_id limit ${BATCH}
    ) as seat
    limit ${BATCH}`.execute(db);
  return rows.map((row) => ({ callId: row.call_id, instanceId: row.instance_id }));
}
