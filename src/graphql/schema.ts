import { builder } from './builder.ts';
import { observeRootFields } from './observed.ts';
import '../calls/call-events.schema.ts';
import '../calls/call-queries.schema.ts';
import '../calls/call.schema.ts';
import '../calls/incoming.schema.ts';
import '../conversations/conversation.schema.ts';
import '../devices/device.schema.ts';
import '../ice-servers/ice-server.schema.ts';
import '../notifications/dead-letter.schema.ts';
import '../quality/quality.schema.ts';
import '../signals/signal.schema.ts';
import '../silence/silence.schema.ts';

/** The whole API; `schema.graphql` is printed from it. */
export const schema = observeRootFields(builder.toSchema());
