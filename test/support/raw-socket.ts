import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';

/** A WebSocket without a GraphQL client on top: what a test writes is what the server reads. */
export class RawSocket {
  readonly ws: WebSocket;
  /** Messages of the server, parsed, in their order. */
  readonly messages: { id?: string; type: string; payload?: unknown }[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  #changed = Promise.withResolvers<void>();

  constructor(url: string, options: ClientOptions = {}, protocols: string[] = ['graphql-transport-ws']) {
    this.ws = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, protocols, options);
    this.ws.on('message', (message) => {
      this.messages.push(JSON.parse(String(message)));
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
    this.closed = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    this.ws.on('error', () => {});
  }

  /** A socket that is open, and has shown a token where one is given. */
  static async open(url: string, token: string | null, options: ClientOptions = {}): Promise<RawSocket> {
    const socket = new RawSocket(url, options);
    await once(socket.ws, 'open');
    if (token !== null) {
      socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
      await socket.until((message) => message.type === 'connection_ack');
    }
    return socket;
  }

  send(message: object | string): void {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables: object = {}): void {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
  }

  /** The first message that is taken, of those that came and those to come. */
  async until(
    takes: (message: RawSocket['messages'][number]) => boolean,
  ): Promise<RawSocket['messages'][number]> {
    for (;;) {
      const message = this.messages.find(takes);
      if (message) return message;
      const over = await Promise.race([this.#changed.promise, this.closed]);
      if (over) throw new Error(`Closed with ${over.code} ${over.reason}`);
    }
  }

  /** The payload of the answer to an operation. */
  async answer(id: string): Promise<{ data?: unknown; errors?: { message: string; extensions: unknown }[] }> {
    const message = await this.until((one) => one.id === id && one.type !== 'complete');
    return (message.type === 'error' ? { errors: message.payload } : message.payload) as never;
  }

  async close(): Promise<void> {
    this.ws.close();
    await this.closed;
  }
}

/** Waits for a condition that has no event of its own. */
export async function eventually(holds: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`Not so after ${timeoutMs} ms: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
