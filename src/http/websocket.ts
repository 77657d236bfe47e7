import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { KeysUnavailable, TokenError } from '../auth/token.ts';
import { CLOSE } from '../errors.ts';
import { MAX_BODY } from '../graphql/limits.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import { requestIdOf } from '../observability/operations.ts';
import type { Take } from '../rate-limits/rate-limiter.ts';
import type { Rate } from '../rate-limits/rates.ts';
import type { ClientAddresses } from './client-address.ts';
import { type CloseFrame, Connection } from './connection.ts';
import { type Door, TooManyFailedTokens } from './identity.ts';
import { isAllowedOrigin } from './origins.ts';
import { SharedDocuments } from './shared-documents.ts';
import type { SocketOperations } from './socket-operations.ts';
import { Tally } from './tally.ts';

/** How long things of a socket take, in milliseconds. */
export const SOCKET_TIMINGS = {
  /** Between two pings. A peer that is gone does not answer one, and is found at the next: within 20 s. */
  pingMs: 10_000,
  /** From the opening to `connection_init`. */
  initMs: 5_000,
  /** From our close frame to the peer's; then the connection is cut. */
  closeMs: 3_000,
  /** Over how long a drain closes sockets at most: so the other instances are not all asked at once. */
  drainMs: 3_000,
};
/** Sockets that a drain closes in a millisecond, where they are so few that it does not take `drainMs`. */
const DRAINED_PER_MS = 1;

export interface WebSocketDeps {
  readonly operations: SocketOperations;
  readonly door: Door;
  /** Beside the server's own. */
  readonly allowedOrigins: readonly string[];
  readonly maxConnections: number;
  readonly maxConnectionsPerUser: number;
  readonly maxConnectionsPerAddress: number;
  readonly addresses: ClientAddresses;
  /** See Viewer. */
  readonly addressKeyOf: (request: IncomingMessage) => string | undefined;
  readonly connectionRate: Rate;
  readonly logger: Pick<Logger, 'debug' | 'error'>;
  readonly metrics: Pick<Metrics, 'socketOpened' | 'socketClosed' | 'internalError'>;
  readonly now: () => number;
  /** SOCKET_TIMINGS, but for tests. */
  readonly timings?: Partial<typeof SOCKET_TIMINGS>;
}

export interface WebSockets {
  /** Takes no new socket, closes those that are open with 1012, and resolves when all are gone. */
  close(): Promise<void>;
}

const CLOSE_BY_CODE: ReadonlyMap<number, CloseFrame> = new Map(
  Object.values(CLOSE).map((close) => [close.code, close]),
);

/** GraphQL over WebSocket (`graphql-transport-ws`) for the upgrades of an HTTP server. */
export function serveWebSockets(server: Server, path: string, deps: WebSocketDeps): WebSockets {
  const { operations, door, addresses, connectionRate, logger, metrics, now } = deps;
  const { pingMs, initMs, closeMs, drainMs } = { ...SOCKET_TIMINGS, ...deps.timings };
  /** From the upgrade to the last of it: what the caps count, of all and of an address. */
  const connections = new Set<Connection>();
  const byAddress = new Tally();
  const byUser = new Tally();
  const documents = new SharedDocuments();
  let onGone: (() => void) | null = null;

  // A variable, for the types do not know `closeTimeout` yet.
  const options = {
    noServer: true,
    clientTracking: false,
    maxPayload: MAX_BODY,
    handleProtocols,
    closeTimeout: closeMs,
  };
  const upgrades = new WebSocketServer(options);

  const protocol = makeServer<Record<string, unknown>, Connection>({
    // The connection has one timer for both: until then, and for the time of its token.
    connectionInitWaitTimeout: 0,
    async onConnect(opened) {
      const { connectionParams, extra: connection } = opened;
      connection.closeNever();
      const authorization = connectionParams?.authorization;
      // Kept for as long as the socket lives, and nobody looks at it again.
      Object.assign(opened, { connectionParams: undefined });
      try {
        const viewer = await door(
          typeof authorization === 'string' ? authorization : null,
          connection.addressKey,
        );
        if (!(await admit(viewer.userId, connection))) {
          connection.close(CLOSE.FULL);
          return false;
        }
        connection.session.viewer = viewer;
        logger.debug({ socketId: connection.session.id, userId: viewer.userId }, 'A socket has a user');
        connection.closeAt(viewer.tokenExpiresAt, CLOSE.TOKEN_EXPIRED, now);
        return true;
      } catch (error) {
        connection.close(closeFor(error));
        // graphql-ws closes with 4403 for it; the socket is closing already, so that is never sent.
        return false;
      }
    },
    onSubscribe: ({ extra }, id, payload) => operations.onSubscribe(extra.session, id, payload),
    onComplete: ({ extra }, id) => operations.onComplete(extra.session, id),
    execute: operations.execute,
    subscribe: operations.subscribe,
  });

  /** One user's pages, devices or mistakes must not take the place of everyone's. */
  async function admit(userId: string, connection: Connection): Promise<boolean> {
    if (!byUser.add(userId, deps.maxConnectionsPerUser)) return false;
    connection.onEnd(() => byUser.remove(userId));
    return (await connectionRate.byUser.take(userId)).allowed;
  }

  function closeFor(error: unknown): CloseFrame {
    if (error instanceof TokenError) {
      return error.kind === 'expired' ? CLOSE.TOKEN_EXPIRED : CLOSE.UNAUTHORIZED;
    }
    if (error instanceof TooManyFailedTokens) return { code: CLOSE.FULL.code, reason: 'Try again later' };
    // The verifier has told the operator of keys that can't be had.
    if (!(error instanceof KeysUnavailable)) fault(error, 'A token could not be checked');
    // Nothing is known against the client, so it may come back.
    return { code: CLOSE.FULL.code, reason: 'Try again later' };
  }

  function fault(err: unknown, message: string): void {
    logger.error({ err }, message);
    metrics.internalError();
  }

  function open(ws: WebSocket, tcp: Duplex, request: IncomingMessage, addressKey: string | undefined): void {
    const connection = new Connection(ws, tcp, addressKey);
    if (connections.size >= deps.maxConnections) {
      connection.close(CLOSE.FULL);
      return;
    }
    const address = addresses.of(request);
    if (!byAddress.add(address, deps.maxConnectionsPerAddress)) {
      addresses.refused(request);
      connection.close(CLOSE.FULL);
      return;
    }
    connections.add(connection);
    // By a clock that nobody sets: it would let a socket without a user stay.
    const sinceStart = () => performance.now();
    connection.closeAt(sinceStart() + initMs, CLOSE.INIT_TIMEOUT, sinceStart);
    metrics.socketOpened();
    const socketId = connection.session.id;
    logger.debug({ socketId, requestId: requestIdOf(request.headers['x-request-id']) }, 'A socket opened');
    ws.on('close', (code) => {
      logger.debug({ socketId, code, userId: connection.session.viewer?.userId }, 'A socket closed');
      connections.delete(connection);
      byAddress.remove(address);
      metrics.socketClosed();
      if (connections.size === 0) onGone?.();
    });
    const closed = protocol.opened(
      {
        protocol: ws.protocol,
        send: (message) => connection.send(message),
        close: (code) => connection.close(CLOSE_BY_CODE.get(code ?? 0) ?? CLOSE.INTERNAL),
        onMessage: (handle) =>
          ws.on('message', (message) => {
            // ws goes on reading while it closes; nobody answers for what comes then.
            if (!connection.open) return;
            const text = String(message);
            if (operations.receive(connection.session, text)) return;
            handle(documents.read(text)).catch((error: unknown) => {
              fault(error, 'A message could not be handled');
              connection.close(CLOSE.INTERNAL);
            });
          }),
      },
      connection,
    );
    connection.onEnd(() => {
      connection.session.end();
      closed().catch((error: unknown) => fault(error, 'The operations of a socket could not be ended'));
    });
  }

  const upgrade = (request: IncomingMessage, tcp: Duplex, head: Buffer) => {
    if (onGone !== null) return refuse(tcp, '503 Service Unavailable');
    if (request.url?.split('?')[0] !== path) return refuse(tcp, '404 Not Found');
    if (!isAllowedOrigin(request, deps.allowedOrigins)) return refuse(tcp, '403 Forbidden');
    const addressKey = deps.addressKeyOf(request);
    const goOn = (take: Take): void => {
      if (!take.allowed) {
        addresses.refused(request);
        refuse(tcp, '429 Too Many Requests', take.retryAfterMs);
      } else if (onGone !== null) refuse(tcp, '503 Service Unavailable');
      else upgrades.handleUpgrade(request, tcp, head, (ws) => open(ws, tcp, request, addressKey));
    };
    // Refused before there is a socket: an address that floods must not cost a handshake each time.
    const taken = connectionRate.byAddress.take(addressKey);
    if (!(taken instanceof Promise)) return goOn(taken);
    // Nobody else listens while it waits, and an error without a listener would end the process.
    tcp.on('error', () => {});
    void taken.then(goOn);
  };
  server.on('upgrade', upgrade);

  const pings = setInterval(() => {
    for (const connection of connections) connection.check();
  }, pingMs);

  return {
    async close() {
      const gone = new Promise<void>((resolve) => {
        onGone = resolve;
      });
      clearInterval(pings);
      if (connections.size === 0) return;
      const live = [...connections];
      const spread = Math.min(drainMs, live.length / DRAINED_PER_MS);
      for (const [index, connection] of live.entries()) {
        setTimeout(() => connection.close(CLOSE.RESTARTING), (index / live.length) * spread);
      }
      await gone;
    },
  };
}

function refuse(tcp: Duplex, status: string, retryAfterMs: number | null = null): void {
  tcp.on('error', () => {});
  const later = retryAfterMs === null ? '' : `Retry-After: ${Math.ceil(retryAfterMs / 1_000)}\r\n`;
  tcp.end(`HTTP/1.1 ${status}\r\n${later}Connection: close\r\nContent-Length: 0\r\n\r\n`);
}
