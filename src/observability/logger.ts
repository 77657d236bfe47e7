import { type DestinationStream, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../config.ts';
import { redact, redactFields } from './redact.ts';

/**
 * The levels, and what belongs to each:
 * - `fatal`: the process can't go on and exits.
 * - `error`: a promise to a user was broken, or something unforeseen happened. Somebody should look. With an
 *   id where the client got one (`errorId`).
 * - `warn`: something is wrong and Ringdown copes: Redis gone, a transaction out of time that is retried, an
 *   instance found dead. Somebody should look if it goes on.
 * - `info`: the life of the process (start, ready, drain, stop, migrations) and of a call (created, ended).
 * - `debug`: each operation with its outcome and how long it took, each socket and stream, with the ids of the
 *   request, the socket, the call and the user. A signal only where it was refused.
 * - `trace`: each signal and event by kind and place in the log. Never what is in them.
 *
 * A refused rule (`Rejection`) is no error: `debug`. A client's malformed input is no error: `debug`.
 */
export type Logger = PinoLogger;

/** JSON lines on standard output, or on `out`. What `redact.ts` knows is taken out of fields and messages. */
export function createLogger(level: Config['logLevel'], out?: DestinationStream): Logger {
  const logger = pino(
    {
      level,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: redactFields },
      // redactFields has made a plain object of it already.
      serializers: { err: (error) => error },
      hooks: {
        logMethod([first, ...rest]: unknown[], method) {
          const fields = first instanceof Error ? { err: first } : first;
          // pino would take the line's message from the error, as it is.
          if (rest.length === 0 && isObject(fields) && 'err' in fields && fields.err instanceof Error) {
            rest.push(fields.err.message);
          }
          const shown = [isObject(fields) ? fields : redact(fields), ...rest.map((arg) => redact(arg))];
          method.apply(this, shown as Parameters<typeof method>);
        },
      },
    },
    out ?? pino.destination(1),
  );
  // pino formats a line's own fields, not those that a child brings along.
  const child = logger.child;
  logger.child = function (this: Logger, bindings, options) {
    return child.call(this, redactFields(bindings), options);
  } as typeof logger.child;
  return logger;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
