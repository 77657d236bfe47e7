/**
 * The port of traces, OpenTelemetry's idea of them: spans, nested and across processes. It is null where no
 * traces are wanted, and then nobody who would use it does any work. `otel-tracing.ts` implements it.
 *
 * What a span says of anything are ids, kinds and outcomes; never what was sent, by whom it was signed or from
 * where it came.
 */

/** By OpenTelemetry's names where there is one, else `ringdown.*`. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

export interface Tracing {
  /**
   * Runs `work` in a span that begins here. `parent`: a `traceparent` (W3C Trace Context, section 3.2) of whoever
   * asked; ignored where it is none. Its trace is kept, but not its wish to be sampled: that is for the
   * deployment to say.
   */
  operation<T>(name: string, parent: string | null, facts: SpanFacts, work: () => T): T;
  /** Runs `work` in a span within the one under way; without one it just runs it. `work` is called at once. */
  within<T>(name: string, facts: SpanFacts, work: () => Promise<T>): Promise<T>;
  /** Adds to the span under way. `failed`: it is to stand out. */
  note(facts: SpanFacts, failed?: boolean): void;
  /** The `traceparent` of the span under way, for others to go on from; undefined where none is recorded. */
  parent(): string | undefined;
  /** A span of its own, of something that lasted from `from` (milliseconds since the epoch) until now. */
  record(name: string, parent: string, from: number, facts: SpanFacts): void;
  /** Sends what is left, within `ms`. */
  close(ms: number): Promise<void>;
}
