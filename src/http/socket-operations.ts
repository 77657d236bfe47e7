import {
  createSourceEventStream,
  type DocumentNode,
  type ExecutionArgs,
  GraphQLError,
  getOperationAST,
  locatedError,
  type OperationTypeNode,
  visit,
} from 'graphql';
import type { OperationResult, SubscribePayload } from 'graphql-ws';
import { CLOSE, type CodedError } from '../errors.ts';
import { UNUSUAL } from '../graphql/compiled/compiled-input.ts';
import { type CompiledOperation, compileOperation } from '../graphql/compiled/compiled-operation.ts';
import type { Context } from '../graphql/context.ts';
import type { DocumentParams, Documents } from '../graphql/documents.ts';
import { located, type MaskError } from '../graphql/errors.ts';
import { Recent } from '../graphql/recent.ts';
import type { Services, Turn } from '../graphql/services.ts';
import { KEPT_DOCUMENTS, KEPT_LENGTH, type Yoga } from '../graphql/yoga.ts';
import type { OperationObserver } from '../observability/operations.ts';
import { keptToTheEnd } from './arrival-order.ts';
import { PushedEvents, writeEvent } from './pushed-events.ts';
import type { SocketSession } from './socket-session.ts';

/** Subscriptions at once on a socket: an app needs one for rings and one for each call it is in. */
export const MAX_SUBSCRIPTIONS = 50;
/** Queries and mutations in flight on a socket: several bursts of candidates for a full call. */
export const MAX_IN_FLIGHT = 1_000;

interface Document {
  readonly document: DocumentNode;
  /** How often `sendSignal` stands in it. */
  readonly signals: number;
  /** Null where graphql-js has to run it. */
  readonly compiled: CompiledOperation | null;
}

interface OperationContext extends Context {
  readonly session: SocketSession;
  readonly id: string;
  /** The place that has to be given up when the operation ends; `turn` may be another view of it. */
  readonly place: Turn | null;
  readonly compiled: CompiledOperation | null;
}

export interface SocketOperationsDeps {
  readonly yoga: Yoga;
  readonly services: Services;
  readonly mask: MaskError;
  readonly observer: OperationObserver | null;
  readonly documents: Documents;
}

export type SocketOperations = ReturnType<typeof createSocketOperations>;

/** How the operations of WebSockets are prepared and run. The way of a message: as little as possible. */
export function createSocketOperations({ yoga, services, mask, observer, documents }: SocketOperationsDeps) {
  /** By text, and only what `documents` lets in. */
  const prepared = new Recent<Document | readonly GraphQLError[]>(KEPT_DOCUMENTS, KEPT_LENGTH);
  // The same for every operation: Yoga's plugins on execution act on what is in the arguments.
  const { execute, subscribe, schema } = yoga.getEnveloped();
  const traces = observer !== null && observer.tracing !== null;

  function read(payload: DocumentParams & { readonly query: string }): Document | readonly GraphQLError[] {
    // Nothing is kept under an empty text, which says that the document is named by its id.
    const known = prepared.get(payload.query);
    if (known !== undefined) return known;
    try {
      const text = documents.textOf(payload) ?? '';
      const document = prepared.get(text) ?? parseAndValidate(text);
      if (text !== '') prepared.set(text, document);
      return document;
    } catch (error) {
      return [withoutHttp(mask(error))];
    }
  }

  function parseAndValidate(query: string): Document | readonly GraphQLError[] {
    const { parse, validate } = yoga.getEnveloped();
    try {
      const document: DocumentNode = parse(query);
      const errors: readonly GraphQLError[] = validate(schema, document);
      if (errors.length > 0) return errors.map(withoutHttp);
      return { document, signals: countSignals(document), compiled: compileOperation(schema, document) };
    } catch (error) {
      return [withoutHttp(mask(error))];
    }
  }

  /** Takes the operation's place on its socket, or says why there is none. */
  function begin(
    session: SocketSession,
    id: string,
    operation: OperationTypeNode | `${OperationTypeNode}`,
    { signals, compiled }: Document,
    extensions: SubscribePayload['extensions'],
  ): OperationContext | readonly GraphQLError[] {
    if (session.ids.has(id)) {
      session.link.close(CLOSE.DUPLICATE_ID);
      return refusal('BAD_USER_INPUT', 'The id of an operation that is not over yet.');
    }
    if (operation === 'subscription') {
      if (session.subscriptions.size >= MAX_SUBSCRIPTIONS) {
        return refusal('RATE_LIMITED', `A socket carries ${MAX_SUBSCRIPTIONS} subscriptions at once.`);
      }
      session.subscriptions.add(id);
    } else {
      if (session.inFlight >= MAX_IN_FLIGHT) {
        return refusal('RATE_LIMITED', `A socket carries ${MAX_IN_FLIGHT} requests at once.`);
      }
      session.inFlight++;
    }
    session.ids.add(id);
    const place = operation === 'mutation' && signals > 0 ? session.order.take() : null;
    return {
      services,
      identity: session.viewer!,
      socket: session.link,
      onGone: null,
      observer,
      requestId: id,
      socketId: session.id,
      traceparent: traces && typeof extensions?.traceparent === 'string' ? extensions.traceparent : null,
      turn: place !== null && signals > 1 ? keptToTheEnd(place) : place,
      place,
      session,
      id,
      compiled,
    };
  }

  /** However the operation ends, those behind it go on. */
  function end({ session, place }: OperationContext): void {
    session.inFlight--;
    place?.done();
  }

  function asErrors(error: unknown, { node, key }: CompiledOperation): string {
    return JSON.stringify({ data: null, errors: [mask(locatedError(error, [node], [key])).toJSON()] });
  }

  function run(context: OperationContext, compiled: CompiledOperation, args: object): void {
    const failed = (error: unknown) => finish(context, asErrors(error, compiled));
    const succeeded = (value: unknown) => {
      let payload: string;
      try {
        payload = `{"data":${compiled.write(value)}}`;
      } catch (error) {
        return failed(error);
      }
      finish(context, payload);
    };
    try {
      const value = compiled.field.resolve?.(undefined, args as never, context, undefined as never);
      if (value instanceof Promise) value.then(succeeded, failed);
      else succeeded(value);
    } catch (error) {
      failed(error);
    }
  }

  function finish(context: OperationContext, payload: string): void {
    const { session, id } = context;
    end(context);
    session.settle(id);
    // Completed by the client meanwhile: it does not want to hear of it.
    if (!session.direct.delete(id)) return;
    const quoted = JSON.stringify(id);
    // Nobody waits for the network: the answers in flight are bounded, and so is what may be unsent.
    session.link.send(`{"id":${quoted},"type":"next","payload":${payload}}`);
    session.link.send(`{"id":${quoted},"type":"complete"}`);
  }

  return {
    /**
     * The short way, for requests that are in order, of documents that are known by now and answered without
     * graphql-js. Not taken: the message is for graphql-ws, which has an answer to everything.
     */
    receive(session: SocketSession, text: string): boolean {
      if (session.viewer === null) return false;
      let message: unknown;
      try {
        message = JSON.parse(text);
      } catch {
        return false;
      }
      if (!isObject(message)) return false;
      const { type, id, payload } = message;
      if (typeof id !== 'string' || id === '') return false;
      if (type === 'complete') return session.direct.delete(id);
      if (type !== 'subscribe' || !isObject(payload)) return false;
      const { query, operationName, variables = NOTHING, extensions } = payload;
      if (typeof query !== 'string' || !isObject(variables)) return false;
      if (extensions != null && !isObject(extensions)) return false;
      const known = prepared.get(query);
      if (known === undefined || !('document' in known)) return false;
      const { compiled } = known;
      if (compiled === null || compiled.operation === 'subscription') return false;
      if (operationName != null && operationName !== compiled.name) return false;
      const args = compiled.read(variables);
      if (args === UNUSUAL) return false;
      const context = begin(session, id, compiled.operation, known, extensions ?? undefined);
      if (!('session' in context)) {
        const quoted = JSON.stringify(id);
        const errors = JSON.stringify(context.map((error) => error.toJSON()));
        session.link.send(`{"id":${quoted},"type":"error","payload":${errors}}`);
        return true;
      }
      session.direct.add(id);
      run(context, compiled, args);
      return true;
    },

    /** Called by graphql-ws as a message arrives, with no await before it: so in the messages' order. */
    onSubscribe(
      session: SocketSession,
      id: string,
      payload: SubscribePayload,
    ): ExecutionArgs | readonly GraphQLError[] {
      const { operationName, variables, extensions } = payload;
      const known = read(payload);
      if (!('document' in known)) return known;
      const { document } = known;
      const operation = getOperationAST(document, operationName)?.operation;
      if (operation === undefined) return refusal('BAD_USER_INPUT', 'There is no operation of that name.');
      const context = begin(session, id, operation, known, extensions);
      if (!('session' in context)) return context;
      return {
        schema,
        document,
        operationName,
        variableValues: variables,
        contextValue: context,
        rootValue: undefined,
      };
    },

    async execute(args: ExecutionArgs): Promise<Awaited<OperationResult>> {
      try {
        return await execute(args);
      } finally {
        end(args.contextValue as OperationContext);
      }
    },

    async subscribe(args: ExecutionArgs): Promise<Awaited<OperationResult>> {
      const context = args.contextValue as OperationContext;
      const { session, id, compiled } = context;
      if (compiled === null) {
        const result = await subscribe(args);
        if (Symbol.asyncIterator in result) await session.keep(id, result as AsyncGenerator<unknown>);
        return result;
      }
      const source = await createSourceEventStream(args);
      if (!(Symbol.asyncIterator in source)) return { ...source, errors: source.errors?.map(mask) ?? [] };
      const head = `{"id":${JSON.stringify(id)},"type":"next","payload":`;
      const sink = (event: unknown) => {
        try {
          return session.link.send(`${head}{"data":${writeEvent(compiled, event, context)}}}`);
        } catch (error) {
          return session.link.send(`${head}${asErrors(error, compiled)}}`);
        }
      };
      const events = new PushedEvents(source as AsyncIterableIterator<unknown>, sink, mask);
      await session.keep(id, events);
      return events;
    },

    onComplete(session: SocketSession, id: string): void {
      if (session.subscriptions.has(id)) observer?.subscriptionEnded(session.id, id, session.viewer?.userId);
      session.settle(id);
    },
  };
}

const NOTHING = {};

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusal(code: CodedError['code'], message: string): readonly GraphQLError[] {
  return [new GraphQLError(message, { extensions: { code } })];
}

/** Yoga marks errors for its HTTP responses. */
function withoutHttp(error: GraphQLError): GraphQLError {
  const { http: _, ...extensions } = error.extensions;
  return located(error, error.message, extensions);
}

function countSignals(document: DocumentNode): number {
  let count = 0;
  visit(document, {
    Field(field) {
      if (field.name.value === 'sendSignal') count++;
    },
  });
  return count;
}
