import { createHmac } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';

/**
 * What stands for a client's address in the keys of rate limits. A digest alone would hide nothing: there
 * are so few addresses that each can be tried. So it is a keyed one, and the key stands in the database,
 * made by a migration: every instance has the same one, however its tokens are signed and its environment is
 * written, and who reads Redis, a dump of it or its MONITOR, has not.
 */

export type AddressKey = (address: string) => string;

/** Bytes of the digest that are used: no two addresses meet by chance. */
const LENGTH = 16;

export async function readAddressKey(db: Db): Promise<AddressKey> {
  const { rows } = await sql<{
    key: string;
  }>`select key from deployment_keys where name = 'addresses'`.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error("The key 'addresses' is missing in the table deployment_keys");
  return addressKeyOf(row.key);
}

export function addressKeyOf(key: string): AddressKey {
  return (address) =>
    createHmac('sha256', key).update(address).digest().subarray(0, LENGTH).toString('base64url');
}
