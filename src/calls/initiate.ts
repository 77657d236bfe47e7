import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { v7 as uuidv7 } from 'uuid';
import { TIMINGS } from '../config.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { isRejection, type Rejection, reject } from '../errors.ts';
import type { InitiateCallInput } from '../graphql/services.ts';
import { type Db, insertCall, readCall, readForInitiation, type Tx } from './call.repository.ts';
import { type Call, type CallLimits, newCall } from './call.ts';
import { joinOwnPeople } from './call-rules.ts';
import { actorFor, type CallUnit, type Changed } from './call-unit.ts';
import { changeBetween } from './changes.ts';
import type { OutboxRow } from './outbox.ts';

/** Starting a call: the one command that has no call to lock yet. */

/** Two callers can keep missing each other's calls only while they end at once; then the second gives up. */
const ROUNDS = 5;

export type Initiated = Changed<{ readonly joinedExisting: boolean }>;

/** What does not depend on the database: callees named, and not more than a call may invite. */
export function checkInitiation(
  callerId: string,
  input: InitiateCallInput,
  limits: CallLimits,
): Rejection | { readonly calleeIds: readonly string[]; readonly ringTimeoutMs: number } {
  const calleeIds = [...new Set(input.calleeIds)].filter((id) => id !== callerId);
  if (calleeIds.length === 0) return reject('NO_CALLEES');
  if (calleeIds.length > limits.maxInvitees) {
    return reject('TOO_MANY_CALLEES', `A call may invite ${limits.maxInvitees} people at most.`);
  }
  const seconds = input.ringTimeoutSeconds;
  const longest = Math.floor(limits.ringTimeoutMs / 1000);
  if (seconds !== null && (!Number.isInteger(seconds) || seconds < 1 || seconds > longest)) {
    return reject('INVALID_INPUT', `input.ringTimeoutSeconds: give a whole number from 1 to ${longest}.`);
  }
  return { calleeIds, ringTimeoutMs: seconds === null ? limits.ringTimeoutMs : seconds * 1000 };
}

/** The call that this idempotency key made within the last ten minutes. */
export async function findInitiation(
  db: Db,
  callerId: string,
  input: InitiateCallInput,
): Promise<Initiated | Rejection | null> {
  if (input.idempotencyKey === null) return null;
  const row = await db
    .selectFrom('initiations')
    .select(['call_id', 'input_hash', 'joined_existing'])
    .where('caller_id', '=', callerId)
    .where('key', '=', input.idempotencyKey)
    .where(
      'created_at',
      '>',
      sql<Date>`now() - ${TIMINGS.idempotencyKeptMs}::int8 * interval '1 millisecond'`,
    )
    .executeTakeFirst();
  if (!row) return null;
  if (row.input_hash !== hashOf(input)) {
    return reject('INVALID_INPUT', 'input.idempotencyKey: was used with another input; use a new key.');
  }
  const read = await readCall(db, row.call_id);
  if (!read) return null;
  return { value: { joinedExisting: row.joined_existing }, call: read.call, position: null, seats: {} };
}

/** Makes the call, or joins the live call of the same people. */
export async function initiate(
  database: Database,
  unit: CallUnit,
  limits: CallLimits,
  callerId: string,
  input: InitiateCallInput,
): Promise<Initiated | Rejection> {
  const checked = checkInitiation(callerId, input, limits);
  if (isRejection(checked)) return checked;
  const peopleKey = hash([input.conversationId, ...[callerId, ...checked.calleeIds].sort()]);
  for (let round = 0; round < ROUNDS; round++) {
    try {
      const made = await create(database, unit, limits, callerId, input, { ...checked, peopleKey });
      const done = 'existing' in made ? await joinExisting(unit, made.existing, callerId, input) : made;
      if (done) return done;
    } catch (error) {
      // Another call of the same people, or with the same idempotency key, was quicker: look again.
      if (!isUniqueViolation(error)) throw error;
    }
    const repeated = await findInitiation(database.db, callerId, input);
    if (repeated) return repeated;
  }
  return reject('TIMEOUT', 'Calls of the same people start and end all the time; try again.', 1_000);
}

/** Null where the call ended meanwhile. */
async function joinExisting(
  unit: CallUnit,
  callId: string,
  callerId: string,
  input: InitiateCallInput,
): Promise<Initiated | Rejection | null> {
  const done = await unit.change(callId, async (draft, tx) => {
    // Whoever changed the people, or ended the call, between our look and our lock took the key away.
    if (draft.call.peopleKey === null) return null;
    const joined = joinOwnPeople(draft, await actorFor(tx, draft.call, callerId), input.sessionId);
    if (!isRejection(joined)) {
      await rememberInitiation(tx, callerId, input, callId, joined.joinedExisting, draft.now);
    }
    return joined;
  });
  if (isRejection(done)) return done.code === 'CALL_NOT_FOUND' ? null : done;
  return done.value === null ? null : { ...done, value: done.value };
}

/**
 * `existing`: the live call of the same people. A unique violation where another one, or one with the same key,
 * was quicker.
 */
async function create(
  database: Database,
  unit: CallUnit,
  limits: CallLimits,
  callerId: string,
  input: InitiateCallInput,
  checked: { calleeIds: readonly string[]; ringTimeoutMs: number; peopleKey: string },
): Promise<Initiated | Rejection | { existing: string }> {
  type Made = Rejection | { existing: string } | { call: Call; row: OutboxRow };
  const made = await transact(database, async (tx): Promise<Made> => {
    const { existing, now, members, silences } = await readForInitiation(
      tx,
      checked.peopleKey,
      input.conversationId,
      callerId,
      checked.calleeIds,
    );
    if (existing !== null) return { existing };
    if (now === null) return reject('NOT_A_MEMBER');
    if (!members.has(callerId)) return reject('NOT_A_MEMBER');
    if (!checked.calleeIds.every((id) => members.has(id))) return reject('INVALID_CALLEE');
    const { call, facts } = newCall(
      { id: uuidv7({ msecs: now }), ...input, ...checked, callerId, silences },
      now,
      limits,
    );
    call.version = 1;
    const change = changeBetween(null, call, facts);
    await unit.saving(tx, null, call, now);
    const withKey = input.idempotencyKey !== null;
    await insertCall(tx, call, { at: now, change, facts }, !withKey);
    if (withKey) await rememberInitiation(tx, callerId, input, call.id, false, now);
    return { call, row: { callId: call.id, version: 1, at: now, change, facts, expiresAt: call.expiresAt } };
  });
  if (isRejection(made) || 'existing' in made) return made;
  const position = await unit.publish(made.row, made.call);
  const { seats } = made.row.change;
  return { value: { joinedExisting: false }, call: made.call, position, seats };
}

async function rememberInitiation(
  tx: Tx,
  callerId: string,
  input: InitiateCallInput,
  callId: string,
  joinedExisting: boolean,
  now: number,
): Promise<void> {
  if (input.idempotencyKey === null) return;
  await tx
    .deleteFrom('initiations')
    .where('caller_id', '=', callerId)
    .where('key', '=', input.idempotencyKey)
    .where('created_at', '<=', new Date(now - TIMINGS.idempotencyKeptMs))
    .execute();
  await tx
    .insertInto('initiations')
    .values({
      caller_id: callerId,
      key: input.idempotencyKey,
      input_hash: hashOf(input),
      call_id: callId,
      joined_existing: joinedExisting,
      created_at: new Date(now),
    })
    .execute();
}

function hashOf(input: InitiateCallInput): string {
  const { conversationId, calleeIds, type, sessionId, ringTimeoutSeconds } = input;
  return hash([conversationId, type, sessionId, String(ringTimeoutSeconds), ...[...calleeIds].sort()]);
}

function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/** Postgres: unique_violation. */
function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '23505';
}
