import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TokenVerifier } from '../auth/token.ts';
import { within } from '../background.ts';
import { CodedError } from '../errors.ts';
import type { Context } from '../graphql/context.ts';
import { createDocuments } from '../graphql/documents.ts';
import { createMaskError } from '../graphql/errors.ts';
import type { Services } from '../graphql/services.ts';
import { createGraphQL, type HttpContext } from '../graphql/yoga.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type OperationObserver, requestIdOf } from '../observability/operations.ts';
import type { AddressKey } from '../rate-limits/address-key.ts';
import type { Rates } from '../rate-limits/rates.ts';
import { createClientAddresses } from './client-address.ts';
import { createDemoPage, type Demo } from './demo-page.ts';
import { createGraphiQL } from './graphiql.ts';
import { type Readiness, sendJson, sendReadiness } from './health.ts';
import { createDoor, identify, TooManyFailedTokens } from './identity.ts';
import { isKnownHost, refuseHost } from './known-host.ts';
import { isAllowedOrigin } from './origins.ts';
import { FOREIGN_ORIGIN, refuse, whyNotPosted } from './posted.ts';
import { createSocketOperations } from './socket-operations.ts';
import { serveWebSockets, type WebSocketDeps } from './websocket.ts';

/** Milliseconds for requests in flight when the server closes; then their connections are cut. */
const DRAIN_LIMIT = 3_000;
const ENDPOINT = '/graphql';

export interface HttpServerDeps {
  readonly services: Services;
  readonly verify: TokenVerifier['verify'];
  readonly knowsToken: TokenVerifier['knows'];
  readonly ready: () => Promise<Readiness>;
  readonly logger: Pick<Logger, 'debug' | 'error' | 'warn'>;
  readonly metrics: Pick<Metrics, 'socketOpened' | 'socketClosed' | 'internalError'>;
  /** Told how each operation went; null: nobody is. */
  readonly observer: OperationObserver | null;
  readonly now: () => number;
  /** Beside the server's own. */
  readonly allowedOrigins: readonly string[];
  readonly maxConnections: number;
  readonly maxConnectionsPerUser: number;
  readonly maxConnectionsPerAddress: number;
  /** Whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  readonly rates: Pick<Rates, 'connection' | 'failedToken'>;
  /** Null where addresses can't be relied on: then nothing is limited by them. */
  readonly addressKey: AddressKey | null;
  /** Whether clients may ask for the schema; where not, no suggestion of a name tells of it either. */
  readonly introspection: boolean;
  readonly graphiql: boolean;
  /** The documents that are run, by id; null: any. */
  readonly trustedDocuments: ReadonlyMap<string, string> | null;
  /** Null but in a demo, which hands out tokens to anyone. */
  readonly demo: Demo | null;
  readonly socketTimings?: WebSocketDeps['timings'];
}

export interface HttpServer {
  /** Resolves with the port. */
  listen(port: number, host: string): Promise<number>;
  /**
   * Sends sockets elsewhere (1012) and takes no new ones; goes on answering requests, /readyz among them, until
   * they are gone; and ends within a few seconds.
   */
  close(): Promise<void>;
}

/**
 * Connections that may wait to be accepted: after a restart all clients come at once, and one for which there is no
 * place tries again only after 1, 3 and 7 s. The system has a cap of its own (on Linux net.core.somaxconn, 4,096).
 */
const BACKLOG = 65_535;

/** GraphQL over HTTP, SSE and WebSocket on one port, with GraphiQL and health beside it. */
export function createHttpServer(deps: HttpServerDeps): HttpServer {
  const { services, rates, ready, logger, metrics, observer, now, allowedOrigins, demo } = deps;
  const addresses = createClientAddresses(deps.trustedProxies, (message) => logger.warn(message));
  const addressKeyOf = (request: IncomingMessage) => deps.addressKey?.(addresses.of(request));
  const door = createDoor({
    verify: deps.verify,
    knows: deps.knowsToken,
    failedToken: rates.failedToken,
  });
  const mask = createMaskError({
    logger,
    onUnforeseen: metrics.internalError,
    hideSuggestions: !deps.introspection,
  });

  const documents = createDocuments(deps.trustedDocuments);
  const { introspection } = deps;
  const traces = observer !== null && observer.tracing !== null;
  const context = async (http: HttpContext): Promise<Context> => {
    const { request, res, requestId, viewer } = http;
    const identity = await identify(viewer);
    // A stream may not outlive its token. The client comes back with a new one.
    if (res !== undefined && !(identity instanceof CodedError)) endAt(res, identity.tokenExpiresAt, now);
    // Yoga ends a stream whose client goes, but not one that is still being opened then.
    const onGone = (end: () => void) => void (res?.destroyed ? end() : res?.once('close', end));
    const traceparent = traces ? request.headers.get('traceparent') : null;
    return {
      ...{ services, identity, socket: null, turn: null, onGone },
      ...{ observer, requestId, socketId: null, traceparent },
    };
  };
  const yoga = createGraphQL({ mask, documents, introspection, context });
  const graphiql = deps.graphiql ? createGraphiQL(demo === null ? [] : exampleUsers(demo)) : null;
  const demoPage = demo === null ? null : createDemoPage(demo);

  async function answer(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
  ): Promise<void> {
    const [path = ''] = request.url?.split('?') ?? [];
    if (path === ENDPOINT) return answerGraphQL(request, response, requestId);
    if (request.method === 'GET') {
      if (path === '/healthz') return sendJson(response, 200, { ok: true });
      if (path === '/readyz') return sendReadiness(response, ready);
    }
    if (request.method === 'GET' || request.method === 'HEAD') {
      const answerOfDemo = await demoPage?.(path);
      if (answerOfDemo) return answerOfDemo(request, response);
    }
    sendJson(response, 404, { error: 'Not found' });
  }

  async function answerGraphQL(
    request: IncomingMessage,
    response: ServerResponse,
    requestId: string,
  ): Promise<void> {
    const { origin, accept = '' } = request.headers;
    const isAllowed = isAllowedOrigin(request, allowedOrigins);
    if (origin !== undefined) {
      response.setHeader('vary', 'origin');
      if (isAllowed) {
        response.setHeader('access-control-allow-origin', origin);
        response.setHeader('access-control-allow-methods', 'POST');
        response.setHeader('access-control-allow-headers', 'authorization, content-type');
        response.setHeader('access-control-expose-headers', 'x-request-id');
        response.setHeader('access-control-max-age', '600');
      }
    }
    if (request.method === 'OPTIONS') {
      response.writeHead(204).end();
      return;
    }
    if (request.method === 'GET' && graphiql !== null && accept.includes('text/html')) {
      // In a demo its page has tokens in it.
      if (demo !== null && !isKnownHost(request, demo.host)) return refuseHost(response);
      return graphiql(request, response);
    }
    const refusal = isAllowed ? whyNotPosted(request) : FOREIGN_ORIGIN;
    if (refusal !== null) return refuse(response, refusal);
    const viewer = door(request.headers.authorization ?? null, addressKeyOf(request));
    // Any other failure is told by the fields that need to know who asks.
    const tooMany = await viewer.then(
      () => null,
      (error: unknown) => (error instanceof TooManyFailedTokens ? error : null),
    );
    if (tooMany !== null) return refuseFor(response, tooMany);
    // Yoga knows it in one spelling only.
    request.headers['content-type'] = 'application/json';
    await yoga(request, response, { requestId, viewer });
  }

  let draining = false;
  const server = createServer((request, response) => {
    const requestId = requestIdOf(request.headers['x-request-id']) ?? randomUUID();
    response.setHeader('x-request-id', requestId);
    // Whoever keeps a connection to an instance that goes is to make a new one, elsewhere.
    if (draining) response.setHeader('connection', 'close');
    answer(request, response, requestId).catch((error: unknown) => {
      logger.error({ requestId, err: error }, 'A request could not be answered');
      metrics.internalError();
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: 'Internal server error' });
    });
  });
  const sockets = serveWebSockets(server, ENDPOINT, {
    operations: createSocketOperations({ yoga, services, mask, observer, documents }),
    door,
    allowedOrigins,
    maxConnections: deps.maxConnections,
    maxConnectionsPerUser: deps.maxConnectionsPerUser,
    maxConnectionsPerAddress: deps.maxConnectionsPerAddress,
    addresses,
    addressKeyOf,
    connectionRate: rates.connection,
    logger,
    metrics,
    now,
    ...(deps.socketTimings && { timings: deps.socketTimings }),
  });

  return {
    async listen(port, host) {
      server.listen({ port, host, backlog: BACKLOG });
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    },
    async close() {
      draining = true;
      const drained = sockets.close();
      // While sockets are sent away a balancer may still ask, and is told; it would take a refusal for a crash.
      await within(DRAIN_LIMIT, drained);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const limit = setTimeout(() => server.closeAllConnections(), DRAIN_LIMIT);
      await Promise.all([drained, closed]);
      clearTimeout(limit);
    },
  };
}

function refuseFor(response: ServerResponse, { message, retryAfterMs }: TooManyFailedTokens): void {
  response.setHeader('retry-after', Math.ceil(retryAfterMs / 1_000));
  sendJson(response, 429, { errors: [{ message, extensions: { code: 'RATE_LIMITED', retryAfterMs } }] });
}

function endAt(response: ServerResponse, instant: number, now: () => number): void {
  // The timer of an answer that is over before, nearly every one, is gone with it.
  const timer = setTimeout(() => response.destroy(), Math.min(Math.max(instant - now(), 0), 2 ** 31 - 1));
  response.once('close', () => clearTimeout(timer));
}

function exampleUsers({ users, conversationId }: Demo) {
  return users.map(({ id, token }) => ({
    id,
    token,
    conversationId,
    others: users.filter((user) => user.id !== id).map((user) => user.id),
  }));
}
