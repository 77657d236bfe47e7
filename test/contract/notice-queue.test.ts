import { randomUUID } from 'node:crypto';
import { CompiledQuery, sql } from 'kysely';
import { PgBoss } from 'pg-boss';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/database/migrator.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import { transact } from '../../src/database/transaction.ts';
import type { Notice } from '../../src/notifications/notice.ts';
import type { NoticeJob, NoticeQueue, TakenJob } from '../../src/notifications/notice-queue.ts';
import { PgBossQueue } from '../../src/notifications/pg-boss-queue.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/postgres.ts';

/** What is asked of a queue, and that pg-boss does it, on either database. */

let stored: TestDatabase;
const databases: Database[] = [];

beforeAll(async () => {
  stored = await createDatabase();
  databases.push(
    await openDatabase({ url: stored.url, dataDir: null, poolSize: 4, timeoutMs: 10_000 }),
    await openDatabase({ url: null, dataDir: null, poolSize: 1, timeoutMs: 10_000 }),
  );
  await migrate(databases[1]!);
});
afterAll(async () => {
  for (const database of databases) await database.close();
  await stored?.drop();
});

let channels = 0;

describe.each([
  ['Postgres', 0],
  ['the embedded database', 1],
])('the queue on %s', (_name, which) => {
  let database: Database;
  let queue: NoticeQueue;
  let channel: string;

  /** A channel of the test's own. */
  async function opened(): Promise<void> {
    database = databases[which] as Database;
    queue = new PgBossQueue(database.db);
    channel = `channel${++channels}`;
    await queue.open([channel]);
  }

  const job = (seq: number, callId = CALL, receiver = 'r1'): NoticeJob => ({
    channel,
    notice: noticeOf(callId, seq),
    receiver: { id: receiver, userId: null },
  });
  const enqueue = (...jobs: NoticeJob[]) => transact(database, (tx) => queue.enqueue(tx, jobs));
  const take = (limit = 10) => queue.take(channel, limit);
  const told = (jobs: readonly TakenJob[]) =>
    jobs.map(({ notice, receiver }) => `${receiver.id}:${notice.seq}`);
  const makeSilent = () =>
    sql`update pgboss.job set heartbeat_on = now() - interval '5 s' where name = ${channel}`.execute(
      database.db,
    );
  const becomeDue = () =>
    sql`update pgboss.job set start_after = now() where name = ${channel}`.execute(database.db);

  it('has the tables that the installed pg-boss wants: a newer one comes with a migration', async () => {
    await opened();
    const boss = new PgBoss({
      db: {
        async executeSql(text, values = []) {
          const { rows } = await database.db.executeQuery(CompiledQuery.raw(text, values as unknown[]));
          return { rows };
        },
      },
    });
    const { ok, ...drift } = await boss.detectSchemaDrift();
    expect(ok ? 'as wanted' : drift).toBe('as wanted');
  });

  it('holds what was committed, and nothing of what was rolled back', async () => {
    await opened();
    await enqueue(job(1));
    await expect(
      transact(database, async (tx) => {
        await queue.enqueue(tx, [job(2)]);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    const [taken, ...more] = await take();
    expect(more).toEqual([]);
    expect(taken).toMatchObject({ ...job(1), attempts: 0 });
  });

  it('gives one job at a time of a call and a receiver, in order, whatever becomes of it', async () => {
    await opened();
    await enqueue(job(1), job(2), job(1, OTHER), job(1, CALL, 'r2'));
    await enqueue(job(3));
    const first = await take();
    expect(told(first).sort()).toEqual(['r1:1', 'r1:1', 'r2:1']);
    expect(await take()).toEqual([]);
    const mine = first.find(
      ({ notice, receiver }) => notice.callId === CALL && receiver.id === 'r1',
    ) as TakenJob;
    // One that waits for its next attempt lets none pass.
    expect(await queue.retry(mine, 'no')).toBe(true);
    expect(await take()).toEqual([]);
    await becomeDue();
    const again = await take();
    expect(told(again)).toEqual(['r1:1']);
    expect(again[0]).toMatchObject({ attempts: 1 });
    // One that is given up does.
    await queue.bury(again[0] as TakenJob, 'never');
    const second = await take();
    expect(told(second)).toEqual(['r1:2']);
    await queue.finish(channel, second);
    expect(told(await take())).toEqual(['r1:3']);
  });

  it('has the order of the changes, and not of the beginnings of their transactions', async (context) => {
    if (which === 1) return context.skip('the embedded database has one transaction at a time');
    await opened();
    await transact(database, async (late) => {
      await sql`select 1`.execute(late);
      await enqueue(job(1));
      await queue.enqueue(late, [job(2)]);
    });
    const [first] = await take();
    expect(first?.notice.seq).toBe(1);
  });

  it('is not slowed down by a backlog that came suddenly, of which the planner knows nothing yet', async (context) => {
    if (which === 1) return context.skip('one look is enough of it');
    await opened();
    const calls = Array.from({ length: 2_000 }, () => randomUUID());
    await enqueue(...calls.flatMap((callId) => [1, 2, 3].map((seq) => job(seq, callId))));
    const startedAt = performance.now();
    expect(await take(32)).toHaveLength(32);
    // Tens of milliseconds; a plan that compares each with each takes many seconds.
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await sql`delete from pgboss.job where name = ${channel}`.execute(database.db);
  });

  it('takes rings before what is for the record', async () => {
    await opened();
    const ended = { ...job(6), notice: { ...noticeOf(CALL, 6), kind: 'ended' as const } };
    await enqueue(ended);
    await enqueue(job(1, OTHER));
    expect((await take(1))[0]?.notice.callId).toBe(OTHER);
  });

  it('frees the jobs of who has fallen silent, and lets him settle nothing any more', async () => {
    await opened();
    await enqueue(job(1));
    const [mine] = await take();
    expect(await queue.reclaim(channel)).toBe(0);
    await makeSilent();
    await queue.hold(channel, [mine as TakenJob]);
    expect(await queue.reclaim(channel)).toBe(0);
    await makeSilent();
    expect(await queue.reclaim(channel)).toBe(1);
    const [theirs] = await take();
    expect(theirs).toMatchObject({ id: mine?.id, attempts: 1 });
    await queue.finish(channel, [mine as TakenJob]);
    await queue.retry(mine as TakenJob, 'late');
    await queue.bury(mine as TakenJob, 'late');
    await queue.release(channel, [mine as TakenJob]);
    await makeSilent();
    expect(await queue.reclaim(channel)).toBe(1);
  });

  it('gives a released job to the next at once', async () => {
    await opened();
    await enqueue(job(1), job(2));
    await queue.release(channel, await take());
    expect(told(await take())).toEqual(['r1:1']);
  });

  it('says when the attempts were too many', async () => {
    await opened();
    await enqueue(job(1));
    await sql`update pgboss.job set retry_count = 149, started_on = now() where name = ${channel}`.execute(
      database.db,
    );
    const [last] = await take();
    expect(await queue.retry(last as TakenJob, 'no')).toBe(false);
  });

  it('shows dead letters in pages, sends them again, and forgets them in the end', async () => {
    await opened();
    await sql`delete from pgboss.job where name = 'dead-letters'`.execute(database.db);
    await enqueue(job(1), job(1, OTHER), job(1, CALL, 'r2'));
    for (const taken of await take()) await queue.bury(taken, 'The receiver answered 500');
    const all = (await queue.deadLetters({ first: 500, after: null })) ?? [];
    const here = all.filter((letter) => letter.channel === channel);
    expect(here).toHaveLength(3);
    expect(here[0]).toMatchObject({
      receiver: expect.stringMatching(/^r[12]$/),
      kind: 'incoming',
      sequence: 1,
      at: AT,
      failedAt: expect.closeTo(Date.now(), -4),
      attempts: 1,
      error: 'The receiver answered 500',
    });
    const rest = await queue.deadLetters({ first: 500, after: here[0]!.id });
    expect(rest?.map(({ id }) => id)).toEqual(all.slice(all.indexOf(here[0]!) + 1).map(({ id }) => id));
    expect(await queue.deadLetters({ first: 1, after: randomUUID() })).toBeNull();

    expect(await queue.redeliver([here[0]!.id, randomUUID()])).toBe(1);
    const [again] = await take();
    expect(again).toMatchObject({ notice: { id: here[0]!.noticeId }, attempts: 0 });
    await queue.finish(channel, [again as TakenJob]);
    await sql`update pgboss.job set keep_until = now() - interval '1 s' where id = ${here[1]!.id}`.execute(
      database.db,
    );
    await queue.clean();
    expect(await queue.redeliver(null)).toBe(1);
    expect(await take()).toHaveLength(1);
  });

  it('sends what was given up of one call again in its order', async () => {
    await opened();
    const all = [1, 2, 3, 4, 5, 6];
    await enqueue(...all.map((seq) => job(seq)));
    for (const _ of all) for (const taken of await take()) await queue.bury(taken, 'no');
    expect(await queue.redeliver(null)).toBe(6);
    const order: number[] = [];
    for (const _ of all) {
      const taken = await take();
      order.push(...taken.map(({ notice }) => notice.seq));
      await queue.finish(channel, taken);
    }
    expect(order).toEqual(all);
  });
});

const AT = 1_800_000_000_000;
const CALL = '01900000-0000-7000-8000-000000000001';
const OTHER = '01900000-0000-7000-8000-000000000002';

function noticeOf(callId: string, seq: number): Notice {
  return {
    id: `${callId}-${seq}`,
    callId,
    seq,
    kind: 'incoming',
    userIds: ['ben'],
    at: AT,
    expiresAt: AT + 1,
    call: {
      id: callId,
      conversationId: 'c',
      type: 'AUDIO',
      status: 'RINGING',
      callerId: 'ada',
      participants: [],
      createdAt: AT,
      answeredAt: null,
      endedAt: null,
      endReason: null,
      endedBy: null,
      durationSeconds: null,
    },
  };
}
