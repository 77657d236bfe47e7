import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { within } from '../background.ts';
import type { Config } from '../config.ts';
import type { SpanFacts, Tracing } from './tracing.ts';

/**
 * Traces by OpenTelemetry's SDK, sent as OTLP over HTTP (JSON). app.ts imports this file only where they are
 * asked for. Nothing is patched and nothing of it is global: spans are where the code makes them.
 */

/** How long spans wait to be sent together, milliseconds. */
const SEND_EVERY = 1_000;
/** How long the collector may take, milliseconds; what it does not take is lost, and nobody waits for it. */
const SEND_LIMIT = 5_000;

export function createTracing(config: NonNullable<Config['tracing']>, instanceId: string): Tracing {
  const ratio = new TraceIdRatioBasedSampler(config.ratio);
  const exporter = new OTLPTraceExporter({
    url: `${config.endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: SEND_LIMIT,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': config.serviceName,
      'service.instance.id': instanceId,
    }),
    // By the trace's id, so every instance decides alike; a client that marks its own as sampled decides nothing.
    sampler: new ParentBasedSampler({
      root: ratio,
      remoteParentSampled: ratio,
      remoteParentNotSampled: ratio,
    }),
    spanProcessors: [
      new BatchSpanProcessor({
        // Its types are of the SDK's version before; it takes nothing but what both have.
        exporter: exporter as unknown as SpanExporter,
        scheduledDelayMillis: SEND_EVERY,
        exportTimeoutMillis: SEND_LIMIT,
      }),
    ],
  });
  const tracer = provider.getTracer('ringdown');
  const current = new AsyncLocalStorage<Span>();

  function remote(traceparent: string | null): Context {
    const parent = traceparent === null ? null : parseTraceParent(traceparent);
    if (parent === null || !isSpanContextValid(parent)) return ROOT_CONTEXT;
    return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
  }

  function start(name: string, kind: SpanKind, parent: Context, attributes: SpanFacts, startTime?: number) {
    return tracer.startSpan(
      name,
      { kind, attributes, ...(startTime !== undefined && { startTime }) },
      parent,
    );
  }

  function failed(span: Span, error: unknown): void {
    // Its name alone: what it says may be what a client sent.
    span.setStatus({ code: SpanStatusCode.ERROR });
    span.setAttribute('error.type', error instanceof Error ? error.name : 'unknown');
  }

  /** Ends the span with the work, whichever way that goes. */
  function run<T>(span: Span, work: () => T): T {
    let result: T;
    try {
      result = current.run(span, work);
    } catch (error) {
      failed(span, error);
      span.end();
      throw error;
    }
    if (!(result instanceof Promise)) {
      span.end();
      return result;
    }
    return result.then(
      (value: unknown) => {
        span.end();
        return value;
      },
      (error: unknown) => {
        failed(span, error);
        span.end();
        throw error;
      },
    ) as T;
  }

  return {
    operation(name, parent, facts, work) {
      return run(start(name, SpanKind.SERVER, remote(parent), facts), work);
    },
    within(name, facts, work) {
      const parent = current.getStore();
      if (parent === undefined || !parent.isRecording()) return work();
      return run(start(name, SpanKind.INTERNAL, trace.setSpan(ROOT_CONTEXT, parent), facts), work);
    },
    note(facts, isFailed = false) {
      const span = current.getStore();
      span?.setAttributes(facts);
      if (isFailed) span?.setStatus({ code: SpanStatusCode.ERROR });
    },
    parent() {
      const span = current.getStore();
      if (span === undefined || !span.isRecording()) return undefined;
      const { traceId, spanId, traceFlags } = span.spanContext();
      return `00-${traceId}-${spanId}-0${(traceFlags & TraceFlags.SAMPLED).toString(16)}`;
    },
    record(name, parent, from, facts) {
      start(name, SpanKind.CONSUMER, remote(parent), facts, from).end();
    },
    async close(ms) {
      await within(
        ms,
        provider.shutdown().catch(() => {}),
      );
    },
  };
}
