import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import type { IncomingCallEvent } from '../graphql/services.ts';
import { CallRef } from './call-types.schema.ts';

/** Rings, on each of the viewer's devices. */

type Event<Name extends IncomingCallEvent['__typename']> = Extract<
  IncomingCallEvent,
  { readonly __typename: Name }
>;

const RingStopReasonRef = builder.enumType('RingStopReason', {
  values: {
    ANSWERED_ELSEWHERE: { description: "Another of the viewer's devices answered." },
    DECLINED_ELSEWHERE: { description: "Another of the viewer's devices declined." },
    CANCELLED: { description: 'The caller gave up, or the invitation was taken back.' },
    NO_ANSWER: { description: 'The ring deadline passed.' },
    ENDED: { description: 'The call ended.' },
  },
});

const IncomingSnapshot = builder.objectRef<Event<'IncomingSnapshot'>>('IncomingSnapshot').implement({
  description: 'First on the stream and after any hole in it: replaces what the client shows as ringing.',
  fields: (t) => ({
    calls: t.expose('calls', { type: [CallRef] }),
    at: t.expose('at', { type: 'DateTime' }),
  }),
});

const CallRinging = builder.objectRef<Event<'CallRinging'>>('CallRinging').implement({
  fields: (t) => ({ call: t.expose('call', { type: CallRef }), at: t.expose('at', { type: 'DateTime' }) }),
});

const RingStopped = builder.objectRef<Event<'RingStopped'>>('RingStopped').implement({
  fields: (t) => ({
    call: t.expose('call', { type: CallRef }),
    at: t.expose('at', { type: 'DateTime' }),
    reason: t.expose('reason', { type: RingStopReasonRef }),
  }),
});

const IncomingCallEventRef = builder.unionType('IncomingCallEvent', {
  types: [IncomingSnapshot, CallRinging, RingStopped],
  resolveType: (event) => event.__typename,
});

builder.subscriptionField('incomingCalls', (t) =>
  t.field({
    type: IncomingCallEventRef,
    description: "Rings for the viewer, on each of the viewer's devices. Over WebSocket or SSE.",
    subscribe: async (_root, _args, context) => {
      const stream = await context.services.subscriptions.incomingCalls(viewerOf(context));
      context.onGone?.(() => void stream.return?.());
      return stream;
    },
    resolve: (event) => event,
  }),
);
