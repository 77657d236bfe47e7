import { type Entry, traceOf } from '../call-log/call-log.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { SIGNAL_KINDS } from './own-metrics.ts';
import type { Tracing } from './tracing.ts';

/** What is kept of each entry of a call's log, on its way in and on its way out: kinds and places alone. */

/** Null where nobody asked for it: then nothing is done for a signal. */
export function watchSignals(logger: Pick<Logger, 'trace' | 'isLevelEnabled'>) {
  if (!logger.isLevelEnabled('trace')) return null;
  return (callId: string, { seq, signal }: Entry & { readonly kind: 'signal' }): void => {
    const { from, to, kind } = signal;
    logger.trace({ callId, from, to, kind: SIGNAL_KINDS[kind], seq }, 'Signal taken');
  };
}

/** Of an entry that a stream hands to its participant. `cameAt`: when this instance had it, milliseconds. */
export function watchDeliveries(
  metrics: Pick<Metrics, 'signalDelivered'>,
  logger: Pick<Logger, 'trace' | 'isLevelEnabled'>,
  tracing: Tracing | null,
) {
  const logs = logger.isLevelEnabled('trace');
  return (callId: string, userId: string, entry: Entry, cameAt: number): void => {
    if (entry.kind === 'signal') metrics.signalDelivered(entry.signal.kind);
    if (logs) logger.trace({ callId, userId, kind: kindOf(entry), seq: entry.seq }, 'Entry delivered');
    if (tracing === null) return;
    const parent = traceOf(entry);
    if (parent === undefined) return;
    tracing.record('deliver', parent, cameAt, {
      'ringdown.call.id': callId,
      'ringdown.user.id': userId,
      'ringdown.entry.kind': kindOf(entry),
      'ringdown.entry.seq': entry.seq,
    });
  };
}

function kindOf(entry: Entry): string {
  return entry.kind === 'signal' ? SIGNAL_KINDS[entry.signal.kind] : entry.kind;
}
