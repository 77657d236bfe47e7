import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { Callers, isSignal } from '../support/callers.ts';
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts';
import { createDatabase } from '../support/database.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { createWorld, eventually, initiate, success, type World } from '../support/world.ts';

/** Traces, as a collector has them: two real instances over Redis, and what they send of what people do. */

const run = promisify(execFile);
const ADAPTER = fileURLToPath(new URL('../../src/observability/otel-tracing.ts', import.meta.url));

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CLIENT_SPAN = '00f067aa0ba902b7';
const TRACEPARENT = `00-${TRACE}-${CLIENT_SPAN}-01`;
const CANDIDATE = 'candidate:1 1 udp 2122260223 192.0.2.77 54321 typ host';

let collector: Collector;
let world: World;
let callers: Callers;
beforeAll(async () => {
  collector = await startCollector();
  world = await createWorld({ instances: 2, env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url } });
  callers = new Callers(world);
});
afterEach(() => callers.goAway());
afterAll(async () => {
  await world.close();
  await collector.close();
  await endInstances();
});

/** The spans of a trace, by name, once all these are there. */
async function traceOf(traceId: string, ...names: string[]): Promise<Record<string, CollectedSpan>> {
  return eventually(() => {
    const spans = collector.spans.filter((span) => span.traceId === traceId);
    const byName = Object.fromEntries(spans.map((span) => [span.name, span]));
    return names.every((name) => name in byName) && byName;
  });
}

/** Who is the child of whom, from the root on. */
function lineage(spans: Record<string, CollectedSpan>, name: string): string[] {
  const span = spans[name] as CollectedSpan;
  const parent = Object.values(spans).find(({ spanId }) => spanId === span.parentSpanId);
  return parent ? [...lineage(spans, parent.name), name] : [span.parentSpanId, name];
}

/** Of what was sent, by which token or from where. */
function saysNothing(): void {
  for (const secret of ['candidate:', '192.0.2.77', 'eyJ', 'Bearer', '127.0.0.1', 'select ', 'postgres:']) {
    expect(collector.text(), secret).not.toContain(secret);
  }
}

async function post(app: App, userId: string, body: object, headers: Record<string, string>) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${await tokenFor(userId)}`,
      ...headers,
    },
    body: JSON.stringify(body),
  });
  return (await response.json()) as { data: Record<string, { __typename: string }> };
}

describe('traces', () => {
  it('go from a signal on one instance through the log to its delivery on another, and say nothing of what is in it', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    const client = createClient({
      url: `${world.apps[0]!.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await tokenFor(ada.userId)}` },
    });
    const answer = await client
      .iterate({
        query: print(operations.SendSignal),
        extensions: { traceparent: TRACEPARENT },
        variables: {
          input: {
            ...{ callId, sessionId: ada.sessionId, to: ben.userId, clientSeq: 1 },
            signal: { candidates: { items: [{ candidate: CANDIDATE, sdpMid: '0' }], generation: 1 } },
          },
        },
      })
      .next();
    expect(answer.value?.errors).toBeUndefined();
    await ben.stream.next(isSignal);
    await client.dispose();

    const spans = await traceOf(TRACE, 'sendSignal', 'append signal', 'deliver');
    expect(lineage(spans, 'deliver')).toEqual([CLIENT_SPAN, 'sendSignal', 'append signal', 'deliver']);
    expect(spans.sendSignal).toMatchObject({
      attributes: {
        'ringdown.call.id': callId,
        'ringdown.user.id': ada.userId,
        'ringdown.outcome': 'ok',
      },
      resource: { 'service.name': 'ringdown' },
    });
    expect(spans.deliver).toMatchObject({
      attributes: { 'ringdown.user.id': ben.userId, 'ringdown.entry.kind': 'candidates' },
    });
    const instances = ['append signal', 'deliver'].map(
      (name) => spans[name]?.resource['service.instance.id'],
    );
    expect(new Set(instances).size).toBe(2);
    saysNothing();
    expect(spans.deliver!.endedAt).toBeGreaterThanOrEqual(spans.deliver!.startedAt);
  });

  it('go from a join through its transaction to the delivery of its event on another', async () => {
    const [ada, ben] = callers.names(2) as [string, string];
    const client = await callers.client(ada, 0);
    const conversationId = await world.conversation([ada, ben]);
    const { call } = success(
      await initiate(client, { conversationId, calleeIds: [ben], sessionId: `${ada}-a` }),
    );
    const { stream } = await callers.sit(client, call.id, ada, `${ada}-a`);
    const trace = TRACE.replace('4', '5');
    const answer = await post(
      world.apps[1]!,
      ben,
      {
        query: print(operations.JoinCall),
        variables: { input: { callId: call.id, sessionId: `${ben}-a` } },
      },
      { traceparent: TRACEPARENT.replace(TRACE, trace), 'x-request-id': 'request-1' },
    );
    expect(answer.data.joinCall?.__typename).toBe('JoinCallSuccess');
    await stream.next((event) => event.__typename === 'ParticipantChanged');

    const spans = await traceOf(trace, 'joinCall', 'transaction', 'append state', 'deliver');
    expect(lineage(spans, 'transaction')).toEqual([CLIENT_SPAN, 'joinCall', 'transaction']);
    expect(lineage(spans, 'deliver')).toEqual([CLIENT_SPAN, 'joinCall', 'append state', 'deliver']);
    expect(spans.joinCall?.attributes['ringdown.request.id']).toBe('request-1');
    saysNothing();
    expect(spans.joinCall?.resource).not.toEqual(spans.deliver?.resource);
  });

  it('begin anew where a client names no trace, or what is none', async () => {
    const [ada] = callers.names(1) as [string];
    const before = collector.spans.length;
    await post(world.apps[0]!, ada, { query: '{ viewer { id } }' }, { traceparent: '00-0-0-zz' });
    const span = await eventually(() =>
      collector.spans.slice(before).find(({ attributes }) => attributes['ringdown.user.id'] === ada),
    );
    expect(span).toMatchObject({ name: 'viewer', parentSpanId: '' });
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  /** The spans of one request to an instance that is stopped right after it. */
  async function spansOfTheLast(number: string, env: Record<string, string>): Promise<unknown[]> {
    const app = await startTestApp({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      DATABASE_URL: world.databaseUrl,
      REDIS_URL: world.redis.url,
      ...env,
    });
    const trace = TRACE.replace('4', number);
    const headers = { traceparent: TRACEPARENT.replace(TRACE, trace) };
    await post(app, 'nobody', { query: '{ viewer { id } }' }, headers);
    await app.stop();
    return collector.spans.filter(({ traceId }) => traceId === trace);
  }

  it('keep as many as they are asked to, whatever clients ask for', async () => {
    expect(await spansOfTheLast('6', { OTEL_TRACES_SAMPLER_ARG: '0' })).toEqual([]);
  });

  it('are sent to the last when an instance stops', async () => {
    expect(await spansOfTheLast('7', {})).toHaveLength(1);
  });
});

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  // Whoever asks for OpenTelemetry's SDK fails. Its API alone, some constants, prom-client brings along.
  const refuse = `import { registerHooks } from 'node:module';
    registerHooks({ resolve(name, context, next) {
      if (/^@opentelemetry\\/(?!api)/.test(name)) throw new Error('OpenTelemetry was asked for: ' + name);
      return next(name, context);
    } });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(refuse)}`;

  it('nothing of OpenTelemetry is loaded', async () => {
    const stored = await createDatabase();
    try {
      const instance = await startInstance({ DATABASE_URL: stored.url, NODE_OPTIONS });
      expect((await fetch(`${instance.url}/readyz`)).status).toBe(200);
      instance.signal('SIGTERM');
      expect(await instance.ended).toBe(0);
      // That the trap works: what app.ts imports where it is set falls into it.
      const wanted = run(process.execPath, [ADAPTER], { env: { NODE_OPTIONS } });
      await expect(wanted).rejects.toThrow('OpenTelemetry was asked for');
    } finally {
      await stored.drop();
    }
  });
});
