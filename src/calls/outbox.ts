import { sql } from 'kysely';
import type { CallLog, Origin, Position, StateOutcome, StateRecord } from '../call-log/call-log.ts';
import type { RingBoard } from '../incoming/ring-board.ts';
import { type Db, readCall } from './call.repository.ts';
import type { Fact } from './call.ts';
import { ringViewOf, type StateChange } from './changes.ts';

/**
 * Changes of state on their way from `call_events`, where their transaction wrote them, to the log and to
 * those who are being rung. What a crash left here is taken up by the sweeper of any instance.
 */

export interface OutboxRow {
  readonly callId: string;
  readonly version: number;
  readonly at: number;
  readonly change: StateChange;
  readonly facts: readonly Fact[];
  readonly expiresAt: number;
}

/** Rows of one sweep. */
const SWEEP_BATCH = 200;
/** Rows that are read at once for the feeds of an instance. */
const STATES_PAGE = 500;
/** Milliseconds after which an unpublished row is taken for left behind; marks are written each second. */
const LEFT_BEHIND_AFTER = 2_000;

export class Outbox {
  readonly #db: Db;
  readonly #log: CallLog;
  readonly #rings: RingBoard;
  readonly #onUnpublished: (error: unknown, row: OutboxRow) => void;
  readonly #onAppended: (outcome: 'ok' | 'failed', seconds: number) => void;
  /** Published and not yet marked so; the sweeper writes the marks, nobody waits for them. */
  #unmarked: { callId: string; version: number }[] = [];

  constructor(
    db: Db,
    log: CallLog,
    rings: RingBoard,
    onUnpublished: (error: unknown, row: OutboxRow) => void,
    onAppended: (outcome: 'ok' | 'failed', seconds: number) => void,
  ) {
    this.#db = db;
    this.#log = log;
    this.#rings = rings;
    this.#onUnpublished = onUnpublished;
    this.#onAppended = onAppended;
  }

  /**
   * Appends to the log and tells the rings. Never rejects: what it publishes is committed, and what it could
   * not publish the sweeper will. Null where this call did not append it: somebody else had, or it failed.
   */
  async publish(row: OutboxRow): Promise<Position | null> {
    const { rings } = row.change;
    const [appended, rung] = await Promise.allSettled([
      this.#append(row),
      rings ? this.#rings.publish(rings, row.at) : undefined,
    ]);
    if (appended.status === 'fulfilled' && rung.status === 'fulfilled') {
      this.#unmarked.push({ callId: row.callId, version: row.version });
    } else {
      for (const result of [appended, rung]) {
        if (result.status === 'rejected') this.#onUnpublished(result.reason, row);
      }
    }
    return appended.status === 'fulfilled' ? appended.value : null;
  }

  async #append(row: OutboxRow): Promise<Position | null> {
    const { callId, version, expiresAt } = row;
    const record = recordOf(row);
    for (;;) {
      const outcome = await this.#appendOnce(callId, record, expiresAt);
      if (outcome.outcome === 'appended') return outcome.position;
      if (outcome.outcome === 'known') return null;
      if (outcome.outcome === 'gap') {
        const missing = await this.rowsAfter(callId, outcome.version, version);
        if (missing[0]?.version !== outcome.version + 1) {
          throw new Error(`call_events of ${callId} lacks version ${outcome.version + 1}`);
        }
        for (const earlier of missing) await this.#append(earlier);
      } else if (!(await this.createLog(callId))) return null;
    }
  }

  async #appendOnce(callId: string, record: StateRecord, expiresAt: number): Promise<StateOutcome> {
    const startedAt = performance.now();
    let outcome: 'ok' | 'failed' = 'failed';
    try {
      const answer = await this.#log.appendState(callId, record, expiresAt);
      outcome = 'ok';
      return answer;
    } finally {
      this.#onAppended(outcome, (performance.now() - startedAt) / 1000);
    }
  }

  /** Makes the call's log from what the database knows. False where the call is over: it needs none. */
  async createLog(callId: string): Promise<boolean> {
    const read = await readCall(this.#db, callId);
    if (!read || read.call.status === 'ENDED') return false;
    const { call } = read;
    const seats: Origin['seats'] = Object.fromEntries(
      call.participants.flatMap(({ userId, seat }) =>
        seat ? [[userId, { joinSeq: seat.joinSeq, sessionId: seat.sessionId }]] : [],
      ),
    );
    await this.#log.create(callId, { version: call.version, seats }, call.expiresAt);
    return true;
  }

  /** The changes after version `after` and before `before`, oldest first. */
  async rowsAfter(callId: string, after: number, before = Number.MAX_SAFE_INTEGER): Promise<OutboxRow[]> {
    const rows = await this.#select()
      .where('call_events.call_id', '=', callId)
      .where('call_events.version', '>', after)
      .where('call_events.version', '<', Math.min(before, 2_147_483_647))
      .orderBy('call_events.version')
      .execute();
    return rows.map(toRow);
  }

  /**
   * The changes of many calls after the version that is known of each, a call's in their order. In pages, so
   * that it matters to nobody's memory how much it is.
   */
  async *statesAfter(
    known: ReadonlyMap<string, number>,
  ): AsyncGenerator<{ callId: string; state: StateRecord }> {
    const versions = new Map(known);
    for (;;) {
      // Lateral with a limit, so that it is a look into the primary key for each call: 6 ms for 1,000 of them. A
      // plain join is planned by statistics, and where those are old it reads the whole index: 9 s of 700,000.
      // Who is rung hears it another way.
      const { rows } = await sql<StateRow>`
        select state.* from unnest(${[...versions.keys()]}::uuid[], ${[...versions.values()]}::int4[])
            as known (call_id, version)
          cross join lateral (
            select call_id, version, at, change - 'rings' as change from call_events
            where call_events.call_id = known.call_id and call_events.version > known.version
            order by version limit ${STATES_PAGE}::int4
          ) as state
        order by call_id, version limit ${STATES_PAGE}::int4`.execute(this.#db);
      for (const { call_id: callId, version, at, change } of rows) {
        versions.set(callId, version);
        yield { callId, state: recordOf({ version, at: at.getTime(), change }) };
      }
      if (rows.length < STATES_PAGE) return;
    }
  }

  /** Writes the marks of what is published, then publishes what was left behind. Returns how many rows. */
  async sweep(): Promise<number> {
    await this.#mark();
    if (this.#log.health() === 'down') return 0;
    const rows = await this.#select()
      .where('published', '=', false)
      .where('at', '<', sql<Date>`now() - ${LEFT_BEHIND_AFTER}::int8 * interval '1 millisecond'`)
      .orderBy('at')
      .orderBy('call_events.version')
      .limit(SWEEP_BATCH)
      .execute();
    for (const row of rows) await this.publish(await this.#asOfNow(toRow(row)));
    if (rows.length > 0) await this.#mark();
    return rows.length;
  }

  /** What was left behind is old: those who are rung hear of the call as it is now. */
  async #asOfNow(row: OutboxRow): Promise<OutboxRow> {
    const { rings } = row.change;
    const read = rings && (await readCall(this.#db, row.callId));
    return read
      ? { ...row, change: { ...row.change, rings: { ...rings, call: ringViewOf(read.call) } } }
      : row;
  }

  async #mark(): Promise<void> {
    const marks = this.#unmarked;
    if (marks.length === 0) return;
    this.#unmarked = [];
    try {
      await sql`update call_events set published = true
        from unnest(${marks.map((m) => m.callId)}::uuid[], ${marks.map((m) => m.version)}::int4[])
          as done (call_id, version)
        where call_events.call_id = done.call_id and call_events.version = done.version`.execute(this.#db);
    } catch (error) {
      this.#unmarked.unshift(...marks);
      throw error;
    }
  }

  #select() {
    return this.#db
      .selectFrom('call_events')
      .innerJoin('calls', 'calls.id', 'call_events.call_id')
      .select([
        'call_events.call_id',
        'call_events.version',
        'call_events.at',
        'call_events.change',
        'call_events.facts',
        'calls.expires_at',
      ]);
  }
}

interface StateRow {
  readonly call_id: string;
  readonly version: number;
  readonly at: Date;
  readonly change: Omit<StateChange, 'rings'>;
}

function recordOf(row: {
  readonly version: number;
  readonly at: number;
  readonly change: Omit<StateChange, 'rings'>;
}): StateRecord {
  const { events, seats, ended } = row.change;
  return { version: row.version, at: row.at, events, seats, ended };
}

function toRow(row: {
  call_id: string;
  version: number;
  at: Date;
  change: StateChange;
  facts: Fact[];
  expires_at: Date;
}): OutboxRow {
  return {
    callId: row.call_id,
    version: row.version,
    at: row.at.getTime(),
    change: row.change,
    facts: row.facts,
    expiresAt: row.expires_at.getTime(),
  };
}
