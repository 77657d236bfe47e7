import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A client that speaks graphql-transport-ws by hand, so that the load costs less than the server. */

export class ScaleSocket {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<string, (payload: string) => void>();
  #failed: (error: Error) => void = () => {};
  #next = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer) => this.#hear(data.toString()));
    socket.on('close', (code, reason) => this.#failed(new Error(`Closed with ${code} ${reason}`)));
    socket.on('error', (error) => this.#failed(error));
  }

  static async open(url: string, token: string, from?: string): Promise<ScaleSocket> {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: false,
      skipUTF8Validation: true,
      ...(from === undefined ? {} : { localAddress: from }),
    });
    const made = new ScaleSocket(socket);
    const failed = new Promise<never>((_, reject) => {
      made.#failed = reject;
    });
    await Promise.race([once(socket, 'open'), failed]);
    const acknowledged = new Promise<void>((resolve) => made.#waiting.set('ack', () => resolve()));
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
    await Promise.race([acknowledged, failed]);
    made.#failed = () => {};
    return made;
  }

  /** How the socket ended, once it does. */
  onEnd(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  /** The first answer to an operation, as text. */
  ask(query: string, variables: object): Promise<string> {
    const id = String(this.#next++);
    return new Promise((resolve, reject) => {
      this.#failed = reject;
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
    });
  }

  #hear(message: string): void {
    if (message.includes('"type":"connection_ack"')) this.#answer('ack', message);
    const id = /^\{"id":"(\d+)"/.exec(message)?.[1];
    if (id !== undefined && !message.includes('"type":"complete"')) this.#answer(id, message);
  }

  #answer(id: string, message: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.(message);
  }

  close(): void {
    this.#socket.terminate();
  }
}
