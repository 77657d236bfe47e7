import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { assertValid, idProblem } from '../graphql/input.ts';
import type { CallEvent } from '../graphql/services.ts';
import { SIGNAL_LAYOUT, SignalRef } from '../signals/signal.schema.ts';
import { CallRef, ParticipantRef } from './call-types.schema.ts';

/** What participants see of a call: one ordered stream of its changes and its signals. */

const CallEventRef = builder.interfaceRef<CallEvent>('CallEvent').implement({
  description: `One entry of a call's log. \`call\` and \`participant\` are as of the event's version, not of now.
New kinds may come: ask for \`cursor\` on the interface itself.`,
  fields: (t) => ({
    cursor: t.expose('cursor', {
      type: 'Cursor',
      description: 'Give it back as `callEvents(after:)` to go on from here.',
    }),
    callId: t.exposeID('callId'),
    at: t.expose('at', { type: 'DateTime' }),
  }),
  resolveType: (event) => event.__typename,
});

type Event<Name extends CallEvent['__typename']> = Extract<CallEvent, { readonly __typename: Name }>;

builder.objectRef<Event<'CallSnapshot'>>('CallSnapshot').implement({
  description: 'First on every stream, and again wherever the stream cannot be continued without a hole.',
  interfaces: [CallEventRef],
  fields: (t) => ({
    call: t.expose('call', { type: CallRef }),
    recovered: t.exposeBoolean('recovered', {
      description: 'False: signals may be missing since `after`. Restart ICE on every link.',
    }),
  }),
});

builder.objectRef<Event<'SignalReceived'>>('SignalReceived').implement({
  interfaces: [CallEventRef],
  fields: (t) => ({
    from: t.exposeID('from'),
    fromJoinSeq: t.exposeInt('fromJoinSeq', {
      description: "The sender's tenure; one that is not the sender's of now is of a link that is gone.",
    }),
    to: t.exposeID('to', { nullable: true, description: 'Null: to every other participant.' }),
    signal: t.expose('signal', {
      type: SignalRef,
      extensions: { asJson: { property: 'signalJson', layout: SIGNAL_LAYOUT } },
    }),
  }),
});

builder.objectRef<Event<'ParticipantChanged'>>('ParticipantChanged').implement({
  interfaces: [CallEventRef],
  fields: (t) => ({
    participant: t.expose('participant', { type: ParticipantRef }),
    version: t.exposeInt('version', { description: "The call's version with this change." }),
  }),
});

builder.objectRef<Event<'CallChanged'>>('CallChanged').implement({
  interfaces: [CallEventRef],
  fields: (t) => ({ call: t.expose('call', { type: CallRef }) }),
});

builder.objectRef<Event<'CallExpiring'>>('CallExpiring').implement({
  description: 'Given once, some time before the longest allowed duration ends the call.',
  interfaces: [CallEventRef],
  fields: (t) => ({ expiresAt: t.expose('expiresAt', { type: 'DateTime' }) }),
});

builder.objectRef<Event<'CallEnded'>>('CallEnded').implement({
  description: 'Last on the stream.',
  interfaces: [CallEventRef],
  fields: (t) => ({ call: t.expose('call', { type: CallRef }) }),
});

builder.objectRef<Event<'SignalingDegraded'>>('SignalingDegraded').implement({
  description: `Signals reach only participants on this instance until SignalingRestored (a CallSnapshot follows it).
It has no place of its own in the log: its cursor is the last one again.`,
  interfaces: [CallEventRef],
  fields: (t) => ({ reason: t.exposeString('reason') }),
});

builder.objectRef<Event<'SignalingRestored'>>('SignalingRestored').implement({
  description: 'Its cursor is the last one again; a CallSnapshot follows.',
  interfaces: [CallEventRef],
});

builder.subscriptionField('callEvents', (t) =>
  t.field({
    type: CallEventRef,
    description: `Holds the viewer's seat in the call: when it ends, the disconnect grace begins. Over WebSocket only.
A newer stream of the same session takes the older one's place. Errors: CALL_NOT_FOUND, NOT_A_MEMBER,
NOT_INVITED, CALL_ENDED (for one who was in it the stream is CallEnded alone), NOT_IN_CALL, STALE_SESSION, BAD_USER_INPUT,
RATE_LIMITED (too many subscriptions on the socket), TIMEOUT.`,
    args: {
      callId: t.arg.id({ required: true }),
      sessionId: t.arg.id({ required: true, description: "The session that holds the viewer's seat." }),
      after: t.arg({
        type: 'Cursor',
        description: "The last cursor seen; without it the stream starts at the seat's join.",
      }),
    },
    subscribe: (_root, { callId, sessionId, after }, context) => {
      const viewer = viewerOf(context);
      assertValid(idProblem('callId', callId) ?? idProblem('sessionId', sessionId));
      const { services, socket } = context;
      return services.subscriptions.callEvents(viewer, { callId, sessionId, after: after ?? null }, socket);
    },
    resolve: (event) => event,
  }),
);
