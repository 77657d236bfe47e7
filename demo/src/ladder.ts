import type { CallInfo, TimelineEntry } from '@ringdown/client';
import { list, type Names } from './people.ts';

/** A call's timeline as a ladder: a lane for each participant and one for the server, and a rung for each thing. Pure. */

export type Tone = 'good' | 'bad' | 'waiting' | 'plain';

export interface Rung {
  readonly key: string;
  /** Since the call's start. */
  readonly time: string;
  /** Lanes, by index; the same twice for what happened to one alone, -1 for all. */
  readonly from: number;
  readonly to: number;
  readonly label: string;
  readonly tone: Tone;
}

export interface Ladder {
  /** The caller, the server (null), then the others. */
  readonly lanes: readonly (string | null)[];
  readonly rungs: readonly Rung[];
}

/** Why it went as it did, in two sentences. */
export interface Verdict {
  readonly title: string;
  readonly because: string;
  readonly tone: Tone;
}

const SERVER = 1;
const ALL = -1;

export function ladderOf(call: CallInfo, entries: readonly TimelineEntry[]): Ladder {
  const others = call.participants.map(({ userId }) => userId).filter((id) => id !== call.callerId);
  const lanes = [call.callerId, null, ...others];
  const laneOf = (id: string | null) => Math.max(0, lanes.indexOf(id));
  const start = Date.parse(call.createdAt);
  const failed = new Set<string>();
  const rungs = entries.flatMap((entry, index): Rung[] => {
    const drawn = drawnAs(entry, call, laneOf);
    if (drawn === null) return [];
    if (entry.quality?.outcome === 'FAILED') {
      // Told when it failed, and once more at the end.
      const way = `${drawn.from} ${drawn.to}`;
      if (failed.has(way)) return [];
      failed.add(way);
    }
    const seconds = Math.max(0, Date.parse(entry.at) - start) / 1_000;
    return [{ key: String(index), time: clockOf(seconds), ...drawn }];
  });
  return { lanes, rungs };
}

type Drawn = Pick<Rung, 'from' | 'to' | 'label' | 'tone'>;

function drawnAs(entry: TimelineEntry, call: CallInfo, laneOf: (id: string | null) => number): Drawn | null {
  const { kind, detail, quality } = entry;
  const actor = laneOf(entry.actorId ?? null);
  const subject = laneOf(entry.subjectId ?? null);
  const rung = (from: number, to: number, label: string, tone: Tone = 'plain') => ({ from, to, label, tone });
  switch (kind) {
    case 'INITIATED':
      return rung(actor, SERVER, 'calls');
    case 'INVITED':
      return rung(SERVER, subject, 'rings', 'waiting');
    case 'JOINED':
      // The caller is in it from the start.
      return entry.subjectId === call.callerId && entry.at === call.createdAt
        ? null
        : rung(subject, SERVER, 'joins', 'good');
    case 'ANSWERED':
      return rung(ALL, ALL, 'Answered', 'good');
    case 'TAKEN_OVER':
      return rung(subject, SERVER, 'moves to another device');
    case 'CONNECTED':
      return rung(subject, SERVER, 'listens');
    case 'CONNECTION_LOST':
      return rung(subject, SERVER, detail === 'INSTANCE' ? 'lost with a server' : 'connection lost', 'bad');
    case 'RECONNECTED':
      return rung(subject, SERVER, 'is back', 'good');
    case 'DECLINED':
      return rung(subject, SERVER, detail === 'BUSY' ? 'is busy' : 'declines', 'bad');
    case 'MISSED':
      return rung(SERVER, subject, detail === 'RING_TIMEOUT' ? 'rang out' : 'stops ringing', 'bad');
    case 'LEFT':
      return detail === 'CALL_ENDED' ? null : rung(subject, SERVER, leavingOf(detail), leavingTone(detail));
    case 'UNINVITED':
      return rung(SERVER, subject, 'ring taken back');
    case 'HOST_CHANGED':
      return rung(subject, subject, 'is host now');
    case 'MUTED':
      return rung(actor, subject, 'mutes');
    case 'ALONE':
      return rung(subject, subject, 'is alone', 'waiting');
    case 'EXPIRING':
      return rung(ALL, ALL, 'The longest time is near', 'waiting');
    case 'ENDED':
      return rung(ALL, ALL, ENDINGS[detail] ?? 'The end');
    case 'OFFERS':
    case 'ANSWERS':
    case 'CANDIDATES':
    case 'RENEGOTIATIONS':
      return rung(actor, entry.subjectId === null ? ALL : subject, signalsOf(kind, entry.count ?? 1));
    case 'QUALITY':
      return quality ? rung(actor, subject, measuredOf(quality), qualityTone(quality)) : null;
    case 'RATED':
      return rung(actor, actor, `rates it ${detail}`);
    default:
      return null;
  }
}

const ENDINGS: Readonly<Record<string, string>> = {
  HANGUP: 'The end',
  ENDED_BY_HOST: 'Ended by the host',
  CANCELLED: 'The end: taken back',
  DECLINED: 'The end: declined',
  NO_ANSWER: 'The end: no answer',
  CONNECTION_LOST: 'The end: a connection was lost',
  MAX_DURATION: 'The end: it had lasted as long as it may',
  ALONE: 'The end: one was left alone',
  TERMINATED: 'Ended by an administrator',
};

function leavingOf(detail: string): string {
  if (detail.startsWith('DISCONNECTED')) return 'did not come back';
  if (detail.startsWith('NEVER_CONNECTED')) return 'never listened';
  if (detail === 'REMOVED') return 'is taken out';
  if (detail === 'MEMBERSHIP_LOST') return 'is no member any more';
  return 'hangs up';
}

const leavingTone = (detail: string): Tone => (/^(DIS|NEVER_)CONNECTED/.test(detail) ? 'bad' : 'plain');

const SIGNALS: Readonly<Record<string, string>> = {
  OFFERS: 'offer',
  ANSWERS: 'answer',
  CANDIDATES: 'ways to reach me',
  RENEGOTIATIONS: 'asks for an offer',
};

function signalsOf(kind: string, count: number): string {
  return count === 1 ? (SIGNALS[kind] ?? kind) : `${SIGNALS[kind] ?? kind} ×${count}`;
}

type Quality = NonNullable<TimelineEntry['quality']>;

function measuredOf({ outcome, connectedAfterMs, relayed, roundTripMs, lossPercent }: Quality): string {
  if (outcome === 'FAILED') return 'no connection';
  const parts = [
    outcome === 'LOST'
      ? 'lost the connection'
      : `connected in ${((connectedAfterMs ?? 0) / 1_000).toFixed(1)} s`,
    ...(relayed == null ? [] : [relayed ? 'relayed' : 'direct']),
    ...(roundTripMs == null ? [] : [`${Math.round(roundTripMs)} ms`]),
    ...(lossPercent == null ? [] : [`${lossPercent} % lost`]),
  ];
  return parts.join(' · ');
}

const qualityTone = ({ outcome }: Quality): Tone => (outcome === 'CONNECTED' ? 'good' : 'bad');

export function verdictOf(call: CallInfo, entries: readonly TimelineEntry[], names: Names): Verdict {
  const verdict = (title: string, because: string, tone: Tone = 'bad') => ({ title, because, tone });
  const of = (...kinds: string[]) => entries.filter(({ kind }) => kinds.includes(kind));
  const who = (ids: readonly (string | null | undefined)[]) =>
    list([...new Set(ids)].filter((id) => id != null).map((id) => names(id)));
  const others = call.participants.map(({ userId }) => userId).filter((id) => id !== call.callerId);
  const caller = names(call.callerId);
  const rang = clockOf(seconds(call.createdAt, call.endedAt ?? call.createdAt));
  if (call.status !== 'ENDED') {
    return verdict('The call goes on', 'This is what has happened so far.', 'waiting');
  }
  switch (call.endReason) {
    case 'DECLINED': {
      const busy = of('DECLINED').some(({ detail }) => detail === 'BUSY');
      return verdict(
        busy ? `${who(others)} was busy` : `${who(others)} declined`,
        `It rang for ${rang}, and then ${busy ? 'another call came first' : 'the answer was no'}.`,
      );
    }
    case 'NO_ANSWER':
      return verdict(
        'Nobody answered',
        `It rang for ${rang} at ${who(of('MISSED').map(({ subjectId }) => subjectId))}, as long as it may.`,
      );
    case 'CANCELLED':
      return verdict('Taken back', `${caller} gave up after ${rang}, while it still rang.`);
  }
  const failure = failedLink(of, names);
  if (call.answeredAt === null)
    return lostSeat(of, names) ?? verdict('Never answered', `It rang for ${rang}.`);
  if (failure !== null) return failure;
  const seat = call.endReason === 'CONNECTION_LOST' ? lostSeat(of, names) : null;
  if (seat !== null) return seat;
  const lost = of('QUALITY').filter(({ quality }) => quality?.outcome === 'LOST');
  if (lost.length > 0) {
    const [{ actorId, subjectId }] = lost as [TimelineEntry];
    return verdict(
      `${who([actorId, subjectId])} lost each other`,
      'They were connected; then the way between their networks broke, and did not come back.',
    );
  }
  const lasted = clockOf(call.durationSeconds ?? 0);
  const measured = of('QUALITY').map(({ quality }) => quality?.connectedAfterMs ?? 0);
  const slowest = (Math.max(0, ...measured) / 1_000).toFixed(1);
  const connected = measured.length === 0 ? '' : ` All were connected within ${slowest} s.`;
  return verdict('It worked', `They talked for ${lasted}.${connected}`, 'good');
}

type Of = (...kinds: string[]) => readonly TimelineEntry[];

/** Two who never got connected: at which step that was. */
function failedLink(of: Of, names: Names): Verdict | null {
  const failed = of('QUALITY').find(({ quality }) => quality?.outcome === 'FAILED');
  const [a, b] = [failed?.actorId, failed?.subjectId];
  if (a == null || b == null) return null;
  const title = `${names(a)} and ${names(b)} were never connected`;
  const between = (kind: string) =>
    of(kind).filter(
      ({ actorId, subjectId }) => (actorId === a && subjectId === b) || (actorId === b && subjectId === a),
    );
  const because = () => {
    const [offer] = between('OFFERS');
    if (offer === undefined) return 'Neither of them ever sent an offer to the other.';
    const [from, to] = [names(offer.actorId ?? ''), names(offer.subjectId ?? '')];
    if (between('ANSWERS').length === 0)
      return `${from} sent an offer, and ${to} never sent an answer to it.`;
    return 'They agreed on what to send, and then found no way between their networks. A TURN server that both can reach would have been one.';
  };
  return { title, because: because(), tone: 'bad' };
}

/** Somebody whom the server lost. */
function lostSeat(of: Of, names: Names): Verdict | null {
  const left = of('LEFT').find(({ detail }) => /^(DIS|NEVER_)CONNECTED/.test(detail));
  if (left?.subjectId == null) return null;
  const name = names(left.subjectId);
  return left.detail.startsWith('NEVER_')
    ? {
        title: `${name} never got through`,
        because: `${name} joined, and no connection for the call’s events ever came: the page was closed, or the network lets no WebSocket through.`,
        tone: 'bad',
      }
    : {
        title: `${name} was lost`,
        because: `${name}’s connection to the server broke, and did not come back in time.`,
        tone: 'bad',
      };
}

const seconds = (from: string, to: string) => Math.max(0, Date.parse(to) - Date.parse(from)) / 1_000;

/** `4.2 s`, `1:05`, `1:00:05`. */
export function clockOf(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.floor(seconds)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}
