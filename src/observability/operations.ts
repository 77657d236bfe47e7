import { CodedError } from '../errors.ts';
import type { Context } from '../graphql/context.ts';
import { isCallId } from '../ids.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { Outcome } from './own-metrics.ts';
import type { SpanFacts, Tracing } from './tracing.ts';

/** What is kept of each operation: its metric, its line in the log, its span. */

export interface OperationObserver {
  /** Null where no traces are wanted. */
  readonly tracing: Tracing | null;
  /** `code`: of the rejection or the error; null where it went well, or nobody foresaw it. */
  ended(
    operation: string,
    outcome: Outcome,
    code: string | null,
    seconds: number,
    context: Context,
    args: object,
  ): void;
  /** A subscription over a socket that was opened, and is no more; those of a socket that closes end with it. */
  subscriptionEnded(socketId: string, requestId: string, userId: string | undefined): void;
  /** What a span says of an operation when it begins. */
  facts(operation: string, context: Context, args: object): SpanFacts;
}

export function createOperationObserver(deps: {
  readonly metrics: Pick<Metrics, 'operationEnded'>;
  readonly logger: Pick<Logger, 'debug' | 'isLevelEnabled'>;
  readonly tracing: Tracing | null;
}): OperationObserver {
  const { metrics, logger, tracing } = deps;
  const logs = logger.isLevelEnabled('debug');
  return {
    tracing,
    ended(operation, outcome, code, seconds, context, args) {
      metrics.operationEnded(operation, outcome, seconds);
      // A signal that was taken has a line of its own, at `trace`.
      if (logs && !(outcome === 'ok' && operation === 'sendSignal')) {
        const ms = Math.round(seconds * 100_000) / 100;
        logger.debug(
          { operation, outcome, code, ms, ...whoAsked(context), callId: callIdOf(args) },
          'Operation',
        );
      }
      tracing?.note(
        code === null
          ? { 'ringdown.outcome': outcome }
          : { 'ringdown.outcome': outcome, 'ringdown.code': code },
        outcome === 'error' || outcome === 'unavailable',
      );
    },
    subscriptionEnded(socketId, requestId, userId) {
      if (logs) logger.debug({ socketId, requestId: requestIdOf(requestId), userId }, 'A subscription ended');
    },
    facts(operation, context, args) {
      const { requestId, userId } = whoAsked(context);
      const callId = callIdOf(args);
      return {
        'graphql.operation.name': operation,
        ...(requestId !== null && { 'ringdown.request.id': requestId }),
        ...(userId !== null && { 'ringdown.user.id': userId }),
        ...(callId !== null && { 'ringdown.call.id': callId }),
      };
    },
  };
}

/** Characters of an id that a client makes up for a request, for it to stand in the log. */
const REQUEST_ID = /^[\w-]{1,64}$/;

/** Null where it is none: it would be the way of anything at all into the log. */
export function requestIdOf(text: string | string[] | undefined | null): string | null {
  return typeof text === 'string' && REQUEST_ID.test(text) ? text : null;
}

/** Over WebSocket a request is an operation of its socket, by the id that the client gave it. */
export function whoAsked({ identity, requestId, socketId }: Context) {
  return {
    requestId: requestIdOf(requestId),
    socketId,
    userId: identity instanceof CodedError ? null : identity.userId,
  };
}

/** Of the arguments of any operation; what is no id of a call is left out. */
function callIdOf(args: object): string | null {
  const { callId, id, input } = args as Record<string, unknown>;
  for (const candidate of [callId, (input as { callId?: unknown } | undefined)?.callId, id]) {
    if (typeof candidate === 'string' && isCallId(candidate)) return candidate;
  }
  return null;
}
