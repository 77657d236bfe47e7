import { within } from '../background.ts';
import type { Db } from '../calls/call.repository.ts';
import { type MigrationState, migrationState } from '../database/migrator.ts';
import type { Readiness } from './health.ts';

/**
 * Whether this instance may be sent clients: its database answers and has the tables that this version
 * knows, nobody lives beside it whom it can't reach, and it does not drain. It is asked by anyone, as often as
 * they like, and a database that hangs answers nobody: so there is one look at a time, which all share.
 */

/** How long a look holds, milliseconds: a change shows within this and LOOK_LIMIT, less than the 2 s promised. */
const LOOK_HOLDS = 400;
/** A database that takes longer counts as gone, milliseconds; it answers in one or two. */
const LOOK_LIMIT = 1_000;

export interface ReadinessDeps {
  /** Apart from the pool that calls use: a full one is busy, not gone. */
  readonly db: Db;
  readonly embedded: boolean;
  readonly hasRedis: boolean;
  readonly instances: { others(): Promise<{ readonly hasRedis: boolean }[]> };
  readonly log: { health(): 'up' | 'down' };
}

/** What a look into the database found; null: it did not answer. */
type Look = { readonly others: readonly { readonly hasRedis: boolean }[]; readonly tables: MigrationState };

export interface ReadinessCheck {
  /** Never rejects, and takes no longer than LOOK_LIMIT. */
  check(): Promise<Readiness>;
  /** From now on the answer is no: the balancer is to send clients elsewhere. */
  drain(): void;
}

export function createReadiness(deps: ReadinessDeps): ReadinessCheck {
  let draining = false;
  let startedAt = Number.NEGATIVE_INFINITY;
  /** The newest look; it settles when the database has answered, or failed. */
  let look: Promise<Look | null> | null = null;
  let isOver = true;

  function lookAgain(): Promise<Look | null> {
    startedAt = performance.now();
    isOver = false;
    return Promise.all([deps.instances.others(), migrationState(deps.db)]).then(
      ([others, tables]) => {
        isOver = true;
        return { others, tables };
      },
      () => {
        isOver = true;
        return null;
      },
    );
  }

  async function newest(): Promise<Look | null> {
    if (look === null || (isOver && performance.now() - startedAt >= LOOK_HOLDS)) look = lookAgain();
    // One that began long ago has had its time: then the answer is at once.
    const left = Math.max(0, startedAt + LOOK_LIMIT - performance.now());
    const current = look;
    return isOver || (await within(left, current)) ? current : null;
  }

  return {
    async check() {
      if (draining) return { ok: false, degraded: false, reasons: ['The instance is shutting down.'] };
      const found = await newest();
      if (draining) return { ok: false, degraded: false, reasons: ['The instance is shutting down.'] };
      const wrong = found === null ? [databaseGone(deps.embedded)] : problemsOf(found, deps.hasRedis);
      const lacking = found === null ? [] : unknownTables(found.tables);
      if (deps.log.health() === 'down') lacking.push('Redis is out of reach.');
      return { ok: wrong.length === 0, degraded: lacking.length > 0, reasons: [...wrong, ...lacking] };
    },
    drain() {
      draining = true;
    },
  };
}

function databaseGone(embedded: boolean): string {
  return `The database does not answer (${embedded ? 'embedded' : 'Postgres'}).`;
}

function problemsOf({ others, tables }: Look, hasRedis: boolean): string[] {
  const problems: string[] = [];
  if (tables.missing.length > 0) {
    problems.push(`The database lacks migrations: ${tables.missing.join(', ')}. Run npm run migrate.`);
  }
  if (others.some((other) => !hasRedis || !other.hasRedis)) {
    problems.push(
      'Another instance lives on this database, and they have no REDIS_URL in common: set it on all.',
    );
  }
  return problems;
}

/** As in the midst of an upgrade, when a newer instance has migrated already: no reason to send nobody here. */
function unknownTables({ unknown }: MigrationState): string[] {
  if (unknown.length === 0) return [];
  return [`The database has migrations that this version does not know: ${unknown.join(', ')}.`];
}
