import {
  type DocumentNode,
  execute,
  GraphQLError,
  NoSchemaIntrospectionCustomRule,
  subscribe,
} from 'graphql';
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga';
import type { Viewer } from '../auth/viewer.ts';
import { CodedError } from '../errors.ts';
import type { Context } from './context.ts';
import type { Documents } from './documents.ts';
import { type MaskError, useMaskedDocumentErrors } from './errors.ts';
import { MAX_BODY, useDocumentLimits } from './limits.ts';
import { Recent } from './recent.ts';
import { schema } from './schema.ts';

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
  /** Rejects with what keeps the token from opening anything. */
  readonly viewer: Promise<Viewer>;
}
export type Yoga = YogaServerInstance<Record<string, unknown>, Context>;

export interface GraphQLOptions {
  readonly mask: MaskError;
  readonly documents: Documents;
  /** Whether a document may ask for the schema. `__typename` it always may. */
  readonly introspection: boolean;
  readonly context: (http: HttpContext) => Promise<Context>;
}

/** GraphQL as every transport runs it: limits, masked errors, caches of documents. */
export function createGraphQL({ mask, documents, introspection, context }: GraphQLOptions): Yoga {
  return createYoga<Record<string, unknown>, Context>({
    schema,
    context: context as unknown as (initial: object) => Promise<Context>,
    plugins: [
      useGraphQLJs(),
      useDocuments(documents),
      useDocumentLimits(),
      !introspection && useNoIntrospection(),
      useMaskedDocumentErrors(mask),
    ] as Plugin[],
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
 * graphql-js as the engine. Yoga's own executor, made for `@defer` and for cancelling, takes a third more
 * time for a signal and a quarter more for an event; nothing here needs either.
 */
function useGraphQLJs(): Plugin {
  return {
    onExecute({ setExecuteFn }) {
      setExecuteFn(execute);
    },
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(subscribe);
    },
  };
}

/** Yoga's own plugin for it goes by the HTTP request, of which a WebSocket's operation has none. */
function useNoIntrospection(): Plugin {
  return { onValidate: ({ addValidationRule }) => addValidationRule(NoSchemaIntrospectionCustomRule) };
}

/** Over HTTP; http/socket-operations.ts asks for itself. */
function useDocuments(documents: Documents): Plugin {
  return {
    onParams({ params, setParams }) {
      // What is no request at all is for Yoga to refuse.
      if (typeof params !== 'object' || params === null || Array.isArray(params)) return;
      const { documentId: _, ...rest } = params as typeof params & { documentId?: unknown };
      try {
        const query = documents.textOf(params);
        setParams(query === undefined ? rest : { ...rest, query });
      } catch (error) {
        throw asBadRequest(error);
      }
    },
  };
}

/** `spec`: 200 for those who accept application/json alone, as for each document that is refused. */
function asBadRequest(error: unknown): unknown {
  if (!(error instanceof CodedError)) return error;
  const { code, field, message } = error;
  const http = { status: 400, spec: true };
  return new GraphQLError(message, { extensions: { code, ...(field !== null && { field }), http } });
}
