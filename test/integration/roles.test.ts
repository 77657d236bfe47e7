import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { MigrationsMissing } from '../../src/database/failures.ts';
import { migrate } from '../../src/database/migrator.ts';
import { openDatabase } from '../../src/database/open.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { createEmptyDatabase } from '../support/database.ts';
import * as operations from '../support/operations.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { Receiver, WEBHOOK_SECRET } from '../support/receiver.ts';
import { events, initiate, join, success } from '../support/world.ts';

/** deploy/postgres/roles.sql: one role that owns the tables, one that no more than uses them. */

const ROLES = ['ringdown_app', 'ringdown_owner'];
let stored: TestDatabase;
let script: string;
let admin: pg.Client;

beforeAll(async () => {
  stored = await createEmptyDatabase();
  script = await readFile(new URL('../../deploy/postgres/roles.sql', import.meta.url), 'utf8');
  admin = new pg.Client({ connectionString: stored.url });
  await admin.connect();
  await admin.query(script);
});

afterAll(async () => {
  await admin.query(`drop owned by ${ROLES} cascade`);
  await admin.end();
  await stored.drop();
  // The roles belong to the server, which other tests share.
  const maintenance = new pg.Client({
    connectionString: Object.assign(new URL(stored.url), { pathname: '/postgres' }).href,
  });
  await maintenance.connect();
  await maintenance.query(`drop role ${ROLES}`);
  await maintenance.end();
});

/** The server of the tests asks for no password. */
function as(role: string): string {
  return Object.assign(new URL(stored.url), { username: role }).href;
}

async function migrateAs(role: string): Promise<string[]> {
  const database = await openDatabase({ url: as(role), dataDir: null, poolSize: 2, timeoutMs: 10_000 });
  try {
    return await migrate(database);
  } finally {
    await database.close();
  }
}

/** SQLSTATE of what the app's role is refused, or `allowed`. */
async function answerTo(statement: string): Promise<string> {
  const client = new pg.Client({ connectionString: as('ringdown_app') });
  await client.connect();
  try {
    await client.query('begin');
    await client.query(statement);
    return 'allowed';
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await client.query('rollback');
    await client.end();
  }
}

describe('the role of the instances', () => {
  it('may not run the migrations, and its instance says who has to', async () => {
    await expect(migrateAs('ringdown_app')).rejects.toThrow(MigrationsMissing);
    await expect(startTestApp({ DATABASE_URL: as('ringdown_app') })).rejects.toThrow(
      /lack 0001_calls, .*role that owns the tables.*npm run migrate/,
    );
    const { rows } = await admin.query(`select tablename from pg_tables where schemaname = 'public'`);
    expect(rows.map((row) => row.tablename).sort()).toEqual(['kysely_migration', 'kysely_migration_lock']);
  });

  it('serves a whole call once the owner has run them', async () => {
    expect(await migrateAs('ringdown_owner')).toContain('0001_calls');
    expect(await migrateAs('ringdown_owner')).toEqual([]);
    const receiver = await Receiver.start();
    const app: App = await startTestApp({
      DATABASE_URL: as('ringdown_app'),
      EVENT_RETENTION: '1s',
      WEBHOOK_URL: receiver.url,
      WEBHOOK_SECRETS: WEBHOOK_SECRET,
      WEBHOOK_ALLOW_HTTP: 'true',
      WEBHOOK_ALLOW_PRIVATE: 'true',
    });
    const clients = await Promise.all(
      [
        ['back-end', 'service'],
        ['ada', ''],
        ['ben', ''],
      ].map(async ([user, scope]) =>
        createClient({ url: app.url, token: await tokenFor(user as string, scope) }),
      ),
    );
    const [service, ada, ben] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]];
    try {
      await service.mutate(operations.PutConversation, { id: 'room', memberIds: ['ada', 'ben'] });
      const { call } = success(
        await initiate(ada, {
          conversationId: 'room',
          calleeIds: ['ben'],
          sessionId: 'ada-1',
          idempotencyKey: 'once',
        }),
      );
      const stream = events(ada, call.id, 'ada-1');
      await stream.next((event) => event.__typename === 'CallSnapshot');
      // A ring that is over before it was sent is not sent.
      await expect.poll(() => receiver.kinds()).toEqual(['call.incoming']);
      success(await join(ben, call.id, 'ben-1'));
      await stream.next((event) => event.__typename === 'ParticipantChanged');
      success((await ben.mutate(operations.LeaveCall, { callId: call.id, sessionId: 'ben-1' })).leaveCall);
      await stream.next((event) => event.__typename === 'CallEnded');
      expect(await (await fetch(`${app.url}/readyz`)).json()).toMatchObject({ ok: true });
      // The sweeper's deletions are this role's too.
      await expect
        .poll(async () => (await admin.query('select from call_events')).rowCount, { timeout: 5_000 })
        .toBe(0);
      expect(receiver.kinds()).toEqual(['call.incoming', 'call.answered_elsewhere', 'call.ended']);
      expect((await admin.query('select from pgboss.job')).rowCount).toBe(0);
    } finally {
      for (const client of clients) await client.dispose();
      await app.stop();
      await receiver.close();
    }
  });

  it('reads and writes the rows of each table, and nothing but the names of migrations beside them', async () => {
    const { rows } = await admin.query<{ name: string; rights: string }>(`
      select c.relname as name, string_agg(p.name, ',' order by p.name) as rights
      from pg_class c
      cross join unnest(array['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','REFERENCES','TRIGGER']) p(name)
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
        and has_table_privilege('ringdown_app', c.oid, p.name)
      group by c.relname`);
    const rights = Object.fromEntries(rows.map(({ name, rights }) => [name, rights]));
    const { kysely_migration, ...tables } = rights;
    expect(kysely_migration).toBe('SELECT');
    expect(Object.keys(tables).sort()).toEqual([
      'blocked_users',
      'call_events',
      'call_history',
      'call_participants',
      'call_quality_reports',
      'call_signal_counts',
      'calls',
      'conversation_members',
      'conversations',
      'deployment_keys',
      'devices',
      'initiations',
      'instances',
      'missed_calls_seen',
    ]);
    expect(new Set(Object.values(tables))).toEqual(new Set(['DELETE,INSERT,SELECT,UPDATE']));
  });

  it.each([
    'create table mine (n int)',
    'create temporary table mine (n int)',
    'create schema mine',
    'alter table calls add column mine int',
    'drop table calls',
    'drop table pgboss.job',
    'create table pgboss.mine (n int)',
    `select pgboss.create_queue('mine', '{"partition": true, "policy": "standard"}')`,
    'truncate calls',
    'create index mine on calls (type)',
    'create function mine() returns int language sql as $$ select 1 $$',
    `insert into kysely_migration values ('9999_mine', now()::text)`,
    'select * from kysely_migration_lock',
    'create role mine',
    'set role ringdown_owner',
    `copy calls to '/tmp/ringdown-calls'`,
    'select * from pg_authid',
    'select * from elsewhere.things',
  ])('is refused: %s', async (statement) => {
    await admin.query('create schema if not exists elsewhere');
    await admin.query('create table if not exists elsewhere.things (n int)');
    expect(await answerTo(statement)).toBe('42501');
  });

  it('is no superuser, owns nothing, and has limits', async () => {
    const { rows } = await admin.query(
      `select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit
       from pg_roles where rolname = 'ringdown_app'`,
    );
    expect(rows).toEqual([
      {
        rolsuper: false,
        rolcreatedb: false,
        rolcreaterole: false,
        rolreplication: false,
        rolbypassrls: false,
        rolconnlimit: 80,
      },
    ]);
    expect(await answerTo('select pg_sleep(0)')).toBe('allowed');
    const client = new pg.Client({ connectionString: as('ringdown_app') });
    await client.connect();
    expect((await client.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '1min' }]);
    await client.end();
  });
});

describe('roles.sql', () => {
  it('may be run again, after the migrations too', async () => {
    await admin.query(script);
    expect(await answerTo('select * from calls')).toBe('allowed');
    expect(await answerTo(`delete from kysely_migration`)).toBe('42501');
  });
});

describe('a deployment that had one role for everything', () => {
  it('gives its tables to the owner, and goes on as the app', async () => {
    const { rows: tables } = await admin.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('public', 'pgboss')`,
    );
    for (const { name } of tables) await admin.query(`alter table ${name} owner to current_user`);
    await admin.query('alter type pgboss.job_state owner to current_user');
    await admin.query('alter function pgboss.job_now owner to current_user');
    await admin.query('alter schema pgboss owner to current_user');
    await admin.query('revoke all on all tables in schema public, pgboss from ringdown_app');
    expect(await answerTo('select * from calls')).toBe('42501');
    await admin.query(script);
    expect(await answerTo('select * from pgboss.job')).toBe('allowed');
    const { rows: owners } = await admin.query(`select distinct owner::regrole::text from (
      select relowner as owner from pg_class where relnamespace = 'pgboss'::regnamespace
      union all select proowner from pg_proc where pronamespace = 'pgboss'::regnamespace
      union all select typowner from pg_type where typnamespace = 'pgboss'::regnamespace
      union all select nspowner from pg_namespace where nspname = 'pgboss') as things`);
    expect(owners).toEqual([{ owner: 'ringdown_owner' }]);
    expect(await migrateAs('ringdown_owner')).toEqual([]);
    const app = await startTestApp({ DATABASE_URL: as('ringdown_app') });
    await app.stop();
  });
});

describe('an instance that is older than the tables', () => {
  it('starts: an upgrade runs the migrations before the last old instance is gone', async () => {
    await admin.query(`insert into kysely_migration values ('9999_of_a_later_version', '2030-01-01')`);
    try {
      const app = await startTestApp({ DATABASE_URL: as('ringdown_app') });
      await app.stop();
    } finally {
      await admin.query(`delete from kysely_migration where name like '9999%'`);
    }
  });
});
