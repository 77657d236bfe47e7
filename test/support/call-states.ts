import type { Call, CallLimits, Draft, Fact, Outage, Silence } from '../../src/calls/call.ts';
import { draftOf, newCall } from '../../src/calls/call.ts';
import * as rules from '../../src/calls/call-rules.ts';
import type { CallView, MediaState, ParticipantView } from '../../src/calls/call-view.ts';
import { changeBetween, type StateChange, viewOf } from '../../src/calls/changes.ts';
import { advance } from '../../src/calls/deadlines.ts';
import type { RejectionCode } from '../../src/errors.ts';
import * as seatRules from '../../src/seats/seat-rules.ts';

/** A call that lives in a test: the pure rules, applied as the one way in which a call changes applies them. */

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
/** When the call is made. */
export const START = 1_800_000_000_000;

/** The defaults, but small where a test has to reach the limit. */
export const LIMITS: CallLimits = {
  maxParticipants: 3,
  maxInvitees: 4,
  maxCallDurationMs: 24 * HOUR,
  callDurationWarningMs: HOUR,
  ringTimeoutMs: 5 * MINUTE,
  disconnectGraceMs: 15 * SECOND,
  aloneTimeoutMs: 60 * SECOND,
};

/** Members of the conversation; the first one calls. `sam` is a stranger to it. */
export const MEMBERS = ['ann', 'bob', 'cat', 'dan', 'eve', 'fay'] as const;

export type Code = 'ok' | RejectionCode;

function codeOf(answer: { readonly code: RejectionCode } | object | null): Code {
  return answer !== null && 'code' in answer ? (answer.code as RejectionCode) : 'ok';
}

export interface Start {
  readonly callees?: readonly string[];
  readonly limits?: Partial<CallLimits>;
  readonly ringTimeoutMs?: number;
  readonly members?: readonly string[];
  readonly silences?: Readonly<Record<string, Silence>>;
}

export class LiveCall {
  call: Call;
  now = START;
  /** In which nobody could reach the database. */
  outage: Outage | null = null;
  readonly limits: CallLimits;
  readonly members: Set<string>;
  /** Of the rings to come, by whomever: tests change it between two. */
  silences: Map<string, Silence>;
  /** What each version changed, the first one made the call. */
  readonly changes: StateChange[];
  readonly facts: Fact[];

  constructor({
    callees = ['bob'],
    limits = {},
    ringTimeoutMs,
    members = MEMBERS,
    silences = {},
  }: Start = {}) {
    this.silences = new Map(Object.entries(silences));
    this.limits = { ...LIMITS, ...limits };
    this.members = new Set(members);
    const given = {
      id: '01900000-0000-7000-8000-000000000001',
      conversationId: 'room',
      type: 'VIDEO' as const,
      callerId: 'ann',
      calleeIds: callees,
      sessionId: 'ann-1',
      peopleKey: 'people',
      ringTimeoutMs: ringTimeoutMs ?? this.limits.ringTimeoutMs,
    };
    const { call, facts } = newCall({ ...given, silences: this.silences }, this.now, this.limits);
    this.call = { ...call, version: 1 };
    this.changes = [changeBetween(null, this.call, facts)];
    this.facts = [...facts];
  }

  /** As call-unit.ts does: what time has done stands, a refused decision leaves nothing else. */
  decide<T extends object | null>(rule: (draft: Draft) => T): T {
    const before: Call = {
      ...this.call,
      participants: this.call.participants.map((p) => ({ ...p, member: this.members.has(p.userId) })),
    };
    const advanced = draftOf(before, this.now, this.limits, this.outage);
    advance(advanced);
    const draft = draftOf(advanced.call, this.now, this.limits);
    const value = rule(draft);
    const refused = codeOf(value) !== 'ok';
    const after: Call = refused ? advanced.call : draft.call;
    const facts = refused ? advanced.facts : [...advanced.facts, ...draft.facts];
    const change = changeBetween(before, { ...after, version: before.version + 1 }, facts);
    if (change.events.length > 0 || Object.keys(change.seats).length > 0 || change.rings) {
      after.version = before.version + 1;
      this.changes.push(change);
    }
    this.facts.push(...facts);
    this.call = after;
    return value;
  }

  get view(): CallView {
    return viewOf(this.call);
  }

  participant(userId: string): ParticipantView {
    const found = this.view.participants.find((p) => p.userId === userId);
    if (!found) throw new Error(`${userId} was never invited`);
    return found;
  }

  /** The status of everyone, by user. */
  get statuses(): Record<string, string> {
    return Object.fromEntries(this.view.participants.map((p) => [p.userId, p.status]));
  }

  /** How it ended: the reason, and who brought it about. */
  get end(): { reason: string | null; by: string | null } {
    return { reason: this.call.endReason, by: this.call.endedBy };
  }

  /** The one host among those in the call. */
  get hosts(): string[] {
    return this.view.participants
      .filter((p) => p.role === 'HOST' && p.sessionId !== null)
      .map((p) => p.userId);
  }

  /** What the newest version changed. */
  get lastChange(): StateChange {
    return this.changes.at(-1)!;
  }

  /** Time passes, and no sweeper comes. */
  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  sweep(): this {
    this.decide(() => null);
    return this;
  }

  /** Time passes, and the sweeper comes. */
  pass(ms: number): this {
    return this.wait(ms).sweep();
  }

  actor(userId: string): rules.Actor {
    return { userId, isMember: this.members.has(userId) };
  }

  join(userId: string, sessionId = `${userId}-1`, takeOver = false): Code | 'rejoined' {
    const answer = this.decide((draft) => rules.join(draft, this.actor(userId), { sessionId, takeOver }));
    return 'rejoined' in answer && answer.rejoined ? 'rejoined' : codeOf(answer);
  }

  /** The user calls the same people once more. */
  callAgain(userId: string, sessionId = `${userId}-1`): Code | 'joinedExisting' {
    const answer = this.decide((draft) => rules.joinOwnPeople(draft, this.actor(userId), sessionId));
    return 'joinedExisting' in answer && answer.joinedExisting ? 'joinedExisting' : codeOf(answer);
  }

  decline(userId: string, busy = false): Code {
    return codeOf(this.decide((draft) => rules.decline(draft, this.actor(userId), busy)));
  }

  leave(userId: string, sessionId = `${userId}-1`): Code {
    return codeOf(this.decide((draft) => rules.leave(draft, this.actor(userId), sessionId)));
  }

  endCall(userId: string): Code {
    return codeOf(this.decide((draft) => rules.endCall(draft, this.actor(userId))));
  }

  invite(userId: string, ...userIds: string[]): Code {
    return codeOf(
      this.decide((draft) => rules.invite(draft, this.actor(userId), userIds, this.members, this.silences)),
    );
  }

  remove(userId: string, target: string): Code {
    return codeOf(this.decide((draft) => rules.remove(draft, this.actor(userId), target)));
  }

  mute(userId: string, target: string): Code {
    return codeOf(this.decide((draft) => rules.mute(draft, this.actor(userId), target)));
  }

  setMedia(userId: string, change: Partial<MediaState>, sessionId = `${userId}-1`): Code {
    const all = { muted: null, videoOn: null, screenOn: null, ...change };
    return codeOf(this.decide((draft) => rules.setMedia(draft, this.actor(userId), sessionId, all)));
  }

  terminate(adminId = 'admin'): Code {
    return codeOf(this.decide((draft) => rules.terminate(draft, adminId)));
  }

  reclaim(userId: string, streamId = `${userId}-a`, sessionId = `${userId}-1`, instanceId = 'one'): Code {
    const stream = { streamId, instanceId };
    return codeOf(
      this.decide((draft) => seatRules.streamReclaimed(draft, this.actor(userId), sessionId, stream)),
    );
  }

  openStream(userId: string, streamId = `${userId}-a`, sessionId = `${userId}-1`, instanceId = 'one'): Code {
    const stream = { streamId, instanceId };
    return codeOf(
      this.decide((draft) => seatRules.streamOpened(draft, this.actor(userId), sessionId, stream)),
    );
  }

  loseStream(userId: string, streamId = `${userId}-a`): this {
    this.decide((draft) => {
      seatRules.streamLost(draft, userId, streamId);
      return null;
    });
    return this;
  }

  loseInstance(instanceId = 'one'): this {
    this.decide((draft) => {
      seatRules.instanceLost(draft, instanceId);
      return null;
    });
    return this;
  }

  /** The conversation loses a member, and the call is brought up to now for it. */
  dropMember(userId: string): this {
    this.members.delete(userId);
    return this.sweep();
  }

  /** Joins, and opens the stream that holds the seat. */
  connect(...userIds: string[]): this {
    for (const userId of userIds) {
      const answers = [this.join(userId), this.openStream(userId)];
      const refused = answers.find((answer) => answer !== 'ok' && answer !== 'rejoined');
      if (refused) throw new Error(`${userId} can't join: ${refused}`);
    }
    return this;
  }
}

/** `ann` calls `bob`, and her stream is open. */
export function ringingPair(start: Start = {}): LiveCall {
  return new LiveCall(start).connect('ann');
}

/** `ann` and `bob` talk. */
export function activePair(start: Start = {}): LiveCall {
  return ringingPair(start).wait(SECOND).connect('bob');
}

/** `ann` calls `bob` and `cat`, and her stream is open. */
export function ringingGroup(start: Start = {}): LiveCall {
  return new LiveCall({ callees: ['bob', 'cat'], ...start }).connect('ann');
}

/** `ann`, `bob` and `cat` talk; they joined in this order, a second apart. */
export function activeGroup(start: Start = {}): LiveCall {
  return ringingGroup(start).wait(SECOND).connect('bob').wait(SECOND).connect('cat');
}

/** `ann` is alone in her group, and nobody is being rung. */
export function aloneInGroup(start: Start = {}): LiveCall {
  const group = activeGroup(start);
  group.leave('cat');
  group.leave('bob');
  return group;
}
