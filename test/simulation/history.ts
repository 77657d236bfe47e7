import { isDeepStrictEqual } from 'node:util';
import type { Fact } from '../../src/calls/call.ts';
import type { CallView, ParticipantStatus, ParticipantView } from '../../src/calls/call-view.ts';
import type { StateChange } from '../../src/calls/changes.ts';
import { withChange } from './device.ts';

/** What the database tells of a call's life, version by version. */

export interface Version {
  readonly version: number;
  readonly at: number;
  readonly change: StateChange;
  readonly facts: readonly Fact[];
  /** The call as of this version, folded from the events alone. */
  readonly call: CallView;
}

export interface EventRow {
  readonly call_id: string;
  readonly version: number;
  readonly at: Date;
  readonly change: StateChange;
  readonly facts: readonly Fact[];
}

/** Without the order of participants, which the events do not tell. */
export function sameCall(a: CallView, b: CallView): boolean {
  return isDeepStrictEqual(sorted(a), sorted(b));
}

function sorted(call: CallView): CallView {
  return { ...call, participants: [...call.participants].sort((a, b) => (a.userId < b.userId ? -1 : 1)) };
}

export function fold(rows: readonly EventRow[]): Version[] {
  const versions: Version[] = [];
  let call: CallView | null = null;
  for (const { version, at, change, facts } of rows) {
    let participants: readonly ParticipantView[] = call?.participants ?? [];
    for (const event of change.events) {
      if (event.__typename === 'CallChanged' || event.__typename === 'CallEnded') {
        call = event.call;
        participants = event.call.participants;
      } else if (event.__typename === 'ParticipantChanged') {
        participants = withChange(participants, event.participant);
      }
    }
    call = { ...(call as CallView), version, participants };
    versions.push({ version, at: at.getTime(), change, facts, call });
  }
  return versions;
}

/** From where to where a participant may go between two versions; several moves may be in one. */
const MOVES: Readonly<Record<ParticipantStatus | 'NOBODY', readonly ParticipantStatus[]>> = {
  NOBODY: ['CONNECTING', 'RINGING', 'MISSED'],
  RINGING: ['CONNECTING', 'DECLINED', 'MISSED', 'LEFT'],
  DECLINED: ['CONNECTING', 'RINGING', 'LEFT'],
  MISSED: ['CONNECTING', 'RINGING', 'LEFT'],
  LEFT: ['CONNECTING', 'RINGING'],
  CONNECTING: ['CONNECTED', 'LEFT', 'RINGING'],
  CONNECTED: ['RECONNECTING', 'CONNECTING', 'LEFT'],
  RECONNECTING: ['CONNECTED', 'CONNECTING', 'LEFT', 'RINGING'],
};

/** Moves that are too rare to be asked for: two in one version, or of someone who is in it no more. */
const RARE = new Set(['NOBODY→MISSED', 'CONNECTING→RINGING', 'RECONNECTING→RINGING']);

export const TRANSITIONS: readonly string[] = [
  'call NEW→RINGING',
  'call RINGING→ACTIVE',
  'call RINGING→ENDED',
  'call ACTIVE→ENDED',
  ...Object.entries(MOVES).flatMap(([from, tos]) =>
    tos.map((to) => `${from}→${to}`).filter((move) => !RARE.has(move)),
  ),
  'a new tenure',
  ...['HANGUP', 'ENDED_BY_HOST', 'CANCELLED', 'DECLINED', 'NO_ANSWER'].map((reason) => `ended: ${reason}`),
  ...['CONNECTION_LOST', 'MAX_DURATION', 'ALONE', 'TERMINATED'].map((reason) => `ended: ${reason}`),
  ...['HANGUP', 'DISCONNECTED', 'NEVER_CONNECTED', 'REMOVED', 'MEMBERSHIP_LOST', 'CALL_ENDED'].map(
    (reason) => `left: ${reason}`,
  ),
];

/** Whether a call's versions are a path of the state machine; counts what was passed. */
export function checkPath(
  versions: readonly Version[],
  maxParticipants: number,
  count: (transition: string) => void,
  violation: (what: string) => void,
): void {
  let before: CallView | null = null;
  let highestJoinSeq = 0;
  versions.forEach(({ version, call }, index) => {
    if (version !== index + 1)
      violation(`version ${index + 1} of ${call.id} is not there, but ${version} is`);
    const from = before?.status ?? 'NEW';
    if (from !== call.status) {
      const legal =
        (from === 'NEW' && call.status === 'RINGING') ||
        (from === 'RINGING' && call.status !== 'RINGING') ||
        (from === 'ACTIVE' && call.status === 'ENDED');
      if (!legal) violation(`${call.id} went from ${from} to ${call.status}`);
      count(`call ${from}→${call.status}`);
      if (call.status === 'ENDED') count(`ended: ${call.endReason}`);
    } else if (from === 'ENDED') violation(`${call.id} changed after its end`);
    const seats = call.participants.filter(({ joinSeq }) => joinSeq !== null);
    if (seats.length > maxParticipants)
      violation(`${call.id} had ${seats.length} seats in version ${version}`);
    if ((call.status === 'ENDED') !== (seats.length === 0)) {
      violation(`${call.id} was ${call.status} with ${seats.length} seats in version ${version}`);
    }
    const hosts = seats.filter(({ role }) => role === 'HOST').length;
    if (seats.length > 0 && hosts !== 1) violation(`${call.id} had ${hosts} hosts in version ${version}`);
    const joined: number[] = [];
    for (const now of call.participants) {
      const was = before?.participants.find(({ userId }) => userId === now.userId);
      if (now.joinSeq !== null && now.joinSeq !== was?.joinSeq) {
        joined.push(now.joinSeq);
        if (was?.joinSeq != null) count('a new tenure');
      }
      const wasStatus = was?.status ?? 'NOBODY';
      if (wasStatus === now.status) continue;
      if (!MOVES[wasStatus].includes(now.status)) {
        violation(
          `${now.userId} in ${call.id} went from ${wasStatus} to ${now.status} in version ${version}`,
        );
      }
      count(`${wasStatus}→${now.status}`);
      if (now.status === 'LEFT') count(`left: ${now.leaveReason}`);
    }
    for (const joinSeq of joined) {
      if (joinSeq <= highestJoinSeq) violation(`joinSeq ${joinSeq} of ${call.id} was given again`);
    }
    highestJoinSeq = Math.max(highestJoinSeq, ...joined);
    before = call;
  });
}
