import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { RedisPubSub } from 'graphql-redis-subscriptions';
import { useServer } from 'graphql-ws/use/ws';
import { createSchema, createYoga } from 'graphql-yoga';
import { Redis } from 'ioredis';
import { WebSocketServer } from 'ws';

/**
 * Signaling with Yoga, graphql-ws and graphql-redis-subscriptions, put together as their documentations show.
 * Argument: the URL of Redis. Prints its own when it is ready.
 */

const redisUrl = process.argv[2] as string;
const pubsub = new RedisPubSub({ publisher: new Redis(redisUrl), subscriber: new Redis(redisUrl) });

interface Signal {
  readonly to: string;
  readonly signal: {
    readonly offer?: object;
    readonly candidates?: object;
  };
}

const schema = createSchema<{ connectionParams?: { user?: string } }>({
  typeDefs: /* GraphQL */ `
    type Query { hello: String }
    type Mutation { sendSignal(to: ID!, signal: SignalInput!): SendSignalSuccess! }
    type Subscription { signals(user: ID!): SignalReceived! }
    input SignalInput { offer: OfferInput, candidates: IceCandidatesInput }
    input OfferInput { sdp: String!, generation: Int! }
    input IceCandidatesInput { items: [IceCandidateInput!]!, generation: Int! }
    input IceCandidateInput { candidate: String!, sdpMid: String, sdpMLineIndex: Int, usernameFragment: String }
    type SendSignalSuccess { at: String! }
    type SignalReceived { from: ID!, to: ID!, at: String!, signal: Signal! }
    union Signal = Offer | IceCandidates
    type Offer { sdp: String!, generation: Int! }
    type IceCandidates { items: [IceCandidate!]!, generation: Int! }
    type IceCandidate { candidate: String!, sdpMid: String, sdpMLineIndex: Int, usernameFragment: String }
  `,
  resolvers: {
    Mutation: {
      async sendSignal(_, { to, signal }: Signal, { connectionParams }) {
        const at = new Date().toISOString();
        const { offer, candidates } = signal;
        await pubsub.publish(`signals.${to}`, {
          signals: {
            from: connectionParams?.user,
            to,
            at,
            signal: offer
              ? { __typename: 'Offer', ...offer }
              : { __typename: 'IceCandidates', ...candidates },
          },
        });
        return { at };
      },
    },
    Subscription: {
      signals: { subscribe: (_, { user }) => pubsub.asyncIterator(`signals.${user}`) as never },
    },
  },
});

const yoga = createYoga({ schema, logging: false });
const http = createServer(yoga);
const sockets = new WebSocketServer({ server: http, path: yoga.graphqlEndpoint, perMessageDeflate: false });

// From Yoga's "Subscriptions: GraphQL over WebSocket".
useServer(
  {
    // biome-ignore lint/suspicious/noExplicitAny: as in the documentation
    execute: (args: any) => args.rootValue.execute(args),
    // biome-ignore lint/suspicious/noExplicitAny: as in the documentation
    subscribe: (args: any) => args.rootValue.subscribe(args),
    onSubscribe: async (ctx, _id, params) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...ctx,
        req: ctx.extra.request,
        socket: ctx.extra.socket,
        params,
      });
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
      const errors = validate(args.schema, args.document);
      return errors.length > 0 ? errors : args;
    },
  },
  sockets,
);

http.listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready at http://127.0.0.1:${(http.address() as AddressInfo).port}\n`);
});
process.on('SIGTERM', () => process.exit(0));
