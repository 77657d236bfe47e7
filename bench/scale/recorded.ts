import pg from 'pg';
import { startTestApp } from '../../test/support/app.ts';
import { type Group, worker } from './life.ts';

/**
 * The statements that one call's life really sends to Postgres, written down where they leave the driver, as a
 * script for pgbench: in the same round trips, the names of the group and the call's id from pgbench's variables, all
 * else as it was.
 */

interface Sent {
  readonly client: object;
  readonly text: string;
  readonly values: readonly unknown[];
  /** Those that were sent one upon the other, without a wait, have the same. */
  readonly trip: number;
}

/** `name`: what all names of the group begin with. pgbench's client n is the group of the same name with n for it. */
export async function recordScript(
  env: Record<string, string>,
  name: string,
  group: Group,
): Promise<{ script: string; statements: number; trips: number }> {
  const sent: Sent[] = [];
  let trip = 0;
  let isNewTrip = true;
  const original = pg.Client.prototype.query as (...args: unknown[]) => unknown;
  const app = await startTestApp(env);
  let callId = '';
  try {
    const one = await worker(app.url, group);
    for (let i = 0; i < 20; i++) await one.live();
    pg.Client.prototype.query = function record(this: object, ...args: unknown[]) {
      const config = args[0] as { text?: string; values?: unknown[] };
      if (typeof config.text === 'string') {
        if (isNewTrip) {
          trip++;
          isNewTrip = false;
          queueMicrotask(() => {
            isNewTrip = true;
          });
        }
        sent.push({ client: this, text: config.text, values: config.values ?? [], trip });
      }
      return original.apply(this, args);
    } as never;
    callId = await one.live();
    one.close();
  } finally {
    pg.Client.prototype.query = original as never;
    await app.stop();
  }
  const own = ofTheCall(sent, (text) => text.includes(name) || text.includes(callId));
  const trips = tripsOf(own).map((trip) =>
    trip.map(({ text, values }) => statement(text, values, name, callId)),
  );
  const lines = trips.flatMap((trip) =>
    trip.length === 1 ? trip : ['\\startpipeline', ...trip, '\\endpipeline'],
  );
  const script = ['\\set n :n + 1', '\\set id (1000 + :client_id) * 100000000 + :n', ...lines, ''].join('\n');
  return { script, statements: own.length, trips: trips.length };
}

function tripsOf(sent: readonly Sent[]): Sent[][] {
  const trips: Sent[][] = [];
  for (const one of sent) {
    const last = trips.at(-1)?.[0];
    if (last?.trip === one.trip && last.client === one.client) trips.at(-1)?.push(one);
    else trips.push([one]);
  }
  return trips;
}

/** Transactions that have to do with the call, and statements by themselves; not the sweeper's and its marks. */
function ofTheCall(sent: readonly Sent[], isOurs: (text: string) => boolean): Sent[] {
  const kept: Sent[] = [];
  const open = new Map<object, Sent[]>();
  for (const one of sent) {
    const group = open.get(one.client);
    if (/^begin/.test(one.text)) open.set(one.client, [one]);
    else if (group) {
      group.push(one);
      if (!/^(commit|rollback)/.test(one.text)) continue;
      open.delete(one.client);
      if (group.some(({ values }) => isOurs(JSON.stringify(values)))) kept.push(...group);
    } else if (isOurs(JSON.stringify(one.values)) && !/set published/.test(one.text)) kept.push(one);
    // Where people are equal in two calls, their key is looked up before there is a call.
    else if (/people_key/.test(one.text)) kept.push(one);
  }
  return kept;
}

function statement(text: string, values: readonly unknown[], name: string, callId: string): string {
  const sql = text.replaceAll(/\$(\d+)(::)?/g, (_, n: string, cast?: string) => {
    const value = literal(values[Number(n) - 1], name, callId);
    return cast === undefined ? value : `(${value})::`;
  });
  return `${sql.replaceAll(/\s+/g, ' ')};`;
}

function literal(value: unknown, name: string, callId: string): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text =
    value instanceof Date
      ? laterOn(value).toISOString()
      : Array.isArray(value)
        ? `{${value.map((item) => JSON.stringify(item)).join()}}`
        : String(value);
  // A hash of the people: pgbench's clients would all be the same ones.
  if (/^[\w-]{43}$/.test(text)) return `(${quoted(text.slice(0, -12))} || :id)::text`;
  const parts = text.split(new RegExp(`(${callId}|${name})`));
  if (parts.length === 1) return quoted(text);
  const pieces = parts.flatMap((part) => {
    if (part === callId) return [`'ffffffff-ffff-7fff-8fff-'`, ':id'];
    if (part === name) return [quoted(name.replace(/\d+$/, '')), ':client_id'];
    return part === '' ? [] : [quoted(part)];
  });
  return `(${pieces.join(' || ')})::${text === callId ? 'uuid' : Array.isArray(value) ? 'text[]' : /^[[{]/.test(text) ? 'json' : 'text'}`;
}

/** What was to be due soon is due in a day: else the sweeper would be at the calls of pgbench. */
function laterOn(date: Date): Date {
  return date.getTime() > Date.now() ? new Date(date.getTime() + 86_400_000) : date;
}

/** A colon would be taken for a variable of pgbench's. */
function quoted(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''").replaceAll(':', '\\072')}'`;
}
