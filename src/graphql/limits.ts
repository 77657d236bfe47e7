import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  type ParseOptions,
  parse,
  type Source,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { type Measures, measure } from './measure.ts';

/** How large what a client sends may be, over HTTP and over WebSocket alike. */

/** Bytes of a request's body, and of a WebSocket message, at most: four times the largest SDP in the wild. */
export const MAX_BODY = 64 * 1024;

/**
 * Of a document, or of the operation in it with the most; what it spreads counts each time. What the SDK, the
 * examples of GraphiQL and its introspection need at most stands behind each, and a test holds it to that.
 */
export const DOCUMENT_LIMITS = {
  /** The time of validation grows with their square. 188. */
  tokens: 2_000,
  /** Levels of fields. 15, in introspection; without it the API has no more than 8. */
  depth: 18,
  /** Fields selected. 230, in introspection; 500 times the same field is an attack that scanners try. */
  fields: 400,
  /** Fields under another name: each is resolved by itself, and a mutation done by itself. None. */
  aliases: 20,
  /** Directives. None; an app that hides parts of what it asks for needs a few. */
  directives: 8,
  /** Fields in an answer whose pages are all full. The largest page of calls has 3,600, that of a timeline 6,500. */
  cost: 12_000,
} as const;

const ADVICE: Readonly<Record<keyof typeof DOCUMENT_LIMITS, string>> = {
  tokens: 'Send a shorter document.',
  depth: 'Select fewer levels of fields.',
  fields: 'Select fewer fields.',
  aliases: 'Send several operations instead.',
  directives: 'Send a document without them.',
  cost:
    'Ask for smaller pages, and give their sizes as numbers in the document: ' +
    'a variable counts as the largest page.',
};

/**
 * Refuses a document above a limit before it is validated, so that it costs no more than a walk over it. It
 * stands where Yoga's caches of documents do: what is known to be good is not measured again.
 */
export function useDocumentLimits(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn(parseWithin);
    },
    onValidate({ validateFn, setValidationFn }) {
      setValidationFn((schema: GraphQLSchema, document: DocumentNode, ...rest: unknown[]) => {
        const error = overLimit(measure(schema, document));
        return error === null ? validateFn(schema, document, ...rest) : [error];
      });
    },
  };
}

function parseWithin(source: string | Source, options?: ParseOptions): DocumentNode {
  const { tokens: maxTokens } = DOCUMENT_LIMITS;
  try {
    return parse(source, { ...options, maxTokens });
  } catch (error) {
    const tooMany = error instanceof GraphQLError && /more tha[nt] \d+ tokens/.test(error.message);
    throw tooMany ? tooLarge('tokens') : error;
  }
}

function overLimit(measures: Measures): GraphQLError | null {
  for (const name of Object.keys(measures) as (keyof Measures)[]) {
    if (measures[name] > DOCUMENT_LIMITS[name]) return tooLarge(name);
  }
  return null;
}

function tooLarge(name: keyof typeof DOCUMENT_LIMITS): GraphQLError {
  const message = `The document is over the limit of ${name}, ${DOCUMENT_LIMITS[name]}. ${ADVICE[name]}`;
  return new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT', limit: name } });
}
