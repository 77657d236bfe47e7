import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { CallUnit } from '../calls/call-unit.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { instanceLost } from './seat-rules.ts';

/** Heartbeats: which instances live, and what a dead one leaves behind. */

export interface Instances {
  /** True where this instance had been taken for dead, and has to reclaim its seats. */
  beat(): Promise<boolean>;
  /** The grace for every seat that an instance held which is no more. Returns how many calls were touched. */
  releaseSeatsOfTheDead(): Promise<number>;
  /** Other instances that live on this database. */
  others(): Promise<{ hasRedis: boolean }[]>;
  /** The last word of an instance that goes: it needs no time to be found dead. */
  leave(): Promise<void>;
}

/** Calls of dead instances that are taken up in one turn. */
const BATCH = 200;

export function createInstances(
  database: Database,
  unit: CallUnit,
  self: { readonly id: string; readonly hasRedis: boolean },
  deadAfterMs: number,
): Instances {
  const db: Db = database.db;
  const deadline = sql<Date>`clock_timestamp() - ${deadAfterMs}::int8 * interval '1 millisecond'`;
  let registered = false;
  return {
    async beat() {
      const { numUpdatedRows } = await db
        .updateTable('instances')
        .set({ heartbeat_at: sql<Date>`clock_timestamp()` })
        .where('id', '=', self.id)
        .executeTakeFirst();
      if (numUpdatedRows > 0n) return false;
      await db.insertInto('instances').values({ id: self.id, has_redis: self.hasRedis }).execute();
      const wasDead = registered;
      registered = true;
      return wasDead;
    },

    async releaseSeatsOfTheDead() {
      // The row goes first: an instance that was only stalled finds it gone, and reclaims.
      await db.deleteFrom('instances').where('heartbeat_at', '<', deadline).execute();
      const orphans = await orphanedCalls(db);
      for (const { callId, instanceId } of orphans) {
        await unit.change(callId, (draft) => {
          instanceLost(draft, instanceId);
          return null;
        });
      }
      return orphans.length;
    },

    async others() {
      const rows = await db
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

/**
 * Calls with a seat whose instance has no row any more. The instances that hold seats are few: a loose
 * index scan steps from one to the next, whatever the number of seats.
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
    select distinct p.call_id, p.instance_id from dead join call_participants p using (instance_id)
    limit ${BATCH}`.execute(db);
  return rows.map((row) => ({ callId: row.call_id, instanceId: row.instance_id }));
}
