import type { Position, StateRecord } from '../call-log/call-log.ts';
import type { Database } from '../database/open.ts';
import { transact } from '../database/transaction.ts';
import { isRejection, type Rejection, reject } from '../errors.ts';
import {
  type LockedCall,
  lockCall,
  membersAmong,
  saveCall,
  saveQuietly,
  type Tx,
} from './call.repository.ts';
import { type Call, type CallLimits, type Draft, draftOf, type Fact, find, type Outage } from './call.ts';
import type { Actor } from './call-rules.ts';
import { changeBetween, type StateChange } from './changes.ts';
import { advance, nextDeadline } from './deadlines.ts';
import type { Outbox, OutboxRow } from './outbox.ts';

/**
 * The one way in which a call changes: lock its row, bring it up to now, decide (pure), save the state and
 * its event in the same transaction, and after the commit publish.
 */

/** A decision on a draft: a value, or the rule that said no. It sees the call brought up to now. */
export type Decide<T> = (draft: Draft, tx: Tx) => Promise<T | Rejection> | T | Rejection;

export interface Changed<T> {
  readonly value: T;
  readonly call: Call;
  /** The place of the entry that this change made; null where it made none, or it is not known yet. */
  readonly position: Position | null;
  /** The seats that this change gave, or took. */
  readonly seats: StateRecord['seats'];
}

export interface UnitHooks {
  /** The latest time in which nobody could reach the database, as seen at `now`. */
  outage(now: number): Outage | null;
  /**
   * In the transaction, before a change is saved: what it makes true and others are to be told. Before, since the
   * commit goes with what saves it.
   */
  saving?(tx: Tx, before: Call | null, after: Call, at: number): Promise<void>;
  /** After a commit, with what happened in it. */
  changed(call: Call, facts: readonly Fact[], change: StateChange): void;
}

export class CallUnit {
  readonly #database: Database;
  readonly #outbox: Outbox;
  readonly #limits: CallLimits;
  readonly #hooks: UnitHooks;

  constructor(database: Database, outbox: Outbox, limits: CallLimits, hooks: UnitHooks) {
    this.#database = database;
    this.#outbox = outbox;
    this.#limits = limits;
    this.#hooks = hooks;
  }

  /** CALL_NOT_FOUND where there is no such call, or where `skipLocked` and somebody else is at it. */
  async change<T>(callId: string, decide: Decide<T>, skipLocked = false): Promise<Changed<T> | Rejection> {
    const done = await transact(this.#database, async (tx) => {
      const locked = await lockCall(tx, callId, skipLocked);
      return locked ? this.#decide(tx, locked, decide) : null;
    });
    if (!done) return reject('CALL_NOT_FOUND');
    const position = done.row ? await this.publish(done.row, done.call) : null;
    if (isRejection(done.value)) return done.value;
    return { value: done.value, call: done.call, position, seats: done.row?.change.seats ?? {} };
  }

  /** After the commit that made `row`. */
  async publish(row: OutboxRow, call: Call): Promise<Position | null> {
    this.#hooks.changed(call, row.facts, row.change);
    return this.#outbox.publish(row);
  }

  /** In the transaction that saves the change, before it does. `after` has its new version. */
  async saving(tx: Tx, before: Call | null, after: Call, at: number): Promise<void> {
    await this.#hooks.saving?.(tx, before, after, at);
  }

  async #decide<T>(tx: Tx, locked: LockedCall, decide: Decide<T>) {
    const { call: before, now } = locked;
    // What time has done stands, whatever the command comes to; the decision starts from there.
    const advanced = draftOf(before, now, this.#limits, this.#hooks.outage(now));
    advance(advanced);
    const draft = draftOf(advanced.call, now, this.#limits);
    const value = await decide(draft, tx);
    const kept = isRejection(value) ? advanced.call : draft.call;
    const facts = isRejection(value) ? advanced.facts : [...advanced.facts, ...draft.facts];
    const row = await this.#save(tx, locked, kept, facts);
    return { value, call: kept, row };
  }

  /** The transaction's last step: it commits, where there is something to save. */
  async #save(
    tx: Tx,
    { call: before, now, dueAt }: LockedCall,
    after: Call,
    facts: readonly Fact[],
  ): Promise<OutboxRow | null> {
    const change = changeBetween(before, { ...after, version: before.version + 1 }, facts);
    // A ring that is heard from now on changes nothing that is seen.
    if (change.events.length === 0 && Object.keys(change.seats).length === 0 && change.rings === null) {
      const same = JSON.stringify(before) === JSON.stringify(after) && dueAt === nextDeadline(after);
      if (!same) await saveQuietly(tx, before, after);
      return null;
    }
    after.version = before.version + 1;
    const { id: callId, version, expiresAt } = after;
    const row = { callId, version, at: now, change, facts, expiresAt };
    await this.saving(tx, before, after, now);
    await saveCall(tx, before, after, row);
    return row;
  }
}

/** Who the viewer is to this call, under its lock. */
export async function actorFor(tx: Tx, call: Call, userId: string): Promise<Actor> {
  const participant = find(call, userId);
  if (participant) return { userId, isMember: participant.member };
  const members = await membersAmong(tx, call.conversationId, [userId]);
  return { userId, isMember: members.has(userId) };
}
