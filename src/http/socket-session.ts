import { randomUUID } from 'node:crypto';
import type { Viewer } from '../auth/viewer.ts';
import type { SocketLink } from '../graphql/services.ts';
import { ArrivalOrder } from './arrival-order.ts';

/** The socket, as its operations know it. */
export interface OperationSocket extends SocketLink {
  /** A promise where the network is behind. */
  send(message: string): Promise<void> | undefined;
}

/** What the operations of one socket share. */
export class SocketSession {
  readonly link: OperationSocket;
  readonly order = new ArrivalOrder();
  /** By operation id. */
  readonly subscriptions = new Set<string>();
  /** Of operations that are not settled, also where the client has completed them: no two at once may share one. */
  readonly ids = new Set<string>();
  /** Of those that graphql-ws does not know of, and that the client has not completed. */
  readonly direct = new Set<string>();
  readonly #streams = new Map<string, AsyncIterator<unknown>>();
  #ended = false;
  inFlight = 0;
  /** Of the socket, in the log. */
  readonly id = randomUUID();
  /** Null until `connection_init` has been answered; no operation runs before. */
  viewer: Viewer | null = null;

  constructor(link: OperationSocket) {
    this.link = link;
  }

  /** The socket ends its streams itself: graphql-ws knows them by ids that clients choose. */
  async keep(id: string, stream: AsyncIterator<unknown>): Promise<void> {
    if (this.#ended) await stream.return?.();
    else this.#streams.set(id, stream);
  }

  settle(id: string): void {
    this.subscriptions.delete(id);
    this.ids.delete(id);
    this.#streams.delete(id);
  }

  end(): void {
    this.#ended = true;
    for (const stream of this.#streams.values()) void stream.return?.();
    this.#streams.clear();
  }
}
