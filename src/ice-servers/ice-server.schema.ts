import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { idProblem, invalid, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';
import type { IceServer } from '../graphql/services.ts';

const IceServerRef = builder.objectRef<IceServer>('IceServer').implement({
  description: 'W3C WebRTC, RTCIceServer.',
  fields: (t) => ({
    urls: t.exposeStringList('urls', { description: 'RFC 7064 and RFC 7065.' }),
    username: t.exposeString('username', { nullable: true }),
    credential: t.exposeString('credential', { nullable: true }),
  }),
});

const IceServers = builder
  .objectRef<{ servers: readonly IceServer[]; refreshAt: number }>('IceServers')
  .implement({
    fields: (t) => ({
      servers: t.expose('servers', { type: [IceServerRef] }),
      refreshAt: t.expose('refreshAt', { type: 'DateTime', description: 'Fetch again at this time.' }),
    }),
  });

const IceServersResult = builder.unionType('IceServersResult', {
  types: [IceServers, RejectionRef],
  resolveType: resultType('IceServers'),
});

builder.queryField('iceServers', (t) =>
  t.field({
    type: IceServersResult,
    description: `STUN and TURN servers with credentials for this call: only for who is in it.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL, CALL_ENDED, INVALID_INPUT, TIMEOUT.`,
    args: { callId: t.arg.id({ required: true }) },
    resolve: async (_root, { callId }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('callId', callId);
      if (problem !== null) return invalid(problem);
      return member(await context.services.iceServers.iceServers(viewer, callId));
    },
  }),
);
