import { type Draft, find, note, seated } from '../calls/call.ts';
import { type Actor, participantOf } from '../calls/call-rules.ts';
import { type Rejection, reject } from '../errors.ts';

/** What the coming and going of streams and instances does to seats. Pure. */

/** A stream of one session, on one instance. */
export interface StreamRef {
  readonly streamId: string;
  readonly instanceId: string;
}

/** The session's newest stream holds the seat; an older one is fenced off from here on. */
export function streamOpened(
  draft: Draft,
  actor: Actor,
  sessionId: string,
  stream: StreamRef,
): Rejection | null {
  const participant = participantOf(draft.call, actor);
  if ('code' in participant) return participant;
  const { seat } = participant;
  if (draft.call.status === 'ENDED') return reject('CALL_ENDED');
  if (!seat) return reject('NOT_IN_CALL');
  if (seat.sessionId !== sessionId) return reject('STALE_SESSION');
  if (seat.state === 'CONNECTING') note(draft, 'CONNECTED', actor.userId);
  if (seat.state === 'RECONNECTING') note(draft, 'RECONNECTED', actor.userId);
  participant.seat = { ...seat, ...stream, state: 'CONNECTED', deadline: null, orphaned: false };
  return null;
}

/** A stream that still runs, on an instance that was taken for dead, takes its seat back unless a newer one has it. */
export function streamReclaimed(
  draft: Draft,
  actor: Actor,
  sessionId: string,
  stream: StreamRef,
): Rejection | null {
  const holder = find(draft.call, actor.userId)?.seat?.streamId ?? null;
  if (holder !== null && holder !== stream.streamId) return reject('STALE_SESSION');
  return streamOpened(draft, actor, sessionId, stream);
}

/** The grace begins, unless a newer stream holds the seat: then this changes nothing. */
export function streamLost(draft: Draft, userId: string, streamId: string): void {
  const participant = find(draft.call, userId);
  if (participant?.seat?.streamId === streamId) beginGrace(draft, userId, false);
}

/** The grace begins for every seat that the dead instance held. */
export function instanceLost(draft: Draft, instanceId: string): void {
  for (const { userId, seat } of seated(draft.call)) {
    if (seat?.instanceId === instanceId) beginGrace(draft, userId, true);
  }
}

function beginGrace(draft: Draft, userId: string, orphaned: boolean): void {
  const participant = find(draft.call, userId);
  if (!participant?.seat) return;
  participant.seat = {
    ...participant.seat,
    state: 'RECONNECTING',
    deadline: draft.now + draft.limits.disconnectGraceMs,
    streamId: null,
    instanceId: null,
    orphaned,
  };
  note(draft, 'CONNECTION_LOST', null, userId, orphaned ? 'INSTANCE' : 'STREAM');
}
