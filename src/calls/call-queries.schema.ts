import type { Viewer } from '../auth/viewer.ts';
import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { assertValid, idProblem } from '../graphql/input.ts';
import type { Connection, HistoryEdge } from '../graphql/services.ts';
import type { CallOutcome } from '../history/history-rules.ts';
import { CallRef, CallStatusRef, PageInfoRef } from './call-types.schema.ts';
import type { CallView } from './call-view.ts';
import { CALLS_PAGE } from './pages.ts';

/** What the viewer may read of calls. */

const ViewerRef = builder.objectRef<Viewer>('Viewer').implement({
  description: 'Who asks: the user that the token names.',
  fields: (t) => ({
    id: t.exposeID('userId', { description: "The token's `sub` (RFC 7519 section 4.1.2)." }),
    scopes: t.stringList({
      description: "The token's `scope`, split at its spaces (RFC 8693 section 4.2).",
      resolve: (viewer) => [...viewer.scopes],
    }),
    activeCalls: t.field({
      type: [CallRef],
      description: 'Live calls in which the viewer has a seat.',
      resolve: (viewer, _args, { services }) => services.calls.activeCalls(viewer),
    }),
    missedCallCount: t.int({
      description:
        'Missed calls that the viewer has not marked as seen; 100 where there are that many or more.',
      resolve: (viewer, _args, { services }) => services.history.missedCallCount(viewer),
    }),
  }),
});

const CallOutcomeRef = builder.enumType('CallOutcome', {
  description: 'How a call went for the viewer.',
  values: {
    RINGING: { description: 'It rings for the viewer.' },
    ONGOING: { description: 'The viewer is in it.' },
    ANSWERED: { description: 'The viewer was in it, with somebody else.' },
    UNANSWERED: { description: "The viewer's own, that nobody answered; `endReason` says why." },
    MISSED: { description: 'It rang for the viewer, and stopped without an answer from them.' },
    DECLINED: { description: 'The viewer said no.' },
    REMOVED: { description: 'The viewer was not to be in it any more before they answered.' },
  } satisfies Record<CallOutcome, object>,
});

const CallFilter = builder.inputType('CallFilter', {
  description: 'All that are given must hold.',
  fields: (t) => ({
    conversationId: t.id(),
    statuses: t.field({ type: [CallStatusRef] }),
    missed: t.boolean({ description: 'Calls that the viewer missed, or that they did not.' }),
    outgoing: t.boolean({ description: 'Calls that the viewer started, or that others did.' }),
    createdFrom: t.field({ type: 'DateTime', description: 'Inclusive.' }),
    createdBefore: t.field({ type: 'DateTime', description: 'Exclusive.' }),
  }),
});

type Calls = Connection<CallView, HistoryEdge>;

const CallEdge = builder.objectRef<Calls['edges'][number]>('CallEdge').implement({
  description: 'A call, and what it was to the viewer.',
  fields: (t) => ({
    cursor: t.exposeString('cursor'),
    node: t.expose('node', { type: CallRef }),
    outcome: t.expose('outcome', { type: CallOutcomeRef }),
    outgoing: t.exposeBoolean('outgoing', { description: 'The viewer started it.' }),
    missedAt: t.expose('missedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it stopped ringing; null where the viewer has not missed it.',
    }),
    seen: t.exposeBoolean('seen', {
      description: 'False: missed, and not marked as seen by the viewer yet.',
    }),
  }),
});

const CallConnection = builder.objectRef<Calls>('CallConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [CallEdge] }),
    pageInfo: t.expose('pageInfo', { type: PageInfoRef }),
  }),
});

builder.queryFields((t) => ({
  viewer: t.field({ type: ViewerRef, resolve: (_root, _args, context) => viewerOf(context) }),

  call: t.field({
    type: CallRef,
    nullable: true,
    description: 'Null for a stranger exactly as for no such call. Errors: BAD_USER_INPUT.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => {
      const viewer = viewerOf(context);
      assertValid(idProblem('id', id));
      return context.services.calls.call(viewer, id);
    },
  }),

  calls: t.field({
    type: CallConnection,
    description: `The viewer's calls, newest first, keyset-paged: \`first\` with \`after\`, or \`last\` with \`before\`.
Errors: BAD_USER_INPUT.`,
    extensions: { page: CALLS_PAGE },
    args: {
      first: t.arg.int(),
      after: t.arg.string(),
      last: t.arg.int(),
      before: t.arg.string(),
      filter: t.arg({ type: CallFilter }),
    },
    resolve: (_root, { first, after, last, before, filter }, context) => {
      const viewer = viewerOf(context);
      assertValid(idProblem('filter.conversationId', filter?.conversationId));
      return context.services.history.calls(
        viewer,
        { first: first ?? null, after: after ?? null, last: last ?? null, before: before ?? null },
        filter == null
          ? null
          : {
              conversationId: filter.conversationId ?? null,
              statuses: filter.statuses ?? null,
              missed: filter.missed ?? null,
              outgoing: filter.outgoing ?? null,
              createdFrom: filter.createdFrom ?? null,
              createdBefore: filter.createdBefore ?? null,
            },
      );
    },
  }),
}));

builder.mutationField('markMissedCallsSeen', (t) =>
  t.field({
    type: ViewerRef,
    description: `Says that the viewer has seen what they missed, on all of their devices: up to an instant, such as the newest
\`missedAt\` that was shown, so that what is missed meanwhile still counts. It never goes back. Errors: BAD_USER_INPUT.`,
    args: {
      through: t.arg({ type: 'DateTime', description: 'Inclusive; the time of now where it is left out.' }),
    },
    resolve: async (_root, { through }, context) => {
      const viewer = viewerOf(context);
      await context.services.history.markMissedCallsSeen(viewer, through ?? null);
      return viewer;
    },
  }),
);
