import SchemaBuilder from '@pothos/core';
import type { Context } from './context.ts';
import { Cursor, DateTime } from './scalars.ts';

/** The one schema builder. The `*.schema.ts` files add their types to it; schema.ts puts them together. */
export const builder = new SchemaBuilder<{
  Context: Context;
  DefaultFieldNullability: false;
  Scalars: {
    /** Milliseconds since the epoch, in resolvers. */
    DateTime: { Input: number; Output: number };
    Cursor: { Input: string; Output: string };
  };
}>({ defaultFieldNullability: false });

builder.addScalarType('DateTime', DateTime);
builder.addScalarType('Cursor', Cursor);

builder.queryType({ description: 'Every field needs a token; without one the error is UNAUTHENTICATED.' });
builder.mutationType({
  description: `Every field needs a token. A rule that says no is a \`Rejection\` in the data; an error is a missing
token (UNAUTHENTICATED) or scope (FORBIDDEN), malformed input (BAD_USER_INPUT) or the server's own fault.
The mutations of a call can be repeated: the second time changes nothing.`,
});
builder.subscriptionType({
  description: `A refused subscription is a GraphQL error; \`extensions.code\` has the rejection's code.
Over WebSocket: subprotocol \`graphql-transport-ws\`, \`connection_init\` with \`{"authorization": "Bearer …"}\`.`,
});
