import { PGlite } from '@electric-sql/pglite';
import {
  type CompiledQuery,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely';
import pg from 'pg';
import { LeaseDriver, type Session, type SessionResult } from '../../src/database/lease.ts';
import { migrate } from '../../src/database/migrator.ts';
import type { Database } from '../../src/database/open.ts';
import type { Tables } from '../../src/database/tables.ts';
import { running } from './clock.ts';
import { type Field, partsOf, toExecute, toPrepare, toQuery } from './wire.ts';

/**
 * One Postgres in memory, whose time is the simulation's. It answers at once and in the same turn: so a
 * statement is one step, and costs some 50 µs, since it is prepared once and sent as one message.
 */

const TABLES = [
  'call_events',
  'call_signal_counts',
  'call_quality_reports',
  'call_history',
  'missed_calls_seen',
  'initiations',
  'call_participants',
  'calls',
  'conversation_members',
  'conversations',
  'instances',
];
/** Resets by deletion between two that truncate: that costs ten times as much, and leaves nothing dead. */
const TRUNCATE_EVERY = 40;

export class MemoryPostgres {
  readonly #pglite: PGlite;
  readonly #statements = new Map<string, { name: string; fields: readonly Field[] }>();
  #resets = 0;

  private constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  static async create(): Promise<MemoryPostgres> {
    const pglite = await PGlite.create();
    const made = new MemoryPostgres(pglite);
    await pglite.exec(`set plan_cache_mode = force_generic_plan;
      set enable_hashagg = off;
      set synchronous_commit = off;
      set track_activities = off;
      set track_counts = off;`);
    const session: Session = { run: async (query) => made.run(query), release: () => {} };
    const db = kyselyOver(new LeaseDriver(async () => session));
    const database: Database = {
      db,
      embedded: true,
      timeoutMs: 60_000,
      pool: null,
      maintain: (use) => use(db),
      close: async () => {},
    };
    await migrate(database);
    // Nothing of it survives a crash here, so nothing need be written ahead.
    for (const table of TABLES) await pglite.exec(`alter table ${table} set unlogged`);
    return made;
  }

  /** As it was made. */
  reset(): void {
    const whole = this.#resets++ % TRUNCATE_EVERY === 0;
    const statements = whole ? [`truncate ${TABLES.join()}`] : TABLES.map((table) => `delete from ${table}`);
    this.#send(toQuery(['rollback', ...statements].join(';')));
  }

  run(query: Pick<CompiledQuery, 'sql' | 'parameters'>): SessionResult {
    const { sql, parameters } = query;
    // Several commands, as a migration has them, can't be prepared.
    if (parameters.length === 0 && /;\s*\S/.test(sql)) return this.#send(toQuery(sql));
    const { name, fields } = this.#prepare(sql);
    return this.#send(toExecute(name, parameters.map(asText)), fields);
  }

  rows<Row>(sql: string, parameters: readonly unknown[] = []): Row[] {
    return this.run({ sql, parameters }).rows as Row[];
  }

  #prepare(sql: string): { name: string; fields: readonly Field[] } {
    const known = this.#statements.get(sql);
    if (known) return known;
    const name = `s${this.#statements.size}`;
    const fields: Field[] = [];
    this.#send(toPrepare(name, sql), fields, (found) => fields.push(...found));
    const made = { name, fields };
    this.#statements.set(sql, made);
    return made;
  }

  #send(
    message: Uint8Array,
    fields: readonly Field[] = [],
    onFields: (fields: readonly Field[]) => void = () => {},
  ): SessionResult {
    const rows: Record<string, unknown>[] = [];
    let command = '';
    let rowCount: number | null = null;
    let failure: Error | null = null;
    const answer = this.#answer(message);
    for (const part of partsOf(answer)) {
      if (part.kind === 'fields') onFields(part.fields);
      else if (part.kind === 'row') {
        const row: Record<string, unknown> = {};
        for (let i = 0; i < fields.length; i++) row[fields[i]!.name] = asValue(fields[i]!, part.values[i]!);
        rows.push(row);
      } else if (part.kind === 'error') failure = part.error;
      else {
        const words = part.tag.split(' ');
        command = words[0]!;
        rowCount = words.length > 1 ? Number(words.at(-1)) : null;
      }
    }
    if (failure) throw failure;
    return { command, rowCount, rows };
  }

  /** In the same turn: PGlite waits for nothing here. */
  #answer(message: Uint8Array): Buffer {
    const chunks: Buffer[] = [];
    // Its clock and its own timers, of deadlocks and the like, are none of the instance's that asks.
    running.exit(() => {
      // It would parse the answer too, unless it hands it on as it comes.
      void this.#pglite.execProtocolRawStream(message, {
        syncToFs: false,
        onRawData: (bytes) => void chunks.push(Buffer.from(bytes)),
      });
    });
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }

  close(): Promise<void> {
    return this.#pglite.close();
  }
}

export function kyselyOver(driver: LeaseDriver): Kysely<Tables> {
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => driver,
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
}

const INT8 = pg.types.builtins.INT8 as number;

function asValue({ dataTypeID }: Field, text: string | null): unknown {
  if (text === null) return null;
  if (dataTypeID === INT8) return Number(text);
  return pg.types.getTypeParser(dataTypeID)(text);
}

function asText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `{${value.map((item) => JSON.stringify(item)).join(',')}}`;
  return String(value);
}
