import type { CompiledQuery } from 'kysely';
import type { Session, SessionResult } from '../../src/database/lease.ts';
import type { Database } from '../../src/database/open.ts';
import type { Owner } from './clock.ts';
import type { Code } from './code.ts';
import { kyselyOver, type MemoryPostgres } from './database.ts';
import type { Armed } from './faults.ts';
import type { Scheduler, Step } from './scheduler.ts';

/** The way from an instance to the database: each statement is a step, and may come to harm. */

/** What all instances share of the database. */
export class DatabaseServer {
  readonly postgres: MemoryPostgres;
  state: 'up' | 'away' | 'silent' = 'up';
  /** Whose transaction is open: the one session of the memory database serves one at a time. */
  holder: SimulatedSession | null = null;
  statements = 0;

  constructor(postgres: MemoryPostgres) {
    this.postgres = postgres;
  }
}

export interface DatabaseLinkDeps {
  readonly server: DatabaseServer;
  readonly owner: Owner;
  readonly scheduler: Scheduler;
  readonly armed: Armed;
  readonly code: Code;
  readonly timeoutMs: number;
  /** The process dies, now. */
  readonly crash: () => void;
}

export class DatabaseLink {
  readonly database: Database;
  readonly deps: DatabaseLinkDeps;
  readonly sessions = new Set<SimulatedSession>();

  constructor(deps: DatabaseLinkDeps) {
    this.deps = deps;
    const db = kyselyOver(
      new deps.code.LeaseDriver(async () => {
        const session = new SimulatedSession(this);
        this.sessions.add(session);
        return session;
      }),
    );
    this.database = {
      db,
      embedded: false,
      timeoutMs: deps.timeoutMs,
      pool: null,
      maintain: (use) => use(db),
      close: async () => {},
    };
  }

  /** The instance stalls or dies: the server does not let it hold a transaction all that time. */
  cutTransactions(): void {
    for (const session of this.sessions) {
      if (this.deps.server.holder === session)
        session.lose(new this.deps.code.DatabaseTimeout('Idle for too long'));
    }
  }
}

export class SimulatedSession implements Session {
  readonly #link: DatabaseLink;
  #lost: Error | null = null;
  #waiting: { readonly step: Step; readonly fail: (error: Error) => void } | null = null;

  constructor(link: DatabaseLink) {
    this.#link = link;
  }

  run(query: CompiledQuery): Promise<SessionResult> {
    const { server, owner, scheduler, code, timeoutMs } = this.#link.deps;
    if (this.#lost) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.lose(new code.DatabaseTimeout('No answer in time')), timeoutMs);
      const fail = (error: Error) => {
        clearTimeout(timer);
        reject(error);
      };
      const step = scheduler.add({
        owner,
        what: `sql ${query.sql.slice(0, 60)}`,
        ready: () => server.state !== 'silent' && (server.holder === null || server.holder === this),
        run: () => {
          this.#waiting = null;
          clearTimeout(timer);
          try {
            this.#execute(query, resolve, reject);
          } catch (error) {
            reject(error);
          }
        },
      });
      this.#waiting = { step, fail };
    });
  }

  #execute(
    query: CompiledQuery,
    resolve: (result: SessionResult) => void,
    reject: (error: Error) => void,
  ): void {
    const { owner, scheduler, armed, code, crash } = this.#link.deps;
    const lose = () =>
      this.lose(new code.DatabaseUnavailable('The connection to the database was lost'), reject);
    if (this.#isLostBefore(query)) {
      lose();
      return;
    }
    const result = this.#send(query);
    if (query.sql !== 'commit') resolve(result);
    else if (armed.hits('connection lost, commit done')) lose();
    else if (armed.hits('crash between commit and publish')) crash();
    // Others may see what was committed before whoever committed it knows.
    else scheduler.add({ owner, what: 'committed', run: () => resolve(result) });
  }

  #isLostBefore({ sql }: CompiledQuery): boolean {
    const { server, armed } = this.#link.deps;
    if (server.state === 'away') return true;
    if (sql === 'commit') return armed.hits('connection lost, commit not done');
    return sql !== 'rollback' && armed.hits('statement fails');
  }

  #send(query: CompiledQuery): SessionResult {
    const { server } = this.#link.deps;
    server.statements++;
    if (query.sql.startsWith('begin')) server.holder = this;
    const ends = query.sql === 'commit' || query.sql === 'rollback';
    if (ends && server.holder === this) server.holder = null;
    return server.postgres.run(query);
  }

  /** The connection is gone; a transaction in it never was. */
  lose(reason: Error, reject?: (error: Error) => void): void {
    const { server, scheduler } = this.#link.deps;
    this.#lost = reason;
    if (server.holder === this) {
      server.holder = null;
      server.postgres.run({ sql: 'rollback', parameters: [] });
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting) {
      scheduler.remove(waiting.step);
      waiting.fail(reason);
    }
    reject?.(reason);
  }

  release(dirty: boolean): void {
    const { code } = this.#link.deps;
    this.#link.sessions.delete(this);
    if (dirty || this.#link.deps.server.holder === this)
      this.lose(new code.DatabaseUnavailable('Given back'));
  }
}
