-- Two roles with the least rights, for one database that is Ringdown's alone. Postgres 14 or later.
--
--   ringdown_owner  owns the schema and the tables; the migrations run as this role, and nothing else does.
--   ringdown_app    reads and writes the rows; the instances run as this role. It can't create, change or drop
--                   anything, and can't mark a migration as run.
--
-- Run it as an administrator, in Ringdown's database, before the first migration or after it; it takes over tables
-- that another role has made. Again whenever you like:
--
--   createdb ringdown
--   psql -d ringdown -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql
--   psql -d ringdown -c '\password ringdown_owner' -c '\password ringdown_app'
--
-- It sets no password, and without one nobody can log in where Postgres asks for one.

begin;

do $$
begin
  if not exists (select from pg_roles where rolname = 'ringdown_owner') then
    create role ringdown_owner login;
  end if;
  if not exists (select from pg_roles where rolname = 'ringdown_app') then
    create role ringdown_app login;
  end if;
end
$$;

-- More than all instances need together: of each DATABASE_POOL_SIZE, one for its heartbeat, and at its start
-- one to look for migrations.
alter role ringdown_app connection limit 80;
-- Behind the limits that an instance sets itself (DATABASE_TIMEOUT, at most 1m), for whoever else gets hold
-- of the role.
alter role ringdown_app set statement_timeout = '60s';
alter role ringdown_app set idle_in_transaction_session_timeout = '60s';
alter role ringdown_app set search_path = public;
alter role ringdown_owner set search_path = public;

-- The database is for these two alone: nobody else connects, nobody makes temporary tables.
do $$
begin
  execute format('revoke all on database %I from public', current_database());
  execute format('grant connect on database %I to ringdown_owner, ringdown_app', current_database());
end
$$;

-- An administrator who is no superuser has to be in a role to give something to it.
grant ringdown_owner to current_user;
alter schema public owner to ringdown_owner;
revoke all on schema public from public;
grant usage on schema public to ringdown_app;

-- The queue of notifications (pg-boss) has a schema of its own, which the owner of the tables may not make.
create schema if not exists pgboss;
alter schema pgboss owner to ringdown_owner;
revoke all on schema pgboss from public;
grant usage on schema pgboss to ringdown_app;

-- What a deployment that had one role for everything has made.
do $$
declare
  statement text;
begin
  for statement in
    select format('alter table %I.%I owner to ringdown_owner', schemaname, tablename) from pg_tables
      where schemaname in ('public', 'pgboss') and tableowner <> 'ringdown_owner'
    union all
    select format('alter routine %s owner to ringdown_owner', oid::regprocedure) from pg_proc
      where pronamespace = 'pgboss'::regnamespace and proowner <> 'ringdown_owner'::regrole
    union all
    select format('alter type %s owner to ringdown_owner', oid::regtype) from pg_type
      where typnamespace = 'pgboss'::regnamespace and typtype = 'e' and typowner <> 'ringdown_owner'::regrole
  loop
    execute statement;
  end loop;
end
$$;

set local role ringdown_owner;

-- What the migrations have made so far, and what later ones will make.
grant select, insert, update, delete on all tables in schema public, pgboss to ringdown_app;
alter default privileges in schema public, pgboss grant select, insert, update, delete on tables to ringdown_app;

-- Kysely's own two tables, made here as its migrator makes them, so that they don't get those rights: an
-- instance reads which migrations have run.
create table if not exists kysely_migration (
  name varchar(255) primary key,
  "timestamp" varchar(255) not null
);
create table if not exists kysely_migration_lock (
  id varchar(255) primary key,
  is_locked integer not null default 0
);
revoke all on kysely_migration, kysely_migration_lock from ringdown_app;
grant select on kysely_migration to ringdown_app;

commit;
