import { sql } from 'kysely';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { reject } from '../errors.ts';
import type { DeviceService, DeviceView } from '../graphql/services.ts';
import { isCallId as isUuid } from '../ids.ts';
import { type AllowedEndpoints, subscriptionProblem } from './subscription.ts';

/** The browsers that ring for a user although no page of the app is open in them. */

export interface DeviceServiceDeps {
  readonly database: Database;
  /** The application server key; null: web push is off. */
  readonly webPushKey: string | null;
  /** Of one user. */
  readonly maxDevices: number;
  readonly endpoints: AllowedEndpoints;
}

export function createDeviceService(deps: DeviceServiceDeps): DeviceService {
  const { database, webPushKey, maxDevices } = deps;
  return {
    webPushKey,

    async register({ userId }, { name, webPush }) {
      if (webPushKey === null) return { rejection: reject('WEB_PUSH_OFF') };
      const wrong = subscriptionProblem(webPush, deps.endpoints);
      if (wrong) {
        return { rejection: reject('INVALID_INPUT', `input.webPush.${wrong.field}: ${wrong.problem}.`) };
      }
      return transact(database, async (tx) => {
        // Two browsers of a user that register at once would both find room for one.
        await sql`select pg_advisory_xact_lock(hashtextextended('devices ' || ${userId}, 0))`.execute(tx);
        // A browser rings for who signed in to it last; and a subscription for another key is of no use.
        await tx
          .deleteFrom('devices')
          .where((eb) =>
            eb.or([
              eb.and([eb('endpoint', '=', webPush.endpoint), eb('user_id', '<>', userId)]),
              eb.and([eb('user_id', '=', userId), eb('vapid_key', '<>', webPushKey)]),
            ]),
          )
          .execute();
        const row = await tx
          .insertInto('devices')
          .values({ user_id: userId, name, ...webPush, vapid_key: webPushKey })
          .onConflict((conflict) =>
            conflict
              .column('endpoint')
              .doUpdateSet({
                name,
                p256dh: webPush.p256dh,
                auth: webPush.auth,
                registered_at: sql<Date>`now()`,
              })
              // Of another user who registers the same browser at this very moment.
              .where('devices.user_id', '=', userId),
          )
          .returning(['id', 'name', 'created_at', 'registered_at'])
          .executeTakeFirst();
        if (!row)
          return { rejection: reject('TIMEOUT', 'Another user registers this browser; try again.', 1_000) };
        const { count } = await tx
          .selectFrom('devices')
          .select(sql<number>`count(*)::int4`.as('count'))
          .where('user_id', '=', userId)
          .executeTakeFirstOrThrow();
        if (count > maxDevices) throw new TooMany();
        return { device: viewOf(row) };
      }).catch((error) => {
        if (!(error instanceof TooMany)) throw error;
        return {
          rejection: reject(
            'TOO_MANY_DEVICES',
            `You have ${maxDevices} devices already; unregister one first.`,
          ),
        };
      });
    },

    async unregister({ userId }, id) {
      if (!isUuid(id)) return false;
      const { numDeletedRows } = await transact(database, (tx) =>
        tx.deleteFrom('devices').where('id', '=', id).where('user_id', '=', userId).executeTakeFirst(),
      );
      return numDeletedRows > 0n;
    },

    async devices({ userId }) {
      const rows = await database.db
        .selectFrom('devices')
        .select(['id', 'name', 'created_at', 'registered_at'])
        .where('user_id', '=', userId)
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map(viewOf);
    },
  };
}

/** Undoes the transaction that found it. */
class TooMany extends Error {}

function viewOf(row: { id: string; name: string | null; created_at: Date; registered_at: Date }): DeviceView {
  const { id, name } = row;
  return { id, name, createdAt: row.created_at.getTime(), registeredAt: row.registered_at.getTime() };
}
