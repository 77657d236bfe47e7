import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { idProblem, invalid, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';
import type { SendSignalInput as SignalToSend } from '../graphql/services.ts';
import type { IceCandidate, SessionDescription, Signal } from './signal.ts';

/** What peers send one another through the server: offers, answers, candidates. */

const GENERATION = "One above the highest seen on the link for an offer; its offer's for what answers it.";

const SessionDescriptionInput = builder.inputType('SessionDescriptionInput', {
  description: `An offer's generation is one above the highest seen on its link; an answer and candidates carry their
offer's: so a late one is told from a current one.`,
  fields: (t) => ({
    sdp: t.string({ required: true, description: 'SDP, RFC 8866.' }),
    generation: t.int({ required: true, description: GENERATION }),
  }),
});

const IceCandidateInput = builder.inputType('IceCandidateInput', {
  description: `W3C WebRTC, RTCIceCandidateInit. \`candidate: ""\` is end-of-candidates. sdpMid or sdpMLineIndex must be there.`,
  fields: (t) => ({
    candidate: t.string({ required: true, description: 'RFC 8839 section 5.1, without `a=`.' }),
    sdpMid: t.string(),
    sdpMLineIndex: t.int({ description: '0 to 65535.' }),
    usernameFragment: t.string(),
  }),
});

const IceCandidatesInput = builder.inputType('IceCandidatesInput', {
  description: '1 to 32 of them.',
  fields: (t) => ({
    items: t.field({ type: [IceCandidateInput], required: true }),
    generation: t.int({ required: true, description: GENERATION }),
  }),
});

const RenegotiateInput = builder.inputType('RenegotiateInput', {
  fields: (t) => ({
    iceRestart: t.boolean({
      required: true,
      description: 'With new ICE credentials (RFC 8445 section 2.4).',
    }),
  }),
});

const SignalInput = builder.inputType('SignalInput', {
  description: 'Exactly one.',
  isOneOf: true,
  fields: (t) => ({
    offer: t.field({ type: SessionDescriptionInput }),
    answer: t.field({ type: SessionDescriptionInput }),
    candidates: t.field({ type: IceCandidatesInput }),
    renegotiate: t.field({ type: RenegotiateInput, description: 'Asks the peer for a new offer.' }),
  }),
});

const SendSignalInput = builder.inputType('SendSignalInput', {
  fields: (t) => ({
    callId: t.id({ required: true }),
    sessionId: t.id({ required: true, description: "The session that holds the viewer's seat." }),
    to: t.id({
      description:
        'Null: to every other participant; then only `renegotiate`, or where there is but one (an SDP is for one link).',
    }),
    toJoinSeq: t.int({ description: "With `to`: the recipient's joinSeq as the sender knows it." }),
    clientSeq: t.int({
      required: true,
      description: "The sender's own count, from 1: a repeat after a lost answer is taken once.",
    }),
    signal: t.field({ type: SignalInput, required: true }),
  }),
});

const SendSignalSuccess = builder
  .objectRef<{ at: number; duplicate: boolean }>('SendSignalSuccess')
  .implement({
    fields: (t) => ({
      at: t.expose('at', { type: 'DateTime', description: 'When the log took it.' }),
      duplicate: t.exposeBoolean('duplicate', {
        description: 'True where this clientSeq had been taken before.',
      }),
    }),
  });

const SendSignalResult = builder.unionType('SendSignalResult', {
  types: [SendSignalSuccess, RejectionRef],
  resolveType: resultType('SendSignalSuccess'),
});

builder.mutationField('sendSignal', (t) =>
  t.field({
    type: SendSignalResult,
    description: `Accepted means that it stands in the call's log and reaches its recipients, in order. The signals of a
socket are taken in the order in which they were sent, whether or not the answers are waited for.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, CALL_ENDED, NOT_IN_CALL, STALE_SESSION, INVALID_SIGNAL, RECIPIENT_NOT_IN_CALL,
RATE_LIMITED, SIGNALING_UNAVAILABLE (send it again with the same clientSeq), INVALID_INPUT, TIMEOUT.`,
    args: { input: t.arg({ type: SendSignalInput, required: true }) },
    resolve: (_root, { input }, context) => {
      const viewer = viewerOf(context);
      const problem =
        idProblem('input.callId', input.callId) ??
        idProblem('input.sessionId', input.sessionId) ??
        idProblem('input.to', input.to);
      if (problem !== null) return invalid(problem);
      const { signals } = context.services;
      const { turn } = context;
      const { callId, sessionId, to = null, toJoinSeq = null, clientSeq } = input;
      // Pothos types what a client left out as undefined, the service as absent; it treats them alike.
      const signal = input.signal as SignalToSend['signal'];
      const send = () =>
        signals
          .sendSignal(viewer, { callId, sessionId, to, toJoinSeq, clientSeq, signal }, turn)
          .then(member);
      // No await where it is this one's turn already: the usual case.
      const ready = turn?.ready ?? null;
      return ready === null ? send() : ready.then(send);
    },
  }),
);

const describe = (name: 'Offer' | 'Answer') =>
  builder.objectRef<SessionDescription>(name).implement({
    description: `W3C WebRTC, RTCSessionDescriptionInit of type \`${name.toLowerCase()}\`.`,
    fields: (t) => ({
      sdp: t.exposeString('sdp', { description: 'SDP, RFC 8866.' }),
      generation: t.exposeInt('generation', { description: GENERATION }),
    }),
  });

const IceCandidateRef = builder.objectRef<IceCandidate>('IceCandidate').implement({
  description: 'W3C WebRTC, RTCIceCandidateInit; validated by the server.',
  fields: (t) => ({
    candidate: t.exposeString('candidate', { description: 'Empty: end-of-candidates.' }),
    sdpMid: t.exposeString('sdpMid', { nullable: true }),
    sdpMLineIndex: t.exposeInt('sdpMLineIndex', { nullable: true }),
    usernameFragment: t.exposeString('usernameFragment', { nullable: true }),
  }),
});

const IceCandidates = builder
  .objectRef<Extract<Signal, { __typename: 'IceCandidates' }>>('IceCandidates')
  .implement({
    fields: (t) => ({
      items: t.expose('items', { type: [IceCandidateRef] }),
      generation: t.exposeInt('generation', { description: GENERATION }),
    }),
  });

const Renegotiate = builder
  .objectRef<Extract<Signal, { __typename: 'Renegotiate' }>>('Renegotiate')
  .implement({
    description: 'The sender asks for a new offer.',
    fields: (t) => ({ iceRestart: t.exposeBoolean('iceRestart') }),
  });

/** How the server writes signals as JSON: a document that asks for just this gets them as they are. The SDK's does. */
export const SIGNAL_LAYOUT = `{
  __typename
  ... on Offer { sdp generation }
  ... on Answer { sdp generation }
  ... on IceCandidates { items { candidate sdpMid sdpMLineIndex usernameFragment } generation }
  ... on Renegotiate { iceRestart }
}`;

export const SignalRef = builder.unionType('Signal', {
  types: [describe('Offer'), describe('Answer'), IceCandidates, Renegotiate],
  resolveType: (signal) => (signal as Signal).__typename,
});
