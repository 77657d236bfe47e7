import { sql } from 'kysely';
import webPush from 'web-push';
import type { Db } from '../calls/call.repository.ts';
import { publicKeyOf } from './subscription.ts';

/** The key pair of a server that was given none: made at its first start and kept with its data. */
export async function ownPrivateKey(db: Db): Promise<string> {
  await sql`insert into deployment_keys (name, key) values ('vapid', ${webPush.generateVAPIDKeys().privateKey})
    on conflict do nothing`.execute(db);
  const { rows } = await sql<{ key: string }>`select key from deployment_keys where name = 'vapid'`.execute(
    db,
  );
  const key = rows[0]?.key;
  if (key === undefined || publicKeyOf(key) === null) {
    throw new Error("The key 'vapid' in the table deployment_keys is none");
  }
  return key;
}
