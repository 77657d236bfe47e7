import { type DocumentNode, print } from 'graphql';
import type { App } from '../../../src/app.ts';
import { tokenFor } from '../../support/app.ts';
import * as operations from '../../support/operations.ts';
import { RawSocket } from '../../support/raw-socket.ts';

/** Calls in each state with everybody who may have to do with one, and how an answer is read. */

export const STATES = ['RINGING', 'ACTIVE', 'ENDED'] as const;
export type State = (typeof STATES)[number];

type Variables = Record<string, unknown>;
export interface Asker {
  /** Null: without a token. */
  readonly userId: string | null;
  readonly scope: string;
  readonly sessionId: string;
}

/**
 * Who may ask. `ringing` was invited and has not answered, `former` was and is no longer a member, `other` is a
 * second session of the guest's (of the host's, while it rings), `left` and `removed` were in it.
 */
export function askerOf(actor: string, state: State | 'ANY'): Asker {
  if (actor === 'nobody') return { userId: null, scope: '', sessionId: 's' };
  if (actor === 'service' || actor === 'admin')
    return { userId: `the-${actor}`, scope: actor, sessionId: 's' };
  const userId = actor === 'other' ? (state === 'RINGING' ? 'host' : 'guest') : actor;
  return { userId, scope: '', sessionId: actor === 'other' ? `${userId}-2` : `${userId}-1` };
}

/** An operation as an actor sends it about a call. */
export type Operation = readonly [
  document: DocumentNode,
  variables: (about: {
    callId: string;
    sessionId: string;
    conversationId: string;
    state: State;
  }) => Variables,
];

/** Of no browser: the example of RFC 8291. */
const A_SUBSCRIPTION = {
  endpoint: 'https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV',
  p256dh: 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4',
  auth: 'BTBZMqHH6r4Tts7J_aSIgg',
};

/** Each field of the schema that asks the server for something. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'Query.viewer': [operations.Viewer, () => ({})],
  'Viewer.activeCalls': [operations.Viewer, () => ({})],
  'Query.call': [operations.GetCall, ({ callId }) => ({ id: callId })],
  'Call.timeline': [operations.GetTimeline, ({ callId }) => ({ id: callId })],
  'Query.calls': [operations.GetCalls, () => ({ first: 100 })],
  'Query.deadLetters': [operations.DeadLetters, () => ({ first: 1 })],
  'Query.iceServers': [operations.GetIceServers, ({ callId }) => ({ callId })],
  'Mutation.initiateCall': [
    operations.InitiateCall,
    ({ conversationId, sessionId }) => ({
      input: { conversationId, calleeIds: ['extra'], sessionId, type: 'AUDIO' },
    }),
  ],
  'Mutation.joinCall': [operations.JoinCall, ({ callId, sessionId }) => ({ input: { callId, sessionId } })],
  'Mutation.declineCall': [operations.DeclineCall, ({ callId }) => ({ callId })],
  'Mutation.leaveCall': [operations.LeaveCall, ({ callId, sessionId }) => ({ callId, sessionId })],
  'Mutation.endCall': [operations.EndCall, ({ callId }) => ({ callId })],
  'Mutation.inviteToCall': [operations.InviteToCall, ({ callId }) => ({ callId, userIds: ['extra'] })],
  'Mutation.removeParticipant': [
    operations.RemoveParticipant,
    ({ callId }) => ({ callId, userId: 'ringing' }),
  ],
  'Mutation.muteParticipant': [
    operations.MuteParticipant,
    ({ callId, state }) => ({ callId, userId: state === 'RINGING' ? 'host' : 'guest' }),
  ],
  'Mutation.setMediaState': [
    operations.SetMediaState,
    ({ callId, sessionId }) => ({ callId, sessionId, muted: true }),
  ],
  'Mutation.sendSignal': [
    operations.SendSignal,
    ({ callId, sessionId }) => ({
      input: { callId, sessionId, clientSeq: 1, signal: { renegotiate: { iceRestart: false } } },
    }),
  ],
  'Mutation.reportCallQuality': [
    operations.ReportCallQuality,
    ({ callId }) => ({ input: { callId, reportId: 'r', rating: 4 } }),
  ],
  'Mutation.markMissedCallsSeen': [operations.MarkMissedCallsSeen, () => ({})],
  'Mutation.putConversation': [
    operations.PutConversation,
    () => ({ id: 'elsewhere', memberIds: ['a', 'b'] }),
  ],
  'Mutation.addMembers': [
    operations.AddMembers,
    ({ conversationId }) => ({ conversationId, userIds: ['host'] }),
  ],
  'Mutation.removeMembers': [
    operations.RemoveMembers,
    ({ conversationId }) => ({ conversationId, userIds: ['nobody-in-it'] }),
  ],
  'Mutation.deleteConversation': [operations.DeleteConversation, () => ({ id: 'nowhere' })],
  'Mutation.terminateCall': [operations.TerminateCall, ({ callId }) => ({ callId })],
  'Mutation.redeliver': [operations.Redeliver, () => ({ ids: [] })],
  'Query.devices': [operations.Devices, () => ({})],
  'Query.webPushKey': [operations.Devices, () => ({})],
  'Query.mutedConversations': [operations.MutedConversations, () => ({})],
  'Query.blockedUsers': [operations.BlockedUsers, () => ({ userId: 'host' })],
  'Mutation.registerDevice': [operations.RegisterDevice, () => ({ input: { webPush: A_SUBSCRIPTION } })],
  'Mutation.unregisterDevice': [operations.UnregisterDevice, () => ({ id: 'none' })],
  'Mutation.muteConversation': [
    operations.MuteConversation,
    ({ conversationId }) => ({ conversationId, muted: false }),
  ],
  'Mutation.blockUsers': [operations.BlockUsers, () => ({ userId: 'elsewhere', blockedIds: ['other'] })],
  'Mutation.unblockUsers': [operations.UnblockUsers, () => ({ userId: 'elsewhere', blockedIds: ['other'] })],
  'Subscription.callEvents': [
    operations.CallEvents,
    ({ callId, sessionId }) => ({ callId, sessionId, after: null }),
  ],
  'Subscription.incomingCalls': [operations.IncomingCalls, () => ({})],
};

export interface Answer {
  readonly text: string;
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[];
}

export class Stage {
  readonly #app: App;
  readonly #tokens = new Map<string, Promise<string>>();
  readonly #sockets = new Map<string, Promise<RawSocket>>();
  #made = 0;
  #sent = 0;

  constructor(app: App) {
    this.#app = app;
  }

  /** A new call in that state, in a conversation of its own; nothing is due in it. */
  async call(state: State): Promise<{ callId: string; conversationId: string }> {
    const conversationId = `room-${++this.#made}`;
    const service = askerOf('service', 'ANY');
    const members = ['host', 'guest', 'ringing', 'uninvited', 'left', 'removed', 'former', 'extra'];
    await this.#done(service, operations.PutConversation, { id: conversationId, memberIds: members });
    const later = state === 'RINGING' ? [] : ['guest', 'left'];
    const input = {
      ...{ conversationId, type: 'AUDIO', sessionId: 'host-1' },
      calleeIds: ['ringing', 'former', 'removed', ...later],
    };
    const started = await this.#done(askerOf('host', state), operations.InitiateCall, { input });
    const callId = (started as { call: { id: string } }).call.id;
    const as = (actor: string) => askerOf(actor, state);
    if (state !== 'RINGING') {
      for (const userId of [...later, 'removed']) {
        const joining = { callId, sessionId: `${userId}-1` };
        await this.#done(as(userId), operations.JoinCall, { input: joining });
      }
      await this.#done(as('left'), operations.LeaveCall, { callId, sessionId: 'left-1' });
    }
    await this.#done(as('host'), operations.RemoveParticipant, { callId, userId: 'removed' });
    await this.#done(service, operations.RemoveMembers, { conversationId, userIds: ['former'] });
    if (state === 'ENDED') await this.#done(as('host'), operations.EndCall, { callId });
    return { callId, conversationId };
  }

  /** The call that an answer says was started. */
  async endOwn(asker: Asker, { data }: Answer): Promise<void> {
    const { call } = (data?.initiateCall ?? {}) as { call?: { id: string } };
    if (call) await this.#done(asker, operations.EndCall, { callId: call.id });
  }

  #token({ userId, scope }: Asker): Promise<string> {
    const key = `${userId} ${scope}`;
    const token = this.#tokens.get(key) ?? tokenFor(userId as string, scope);
    this.#tokens.set(key, token);
    return token;
  }

  async #done(asker: Asker, document: DocumentNode, variables: Variables): Promise<unknown> {
    const { text, data } = await this.ask(asker, document, variables);
    const [value] = Object.values(data ?? {});
    if (typeof value !== 'object' || value === null || 'code' in value) throw new Error(text);
    return value;
  }

  /** Over HTTP; subscriptions over WebSocket, where there is a token to open one with. */
  async ask(asker: Asker, document: DocumentNode, variables: Variables): Promise<Answer> {
    const query = print(document);
    if (asker.userId !== null && query.startsWith('subscription')) {
      return this.#subscribe(asker, query, variables);
    }
    const response = await fetch(`${this.#app.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: query.startsWith('subscription') ? 'text/event-stream' : 'application/json',
        ...(asker.userId !== null && {
          authorization: `Bearer ${await this.#token(asker)}`,
        }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const text = await response.text();
    const json = /\{.*\}/s.exec(text)?.[0] ?? 'null';
    return { text: `${response.status} ${text}`, ...JSON.parse(json) };
  }

  /** The first that is told. */
  async #subscribe(asker: Asker, query: string, variables: Variables): Promise<Answer> {
    const token = await this.#token(asker);
    const key = `${asker.userId}`;
    const opening = this.#sockets.get(key) ?? RawSocket.open(this.#app.url, token);
    this.#sockets.set(key, opening);
    const socket = await opening;
    const id = `operation-${++this.#sent}`;
    socket.subscribe(id, query, variables);
    const answer = await socket.answer(id);
    socket.send({ id, type: 'complete' });
    return { text: JSON.stringify(answer), ...answer } as Answer;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.values()) await (await socket).close();
  }
}

/**
 * What an answer comes to: the code of its error or Rejection, `null`, `ok`; of lists of calls whether that call
 * is among them, `listed` or `unlisted`.
 */
export function verdict(field: string, answer: Answer, callId: string): string {
  if (answer.errors) return String(answer.errors[0]?.extensions?.code);
  const [value] = Object.values(answer.data ?? {});
  if (field === 'Query.calls' || field === 'Viewer.activeCalls') {
    return answer.text.includes(`"${callId}"`) ? 'listed' : 'unlisted';
  }
  if (value === null) return 'null';
  return typeof value === 'object' && value !== null && 'code' in value ? String(value.code) : 'ok';
}
