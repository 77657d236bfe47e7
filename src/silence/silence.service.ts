import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { CodedError, reject } from '../errors.ts';
import type { SilenceService } from '../graphql/services.ts';

/** Who is not rung by whom, and in which conversations. What a ring makes of it is decided when it begins. */

/** Most people whom one user has blocked: more than anyone does by hand. */
const MAX_BLOCKED = 10_000;

export function createSilenceService(database: Database): SilenceService {
  const { db } = database;
  return {
    block(userId, blockedIds) {
      if (blockedIds.includes(userId)) {
        throw new CodedError('BAD_USER_INPUT', 'blockedIds: nobody blocks themselves.', 'blockedIds');
      }
      return transact(database, async (tx) => {
        await sql`insert into blocked_users (user_id, blocked_id)
          select ${userId}, blocked_id from unnest(${[...new Set(blockedIds)]}::text[]) as added (blocked_id)
          on conflict do nothing`.execute(tx);
        const blocked = await blockedBy(tx, userId);
        if (blocked.length > MAX_BLOCKED) {
          throw new CodedError(
            'BAD_USER_INPUT',
            `blockedIds: more than ${MAX_BLOCKED} in all.`,
            'blockedIds',
          );
        }
        return blocked;
      });
    },

    unblock(userId, blockedIds) {
      return transact(database, async (tx) => {
        await tx
          .deleteFrom('blocked_users')
          .where('user_id', '=', userId)
          .where('blocked_id', '=', sql<string>`any(${[...blockedIds]})`)
          .execute();
        return blockedBy(tx, userId);
      });
    },

    blocked: (userId) => blockedBy(db, userId),

    async setMuted(viewer, conversationId, muted) {
      const { numUpdatedRows } = await transact(database, (tx) =>
        tx
          .updateTable('conversation_members')
          .set({ muted })
          .where('conversation_id', '=', conversationId)
          .where('user_id', '=', viewer.userId)
          .executeTakeFirst(),
      );
      return numUpdatedRows > 0n ? { conversationId, muted } : { rejection: reject('NOT_A_MEMBER') };
    },

    async mutedConversations(viewer) {
      const rows = await db
        .selectFrom('conversation_members')
        .select('conversation_id')
        .where('user_id', '=', viewer.userId)
        .where('muted', '=', true)
        .orderBy('conversation_id')
        .execute();
      return rows.map((row) => row.conversation_id);
    },
  };
}

async function blockedBy(db: Db, userId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('blocked_users')
    .select('blocked_id')
    .where('user_id', '=', userId)
    .orderBy('blocked_id')
    .execute();
  return rows.map((row) => row.blocked_id);
}
