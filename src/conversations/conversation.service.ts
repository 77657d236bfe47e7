import { sql } from 'kysely';
import type { Tx } from '../calls/call.repository.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { CodedError } from '../errors.ts';
import type { ConversationService, ConversationView } from '../graphql/services.ts';

/** Who may call whom, kept in step by the app's back end. */

export interface ConversationServiceDeps {
  readonly database: Database;
  /** Live calls of a conversation whose members changed have something due: now rather than in a second. */
  readonly sweepDue: () => Promise<void>;
}

export function createConversationService(deps: ConversationServiceDeps): ConversationService {
  const { database } = deps;

  /** Locks the conversation against calls that are being started in it. */
  async function change(
    id: string,
    work: (tx: Tx, stored: { version: number } | null) => Promise<{ removed: boolean }>,
    create = false,
  ): Promise<ConversationView | null> {
    const done = await transact(database, async (tx) => {
      if (create) {
        await tx
          .insertInto('conversations')
          .values({ id, version: 0 })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }
      const stored = await tx
        .selectFrom('conversations')
        .select('version')
        .where('id', '=', id)
        .forUpdate()
        .executeTakeFirst();
      const { removed } = await work(tx, stored ?? null);
      // Calls find out by themselves who is no longer a member; this only says that it is time to look.
      if (removed) {
        await tx
          .updateTable('calls')
          .set({ due_at: sql<Date>`clock_timestamp()` })
          .where('conversation_id', '=', id)
          .where('status', '<>', 'ENDED')
          .execute();
      }
      return { removed, view: await read(tx, id) };
    });
    if (done.removed) await deps.sweepDue();
    return done.view;
  }

  return {
    async put(id, memberIds, version) {
      if (version !== null && version < 0) {
        throw new CodedError('BAD_USER_INPUT', 'version: give a number from 0.', 'version');
      }
      const wanted = [...new Set(memberIds)];
      const replace = async (tx: Tx, stored: { version: number } | null) => {
        const current = stored?.version ?? 0;
        if (version !== null && version < current) return { removed: false };
        await tx
          .updateTable('conversations')
          .set({ version: version ?? current + 1, updated_at: sql<Date>`now()` })
          .where('id', '=', id)
          .execute();
        const { numDeletedRows } = await tx
          .deleteFrom('conversation_members')
          .where('conversation_id', '=', id)
          .where('user_id', '<>', sql<string>`all(${wanted})`)
          .executeTakeFirst();
        await addRows(tx, id, wanted);
        return { removed: numDeletedRows > 0n };
      };
      return (await change(id, replace, true)) as ConversationView;
    },

    async addMembers(id, userIds) {
      const view = await change(id, async (tx, stored) => {
        if (!stored) throw unknown(id);
        await addRows(tx, id, [...new Set(userIds)]);
        await bump(tx, id);
        return { removed: false };
      });
      return view as ConversationView;
    },

    async removeMembers(id, userIds) {
      const view = await change(id, async (tx, stored) => {
        if (!stored) throw unknown(id);
        const { numDeletedRows } = await tx
          .deleteFrom('conversation_members')
          .where('conversation_id', '=', id)
          .where('user_id', '=', sql<string>`any(${[...userIds]})`)
          .executeTakeFirst();
        await bump(tx, id);
        return { removed: numDeletedRows > 0n };
      });
      return view as ConversationView;
    },

    async delete(id) {
      let existed = false;
      await change(id, async (tx, stored) => {
        existed = stored !== null;
        await tx.deleteFrom('conversations').where('id', '=', id).execute();
        return { removed: existed };
      });
      return existed;
    },
  };
}

async function addRows(tx: Tx, id: string, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return;
  await sql`insert into conversation_members (conversation_id, user_id)
    select ${id}, user_id from unnest(${[...userIds]}::text[]) as added (user_id)
    on conflict do nothing`.execute(tx);
}

async function bump(tx: Tx, id: string): Promise<void> {
  await tx
    .updateTable('conversations')
    .set((eb) => ({ version: eb('version', '+', 1), updated_at: sql<Date>`now()` }))
    .where('id', '=', id)
    .execute();
}

async function read(tx: Tx, id: string): Promise<ConversationView | null> {
  const stored = await tx
    .selectFrom('conversations')
    .select('version')
    .where('id', '=', id)
    .executeTakeFirst();
  if (!stored) return null;
  const members = await tx
    .selectFrom('conversation_members')
    .select('user_id')
    .where('conversation_id', '=', id)
    .orderBy('user_id')
    .execute();
  return { id, memberIds: members.map((row) => row.user_id), version: stored.version };
}

function unknown(id: string): CodedError {
  return new CodedError(
    'BAD_USER_INPUT',
    `There is no conversation ${id}; make it with putConversation.`,
    'conversationId',
  );
}
