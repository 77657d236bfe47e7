import {
  type CallState,
  ConnectionError,
  type ConnectionState,
  type HistoryEntry,
  type LocalMediaState,
  type MediaError,
  type ParticipantState,
  RejectionError,
} from '@ringdown/client';
import { list, type Names } from './people.ts';

/** What the SDK says, in words for people. Pure. */

export interface Status {
  readonly text: string;
  /** `bad`: it does not get better by itself. */
  readonly tone: 'good' | 'waiting' | 'bad';
}

const good = (text: string): Status => ({ text, tone: 'good' });
const waiting = (text: string): Status => ({ text, tone: 'waiting' });
const bad = (text: string): Status => ({ text, tone: 'bad' });

/** What the connection is doing, in one line: nothing that changes every few seconds, for it is read out. */
export function statusOf(call: CallState, names: Names): Status {
  const linked = call.participants.filter(({ link }) => link !== null);
  const named = (these: readonly ParticipantState[]) => these.map(({ userId }) => names(userId));
  const of = (state: string) => named(linked.filter(({ link }) => link === state));
  const goesOn = of('connected').length > 0;
  if (call.signaling === 'closed') {
    // The others' links are cut when the server gives the seat up, so it does not go on for long.
    return goesOn
      ? bad('The server has refused this page, so the call will soon be lost. Load the page again to stay.')
      : bad('The server has refused this page. Load it again.');
  }
  if (call.signaling === 'reconnecting') {
    return waiting(`The way to the server is lost; looking for it…${goesOn ? ' The call goes on.' : ''}`);
  }
  const reconnecting = of('reconnecting');
  if (reconnecting.length > 0) return waiting(`Reconnecting to ${list(reconnecting)}…`);
  const connecting = of('connecting');
  if (connecting.length > 0) return waiting(`Connecting to ${list(connecting)}…`);
  const away = named(call.participants.filter(({ status }) => status === 'RECONNECTING'));
  if (away.length > 0) {
    return waiting(`The server has lost ${list(away)}; waiting for them to come back…`);
  }
  if (call.signaling === 'degraded') {
    return waiting('The server has lost a part of itself. The call goes on.');
  }
  if (linked.length > 0) return good(wayTo(linked, names));
  const ringing = named(call.participants.filter(({ status }) => status === 'RINGING'));
  if (ringing.length > 0) return waiting(`Ringing ${list(ringing)}…`);
  return waiting('Nobody else is here.');
}

/** What the page is doing, and can do, while it is in no call. */
export function readinessOf(connection: ConnectionState, busy: string | null): Status {
  if (busy !== null) return waiting(busy);
  if (connection === 'closed') return bad('The server has refused this page. Load it again.');
  if (connection !== 'connected') return waiting('Looking for the server…');
  return good('Ready. Calls to you ring here.');
}

function wayTo(linked: readonly ParticipantState[], names: Names): string {
  const whom =
    linked.length > 2 ? `${linked.length} people` : list(linked.map(({ userId }) => names(userId)));
  const relayed = linked.filter(({ stats }) => stats?.relayed).length;
  if (linked.every(({ stats }) => stats?.relayed == null)) return `Connected to ${whom}`;
  if (relayed === 0) return `Connected to ${whom} directly`;
  return relayed === linked.length
    ? `Connected to ${whom} through a relay`
    : `Connected to ${whom}, partly through a relay`;
}

/** How well it is connected, by the worst link; empty where nothing is measured yet. */
export function figuresOf({ participants }: CallState): string {
  const linked = participants.filter(({ link }) => link === 'connected');
  const worst = (values: readonly (number | null | undefined)[]) => {
    const known = values.filter((value) => value != null);
    return known.length === 0 ? null : Math.max(...known);
  };
  const roundTrip = worst(linked.map(({ stats }) => stats?.roundTripMs));
  const loss = worst(linked.map(({ stats }) => stats?.lossPercent));
  const parts = [
    ...(roundTrip === null ? [] : [`${roundTrip} ms there and back`]),
    ...(loss === null ? [] : [loss === 0 ? 'nothing lost' : `${loss} % lost`]),
  ];
  return parts.join(' · ');
}

/** Why a call is over. */
export function endingOf(call: CallState, names: Names): string {
  const { reason, by } = call.over ?? { reason: null, by: null };
  const who = by === null ? null : by === call.me.userId ? 'You' : names(by);
  const others = list(call.participants.map(({ userId }) => names(userId)));
  switch (reason) {
    case 'HANGUP':
      return who === null ? 'The call is over.' : `${who} hung up.`;
    case 'CANCELLED':
      return who === 'You' ? 'You took the call back.' : `${names(call.callerId)} took the call back.`;
    case 'DECLINED': {
      const busy = call.participants.some(({ declinedBusy }) => declinedBusy);
      return busy ? `${others} is busy.` : `${others} declined.`;
    }
    case 'NO_ANSWER':
      return `${others} did not answer.`;
    case 'CONNECTION_LOST':
      return 'A connection was lost for too long.';
    case 'DISCONNECTED':
    case 'NEVER_CONNECTED':
      return 'The server does not have this page in the call any more: it was away for too long.';
    case 'REPLACED':
      return 'The call goes on in another window of yours.';
    case 'REMOVED':
      return 'The host has taken you out of the call.';
    case 'ENDED_BY_HOST':
      return who === 'You'
        ? 'You ended the call for everyone.'
        : `${who ?? 'The host'} ended the call for everyone.`;
    case 'ALONE':
      return 'Everyone else had gone.';
    case 'MAX_DURATION':
      return 'The call had reached the longest time that this server allows.';
    case 'TERMINATED':
      return 'An administrator ended the call.';
    case 'MEMBERSHIP_LOST':
      return 'You are no longer a member of the conversation.';
    default:
      return 'The call is over.';
  }
}

/** What became of an invitation; null for who is in the call. */
export function absenceOf({ status, declinedBusy, leaveReason }: ParticipantState): string | null {
  switch (status) {
    case 'RINGING':
      return 'Ringing…';
    case 'DECLINED':
      return declinedBusy ? 'Busy' : 'Declined';
    case 'MISSED':
      return 'No answer';
    case 'LEFT':
      return leaveReason === 'REMOVED'
        ? 'Removed'
        : leaveReason === 'DISCONNECTED'
          ? 'Connection lost'
          : 'Left';
    default:
      return null;
  }
}

/** The server counts up to a hundred. */
export function missedText(count: number): string {
  return count >= 100 ? '99+' : String(count);
}

/** What became of a call, in the user's history. */
export function outcomeText({ outcome, call }: HistoryEntry): string {
  switch (outcome) {
    case 'RINGING':
      return 'Ringing now';
    case 'ONGOING':
      return call.status === 'RINGING' ? 'Ringing now' : 'Going on now';
    case 'MISSED':
      return 'Missed';
    case 'DECLINED':
      return 'Declined';
    case 'REMOVED':
      return 'Taken back';
    case 'UNANSWERED':
      if (call.endReason === 'CANCELLED') return 'Given up';
      if (call.endReason !== 'DECLINED') return 'No answer';
      return call.participants.some(({ declinedBusy }) => declinedBusy) ? 'Busy' : 'Declined';
    case 'ANSWERED':
      return call.durationSeconds == null ? 'Left' : clock(call.durationSeconds);
    default:
      return outcome;
  }
}

/** The time of a day, and the day unless it is this one. */
export function whenText(instant: string, now = new Date()): string {
  const date = new Date(instant);
  const time = date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  if (date.toDateString() === now.toDateString()) return time;
  return `${date.toLocaleDateString(undefined, { day: 'numeric', month: 'short' })}, ${time}`;
}

/** What a command's error means, and what to do. */
export function errorText(error: unknown): string {
  if (error instanceof RejectionError) {
    switch (error.code) {
      case 'RATE_LIMITED':
        return `Too many calls in a short time. Try again in ${Math.ceil((error.retryAfterMs ?? 60_000) / 1_000)} s.`;
      case 'ALREADY_IN_CALL':
        return 'You are in this call in another window.';
      case 'CALL_ENDED':
      case 'CALL_NOT_FOUND':
        return 'The call is over.';
      case 'CALL_EXPIRED':
        return 'It rang for too long. Call back.';
      case 'CALL_FULL':
        return 'The call is full.';
      case 'NOT_THE_HOST':
        return 'Only the host of the call may do this.';
      case 'TIMEOUT':
        return 'The server is busy. Try again.';
      default:
        return error.message;
    }
  }
  if (error instanceof ConnectionError) {
    return error.code === 'REFUSED'
      ? 'The server has refused this page. Load it again.'
      : 'The server can’t be reached. Try again in a moment.';
  }
  return error instanceof Error ? error.message : String(error);
}

/** What is wrong with this page's own devices; null where nothing is. */
export function deviceTrouble({ camera, microphone }: LocalMediaState): string | null {
  if (camera.error && microphone.error && camera.error.reason === microphone.error.reason) {
    return `${trouble('camera and microphone', camera.error)} The call goes on without them.`;
  }
  if (microphone.error) return `${trouble('microphone', microphone.error)} Nobody hears you.`;
  if (camera.error) return `${trouble('camera', camera.error)} Nobody sees you.`;
  return null;
}

function trouble(what: string, { reason }: MediaError): string {
  switch (reason) {
    case 'refused':
      return `Your ${what} may not be used: allow it beside the address bar, then turn it on here.`;
    case 'missing':
      return `No ${what} was found: plug one in, then turn it on here.`;
    case 'busy':
      return `Another program is using your ${what}: close it, then turn it on here.`;
    case 'unsupported':
      return `This browser gives this page no ${what}: open it at https:// or at localhost.`;
    default:
      return `Your ${what} could not be started.`;
  }
}

/** `1:05`, `1:00:05`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3_600);
  const minutes = Math.floor((whole % 3_600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
