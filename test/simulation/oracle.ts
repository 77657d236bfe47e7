import { isDeepStrictEqual } from 'node:util';
import type { CallView } from '../../src/calls/call-view.ts';
import type { CallEvent } from '../../src/graphql/services.ts';
import type { Signal } from '../../src/signals/signal.ts';
import { NOWHERE, type Outgoing, type Session } from './device.ts';
import { sameCall, type Version } from './history.ts';
import type { Appended } from './network.ts';

/** What must hold of what was told, once everything is over: pure, from what everyone saw and the database. */

export interface Witnesses {
  readonly histories: ReadonlyMap<string, readonly Version[]>;
  readonly sessions: readonly Session[];
  readonly sent: readonly Outgoing[];
  readonly appended: readonly Appended[];
  /** Successes, with the call as they showed it. */
  readonly told: readonly { readonly what: string; readonly call: CallView }[];
}

type Violation = (what: string) => void;

export function judge(witnesses: Witnesses, violation: Violation): void {
  for (const { what, call } of witnesses.told) {
    if (!isAsCommitted(witnesses, call))
      violation(`${what} showed version ${call.version} of ${call.id} as it never was`);
  }
  for (const session of witnesses.sessions) {
    checkStates(witnesses, session, violation);
    checkSignals(witnesses, session, violation);
  }
  checkDelivery(witnesses, violation);
}

function isAsCommitted({ histories }: Witnesses, call: CallView): boolean {
  const known = histories.get(call.id)?.[call.version - 1];
  return known !== undefined && sameCall(known.call, call);
}

/** State in increasing version, none left out but before a snapshot, each as of its version. */
function checkStates(witnesses: Witnesses, session: Session, violation: Violation): void {
  const history = witnesses.histories.get(session.callId) ?? [];
  const who = `${session.userId} (${session.id})`;
  /** The newest version that the client knows. */
  let known: number | null = null;
  for (const { event } of session.received) {
    const told = versionOf(event, known, history);
    if (told === null) continue;
    if ('call' in event && !isAsCommitted(witnesses, event.call)) {
      violation(`${who} saw version ${told} of the call as it never was (${event.__typename})`);
    }
    if (event.__typename === 'ParticipantChanged') {
      const { participant } = event;
      const then = history[told - 1]?.call.participants.find(({ userId }) => userId === participant.userId);
      if (!isDeepStrictEqual(then, participant)) {
        violation(`${who} saw ${participant.userId} in version ${told} as they never were`);
      }
    }
    const anew = event.__typename === 'CallSnapshot' || event.cursor === NOWHERE;
    if (!anew && known !== null && told !== known && told !== known + 1) {
      violation(`${who} saw version ${told} of the call after version ${known} (${event.__typename})`);
    }
    known = told;
  }
}

function versionOf(event: CallEvent, known: number | null, history: readonly Version[]): number | null {
  if (event.__typename === 'ParticipantChanged') return event.version;
  if ('call' in event) return event.call.version;
  // The warning bears no version: it is the next one, where that is a warning.
  const next = event.__typename === 'CallExpiring' && known !== null ? history[known] : undefined;
  return next?.change.events.some(({ __typename }) => __typename === 'CallExpiring') ? next.version : null;
}

/** Each signal once and in its sender's order, and none that was meant for somebody else. */
function checkSignals({ sent, appended }: Witnesses, session: Session, violation: Violation): void {
  const who = `${session.userId} (${session.id}, joinSeq ${session.joinSeq})`;
  let seen = new Set<number>();
  let last = new Map<string, number>();
  for (const { event } of session.received) {
    if (isHole(event)) {
      seen = new Set();
      last = new Map();
    }
    const number = numberOf(event);
    if (number === null) continue;
    const signal = sent[number - 1]!;
    if (seen.has(number)) violation(`${who} saw signal ${number} twice`);
    const records = appended.filter((record) => numberIn(record) === number);
    // An instance that took it without the log gives it to the log when that is back: what its sender, who has moved,
    // sends by way of another one may be there before.
    const { acceptedAt } = signal;
    const broughtLater = acceptedAt !== null && records.some(({ step }) => step > acceptedAt);
    if (number < (last.get(signal.sessionId) ?? 0) && !broughtLater)
      violation(`${who} saw signal ${number} after a later one`);
    seen.add(number);
    last.set(signal.sessionId, Math.max(number, last.get(signal.sessionId) ?? 0));
    // Without `to` it is for whoever is in the call, also where the log has yet to hear of it.
    const meant = records.some(
      ({ recipients, step }) =>
        isAmong(recipients, session) || (signal.to === null && session.begunAt <= step),
    );
    const forOther =
      signal.callId !== session.callId ||
      signal.from === session.userId ||
      (signal.to !== null && signal.to !== session.userId) ||
      (signal.toJoinSeq !== null && signal.toJoinSeq !== session.joinSeq);
    if (forOther || (records.length > 0 && !meant))
      violation(`${who} saw signal ${number}, which was not for it`);
  }
}

/** What was taken reached everyone for whom it was, or they were told of a hole after it. */
function checkDelivery({ sessions, sent, appended }: Witnesses, violation: Violation): void {
  const taken = new Map<string, Appended>();
  for (const record of appended) {
    const number = numberIn(record);
    if (number === null) continue;
    const key = `${record.life} ${number}`;
    if (taken.has(key)) violation(`signal ${number} was taken twice`);
    taken.set(key, record);
    // An instance that took it without the log gave it to the log only when that was back.
    const takenAt = Math.min(record.step, sent[number - 1]!.acceptedAt ?? Number.POSITIVE_INFINITY);
    for (const recipient of record.recipients) {
      for (const session of sessions) {
        if (session.callId !== record.callId || !isAmong([recipient], session)) continue;
        const later = session.received.some(({ event }) => isAfter(event, record));
        if (session.completed || later) {
          checkReceived(session, number, takenAt, violation);
        }
      }
    }
  }
  for (const { number, callId, to, toJoinSeq, acceptedAt } of sent) {
    if (acceptedAt === null || to === null || toJoinSeq === null) continue;
    if (appended.some((record) => numberIn(record) === number)) continue;
    // An instance took it while Redis was away.
    for (const session of sessions) {
      if (session.callId !== callId || !isAmong([{ userId: to, joinSeq: toJoinSeq }], session)) continue;
      if (session.completed) checkReceived(session, number, acceptedAt, violation);
    }
  }
}

function checkReceived(session: Session, number: number, takenAt: number, violation: Violation): void {
  let degraded = false;
  for (const { event, step } of session.received) {
    if (numberOf(event) === number || (step >= takenAt && isHole(event))) return;
    if (event.__typename === 'SignalingDegraded') degraded = true;
    if (event.__typename === 'SignalingRestored') degraded = false;
  }
  // Told that signals of others do not come, to the end.
  if (degraded) return;
  violation(`${session.userId} (${session.id}) never saw signal ${number}, and was not told of a hole`);
}

function isAmong(seats: Appended['recipients'], { userId, joinSeq }: Session): boolean {
  return seats.some((seat) => seat.userId === userId && seat.joinSeq === joinSeq);
}

/** An event of the log itself that stands behind the record. */
function isAfter(event: CallEvent, { entry }: Appended): boolean {
  if (event.__typename === 'CallSnapshot' || event.__typename.startsWith('Signaling')) return false;
  const [seq, token] = event.cursor.split('.');
  return !token!.startsWith('~') && Number(seq) > entry.seq;
}

function isHole(event: CallEvent): boolean {
  return event.__typename === 'CallSnapshot' && !event.recovered;
}

function numberOf(event: CallEvent): number | null {
  return event.__typename === 'SignalReceived' && event.signal.__typename === 'IceCandidates'
    ? event.signal.generation
    : null;
}

function numberIn({ entry }: Appended): number | null {
  const signal = JSON.parse(entry.signal.json) as Signal;
  return signal.__typename === 'IceCandidates' ? signal.generation : null;
}
