import {
  type CallState,
  ConnectionError,
  type ConnectionState,
  type LocalMediaState,
  type MediaError,
  type ParticipantState,
  RejectionError,
} from '@ringdown/client';
import { list, type Names } from './people.ts';

/** What the SDK says, in words for people. Pure. */

/** What the connection is doing, in one line. */
export function statusOf(call: CallState, connection: ConnectionState, names: Names): string {
  const linked = call.participants.filter(({ link }) => link !== null);
  const of = (state: string) =>
    linked.filter(({ link }) => link === state).map(({ userId }) => names(userId));
  if (call.signaling === 'reconnecting') {
    const goesOn = of('connected').length > 0 ? ' The call goes on.' : '';
    return connection === 'closed'
      ? `The server has refused this page.${goesOn}`
      : `The way to the server is lost; looking for it…${goesOn}`;
  }
  const reconnecting = of('reconnecting');
  if (reconnecting.length > 0) return `Reconnecting to ${list(reconnecting)}…`;
  const connecting = of('connecting');
  if (connecting.length > 0) return `Connecting to ${list(connecting)}…`;
  if (call.signaling === 'degraded') return 'The server has lost a part of itself. The call goes on.';
  if (linked.length > 0) return `${wayTo(linked, names)}${quality(linked)}`;
  const ringing = call.participants.filter(({ status }) => status === 'RINGING');
  if (ringing.length > 0) return `Ringing ${list(ringing.map(({ userId }) => names(userId)))}…`;
  return 'Nobody else is here.';
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

function quality(linked: readonly ParticipantState[]): string {
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
  return parts.length === 0 ? '' : ` · ${parts.join(' · ')}`;
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
      return 'This page was away for too long.';
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
  if (error instanceof ConnectionError) return 'The server can’t be reached. Try again in a moment.';
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
