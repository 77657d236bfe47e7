import type {
  CallLog,
  Entry,
  Head,
  Origin,
  SignalDraft,
  SignalOutcome,
  StateOutcome,
  StateRecord,
} from '../call-log/call-log.ts';
import type { Tracing } from './tracing.ts';

/** A call log whose appends are spans, which the entries name: whoever delivers one goes on from there. */
export class TracedCallLog implements CallLog {
  readonly #log: CallLog;
  readonly #tracing: Tracing;

  constructor(log: CallLog, tracing: Tracing) {
    this.#log = log;
    this.#tracing = tracing;
  }

  appendState(callId: string, record: StateRecord, expiresAt: number): Promise<StateOutcome> {
    const facts = { 'ringdown.call.id': callId, 'ringdown.call.version': record.version };
    return this.#tracing.within('append state', facts, async () => {
      const outcome = await this.#log.appendState(callId, this.#named(record), expiresAt);
      this.#tracing.note({ 'ringdown.outcome': outcome.outcome });
      return outcome;
    });
  }

  appendSignal(callId: string, draft: SignalDraft): Promise<SignalOutcome> {
    const facts = { 'ringdown.call.id': callId, 'ringdown.signal.kind': draft.signal.__typename };
    return this.#tracing.within('append signal', facts, async () => {
      const outcome = await this.#log.appendSignal(callId, this.#named(draft));
      this.#tracing.note({ 'ringdown.outcome': outcome.outcome });
      return outcome;
    });
  }

  #named<T extends object>(entry: T): T {
    const trace = this.#tracing.parent();
    return trace === undefined ? entry : { ...entry, trace };
  }

  create(callId: string, origin: Origin, expiresAt: number): Promise<void> {
    return this.#log.create(callId, origin, expiresAt);
  }
  head(callId: string): Promise<Head | null> {
    return this.#log.head(callId);
  }
  read(callId: string, fromSeq: number, limit: number): Promise<Entry[]> {
    return this.#log.read(callId, fromSeq, limit);
  }
  subscribe(callId: string, listener: (entry: Entry) => void): Promise<() => Promise<void>> {
    return this.#log.subscribe(callId, listener);
  }
  onHealth(listener: (health: 'up' | 'down') => void): () => void {
    return this.#log.onHealth(listener);
  }
  health(): 'up' | 'down' {
    return this.#log.health();
  }
  close(): Promise<void> {
    return this.#log.close();
  }
}
