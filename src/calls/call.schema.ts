import { builder } from '../graphql/builder.ts';
import { requireScope, viewerOf } from '../graphql/context.ts';
import { idProblem, idsProblem, invalid, MAX_USER_IDS, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';
import { CallRef, CallTypeRef } from './call-types.schema.ts';
import type { CallView } from './call-view.ts';

/** The commands of a call. Arguments in, a result union out; the services decide. */

const InitiateCallInput = builder.inputType('InitiateCallInput', {
  fields: (t) => ({
    conversationId: t.id({ required: true, description: 'The viewer and every callee are members of it.' }),
    calleeIds: t.idList({
      required: true,
      description: `At most ${MAX_USER_IDS}, the server's MAX_INVITEES in all.`,
    }),
    type: t.field({ type: CallTypeRef, required: true }),
    sessionId: t.id({
      required: true,
      description: `Made up by the client, one for each lifetime of its memory (a page load, an app start); it holds the
viewer's seat.`,
    }),
    ringTimeoutSeconds: t.int({ description: "At most, and by default, the server's RING_TIMEOUT." }),
    idempotencyKey: t.id({
      description: 'The same key within ten minutes gives the same call, however often it is sent.',
    }),
  }),
});

const InitiateCallSuccess = builder
  .objectRef<{ call: CallView; cursor: string; joinedExisting: boolean }>('InitiateCallSuccess')
  .implement({
    fields: (t) => ({
      call: t.expose('call', { type: CallRef }),
      cursor: t.expose('cursor', {
        type: 'Cursor',
        description: 'For `callEvents(after:)`: everything since this answer.',
      }),
      joinedExisting: t.exposeBoolean('joinedExisting', {
        description:
          'True where a live call of the same people was ringing for the viewer: this answered it.',
      }),
    }),
  });

const InitiateCallResult = builder.unionType('InitiateCallResult', {
  types: [InitiateCallSuccess, RejectionRef],
  resolveType: resultType('InitiateCallSuccess'),
});

const JoinCallInput = builder.inputType('JoinCallInput', {
  fields: (t) => ({
    callId: t.id({ required: true }),
    sessionId: t.id({ required: true, description: "The session that is to hold the viewer's seat." }),
    takeOver: t.boolean({
      required: true,
      defaultValue: false,
      description: "Move the call here from another of the viewer's devices that is in it.",
    }),
  }),
});

const JoinCallSuccess = builder
  .objectRef<{ call: CallView; cursor: string; rejoined: boolean }>('JoinCallSuccess')
  .implement({
    fields: (t) => ({
      call: t.expose('call', { type: CallRef }),
      cursor: t.expose('cursor', {
        type: 'Cursor',
        description: 'For `callEvents(after:)`: everything since this answer.',
      }),
      rejoined: t.exposeBoolean('rejoined', {
        description: 'True where this session held the seat already.',
      }),
    }),
  });

const JoinCallResult = builder.unionType('JoinCallResult', {
  types: [JoinCallSuccess, RejectionRef],
  resolveType: resultType('JoinCallSuccess'),
});

const CallSuccess = builder.objectRef<{ call: CallView }>('CallSuccess').implement({
  fields: (t) => ({ call: t.expose('call', { type: CallRef }) }),
});

const CallResult = builder.unionType('CallResult', {
  types: [CallSuccess, RejectionRef],
  resolveType: resultType('CallSuccess'),
});

builder.mutationFields((t) => ({
  initiateCall: t.field({
    type: InitiateCallResult,
    description: `Rings the callees; the viewer is in the call from the start, as HOST. Two people who call each other at
once are in one call. Rejections: NOT_A_MEMBER, INVALID_CALLEE, NO_CALLEES, TOO_MANY_CALLEES, ALREADY_IN_CALL,
CALL_FULL, RATE_LIMITED, INVALID_INPUT, TIMEOUT.`,
    args: { input: t.arg({ type: InitiateCallInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const viewer = viewerOf(context);
      const problem =
        idProblem('input.conversationId', input.conversationId) ??
        idsProblem('input.calleeIds', input.calleeIds, MAX_USER_IDS) ??
        idProblem('input.sessionId', input.sessionId) ??
        idProblem('input.idempotencyKey', input.idempotencyKey);
      if (problem !== null) return invalid(problem);
      return member(
        await context.services.calls.initiateCall(viewer, {
          conversationId: input.conversationId,
          calleeIds: input.calleeIds,
          type: input.type,
          sessionId: input.sessionId,
          ringTimeoutSeconds: input.ringTimeoutSeconds ?? null,
          idempotencyKey: input.idempotencyKey ?? null,
        }),
      );
    },
  }),

  joinCall: t.field({
    type: JoinCallResult,
    description: `Takes the viewer's seat in the call for a session. Open \`callEvents\` within the disconnect grace, or the
seat is lost. Rejections, in this order: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, CALL_EXPIRED, CALL_ENDED,
ALREADY_IN_CALL, CALL_FULL; and RATE_LIMITED (before all of them), INVALID_INPUT, TIMEOUT.`,
    args: { input: t.arg({ type: JoinCallInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const viewer = viewerOf(context);
      const problem =
        idProblem('input.callId', input.callId) ?? idProblem('input.sessionId', input.sessionId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.joinCall(viewer, input));
    },
  }),

  declineCall: t.field({
    type: CallResult,
    description: `Stops the ring on all of the viewer's devices. Ignored after an accept on another device.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, CALL_ENDED, INVALID_INPUT, TIMEOUT.`,
    args: {
      callId: t.arg.id({ required: true }),
      busy: t.arg.boolean({
        required: true,
        defaultValue: false,
        description: 'The viewer is in another call.',
      }),
    },
    resolve: async (_root, { callId, busy }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.declineCall(viewer, callId, busy));
    },
  }),

  leaveCall: t.field({
    type: CallResult,
    description: `Gives up the viewer's seat, at once. In a pair it ends the call.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, CALL_ENDED, STALE_SESSION, NOT_IN_CALL, INVALID_INPUT, TIMEOUT (it is retried by the server).`,
    args: { callId: t.arg.id({ required: true }), sessionId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId, sessionId }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId) ?? idProblem('sessionId', sessionId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.leaveCall(viewer, callId, sessionId));
    },
  }),

  endCall: t.field({
    type: CallResult,
    description: `Ends the call for everyone: the host; in a pair either. Ending twice is the same as once.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL, NOT_THE_HOST, INVALID_INPUT, TIMEOUT (it is retried by the server).`,
    args: { callId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.endCall(viewer, callId));
    },
  }),

  inviteToCall: t.field({
    type: CallResult,
    description: `Rings more members of the conversation: anyone with a seat may. From the third person on the call is a group.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL, CALL_ENDED, INVALID_CALLEE, NO_CALLEES, TOO_MANY_CALLEES, INVALID_INPUT,
TIMEOUT.`,
    args: {
      callId: t.arg.id({ required: true }),
      userIds: t.arg.idList({ required: true, description: `At most ${MAX_USER_IDS}.` }),
    },
    resolve: async (_root, { callId, userIds }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId) ?? idsProblem('userIds', userIds, MAX_USER_IDS);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.inviteToCall(viewer, callId, userIds));
    },
  }),

  removeParticipant: t.field({
    type: CallResult,
    description: `The host takes a participant out; they may not join until invited again.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL, NOT_THE_HOST, CALL_ENDED, INVALID_INPUT, TIMEOUT.`,
    args: { callId: t.arg.id({ required: true }), userId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId, userId }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId) ?? idProblem('userId', userId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.removeParticipant(viewer, callId, userId));
    },
  }),

  muteParticipant: t.field({
    type: CallResult,
    description: `The host mutes a participant: state, and the SDK's track. Only they themselves unmute.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL, NOT_THE_HOST, CALL_ENDED, INVALID_INPUT, TIMEOUT.`,
    args: { callId: t.arg.id({ required: true }), userId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId, userId }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId) ?? idProblem('userId', userId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.muteParticipant(viewer, callId, userId));
    },
  }),

  setMediaState: t.field({
    type: CallResult,
    description: `Tells the others what the viewer sends. What is left out or null stays as it is.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, STALE_SESSION, NOT_IN_CALL, CALL_ENDED, INVALID_INPUT, TIMEOUT.`,
    args: {
      callId: t.arg.id({ required: true }),
      sessionId: t.arg.id({ required: true }),
      muted: t.arg.boolean(),
      videoOn: t.arg.boolean(),
      screenOn: t.arg.boolean(),
    },
    resolve: async (_root, { callId, sessionId, muted, videoOn, screenOn }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId) ?? idProblem('sessionId', sessionId);
      if (problem !== null) return invalid(problem);
      const change = { muted: muted ?? null, videoOn: videoOn ?? null, screenOn: screenOn ?? null };
      return member(await context.services.calls.setMediaState(viewer, callId, sessionId, change));
    },
  }),

  terminateCall: t.field({
    type: CallResult,
    description: `Needs the scope \`admin\`. Ends any call, as TERMINATED.
Rejections: CALL_NOT_FOUND, INVALID_INPUT, TIMEOUT (it is retried by the server). Errors: FORBIDDEN.`,
    args: { callId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId }, context) => {
      const viewer = requireScope(context, 'admin');
      const problem = idProblem('callId', callId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.calls.terminateCall(viewer, callId));
    },
  }),
}));
