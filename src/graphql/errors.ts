import { randomUUID } from 'node:crypto';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { DatabaseTimeout, DatabaseUnavailable } from '../database/failures.ts';
import { CodedError } from '../errors.ts';
import type { Logger } from '../observability/logger.ts';
import { withoutSuggestion, withoutValues } from './error-text.ts';

export interface ErrorDeps {
  readonly logger: Pick<Logger, 'error'>;
  /** Counts an error that nobody foresaw. */
  readonly onUnforeseen: () => void;
  /** Whether "Did you mean …?" goes: it shows what the schema has to one who may not introspect it. */
  readonly hideSuggestions: boolean;
}

export type MaskError = (error: unknown) => GraphQLError;

/**
 * What clients see of an error: a CodedError with its code and field; what GraphQL itself says of a
 * document or its variables, without the values in it; TIMEOUT where the database is out of reach; of anything
 * else only an id, under which it is logged.
 */
export function createMaskError({ logger, onUnforeseen, hideSuggestions }: ErrorDeps): MaskError {
  return (error) => {
    const cause = rootCause(error);
    if (cause instanceof CodedError) {
      const { code, field } = cause;
      return located(error, cause.message, field === null ? { code } : { code, field });
    }
    if (cause instanceof GraphQLError) {
      const { message, field } = withoutValues((error as GraphQLError).message);
      const given = withoutBody(cause.extensions);
      const extensions = field === null ? given : { code: 'BAD_USER_INPUT', ...given, field };
      return located(error, hideSuggestions ? withoutSuggestion(message) : message, extensions);
    }
    if (cause instanceof DatabaseTimeout || cause instanceof DatabaseUnavailable) {
      return located(error, 'The database did not answer in time; try again.', { code: 'TIMEOUT' });
    }
    const errorId = randomUUID();
    logger.error({ errorId, ...blamed(cause), err: cause }, 'An error that nobody foresaw');
    onUnforeseen();
    return located(error, 'Internal server error. Quote the errorId when you report it.', {
      code: 'INTERNAL_SERVER_ERROR',
      errorId,
    });
  };
}

/** Errors that nobody foresaw, and in what they came up: for their line in the log, which knows no request. */
const PLACES = new WeakMap<object, object>();

export function blame(error: unknown, place: object): void {
  if (typeof error === 'object' && error !== null) PLACES.set(error, place);
}

function blamed(error: unknown): object | undefined {
  return typeof error === 'object' && error !== null ? PLACES.get(error) : undefined;
}

/**
 * Yoga tells in `originalError` what JSON.parse said, which repeats the body; and it takes that for the sign of a
 * body that is no request at all, which is a 400 for everyone.
 */
function withoutBody(extensions: GraphQLError['extensions']): GraphQLError['extensions'] {
  const { originalError, ...given } = extensions;
  return originalError === undefined ? given : { ...given, http: { status: 400 } };
}

/** Masks what is found before execution, in parsing and validation, over every transport. */
export function useMaskedDocumentErrors(mask: MaskError): Plugin {
  return {
    onParse:
      () =>
      ({ result, replaceParseResult }) => {
        if (!(result instanceof Error)) return;
        const masked = mask(result);
        // Yoga gives this code over HTTP alone.
        const extensions = { code: 'GRAPHQL_PARSE_FAILED', ...masked.extensions };
        replaceParseResult(located(masked, masked.message, extensions));
      },
    onValidate:
      () =>
      ({ valid, result, setResult }) => {
        if (!valid) setResult(result.map(mask));
      },
  };
}

/** What was thrown first, under the GraphQL errors that only say where. */
function rootCause(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError != null) cause = cause.originalError;
  return cause;
}

/** The same place in the document and in the answer, another message. */
export function located(
  error: unknown,
  message: string,
  extensions: Readonly<Record<string, unknown>>,
): GraphQLError {
  if (!(error instanceof GraphQLError)) return new GraphQLError(message, { extensions });
  const { nodes = null, source = null, positions = null, path = null } = error;
  return new GraphQLError(message, { nodes, source, positions, path, extensions });
}
