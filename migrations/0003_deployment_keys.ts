import { type Kysely, sql } from 'kysely';

/** Secrets that all instances share and nobody has to configure: random, and never in Redis. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    sql`create table deployment_keys (
      name text primary key,
      key text not null
    )`,
    // Under it addresses of clients are hashed for rate limits. gen_random_uuid draws from a strong source.
    sql`insert into deployment_keys (name, key)
      values ('addresses', gen_random_uuid()::text || gen_random_uuid()::text)`,
  ];
  for (const statement of statements) await statement.execute(db);
}
