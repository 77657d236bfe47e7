import type { Viewer } from '../auth/viewer.ts';
import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { assertValid, idProblem } from '../graphql/input.ts';
import type { Connection } from '../graphql/services.ts';
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
  }),
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

const CallEdge = builder.objectRef<Connection<CallView>['edges'][number]>('CallEdge').implement({
  fields: (t) => ({
    cursor: t.exposeString('cursor'),
    node: t.expose('node', { type: CallRef }),
  }),
});

const CallConnection = builder.objectRef<Connection<CallView>>('CallConnection').implement({
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
      return context.services.calls.calls(
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
