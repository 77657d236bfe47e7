import type { CallEvent } from '../../../client/src/call-stream.ts';
import type { ParticipantStatus } from '../../../src/calls/call-view.ts';
import { type History, type Moment, momentsOf, nameOfEvent } from './history.ts';
import type { Answer, Notes, Seen, Sent, Sitting } from './phone.ts';
import { SEATS } from './plan.ts';
import { LIMITS } from './stage.ts';

/**
 * What has to be true of a run, whatever went wrong in it. It knows what the clients noted and what the
 * database has, and nothing of how the server works.
 */

/** Milliseconds past its deadline that anything may live. */
const LATE = 5_000;

/** The times in which something was wrong with the database or nobody ran, in milliseconds; then deadlines wait. */
export interface Outage {
  readonly from: number;
  readonly to: number;
}

export function judge(notes: Notes, histories: readonly History[], outages: readonly Outage[]): string[] {
  const byCall = new Map(histories.map((history) => [history.callId, history]));
  return [
    ...histories.flatMap(isAPath),
    ...histories.flatMap((history) => isInTime(history, outages)),
    ...onePerKey(histories),
    ...notes.answers.flatMap((answer) => isCommitted(answer, byCall)),
    ...notes.sittings.flatMap((sitting) => keptWhileServed(sitting, byCall.get(sitting.callId))),
    ...notes.sittings.flatMap((sitting) => toldTheHistory(sitting, byCall.get(sitting.callId))),
    ...notes.sittings.flatMap((sitting) => meantForIt(sitting, notes)),
    ...notes.sittings.flatMap((sitting) => onceAndInOrder(sitting, notes)),
    ...notes.errors,
  ];
}

// --- every call's history is a path of the state machine ---

const SEATED: ReadonlySet<ParticipantStatus> = new Set(['CONNECTING', 'CONNECTED', 'RECONNECTING']);
/**
 * From each status to those that one change may lead to. A seat may run out and another session take it in one
 * change, so most can follow most; what can't is here.
 */
const NEVER: Partial<Record<ParticipantStatus, readonly ParticipantStatus[]>> = {
  RINGING: ['CONNECTED', 'RECONNECTING'],
  CONNECTING: ['RINGING', 'DECLINED', 'MISSED', 'RECONNECTING'],
  CONNECTED: ['RINGING', 'DECLINED', 'MISSED'],
  RECONNECTING: ['RINGING', 'DECLINED', 'MISSED'],
  LEFT: ['CONNECTED', 'RECONNECTING', 'DECLINED', 'MISSED'],
  DECLINED: ['CONNECTED', 'RECONNECTING', 'MISSED'],
  MISSED: ['CONNECTED', 'RECONNECTING', 'DECLINED'],
};

function isAPath(history: History): string[] {
  const wrong: string[] = [];
  const say = (version: number, what: string) => wrong.push(`${history.callId} version ${version}: ${what}`);
  const moments = momentsOf(history);
  let highest = 0;
  for (const [index, now] of moments.entries()) {
    const before = moments[index - 1];
    if (now.version !== index + 1) say(now.version, `follows version ${before?.version ?? 0}`);
    if (before?.status === 'ENDED') say(now.version, 'changes a call that had ended');
    if (now.status === 'RINGING' && before && before.status !== 'RINGING') say(now.version, 'rings again');
    if (before && now.at < before.at) say(now.version, 'was earlier than the one before it');
    const seated = [...now.participants.values()].filter(({ status }) => SEATED.has(status));
    if (seated.length > SEATS) say(now.version, `${seated.length} seats`);
    const joins = seated.map(({ joinSeq }) => joinSeq ?? 0);
    if (new Set(joins).size < joins.length) say(now.version, 'two seats with one joinSeq');
    for (const [userId, participant] of now.participants) {
      const was = before?.participants.get(userId);
      if (!was) continue;
      if (NEVER[was.status]?.includes(participant.status)) {
        say(now.version, `${userId} goes from ${was.status} to ${participant.status}`);
      }
      const tenure = participant.joinSeq;
      if (tenure === null || tenure === was.joinSeq) continue;
      if (tenure <= highest) say(now.version, `${userId} has joinSeq ${tenure}, after ${highest}`);
    }
    highest = Math.max(highest, ...joins);
  }
  if (history.status !== 'ENDED') wrong.push(`${history.callId} is ${history.status} when everybody is gone`);
  if (moments.at(-1)?.status !== history.status)
    wrong.push(`${history.callId}: its row and its events differ`);
  if (history.versions.some(({ published }) => !published))
    wrong.push(`${history.callId} is not published whole`);
  return wrong;
}

/** Two who call each other at once, or one who asks twice, are in one call. */
function onePerKey(histories: readonly History[]): string[] {
  const wrong: string[] = [];
  for (const { conversationId, callId, endedAt, versions } of histories) {
    const began = versions[0]?.at ?? 0;
    const other = histories.find(
      (one) =>
        one.callId !== callId &&
        one.conversationId === conversationId &&
        (one.versions[0]?.at ?? 0) <= began &&
        (one.endedAt ?? Infinity) > began,
    );
    if (other && endedAt !== began) wrong.push(`${conversationId} has two calls: ${callId}, ${other.callId}`);
  }
  return wrong;
}

// --- nothing outlives its deadline ---

function isInTime(history: History, outages: readonly Outage[]): string[] {
  const wrong: string[] = [];
  const moments = momentsOf(history);
  /** Past an outage there is one more grace, for what the outage kept from being done. */
  const allowed = (deadline: number, until: number) =>
    outages
      .filter(({ from, to }) => from < until && to > deadline - LIMITS.grace)
      .reduce((latest, { to }) => Math.max(latest, to + LIMITS.grace), deadline) + LATE;
  const check = (what: string, deadline: number, until: number) => {
    const most = allowed(deadline, until);
    if (until > most) wrong.push(`${history.callId}: ${what} lived ${until - deadline} ms past its deadline`);
  };
  for (const [index, { participants, at }] of moments.entries()) {
    for (const [userId, { status, ringDeadline, joinSeq }] of participants) {
      const was = moments[index - 1]?.participants.get(userId);
      if (was?.status === status && was.joinSeq === joinSeq) continue;
      const next = moments.slice(index + 1).find((later) => differs(later, userId, status, joinSeq));
      const until = next?.at ?? history.endedAt ?? Date.now();
      if (status === 'RINGING' && ringDeadline !== null) check(`${userId}'s ring`, ringDeadline, until);
      if (status === 'RECONNECTING' || status === 'CONNECTING') {
        check(`${userId}'s ${status} seat`, at + LIMITS.grace, until);
      }
    }
  }
  check('the call', history.expiresAt, history.endedAt ?? Date.now());
  return wrong;
}

function differs(moment: Moment, userId: string, status: string, joinSeq: number | null): boolean {
  const then = moment.participants.get(userId);
  return then?.status !== status || then.joinSeq !== joinSeq;
}

// --- no seat is lost under a stream that runs ---

function keptWhileServed(sitting: Sitting, history: History | undefined): string[] {
  const { phone, joinSeq, seen } = sitting;
  if (!history || joinSeq === null) return [];
  const lost = momentsOf(history).find(({ participants }) => {
    const own = participants.get(phone.userId);
    return own?.status === 'LEFT' && own.sessionId === null && own.leaveReason === 'DISCONNECTED';
  });
  if (!lost) return [];
  const hadIt = momentsOf(history).some(
    ({ version, participants }) =>
      version === lost.version - 1 && participants.get(phone.userId)?.joinSeq === joinSeq,
  );
  if (!hadIt || sitting.lost === 'closed') return [];
  const before = seen.filter(({ at }) => at < lost.at);
  const last = before.at(-1);
  const first = before.find(({ opening }) => opening === last?.opening);
  if (!first) return [];
  const interrupted = phone.losses.some((at) => at >= first.at && at <= lost.at);
  if (interrupted) return [];
  return [
    `${phone.userId} (${sitting.sessionId}) was taken for lost ${lost.at - first.at} ms after it was heard`,
  ];
}

// --- success was told only for what is committed ---

function isCommitted(answer: Answer, histories: ReadonlyMap<string, History>): string[] {
  const { command, userId, sessionId, call } = answer;
  if (!call) return [];
  const history = histories.get(call.id);
  if (!history) return [`${userId} was told of the ${command} of ${call.id}, which is not there`];
  const moment = momentsOf(history).find(({ version }) => version === call.version);
  const what = `${userId} was told of version ${call.version} of ${call.id} (${command})`;
  if (!moment) return [`${what}, which is not there`];
  const wrong: string[] = [];
  for (const { userId: id, status, joinSeq } of call.participants) {
    const stored = moment.participants.get(id);
    if (stored?.status !== status || stored.joinSeq !== joinSeq) {
      wrong.push(`${what} with ${id} ${status} ${joinSeq}, who was ${stored?.status} ${stored?.joinSeq}`);
    }
  }
  const own = call.participants.find((participant) => participant.userId === userId);
  const seated = own?.joinSeq != null && own.sessionId === sessionId;
  if ((command === 'join' || command === 'initiate') && !seated) wrong.push(`${what}, without a seat`);
  if (command === 'leave' && seated) wrong.push(`${what}, still in the seat`);
  if (command === 'end' && call.status !== 'ENDED') wrong.push(`${what}, which goes on`);
  return wrong;
}

// --- a stream tells the history, each change once and in order ---

function toldTheHistory(sitting: Sitting, history: History | undefined): string[] {
  const who = `${sitting.phone.userId} (${sitting.sessionId})`;
  if (!history) return sitting.seen.length > 0 ? [`${who} heard of a call that is not there`] : [];
  const all = history.versions.flatMap(({ version, change }) =>
    change.events.map((event) => ({ version, name: nameOfEvent(event) })),
  );
  const wrong: string[] = [];
  /** What is to come, by the history; null until a snapshot says where the stream is. */
  let expected: { version: number; name: string }[] | null = null;
  let opening = 0;
  for (const { event, opening: of } of sitting.seen) {
    if (of !== opening) {
      opening = of;
      expected = null;
    }
    if (event.__typename === 'CallSnapshot') {
      expected = all.filter(({ version }) => version > event.call.version);
      continue;
    }
    const name = stateName(event);
    if (name === null) continue;
    if (expected?.[0]?.name === name) {
      expected.shift();
      continue;
    }
    // A stream that is over when it begins says so once more, as of then.
    if (isFinal(event, sitting)) continue;
    const was = all.some((one) => one.name === name);
    if (was && expected === null) continue;
    wrong.push(
      `${who} was told "${name}" instead of "${expected?.[0]?.name}"${was ? '' : ', and it never was'}`,
    );
    expected = null;
  }
  return wrong;
}

function stateName(event: CallEvent): string | null {
  const { __typename: kind } = event;
  if (
    kind === 'ParticipantChanged' ||
    kind === 'CallChanged' ||
    kind === 'CallEnded' ||
    kind === 'CallExpiring'
  ) {
    return nameOfEvent(event as never);
  }
  return null;
}

function isFinal(event: CallEvent, sitting: Sitting): boolean {
  if (event.__typename === 'CallEnded') return true;
  return (
    event.__typename === 'ParticipantChanged' &&
    event.participant.userId === sitting.phone.userId &&
    event.participant.sessionId !== sitting.sessionId
  );
}

// --- signals ---

function signalOf({ event }: Seen): number | null {
  if (event.__typename !== 'SignalReceived' || event.signal.__typename !== 'IceCandidates') return null;
  return event.signal.generation;
}

/** Nobody sees what is not meant for their seat. */
function meantForIt(sitting: Sitting, notes: Notes): string[] {
  const wrong: string[] = [];
  const { userId } = sitting.phone;
  for (const seen of sitting.seen) {
    const id = signalOf(seen);
    if (id === null || seen.event.__typename !== 'SignalReceived') continue;
    const sent = notes.sent.get(id);
    const what = `${userId} (${sitting.sessionId}) got signal ${id}`;
    if (!sent) wrong.push(`${what}, which nobody sent`);
    else if (sent.to !== userId || sent.callId !== sitting.callId || sent.toJoinSeq !== sitting.joinSeq) {
      wrong.push(`${what}, meant for ${sent.to} ${sent.toJoinSeq}`);
    } else if (sent.from !== seen.event.from)
      wrong.push(`${what} from ${seen.event.from}, sent by ${sent.from}`);
  }
  return wrong;
}

/** Each accepted signal once, and in the order of its session, or a word that some may be missing. */
function onceAndInOrder(sitting: Sitting, notes: Notes): string[] {
  const wrong: string[] = [];
  const who = `${sitting.phone.userId} (${sitting.sessionId})`;
  const places = new Map<number, number[]>();
  for (const [place, seen] of sitting.seen.entries()) {
    const id = signalOf(seen);
    if (id !== null) places.set(id, [...(places.get(id) ?? []), place]);
  }
  const holes = sitting.seen.flatMap(({ event, at }, place) =>
    event.__typename === 'CallSnapshot' && !event.recovered ? [{ at, place }] : [],
  );
  const holeBetween = (first: number, second: number) =>
    holes.some(({ place }) => place > first && place < second);
  for (const [id, at] of places) {
    for (const [index, place] of at.slice(1).entries()) {
      if (!holeBetween(at[index] as number, place)) wrong.push(`${who} got signal ${id} twice`);
    }
  }
  if (sitting.joinSeq === null) return wrong;
  const meant = [...notes.sent.values()].filter(
    ({ to, toJoinSeq, callId }) =>
      to === sitting.phone.userId && toJoinSeq === sitting.joinSeq && callId === sitting.callId,
  );
  const placeOf = ({ id }: Sent) => places.get(id)?.[0];
  for (const sent of meant) {
    const place = placeOf(sent);
    // What was accepted before this one was sent comes before it.
    const laterSeen = meant.filter(
      (other) =>
        other.from === sent.from &&
        other.sessionId === sent.sessionId &&
        sent.takenAt !== null &&
        other.sentAt > sent.takenAt &&
        placeOf(other) !== undefined,
    );
    if (place === undefined) {
      // A stream that ended while it was degraded had been told that it hears its own instance alone.
      if (sent.takenAt === null || sitting.degraded || holes.some(({ at }) => at >= sent.sentAt)) continue;
      if (laterSeen.length > 0) wrong.push(`${who} misses signal ${sent.id}, and has later ones`);
      else if (heardToTheEnd(sitting, sent))
        wrong.push(`${who} misses signal ${sent.id}, the last of its session`);
      continue;
    }
    for (const other of laterSeen) {
      const later = placeOf(other) as number;
      if (later < place && !holeBetween(later, place) && !movedMeanwhile(notes, sent, sitting, later)) {
        wrong.push(`${who} got signal ${sent.id} after ${other.id}, which was sent later`);
      }
    }
  }
  return wrong;
}

/**
 * Whether the sender had moved to another instance when the later one was told, by one that was out of the log's reach:
 * it can't know what the log has taken of the session before.
 */
function movedMeanwhile(notes: Notes, sent: Sent, { seen }: Sitting, later: number): boolean {
  const sender = notes.sittings.find(({ sessionId, callId }) => {
    return sessionId === sent.sessionId && callId === sent.callId;
  });
  const at = (seen[later] as Seen).at;
  const health = seen
    .slice(0, later)
    .findLast(({ event }) => /^(Signaling|CallSnapshot)/.test(event.__typename))?.event.__typename;
  const moved = sender?.phone.losses.some((loss) => loss > sent.sentAt && loss < at) ?? false;
  return moved && health === 'SignalingDegraded';
}

/**
 * Whether the stream was open from before the signal was sent to the seat's or the call's end, so that nothing
 * excuses what it lacks.
 */
function heardToTheEnd(sitting: Sitting, sent: Sent): boolean {
  const last = sitting.seen.at(-1);
  if (!last || sitting.lost === 'closed') return false;
  const ended = last.event.__typename === 'CallEnded' || isFinal(last.event, sitting);
  const first = sitting.seen.find(({ opening }) => opening === last.opening);
  // The database is ahead of the log: by a snapshot, or by the one word that is left of a call that is over when the
  // stream opens, it may learn of its end before what came before it.
  if (first === last || sitting.seen.at(-2)?.event.__typename === 'CallSnapshot') return false;
  return ended && first !== undefined && first.at < sent.sentAt;
}
