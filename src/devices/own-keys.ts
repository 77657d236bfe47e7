import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import { publicKeyOf } from './subscription.ts';

/** The key pair of a server that was given none: made at its first start and kept with its data. */
export async function ownPrivateKey(db: Db): Promise<string> {
  const key = (await keptKey(db)) ?? (await makeKey(db));
  if (key === null || publicKeyOf(key) === null) {
    throw new Error("The key 'vapid' in the table deployment_keys is none");
  }
  return key;
}

async function keptKey(db: Db): Promise<string | null> {
  const { rows } = await sql<{ key: string }>`select key from deployment_keys where name = 'vapid'`.execute(
    db,
  );
  return rows[0]?.key ?? null;
}

/** Of several instances that start at once, the key of one. */
async function makeKey(db: Db): Promise<string | null> {
  const { default: webPush } = await import('web-push');
  await sql`insert into deployment_keys (name, key) values ('vapid', ${webPush.generateVAPIDKeys().privateKey})
    on conflict do nothing`.execute(db);
  return keptKey(db);
}
