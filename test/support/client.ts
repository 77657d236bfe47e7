import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { type DocumentNode, type GraphQLFormattedError, print } from 'graphql';
import { createClient as createWsClient } from 'graphql-ws';
import { WebSocket } from 'ws';

/** A small typed client for tests: GraphQL over one WebSocket, or over HTTP where asked. It never retries. */

export interface ClientOptions {
  /** `http://host:port` of the server. */
  readonly url: string;
  readonly token: string | null;
}

export interface Subscription<Event> extends AsyncIterable<Event> {
  /** All that came so far. */
  readonly events: readonly Event[];
  /**
   * The next event that no `next` has looked at yet and that the predicate takes; those before it are
   * passed over. Rejects where the stream ends first, or after `timeoutMs`.
   */
  next(takes?: (event: Event) => boolean, timeoutMs?: number): Promise<Event>;
  /** Resolves when the server completes the stream or the socket goes; rejects with its errors. */
  readonly ended: Promise<void>;
  close(): void;
}

export interface Client {
  query<Data, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    options?: { readonly over?: 'websocket' | 'http' },
  ): Promise<Data>;
  mutate: Client['query'];
  subscribe<Data extends object, Variables>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Subscription<NonNullable<Data[keyof Data]>>;
  /** Opens the socket where it is not open yet; resolves once the server has taken the token. */
  connect(): Promise<void>;
  /** Cuts the connection without a word. */
  terminate(): void;
  /** How the socket was closed, once it is. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  dispose(): Promise<void>;
}

/** The errors of a GraphQL answer. */
export class GraphQLFailure extends Error {
  readonly errors: readonly GraphQLFormattedError[];

  constructor(errors: readonly GraphQLFormattedError[]) {
    super(errors.map((error) => error.message).join('\n'));
    this.errors = errors;
  }

  /** `extensions.code` of the first. */
  get code(): unknown {
    return this.errors[0]?.extensions?.code;
  }
}

const NEXT_TIMEOUT = 5_000;

export function createClient({ url, token }: ClientOptions): Client {
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  let socket: WebSocket | null = null;
  const authorization = token === null ? null : `Bearer ${token}`;
  const client = createWsClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: authorization === null ? {} : { authorization },
    retryAttempts: 0,
    // The socket stays until dispose().
    lazyCloseTimeout: 2 ** 31 - 1,
    on: {
      opened: (opened) => {
        socket = opened as WebSocket;
      },
      closed: (event) => {
        const { code, reason } = event as { code: number; reason: string };
        closed.resolve({ code, reason: String(reason) });
      },
    },
  });

  async function overWebSocket(payload: object): Promise<unknown> {
    for await (const result of client.iterate(payload as { query: string })) return dataOf(result);
    throw new Error('The operation was completed without an answer');
  }

  async function overHttp(payload: object): Promise<unknown> {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(authorization !== null && { authorization }) },
      body: JSON.stringify(payload),
    });
    return dataOf((await response.json()) as Answer);
  }

  const query: Client['query'] = (document, variables, options) => {
    const payload = { query: textOf(document), variables };
    return (options?.over === 'http' ? overHttp(payload) : overWebSocket(payload)) as Promise<never>;
  };

  return {
    query,
    mutate: query,
    subscribe(document, variables) {
      const iterator = client.iterate({
        query: textOf(document),
        variables: variables as Record<string, unknown>,
      });
      return new Stream(iterator, (result) => Object.values(dataOf(result) as object)[0]) as never;
    },
    async connect() {
      await overWebSocket({ query: '{ __typename }' });
    },
    terminate: () => socket?.terminate(),
    closed: closed.promise,
    async dispose() {
      await client.dispose();
      if (socket !== null && socket.readyState !== socket.CLOSED) await closed.promise;
    },
  };
}

interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly GraphQLFormattedError[] | undefined;
}

function dataOf({ data, errors }: Answer): unknown {
  if (errors && errors.length > 0) throw new GraphQLFailure(errors);
  return data;
}

class Stream<Event> implements Subscription<Event> {
  readonly events: Event[] = [];
  readonly ended: Promise<void>;
  #looked = 0;
  #over: { readonly error: unknown } | null = null;
  readonly #iterator: AsyncIterator<Answer>;
  #changed = Promise.withResolvers<void>();

  constructor(iterator: AsyncIterableIterator<Answer>, eventOf: (result: Answer) => Event) {
    this.#iterator = iterator;
    this.ended = this.#pump(iterator, eventOf);
    // A test that does not look at `ended` finds the error in `next`.
    this.ended.catch(() => {});
  }

  async #pump(iterator: AsyncIterable<Answer>, eventOf: (result: Answer) => Event): Promise<void> {
    try {
      for await (const result of iterator) {
        this.events.push(eventOf(result));
        this.#change();
      }
      this.#over = { error: new Error('The stream ended') };
    } catch (error) {
      const failure = Array.isArray(error) ? new GraphQLFailure(error) : error;
      this.#over = { error: failure };
      throw failure;
    } finally {
      this.#change();
    }
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  async next(takes: (event: Event) => boolean = () => true, timeoutMs = NEXT_TIMEOUT): Promise<Event> {
    const deadline = AbortSignal.timeout(timeoutMs);
    const expired = new Promise<'expired'>((resolve) => {
      deadline.addEventListener('abort', () => resolve('expired'), { once: true });
    });
    for (;;) {
      while (this.#looked < this.events.length) {
        const event = this.events[this.#looked++] as Event;
        if (takes(event)) return event;
      }
      if (this.#over) throw this.#over.error;
      if ((await Promise.race([this.#changed.promise, expired])) === 'expired') {
        throw new Error(`No such event in ${timeoutMs} ms; so far: ${JSON.stringify(this.events)}`);
      }
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Event> {
    for (let index = 0; ; index++) {
      while (index >= this.events.length) {
        if (this.#over) return;
        await this.#changed.promise;
      }
      yield this.events[index] as Event;
    }
  }

  close(): void {
    void this.#iterator.return?.();
  }
}

const texts = new WeakMap<object, string>();

function textOf(document: DocumentNode): string {
  let text = texts.get(document);
  if (text === undefined) {
    text = print(document);
    texts.set(document, text);
  }
  return text;
}
