import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';

/** A receiver of webhooks over real HTTP, which does what a test tells it to. */

export const WEBHOOK_SECRET = `whsec_${Buffer.from('aF3kQ9zLw7RtX2mB5nVc8YpD1sGh6JeU').toString('base64')}`;

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** When it was there, milliseconds since the epoch. */
  readonly at: number;
}

/** What a message is, once its signature was checked. */
export interface Message {
  readonly type: string;
  readonly timestamp: string;
  readonly data: {
    readonly callId: string;
    readonly sequence: number;
    readonly userIds: readonly string[];
    readonly expiresAt: string | null;
    readonly call: { readonly status: string; readonly durationSeconds: number | null } & Record<
      string,
      unknown
    >;
  };
}

export type Behaviour = (
  response: ServerResponse,
  received: Received,
  request: IncomingMessage,
) => unknown | Promise<unknown>;

export const fine: Behaviour = (response) => response.writeHead(204).end();

export class Receiver {
  readonly url: string;
  readonly all: Received[] = [];
  behave: Behaviour = fine;
  readonly sockets = new Set<Socket>();
  readonly #close: () => Promise<void>;

  private constructor(port: number, close: () => Promise<void>) {
    this.url = `http://127.0.0.1:${port}/hooks`;
    this.#close = close;
  }

  static async start(port = 0): Promise<Receiver> {
    const server = createServer(async (request, response) => {
      response.on('error', () => {});
      const received = { headers: request.headers, body: await text(request), at: Date.now() };
      receiver.all.push(received);
      await receiver.behave(response, received, request);
    });
    server.on('connection', (socket) => {
      receiver.sockets.add(socket);
      socket.on('close', () => receiver.sockets.delete(socket));
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const receiver = new Receiver((server.address() as AddressInfo).port, async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    });
    return receiver;
  }

  /** The messages that were taken, of one call where one is named; each signature is checked. */
  messages(callId?: string): Message[] {
    const all = this.all.map(({ headers, body }) => verified(headers, body));
    return callId === undefined ? all : all.filter(({ data }) => data.callId === callId);
  }

  kinds(callId?: string): string[] {
    return this.messages(callId).map(({ type }) => type);
  }

  close(): Promise<void> {
    return this.#close();
  }
}

export function verified(headers: IncomingHttpHeaders, body: string, secret = WEBHOOK_SECRET): Message {
  return new Webhook(secret).verify(body, headers as Record<string, string>) as Message;
}
