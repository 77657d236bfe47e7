import type { ResultOf } from '@graphql-typed-document-node/core';
import type { Client, Subscription } from './client.ts';
import * as operations from './operations.ts';
import { events, eventually, initiate, join, success, type World } from './world.ts';

/** People in a call, each with a session and an open stream, and what they do there. */

export type Event = ResultOf<typeof operations.CallEvents>['callEvents'];
type Kind = Event['__typename'];
type EventOf<K extends Kind> = Extract<Event, { __typename: K }>;
type Participant = EventOf<'ParticipantChanged'>['participant'];

/** A user in the call. The session is named after the user. */
export interface Peer {
  readonly userId: string;
  readonly sessionId: string;
  readonly callId: string;
  readonly client: Client;
  readonly stream: Subscription<Event>;
}

/** A new call of these users, started by the first: all are in it, and every stream knows all as CONNECTED. */
export async function inCall<Name extends string>(
  world: World,
  clients: Record<Name, Client>,
): Promise<Record<Name, Peer> & { readonly callId: string }> {
  const [callerId, ...calleeIds] = Object.keys(clients) as [Name, ...Name[]];
  const conversationId = await world.conversation([callerId, ...calleeIds]);
  // Calls may be short-lived here: what can be done before one starts is.
  await Promise.all(Object.values<Client>(clients).map((client) => client.connect()));
  const started = success(
    await initiate(clients[callerId], { conversationId, calleeIds, sessionId: callerId }),
  );
  const callId = started.call.id;
  for (const userId of calleeIds) success(await join(clients[userId], callId, userId));
  const peers = Object.fromEntries(
    [callerId, ...calleeIds].map((userId) => {
      const stream = events(clients[userId], callId, userId);
      return [userId, { userId, sessionId: userId, callId, client: clients[userId], stream }];
    }),
  ) as unknown as Record<Name, Peer>;
  await eventually(() =>
    Object.values<Peer>(peers).every((peer) =>
      [callerId, ...calleeIds].every((userId) => believed(peer).get(userId)?.status === 'CONNECTED'),
    ),
  );
  return { ...peers, callId };
}

/** Opens the peer's stream again, there, after the last event that it saw. */
export async function resume(peer: Peer, client: Client): Promise<Peer> {
  const after = peer.stream.events.at(-1)?.cursor ?? null;
  return { ...peer, client, stream: events(client, peer.callId, peer.sessionId, after) };
}

/** A signal that is told from others by its number. */
export async function send(from: Peer, to: Peer | null, clientSeq: number, number = clientSeq) {
  const { sendSignal } = await from.client.mutate(operations.SendSignal, {
    input: {
      callId: from.callId,
      sessionId: from.sessionId,
      ...(to && { to: to.userId }),
      clientSeq,
      signal: to
        ? { candidates: { items: [{ candidate: '', sdpMid: '0' }], generation: number } }
        : { renegotiate: { iceRestart: false } },
    },
  });
  return sendSignal;
}

/** The numbers of the signals that the peer's stream has brought, in their order. */
export function numbers({ stream }: Peer): number[] {
  return stream.events.flatMap((event) =>
    event.__typename === 'SignalReceived' && 'generation' in event.signal ? [event.signal.generation] : [],
  );
}

export async function setMuted({ client, callId, sessionId }: Peer, muted: boolean) {
  return (await client.mutate(operations.SetMediaState, { callId, sessionId, muted })).setMediaState;
}

export async function leave({ client, callId, sessionId }: Peer) {
  return (await client.mutate(operations.LeaveCall, { callId, sessionId })).leaveCall;
}

/** The events of one kind on the peer's stream. */
export function of<K extends Kind>(kind: K, { stream }: Peer): EventOf<K>[] {
  return stream.events.filter((event): event is EventOf<K> => event.__typename === kind);
}

/** The next event of one kind. */
export async function next<K extends Kind>(kind: K, { stream }: Peer, timeoutMs?: number) {
  return (await stream.next((event) => event.__typename === kind, timeoutMs)) as EventOf<K>;
}

/** How often the peer was told that the user has this status. */
export function told(peer: Peer, userId: string, status: Participant['status']): Participant[] {
  return of('ParticipantChanged', peer)
    .map(({ participant }) => participant)
    .filter((participant) => participant.userId === userId && participant.status === status);
}

/** Everyone in the call as an app would have it from the peer's stream alone. */
export function believed({ stream }: Peer): Map<string, Participant> {
  const known = new Map<string, Participant>();
  for (const event of stream.events) {
    const seen =
      event.__typename === 'ParticipantChanged'
        ? [event.participant]
        : 'call' in event
          ? event.call.participants
          : [];
    for (const participant of seen) known.set(participant.userId, participant);
  }
  return known;
}

/** Whether the peer's stream has told of everything that the database knows of the participants. */
export async function isUpToDate(peer: Peer): Promise<boolean> {
  const { call } = await peer.client.query(operations.GetCall, { id: peer.callId });
  const known = believed(peer);
  return (call?.participants ?? []).every(
    (participant) => JSON.stringify(known.get(participant.userId)) === JSON.stringify(participant),
  );
}
