import { randomUUID } from 'node:crypto';
import { type DocumentNode, type ExecutionArgs, GraphQLError, getOperationAST, visit } from 'graphql';
import type { OperationResult, SubscribePayload } from 'graphql-ws';
import type { Viewer } from '../auth/viewer.ts';
import { CLOSE, type CodedError } from '../errors.ts';
import type { Context } from '../graphql/context.ts';
import type { DocumentParams, Documents } from '../graphql/documents.ts';
import { located, type MaskError } from '../graphql/errors.ts';
import { Recent } from '../graphql/recent.ts';
import type { Services, SocketLink, Turn } from '../graphql/services.ts';
import { KEPT_DOCUMENTS, KEPT_LENGTH, type Yoga } from '../graphql/yoga.ts';
import type { OperationObserver } from '../observability/operations.ts';
import { ArrivalOrder, keptToTheEnd } from './arrival-order.ts';

/** Subscriptions at once on a socket: an app needs one for rings and one for each call it is in. */
export const MAX_SUBSCRIPTIONS = 50;
/** Queries and mutations in flight on a socket: several bursts of candidates for a full call. */
export const MAX_IN_FLIGHT = 1_000;

/** What the operations of one socket share. */
export class SocketSession {
  readonly link: SocketLink;
  readonly order = new ArrivalOrder();
  /** By operation id. */
  readonly subscriptions = new Set<string>();
  /** Of operations that are not settled, also where the client has completed them: no two at once may share one. */
  readonly ids = new Set<string>();
  readonly #streams = new Map<string, AsyncIterator<unknown>>();
  #ended = false;
  inFlight = 0;
  /** Of the socket, in the log. */
  readonly id = randomUUID();
  /** Null until `connection_init` has been answered; no operation runs before. */
  viewer: Viewer | null = null;

  constructor(link: SocketLink) {
    this.link = link;
  }

  /** The socket ends its streams itself: graphql-ws knows them by ids that clients choose. */
  async keep(id: string, stream: AsyncIterator<unknown>): Promise<void> {
    if (this.#ended) await stream.return?.();
    else this.#streams.set(id, stream);
  }

  settle(id: string): void {
    this.subscriptions.delete(id);
    this.ids.delete(id);
    this.#streams.delete(id);
  }

  end(): void {
    this.#ended = true;
    for (const stream of this.#streams.values()) void stream.return?.();
    this.#streams.clear();
  }
}

interface Document {
  readonly document: DocumentNode;
  /** How often `sendSignal` stands in it. */
  readonly signals: number;
}

interface OperationContext extends Context {
  readonly session: SocketSession;
  readonly id: string;
  /** The place that has to be given up when the operation ends; `turn` may be another view of it. */
  readonly place: Turn | null;
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
      return { document, signals: countSignals(document) };
    } catch (error) {
      return [withoutHttp(mask(error))];
    }
  }

  return {
    /** Called by graphql-ws as a message arrives, with no await before it: so in the messages' order. */
    onSubscribe(
      session: SocketSession,
      id: string,
      payload: SubscribePayload,
    ): ExecutionArgs | readonly GraphQLError[] {
      const { operationName, variables, extensions } = payload;
      const known = read(payload);
      if (!('document' in known)) return known;
      const { document, signals } = known;
      if (session.ids.has(id)) {
        session.link.close(CLOSE.DUPLICATE_ID);
        return refusal('BAD_USER_INPUT', 'The id of an operation that is not over yet.');
      }
      const operation = getOperationAST(document, operationName)?.operation;
      if (operation === undefined) return refusal('BAD_USER_INPUT', 'There is no operation of that name.');
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
      const contextValue: OperationContext = {
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
      };
      return {
        schema,
        document,
        operationName,
        variableValues: variables,
        contextValue,
        rootValue: undefined,
      };
    },

    /** However the operation ends, those behind it go on. */
    async execute(args: ExecutionArgs): Promise<Awaited<OperationResult>> {
      const { place, session } = args.contextValue as OperationContext;
      try {
        return await execute(args);
      } finally {
        session.inFlight--;
        place?.done();
      }
    },

    async subscribe(args: ExecutionArgs): Promise<Awaited<OperationResult>> {
      const { session, id } = args.contextValue as OperationContext;
      const result = await subscribe(args);
      if (Symbol.asyncIterator in result) await session.keep(id, result as AsyncGenerator<unknown>);
      return result;
    },

    onComplete(session: SocketSession, id: string): void {
      if (session.subscriptions.has(id)) observer?.subscriptionEnded(session.id, id, session.viewer?.userId);
      session.settle(id);
    },
  };
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
