import { sql } from 'kysely';
import type { Viewer } from '../src/auth/viewer.ts';
import { type Database, openDatabase } from '../src/database/open.ts';
import type { CallFilter, PageArgs } from '../src/graphql/services.ts';
import { type HistoryQuery, historyStatement, unseenStatement } from '../src/history/history.repository.ts';
import { createHistoryService, firstCallId, MOST_MISSED } from '../src/history/history.service.ts';
import { DESK, HEAVY, makePast, type Past, RARE } from '../test/support/past-calls.ts';
import { startPostgres } from '../test/support/postgres.ts';

/**
 * Histories on ten million past calls in a real Postgres: `node bench/history.ts [calls]`. It measures on the first
 * hundredth of them, then on all, so that one sees what grows; and prints the plans. Some 20 GB of disk while it runs.
 */

const CALLS = Number(process.argv[2] ?? 10_000_000);
const USERS = 100_000;
const FIRST = Math.max(1_000, Math.floor(CALLS / 100));
/** Calls of one transaction. */
const PART = 250_000;
/** How often each question is asked. */
const TIMES = 200;
const UNTIL = new Date('2026-01-31T12:00:00Z');
const past: Past = { calls: CALLS, users: USERS, until: UNTIL };

const say = (text: string) => process.stdout.write(`${text}\n`);
const count = (n: number) => n.toLocaleString('en');

const postgres = await startPostgres();
const stored = await postgres.createDatabase();
const database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 1, timeoutMs: 3_600_000 });
const { db } = database;
try {
  await fill(1, FIRST);
  const few = await measure(FIRST);
  await fill(FIRST + 1, CALLS);
  const all = await measure(CALLS);
  await report(few, all);
} finally {
  await database.close();
  await stored.drop();
  await postgres.stop();
}

/** Without the indexes that can be made afterwards, and without looking at what refers to what: twice as quick. */
async function fill(from: number, to: number): Promise<void> {
  const startedAt = performance.now();
  const tables = ['calls', 'call_participants', 'call_history'];
  const { rows: indexes } = await sql<{ name: string; definition: string }>`
    select indexname as name, indexdef as definition from pg_indexes
    where tablename = any(${tables}) and indexname not like '%_pkey'`.execute(db);
  for (const { name } of indexes) await sql`drop index ${sql.id(name)}`.execute(db);
  await sql`set session_replication_role = replica`.execute(db);
  await sql`set synchronous_commit = off`.execute(db);
  for (let first = from; first <= to; first += PART) {
    const last = Math.min(to, first + PART - 1);
    await db.transaction().execute((tx) => makePast(tx, past, first, last));
    if (to - from > PART) say(`  ${count(last)} calls after ${since(startedAt)}`);
  }
  await sql`set session_replication_role = default`.execute(db);
  await sql`set maintenance_work_mem = '1GB'`.execute(db);
  for (const { definition } of indexes) await sql.raw(definition).execute(db);
  await sql`vacuum analyze`.execute(db);
  say(`${count(to)} calls, with their indexes, after ${since(startedAt)}`);
}

function since(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1_000).toFixed(0)} s`;
}

interface Question {
  readonly name: string;
  readonly ask: (calls: number) => Promise<unknown>;
}

function questions(database: Database): Question[] {
  const history = createHistoryService(database, Date.now);
  const viewer = (userId: string): Viewer => ({ userId, scopes: new Set(), tokenExpiresAt: 0 });
  const someone = () => `user-${Math.floor(Math.random() * USERS)}`;
  const none: CallFilter = {
    conversationId: null,
    statuses: null,
    missed: null,
    outgoing: null,
    createdFrom: null,
    createdBefore: null,
  };
  const page = (over: Partial<PageArgs> = {}): PageArgs => ({
    ...{ first: null, after: null, last: null, before: null },
    ...over,
  });
  const cursorAt = (instant: number) =>
    Buffer.from(firstCallId(instant).replaceAll('-', ''), 'hex').toString('base64url');
  /** Any place among the calls that there are. */
  const anywhere = (calls: number) => UNTIL.getTime() - (CALLS - Math.floor(Math.random() * calls)) * 1_000;
  const ask = (userId: () => string, filter: Partial<CallFilter> = {}, over = page()) =>
    history.calls(viewer(userId()), over, { ...none, ...filter });
  return [
    { name: 'newest 20 of anybody', ask: () => ask(someone) },
    { name: 'newest 20 of the one with a tenth of all', ask: () => ask(() => HEAVY) },
    { name: 'oldest 20', ask: () => ask(() => HEAVY, {}, page({ last: 20 })) },
    {
      name: '20 from anywhere on',
      ask: (calls) => ask(() => HEAVY, {}, page({ after: cursorAt(anywhere(calls)) })),
    },
    {
      name: '20 from anywhere back',
      ask: (calls) => ask(() => HEAVY, {}, page({ before: cursorAt(anywhere(calls)) })),
    },
    { name: '100 at once', ask: () => ask(() => HEAVY, {}, page({ first: 100 })) },
    { name: 'missed', ask: () => ask(() => HEAVY, { missed: true }) },
    { name: 'the few that were not missed', ask: () => ask(() => DESK, { missed: false }) },
    { name: 'outgoing', ask: () => ask(() => HEAVY, { outgoing: true }) },
    { name: 'a conversation of long ago', ask: () => ask(() => HEAVY, { conversationId: RARE }) },
    {
      name: 'missed ones of a conversation',
      ask: () => ask(() => HEAVY, { conversationId: 'room-1', missed: true }),
    },
    {
      name: 'an hour of long ago',
      ask(calls) {
        const from = anywhere(calls);
        return ask(() => HEAVY, { createdFrom: from, createdBefore: from + 3_600_000 });
      },
    },
    { name: 'live ones', ask: () => ask(() => HEAVY, { statuses: ['RINGING', 'ACTIVE'] }) },
    { name: 'the count of missed ones, 100 and more', ask: () => history.missedCallCount(viewer(DESK)) },
  ];
}

interface Timing {
  readonly name: string;
  readonly median: number;
  readonly p99: number;
}

async function measure(calls: number): Promise<Timing[]> {
  const timings: Timing[] = [];
  for (const { name, ask } of questions(database)) {
    const took: number[] = [];
    for (let n = 0; n < TIMES; n++) {
      const startedAt = performance.now();
      await ask(calls);
      took.push(performance.now() - startedAt);
    }
    took.sort((a, b) => a - b);
    const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] as number;
    timings.push({ name, median: at(0.5), p99: at(0.99) });
  }
  return timings;
}

async function report(few: readonly Timing[], all: readonly Timing[]): Promise<void> {
  const ms = (value: number | undefined) => (value ?? 0).toFixed(1);
  say(`\nMilliseconds, as the service answers: median (p99) of ${TIMES}\n`);
  say(`| a page of | ${count(FIRST)} calls | ${count(CALLS)} calls |\n| --- | ---: | ---: |`);
  for (const [index, { name, median, p99 }] of all.entries()) {
    const before = few[index];
    say(`| ${name} | ${ms(before?.median)} (${ms(before?.p99)}) | ${ms(median)} (${ms(p99)}) |`);
  }
  const query: HistoryQuery = {
    ...{ userId: HEAVY, conversationId: null, missed: null, outgoing: null, statuses: null },
    ...{ fromId: null, beforeId: null, backwards: false, beyondId: null, limit: 21 },
  };
  const explained = {
    'newest 20': historyStatement(query),
    'missed ones of a conversation': historyStatement({ ...query, conversationId: 'room-1', missed: true }),
    'the count of missed ones': unseenStatement(DESK, null, MOST_MISSED),
  };
  for (const [name, statement] of Object.entries(explained)) {
    const { rows } = await sql<{ 'QUERY PLAN': string }>`explain (analyze, buffers) ${statement}`.execute(db);
    say(`\n${name}:\n${rows.map((row) => `  ${row['QUERY PLAN']}`).join('\n')}`);
  }
  const { rows } = await sql<{ name: string; size: string }>`
    select relname as name, pg_size_pretty(pg_total_relation_size(oid)) as size from pg_class
    where relname in ('calls', 'call_participants', 'call_history')`.execute(db);
  say(`\nSizes, with indexes: ${rows.map(({ name, size }) => `${name} ${size}`).join(', ')}`);
}
