import { sql } from 'kysely';
import type { Viewer } from '../auth/viewer.ts';
import { CodedError } from '../errors.ts';
import type { CallFilter, CallService, Connection, PageArgs, TimelineEntry } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import { type Db, readCall, readCalls, seatedCallIds } from './call.repository.ts';
import { find } from './call.ts';
import type { CallView } from './call-view.ts';
import { viewOf } from './changes.ts';
import { CALLS_PAGE, type PageSize, TIMELINE_PAGE } from './pages.ts';

/** What can be asked of calls without changing them. */
export type CallReads = Pick<CallService, 'call' | 'calls' | 'activeCalls' | 'timeline'>;

export function readsOf(db: Db): CallReads {
  return {
    async call(viewer, id) {
      if (!isCallId(id)) return null;
      const read = await readCall(db, id);
      const participant = read && find(read.call, viewer.userId);
      // Whoever was taken out of the conversation, or of the call, sees it no more while it is live.
      const out = !participant?.member || participant.invitation === 'REMOVED';
      if (!participant || (out && read.call.status !== 'ENDED')) return null;
      // To who blocked the inviter there was no call.
      if (participant.silence === 'BLOCKED') return null;
      return viewOf(read.call);
    },

    async activeCalls(viewer) {
      const calls = await readCalls(db, await seatedCallIds(db, viewer.userId));
      return calls.map(({ call }) => viewOf(call));
    },

    async calls(viewer, page, filter) {
      const { size, backwards, from } = pageOf(page, cursorToCallId);
      const ids = await pageOfCallIds(db, viewer, filter, { limit: size + 1, backwards, from });
      const more = ids.length > size;
      const wanted = ids.slice(0, size);
      if (backwards) wanted.reverse();
      const nodes = (await readCalls(db, wanted)).map(({ call }) => viewOf(call));
      return connection(nodes, (call: CallView) => callIdToCursor(call.id), {
        hasNextPage: backwards ? from !== null : more,
        hasPreviousPage: backwards ? more : from !== null,
      });
    },

    async timeline(callId, page) {
      const { size, from } = pageOf(
        { ...page, last: null, before: null },
        parseTimelineCursor,
        TIMELINE_PAGE,
      );
      const [version, index] = from ?? [0, -1];
      const rows = await db
        .selectFrom('call_events')
        .select(['version', 'at', 'facts'])
        .where('call_id', '=', callId)
        .where('version', '>=', version)
        .orderBy('version')
        .limit(size + 2)
        .execute();
      const entries = rows
        .flatMap((row) =>
          row.facts.map((fact, at) => ({ ...fact, version: row.version, index: at, at: row.at.getTime() })),
        )
        .filter((entry) => entry.version > version || entry.index > index);
      const nodes = entries.slice(0, size);
      return connection<TimelineEntry & { version: number; index: number }>(
        nodes,
        (entry) => `${entry.version}.${entry.index}`,
        { hasNextPage: entries.length > size, hasPreviousPage: from !== null },
      );
    },
  };
}

/** The viewer's calls, newest first: ids are UUIDv7, so they sort by creation. */
async function pageOfCallIds(
  db: Db,
  viewer: Viewer,
  filter: CallFilter | null,
  page: { limit: number; backwards: boolean; from: string | null },
): Promise<string[]> {
  let query = db
    .selectFrom('call_participants as p')
    .innerJoin('calls as c', 'c.id', 'p.call_id')
    .select('p.call_id')
    .where('p.user_id', '=', viewer.userId)
    .orderBy('p.call_id', page.backwards ? 'asc' : 'desc')
    .limit(page.limit);
  // To who blocked the inviter there was no call.
  query = query.where('p.silence', 'is distinct from', 'BLOCKED');
  if (page.from !== null) query = query.where('p.call_id', page.backwards ? '>' : '<', page.from);
  // As for `call`: whoever was taken out of the conversation, or of the call, sees it no more while it is live.
  query = query.where((eb) =>
    eb.or([
      eb('c.status', '=', 'ENDED'),
      eb.and([
        eb('p.invitation', '<>', 'REMOVED'),
        eb.exists(
          eb
            .selectFrom('conversation_members as m')
            .select(sql`1`.as('one'))
            .whereRef('m.conversation_id', '=', 'c.conversation_id')
            .whereRef('m.user_id', '=', 'p.user_id'),
        ),
      ]),
    ]),
  );
  if (filter?.conversationId != null) query = query.where('c.conversation_id', '=', filter.conversationId);
  if (filter?.statuses) query = query.where('c.status', '=', sql<'RINGING'>`any(${[...filter.statuses]})`);
  if (filter?.missed != null) {
    query = query.where('p.invitation', filter.missed ? '=' : '<>', 'MISSED');
  }
  if (filter?.outgoing != null) {
    query = query.where('c.caller_id', filter.outgoing ? '=' : '<>', viewer.userId);
  }
  if (filter?.createdFrom != null) query = query.where('c.created_at', '>=', new Date(filter.createdFrom));
  if (filter?.createdBefore != null) query = query.where('c.created_at', '<', new Date(filter.createdBefore));
  return (await query.execute()).map((row) => row.call_id);
}

/** Relay's arguments, read strictly: one direction, a size within bounds, a cursor that was given out. */
function pageOf<T>(
  { first, after, last, before }: PageArgs,
  parse: (cursor: string) => T | null,
  { usual, largest }: PageSize = CALLS_PAGE,
): { size: number; backwards: boolean; from: T | null } {
  const backwards = last !== null || before !== null;
  if (backwards && (first !== null || after !== null)) {
    throw new CodedError('BAD_USER_INPUT', 'Give first and after, or last and before, not both.', 'first');
  }
  const size = (backwards ? last : first) ?? usual;
  if (size < 1 || size > largest) {
    const field = backwards ? 'last' : 'first';
    throw new CodedError('BAD_USER_INPUT', `${field}: give a number from 1 to ${largest}.`, field);
  }
  const cursor = backwards ? before : after;
  if (cursor === null) return { size, backwards, from: null };
  const from = parse(cursor);
  if (from === null) {
    const field = backwards ? 'before' : 'after';
    throw new CodedError('BAD_USER_INPUT', `${field}: is not a cursor of this list.`, field);
  }
  return { size, backwards, from };
}

function connection<T>(
  nodes: readonly T[],
  cursorOf: (node: T) => string,
  pages: { hasNextPage: boolean; hasPreviousPage: boolean },
): Connection<T> {
  const edges = nodes.map((node) => ({ cursor: cursorOf(node), node }));
  return {
    edges,
    pageInfo: {
      ...pages,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}

function callIdToCursor(callId: string): string {
  return Buffer.from(callId.replaceAll('-', ''), 'hex').toString('base64url');
}

function cursorToCallId(cursor: string): string | null {
  const hex = Buffer.from(cursor, 'base64url').toString('hex');
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return isCallId(id) ? id : null;
}

function parseTimelineCursor(cursor: string): [version: number, index: number] | null {
  const match = /^(\d{1,9})\.(\d{1,4})$/.exec(cursor);
  return match ? [Number(match[1]), Number(match[2])] : null;
}
