import { builder } from '../graphql/builder.ts';
import { requireScope, viewerOf } from '../graphql/context.ts';
import { assertValid, idProblem, idsProblem, invalid, MAX_USER_IDS, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';

/** Rings that reach nobody: of muted conversations, and of people who are blocked. */

const NEEDS = 'Needs the scope `service`. Errors: FORBIDDEN, BAD_USER_INPUT.';

const BlockedUsersRef = builder
  .objectRef<{ userId: string; blockedIds: readonly string[] }>('BlockedUsers')
  .implement({
    description: `Whose rings do not reach the user. To those who are blocked such a call looks like any that is not answered;
to the user there was none.`,
    fields: (t) => ({ userId: t.exposeID('userId'), blockedIds: t.exposeIDList('blockedIds') }),
  });

const MuteConversationSuccess = builder
  .objectRef<{ conversationId: string; muted: boolean }>('MuteConversationSuccess')
  .implement({
    fields: (t) => ({
      conversationId: t.exposeID('conversationId'),
      muted: t.exposeBoolean('muted'),
    }),
  });

const MuteConversationResult = builder.unionType('MuteConversationResult', {
  types: [MuteConversationSuccess, RejectionRef],
  resolveType: resultType('MuteConversationSuccess'),
});

builder.queryFields((t) => ({
  mutedConversations: t.idList({
    description: 'Conversations in which the viewer is not rung.',
    resolve: (_root, _args, context) => context.services.silence.mutedConversations(viewerOf(context)),
  }),

  blockedUsers: t.field({
    type: BlockedUsersRef,
    description: `By whom the user is not rung. ${NEEDS}`,
    args: { userId: t.arg.id({ required: true }) },
    resolve: async (_root, { userId }, context) => {
      requireScope(context, 'service');
      assertValid(idProblem('userId', userId));
      return { userId, blockedIds: await context.services.silence.blocked(userId) };
    },
  }),
}));

builder.mutationFields((t) => ({
  muteConversation: t.field({
    type: MuteConversationResult,
    description: `From now on the viewer is not rung, or is rung again, in a conversation: not by \`incomingCalls\`, not by
push, not by the app's back end. Calls there can be seen and joined all the same, and are missed. It holds while the
viewer is a member. Rejections: INVALID_INPUT, NOT_A_MEMBER.`,
    args: {
      conversationId: t.arg.id({ required: true }),
      muted: t.arg.boolean({ required: true, defaultValue: true }),
    },
    resolve: async (_root, { conversationId, muted }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('conversationId', conversationId);
      if (problem) return invalid(problem);
      return member(await context.services.silence.setMuted(viewer, conversationId, muted));
    },
  }),

  blockUsers: t.field({
    type: BlockedUsersRef,
    description: `From now on a ring by them reaches none of the user's devices, and they are not told so. A call that rings
already rings on. ${NEEDS}`,
    args: {
      userId: t.arg.id({ required: true }),
      blockedIds: t.arg.idList({ required: true, description: `At most ${MAX_USER_IDS} at once.` }),
    },
    resolve: async (_root, { userId, blockedIds }, context) => {
      requireScope(context, 'service');
      assertValid(idProblem('userId', userId) ?? idsProblem('blockedIds', blockedIds, MAX_USER_IDS));
      return { userId, blockedIds: await context.services.silence.block(userId, blockedIds) };
    },
  }),

  unblockUsers: t.field({
    type: BlockedUsersRef,
    description: `Who is not blocked stays so. ${NEEDS}`,
    args: {
      userId: t.arg.id({ required: true }),
      blockedIds: t.arg.idList({ required: true, description: `At most ${MAX_USER_IDS} at once.` }),
    },
    resolve: async (_root, { userId, blockedIds }, context) => {
      requireScope(context, 'service');
      assertValid(idProblem('userId', userId) ?? idsProblem('blockedIds', blockedIds, MAX_USER_IDS));
      return { userId, blockedIds: await context.services.silence.unblock(userId, blockedIds) };
    },
  }),
}));
