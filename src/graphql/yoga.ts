import { type DocumentNode, execute, parse, subscribe } from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Context } from './context.ts';
import { type MaskError, useMaskedDocumentErrors } from './errors.ts';
import { Recent } from './recent.ts';
import { schema } from './schema.ts';

/** Bytes of a request's body, and of a WebSocket message, at most: four times the largest SDP in the wild. */
export const MAX_BODY = 64 * 1024;
/** Tokens of a document at most. The time of validation grows with their square. */
export const MAX_TOKENS = 2_000;
/** Documents kept parsed and validated: an app sends a few dozen different ones, over and over. */
export const KEPT_DOCUMENTS = 256;
/** Characters of a document that is kept, at most. */
export const KEPT_LENGTH = 8 * 1024;

/** What Yoga puts in the context of an HTTP request by itself. */
export interface HttpContext {
  readonly request: Request;
  readonly res?: import('node:http').ServerResponse;
  /** What http/server.ts adds. */
  readonly requestId: string;
}
export type Yoga = YogaServerInstance<Record<string, unknown>, Context>;

/** GraphQL as every transport runs it: limits, masked errors, caches of documents. */
export function createGraphQL(mask: MaskError, context: (http: HttpContext) => Promise<Context>): Yoga {
  return createYoga<Record<string, unknown>, Context>({
    schema,
    context: context as unknown as (initial: object) => Promise<Context>,
    plugins: [useGraphQLJs(), useMaskedDocumentErrors(mask)] as Plugin[],
    maskedErrors: { maskError: mask },
    // `mask` logs what is worth it.
    logging: false,
    parserAndValidationCache: {
      documentCache: new Recent<DocumentNode>(KEPT_DOCUMENTS, KEPT_LENGTH),
      errorCache: new Recent<Error>(KEPT_DOCUMENTS, KEPT_LENGTH),
    },
    maxRequestBodySize: MAX_BODY,
    batching: false,
    multipart: false,
    // http/server.ts serves GraphiQL and answers for origins, methods and other paths.
    cors: false,
    graphiql: false,
    landingPage: false,
  });
}

/**
 * graphql-js as the engine, and the limit of tokens. Yoga's own executor, made for `@defer` and for
 * cancelling, takes a third more time for a signal and a quarter more for an event; nothing here needs either.
 */
function useGraphQLJs(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, options) => parse(source, { ...options, maxTokens: MAX_TOKENS }));
    },
    onExecute({ setExecuteFn }) {
      setExecuteFn(execute);
    },
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(subscribe);
    },
  };
}
