import { builder } from '../graphql/builder.ts';
import { requireScope } from '../graphql/context.ts';
import { assertValid, idProblem, idsProblem, MAX_MEMBER_IDS, MAX_USER_IDS } from '../graphql/input.ts';
import type { ConversationView } from '../graphql/services.ts';

/** With these the app's back end keeps conversations in step; each needs the scope `service`. */

const ConversationRef = builder.objectRef<ConversationView>('Conversation').implement({
  description: 'Who may call whom: the members of a conversation may call one another.',
  fields: (t) => ({
    id: t.exposeID('id'),
    memberIds: t.exposeIDList('memberIds'),
    version: t.exposeInt('version', { description: 'Grows with each change.' }),
  }),
});

const NEEDS = 'Needs the scope `service`. Errors: FORBIDDEN, BAD_USER_INPUT.';

builder.mutationFields((t) => ({
  putConversation: t.field({
    type: ConversationRef,
    description: `Replaces the members. An older version than the stored one changes nothing. ${NEEDS}`,
    args: {
      id: t.arg.id({ required: true }),
      memberIds: t.arg.idList({ required: true, description: `At most ${MAX_MEMBER_IDS}.` }),
      version: t.arg.int({ description: "The app's own; null: one above the stored one." }),
    },
    resolve: (_root, { id, memberIds, version }, context) => {
      requireScope(context, 'service');
      assertValid(idProblem('id', id) ?? idsProblem('memberIds', memberIds, MAX_MEMBER_IDS));
      return context.services.conversations.put(id, memberIds, version ?? null);
    },
  }),

  addMembers: t.field({
    type: ConversationRef,
    description: `Who is a member already stays one. ${NEEDS}`,
    args: {
      conversationId: t.arg.id({ required: true }),
      userIds: t.arg.idList({ required: true, description: `At most ${MAX_USER_IDS}.` }),
    },
    resolve: (_root, { conversationId, userIds }, context) => {
      requireScope(context, 'service');
      assertValid(
        idProblem('conversationId', conversationId) ?? idsProblem('userIds', userIds, MAX_USER_IDS),
      );
      return context.services.conversations.addMembers(conversationId, userIds);
    },
  }),

  removeMembers: t.field({
    type: ConversationRef,
    description: `Takes them out of the conversation's live calls too, within two seconds. ${NEEDS}`,
    args: {
      conversationId: t.arg.id({ required: true }),
      userIds: t.arg.idList({ required: true, description: `At most ${MAX_USER_IDS}.` }),
    },
    resolve: (_root, { conversationId, userIds }, context) => {
      requireScope(context, 'service');
      assertValid(
        idProblem('conversationId', conversationId) ?? idsProblem('userIds', userIds, MAX_USER_IDS),
      );
      return context.services.conversations.removeMembers(conversationId, userIds);
    },
  }),

  deleteConversation: t.boolean({
    description: `False where there was none. ${NEEDS}`,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => {
      requireScope(context, 'service');
      assertValid(idProblem('id', id));
      return context.services.conversations.delete(id);
    },
  }),
}));
