import { CompiledQuery, type Kysely, sql } from 'kysely';
import { type JobAttempt, type JobWithMetadata, PgBoss } from 'pg-boss';
import type { Tx } from '../calls/call.repository.ts';
import type { Tables } from '../database/tables.ts';
import type { Receiver } from './channel.ts';
import type { Notice } from './notice.ts';
import type { DeadLetter, NoticeJob, NoticeQueue, TakenJob } from './notice-queue.ts';

/**
 * The queue on pg-boss, in the database of the calls: one `key_strict_fifo` queue for each channel, whose key
 * is the call and the receiver, and one for the dead letters of all.
 *
 * pg-boss is not started: its timers would keep statistics and look for lost jobs each minute. What is written
 * to its job table directly (its documentation allows it) is what its functions can't do: the time of a job
 * taken under the call's lock, so that order is that of the changes and not that of the transactions' beginnings;
 * a look for work that a backlog does not slow down; the way into the dead letters without a failed job left
 * behind, which would hold up its call; lost jobs within seconds.
 */

const DEAD = 'dead-letters';
const DAY = 86_400;
/** Milliseconds after which a job whose instance said nothing of it is free: four times the pause between. */
const SILENT_AFTER = 4_000;
/** The pauses grow from 1 s to 10 min, half of each by chance until then; the last attempt is a day after the first. */
const RETRIES = { retryLimit: 150, retryDelay: 1, retryBackoff: true, retryDelayMax: 600 };
/** Dead letters are kept for two weeks. */
const DEAD_KEPT = 14 * DAY;
/** No job takes as long; one may be left of a channel that is configured no more. */
const KEPT = 30 * DAY;
/** Dead letters that are sent again at once. */
const REDELIVERED = 1_000;

/** What a job has beside its queue and its data; the second half of it is the same for all. */
const JOB_COLUMNS = sql`priority, singleton_key, policy, created_on,
  keep_until, retry_limit, retry_delay, retry_backoff, retry_delay_max`;
const JOB_OPTIONS = sql`now() + ${KEPT}::int4 * interval '1 second', ${RETRIES.retryLimit}::int4,
  ${RETRIES.retryDelay}::int4, ${RETRIES.retryBackoff}::bool, ${RETRIES.retryDelayMax}::int4`;

interface JobData {
  readonly notice: Notice;
  readonly receiver: Receiver;
  /** Of a dead letter: what the last attempt came to. */
  readonly error?: string;
  readonly attempts?: number;
}

export class PgBossQueue implements NoticeQueue {
  readonly #db: Kysely<Tables>;
  readonly #boss: PgBoss;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
    this.#boss = new PgBoss({
      db: {
        async executeSql(text, values = []) {
          const { rows } = await db.executeQuery(CompiledQuery.raw(text, values as unknown[]));
          return { rows };
        },
      },
      supervise: false,
      schedule: false,
      migrate: false,
    });
  }

  async open(channels: readonly string[]): Promise<void> {
    const create = (name: string, options: object) =>
      sql`select pgboss.create_queue(${name}, ${JSON.stringify(options)}::jsonb)`.execute(this.#db);
    await create(DEAD, { policy: 'standard', retentionSeconds: DEAD_KEPT });
    const options = { ...RETRIES, retentionSeconds: KEPT };
    for (const channel of channels) {
      await create(channel, { policy: 'key_strict_fifo', ...options });
      // Where an older version made it.
      await this.#boss.updateQueue(channel, options);
    }
  }

  async enqueue(tx: Tx, jobs: readonly NoticeJob[]): Promise<void> {
    const rows = jobs.map(({ channel, notice, receiver }, place) => ({
      channel,
      key: `${notice.callId}/${receiver.id}`,
      // Where many wait, who is to be rung does not wait for what is for the record.
      priority: notice.kind === 'ended' || notice.kind === 'missed' ? 0 : 1,
      place,
      data: { notice, receiver } satisfies JobData,
    }));
    await sql`insert into pgboss.job (name, data, ${JOB_COLUMNS})
      select channel, data, priority, key, 'key_strict_fifo',
        clock_timestamp() + place * interval '1 microsecond', ${JOB_OPTIONS}
      from json_to_recordset(${JSON.stringify(rows)}::json)
        as job (channel text, key text, priority int4, place int4, data jsonb)`.execute(tx);
  }

  /**
   * The oldest that are due, but none behind another one of its key. pg-boss's fetch finds the first of every key
   * that waits before it takes some of them, and where a backlog came suddenly, and the planner knows of none yet,
   * it compares each with each: 6,000 jobs took longer than a statement may. Here each candidate, in the order of
   * the index, has two looks into an index; as scalar subqueries, since those are never planned as joins.
   */
  async take(channel: string, limit: number): Promise<TakenJob[]> {
    const { rows } = await sql<{ id: string; data: JobData; attempts: number }>`with next as (
        select id from pgboss.job as mine
        where name = ${channel} and state < 'active' and not blocked and start_after <= now()
          and (select true from pgboss.job as busy
            where busy.name = ${channel} and busy.singleton_key = mine.singleton_key and busy.id <> mine.id
              and busy.state in ('active', 'retry', 'failed') and busy.policy = 'key_strict_fifo' limit 1) is null
          and (state = 'retry' or (select true from pgboss.job as earlier
            where earlier.name = ${channel} and earlier.singleton_key = mine.singleton_key and earlier.state < 'active'
              and (earlier.created_on, earlier.id) < (mine.created_on, mine.id) limit 1) is null)
        order by priority desc, created_on limit ${limit}::int4 for update of mine skip locked
      )
      update pgboss.job as taken set state = 'active', started_on = now(), heartbeat_on = now(),
        retry_count = retry_count + (started_on is not null)::int4
      from next where taken.name = ${channel} and taken.id = next.id
      returning taken.id, data, retry_count as attempts`.execute(this.#db);
    return rows.map(({ id, data, attempts }) => ({
      id,
      channel,
      attempts,
      notice: data.notice,
      receiver: data.receiver,
    }));
  }

  async finish(channel: string, jobs: readonly TakenJob[]): Promise<void> {
    if (jobs.length > 0) await this.#boss.deleteJob(channel, jobs.map(attemptOf));
  }

  async retry(job: TakenJob, error: string): Promise<boolean> {
    if (job.attempts >= RETRIES.retryLimit) return false;
    await this.#boss.fail(job.channel, [attemptOf(job)], { error });
    return true;
  }

  async bury(job: TakenJob, error: string): Promise<void> {
    const data: JobData = { notice: job.notice, receiver: job.receiver, error, attempts: job.attempts + 1 };
    await sql`with gone as (
        delete from pgboss.job
        where name = ${job.channel} and id = ${job.id} and state = 'active' and retry_count = ${job.attempts}::int4
        returning *
      )
      insert into pgboss.job (name, data, priority, singleton_key, created_on, keep_until, source_name, source_id,
        source_created_on, source_retry_count)
      select ${DEAD}, ${JSON.stringify(data)}::jsonb, priority, singleton_key, clock_timestamp(),
        now() + ${DEAD_KEPT}::int4 * interval '1 second', name, id, created_on, retry_count
      from gone`.execute(this.#db);
  }

  async release(channel: string, jobs: readonly TakenJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const held = jobs.map((job) => `${job.id}:${job.attempts}`);
    await sql`update pgboss.job set state = 'retry' where name = ${channel} and state = 'active'
      and id = any(${jobs.map(({ id }) => id)}::uuid[])
      and id::text || ':' || retry_count = any(${held}::text[])`.execute(this.#db);
  }

  async hold(channel: string, jobs: readonly TakenJob[]): Promise<void> {
    if (jobs.length > 0) await this.#boss.touch(channel, jobs.map(attemptOf));
  }

  /** As `retry`, the next claim counts as an attempt, so that the silent one is fenced off. */
  async reclaim(channel: string): Promise<number> {
    // The policy is in it for the sake of its partial index, which holds no more than what is worked on or failed.
    const { numAffectedRows } = await sql`update pgboss.job set state = 'retry'
      where name = ${channel} and state = 'active' and policy = 'key_strict_fifo'
        and heartbeat_on < now() - ${SILENT_AFTER}::int4 * interval '1 millisecond'`.execute(this.#db);
    return Number(numAffectedRows ?? 0);
  }

  async deadLetters({ first, after }: { first: number; after: string | null }): Promise<DeadLetter[] | null> {
    if (after !== null && (await this.#boss.findJobs(DEAD, { id: after, limit: 1 })).length === 0)
      return null;
    const jobs = await this.#boss.findJobs<JobData>(DEAD, {
      queued: true,
      limit: first,
      ...(after === null ? {} : { after }),
    });
    return jobs.map(letterOf);
  }

  /** pg-boss's own redrive would leave the order of one call's to chance. */
  async redeliver(ids: readonly string[] | null): Promise<number> {
    const { rows } = await sql`with again as (
        delete from pgboss.job where name = ${DEAD} and id in (
          select id from pgboss.job
          where name = ${DEAD} and (${ids === null} or id = any(${ids ?? []}::uuid[]))
          order by created_on limit ${REDELIVERED}::int4 for update skip locked
        ) returning *
      )
      insert into pgboss.job (name, data, ${JOB_COLUMNS})
      select source_name, data - 'error' - 'attempts', priority, singleton_key, 'key_strict_fifo',
        clock_timestamp() + row_number() over (order by source_created_on) * interval '1 microsecond', ${JOB_OPTIONS}
      from again returning id`.execute(this.#db);
    return rows.length;
  }

  async clean(): Promise<void> {
    await sql`delete from pgboss.job where keep_until < now() and state <> 'active'`.execute(this.#db);
  }
}

/** Names the attempt: one of an earlier one settles nothing. */
function attemptOf(job: TakenJob): JobAttempt {
  return { id: job.id, retryCount: job.attempts };
}

function letterOf(job: JobWithMetadata<JobData>): DeadLetter {
  const { notice, receiver, error, attempts } = job.data;
  return {
    id: job.id,
    channel: job.sourceName ?? '',
    receiver: receiver.id,
    noticeId: notice.id,
    kind: notice.kind,
    callId: notice.callId,
    sequence: notice.seq,
    at: notice.at,
    failedAt: job.createdOn.getTime(),
    attempts: attempts ?? 0,
    error: error ?? '',
  };
}
