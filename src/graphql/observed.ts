import { GraphQLError, type GraphQLFieldResolver, type GraphQLSchema } from 'graphql';
import { DatabaseTimeout, DatabaseUnavailable } from '../database/failures.ts';
import { CodedError, isRejection, type RejectionCode } from '../errors.ts';
import { type OperationObserver, whoAsked } from '../observability/operations.ts';
import type { Outcome } from '../observability/own-metrics.ts';
import type { Context } from './context.ts';
import { blame } from './errors.ts';

/**
 * The one place that sees every operation over every transport: the root fields. An operation is named by its
 * field in the schema, not as its client calls it.
 */

type Resolver = GraphQLFieldResolver<unknown, Context, Record<string, unknown>>;

/** Has the schema's root fields tell the context's observer how they went. */
export function observeRootFields(schema: GraphQLSchema): GraphQLSchema {
  for (const type of [schema.getQueryType(), schema.getMutationType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      if (field.resolve) field.resolve = observed(field.name, field.resolve);
    }
  }
  for (const field of Object.values(schema.getSubscriptionType()?.getFields() ?? {})) {
    if (field.subscribe) field.subscribe = observed(field.name, field.subscribe);
  }
  return schema;
}

function observed(operation: string, resolve: Resolver): Resolver {
  return (source, args, context, info) => {
    const { observer } = context;
    if (!observer) return resolve(source, args, context, info);
    const { tracing } = observer;
    if (tracing === null) return measured(operation, observer, resolve, source, args, context, info);
    const facts = observer.facts(operation, context, args);
    return tracing.operation(operation, context.traceparent, facts, () =>
      measured(operation, observer, resolve, source, args, context, info),
    );
  };
}

/** Every signal comes through here: one promise more than without it, and no await. */
function measured(
  operation: string,
  observer: OperationObserver,
  resolve: Resolver,
  ...[source, args, context, info]: Parameters<Resolver>
): unknown {
  const startedAt = performance.now();
  const ended = (outcome: Outcome, code: string | null) =>
    observer.ended(operation, outcome, code, (performance.now() - startedAt) / 1000, context, args);
  const succeeded = (value: unknown) => {
    const code = isRejection(value) ? value.code : null;
    ended(code === null ? 'ok' : outcomeOf(code), code);
    return value;
  };
  const failed = (error: unknown): never => {
    const [outcome, code] = failureOf(error);
    if (outcome === 'error') blame(error, { operation, ...whoAsked(context) });
    ended(outcome, code);
    throw error;
  };
  let answer: unknown;
  try {
    answer = resolve(source, args, context, info);
  } catch (error) {
    return failed(error);
  }
  return answer instanceof Promise ? answer.then(succeeded, failed) : succeeded(answer);
}

function outcomeOf(code: RejectionCode): Outcome {
  if (code === 'TIMEOUT' || code === 'SIGNALING_UNAVAILABLE') return 'unavailable';
  return code === 'RATE_LIMITED' ? 'limited' : 'rejected';
}

function failureOf(error: unknown): [Outcome, string | null] {
  if (error instanceof CodedError) {
    return [error.code === 'TIMEOUT' ? 'unavailable' : 'invalid', error.code];
  }
  if (error instanceof GraphQLError) return ['invalid', 'BAD_USER_INPUT'];
  if (error instanceof DatabaseTimeout || error instanceof DatabaseUnavailable)
    return ['unavailable', 'TIMEOUT'];
  return ['error', null];
}
