import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';

/** Whether this instance may be sent clients, and why it may not. */
export interface Readiness {
  readonly ok: boolean;
  /** Ready, but with less than it should have: without Redis, for instance. */
  readonly degraded: boolean;
  readonly reasons: readonly string[];
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(JSON.stringify(body));
}

/** 200 while it may be sent clients, else 503; the body says why. */
export async function sendReadiness(
  response: ServerResponse,
  ready: () => Promise<Readiness>,
): Promise<void> {
  const readiness = await ready().catch(
    (): Readiness => ({
      ok: false,
      degraded: false,
      reasons: ['The state of the instance could not be found out.'],
    }),
  );
  sendJson(response, readiness.ok ? 200 : 503, readiness);
}

/** `/metrics` in the format of Prometheus, on a server of its own: its port is not for the public. */
export function createMetricsServer(registry: Registry): Server {
  return createServer((request, response) => {
    if (request.url !== '/metrics') return sendJson(response, 404, { error: 'Not found' });
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      () => sendJson(response, 500, { error: 'The metrics could not be collected' }),
    );
  });
}
