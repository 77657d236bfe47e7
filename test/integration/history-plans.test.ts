import { type RawBuilder, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../src/database/open.ts';
import {
  type HistoryQuery,
  historyPage,
  historyStatement,
  unseenStatement,
} from '../../src/history/history.repository.ts';
import { firstCallId } from '../../src/history/history.service.ts';
import { createDatabase } from '../support/database.ts';
import { DESK, HEAVY, makePast, RARE } from '../support/past-calls.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * A page of a history is read where it stands, whatever the filter leaves out: nothing is sorted, no table is read
 * through, and hardly a row is looked at that is not shown. On 100,000 calls here; `bench/history.ts` has ten million.
 */

const CALLS = 50_000;
const LIMIT = 21;
const UNTIL = new Date('2026-01-31T12:00:00Z');
/** Of the call in the middle of the past. */
const MIDDLE = firstCallId(UNTIL.getTime() - (CALLS / 2) * 1_000);

let stored: TestDatabase;
let database: Database;
beforeAll(async () => {
  stored = await createDatabase();
  database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 1, timeoutMs: 60_000 });
  await database.db.transaction().execute((tx) => makePast(tx, { calls: CALLS, users: 2_000, until: UNTIL }));
  await sql`analyze`.execute(database.db);
});
afterAll(async () => {
  await database?.close();
  await stored?.drop();
});

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly Plans?: readonly Node[];
}

/** What the database did for a statement: the kinds of steps, the rows that it looked at, the pages that it read. */
async function explain(statement: RawBuilder<unknown>) {
  const { rows } = await sql<{ 'QUERY PLAN': readonly { Plan: Node }[] }>`
    explain (analyze, buffers, format json) ${statement}`.execute(database.db);
  const root = rows[0]!['QUERY PLAN'][0]!.Plan;
  const nodes: Node[] = [];
  const walk = (node: Node) => {
    if (node['Actual Loops'] > 0) nodes.push(node);
    for (const inner of node.Plans ?? []) walk(inner);
  };
  walk(root);
  return {
    steps: [...new Set(nodes.map((node) => `${node['Node Type']} ${node['Relation Name'] ?? ''}`.trim()))],
    most: Math.max(...nodes.map((node) => node['Actual Rows'] * node['Actual Loops'])),
    removed: nodes.reduce((sum, node) => sum + (node['Rows Removed by Filter'] ?? 0), 0),
    pages: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
  };
}

/** One row for each user who has ever marked what they missed as seen: here there are none, so the table is read. */
const isSlow = (step: string) =>
  /Sort|Seq Scan|Bitmap|Hash/.test(step) && step !== 'Seq Scan missed_calls_seen';

const ALL: HistoryQuery = {
  userId: HEAVY,
  conversationId: null,
  missed: null,
  outgoing: null,
  statuses: null,
  fromId: null,
  beforeId: null,
  backwards: false,
  beyondId: null,
  limit: LIMIT,
};

const QUERIES: readonly [string, Partial<HistoryQuery>, found: number][] = [
  ['all of them', {}, LIMIT],
  ['the oldest', { backwards: true }, LIMIT],
  ['from the middle on', { beyondId: MIDDLE }, LIMIT],
  ['from the middle back', { beyondId: MIDDLE, backwards: true }, LIMIT],
  ['missed ones', { missed: true }, LIMIT],
  ['those that were not missed', { missed: false }, LIMIT],
  ['the few that were not missed', { userId: DESK, missed: false }, LIMIT],
  ['own ones', { outgoing: true }, LIMIT],
  ['those of others', { outgoing: false, backwards: true }, LIMIT],
  ['own ones that were missed: none', { outgoing: true, missed: true }, 0],
  ['a conversation of long ago', { conversationId: RARE }, LIMIT],
  ['in it, those of others: none', { conversationId: RARE, outgoing: false }, 0],
  [
    'a time',
    { fromId: firstCallId(UNTIL.getTime() - 9e6), beforeId: firstCallId(UNTIL.getTime() - 6e6) },
    LIMIT,
  ],
  ['a time before all', { beforeId: firstCallId(0) }, 0],
  ['those that are over', { statuses: ['ENDED'] }, LIMIT],
  ['live ones: none', { statuses: ['RINGING', 'ACTIVE'], fromId: firstCallId(UNTIL.getTime() + 1_000) }, 0],
  ['of somebody without any', { userId: 'nobody' }, 0],
];

describe('A page of a history', () => {
  it.each(QUERIES)('is read where it stands: %s', async (_name, query, found) => {
    const asked = { ...ALL, ...query };
    expect(await historyPage(database.db, asked)).toHaveLength(found);
    const { steps, most, removed, pages } = await explain(historyStatement(asked));
    expect(steps.filter(isSlow)).toEqual([]);
    expect(most).toBeLessThanOrEqual(LIMIT + 1);
    expect(removed).toBe(0);
    // Three or four for each row of each index and table, and the ways down.
    expect(pages).toBeLessThan(250);
  });
});

describe('The count of missed calls', () => {
  it('looks at a hundred, however many there are', async () => {
    const { steps, most, pages } = await explain(unseenStatement(DESK, null, 100));
    expect(steps.filter(isSlow)).toEqual([]);
    expect(most).toBeLessThanOrEqual(100);
    expect(pages).toBeLessThan(1_000);
  });

  it('looks at none of those that were seen', async () => {
    expect((await explain(unseenStatement(DESK, UNTIL, 100))).pages).toBeLessThan(100);
    expect((await explain(unseenStatement(DESK, new Date(), 100))).pages).toBeLessThan(10);
  });
});
