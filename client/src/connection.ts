import { type Client, createClient } from 'graphql-ws/client';
import { ConnectionError, RequestError } from './errors.ts';
import { Emitter } from './events.ts';
import type { TypedDocumentString } from './generated/graphql.ts';

/**
 * The way to the server: GraphQL over one WebSocket (`graphql-transport-ws`), opened again whenever it is
 * lost. graphql-ws sends what had no answer again on the next socket; every operation of Ringdown can be
 * repeated without harm, so that is what makes a lost answer harmless.
 */

/** `idle`: nothing was asked for yet. `closed`: by the page or for good; `connect()` opens it again. */
export type ConnectionState = 'idle' | 'connecting' | 'connected' | 'reconnecting' | 'closed';

export interface ConnectionOptions {
  readonly url: string;
  /** Asked before each socket, so that one that has run out is followed by a new one. */
  readonly token: () => string | Promise<string>;
}

export interface ConnectionEvents {
  state: ConnectionState;
  /** What went wrong in the background, such as a token that could not be had. */
  error: Error;
}

export interface Sink<Data> {
  next(data: Data): void;
  /** Nothing more will come: the server completed it (null) or refused it. */
  over(error: Error | null): void;
}

/** Milliseconds; each number with its reason. */
const TIMES = {
  /** A command without an answer: longer than DATABASE_TIMEOUT and one reconnect. */
  command: 15_000,
  /** The first pause before a reconnect; it doubles. Full jitter: anything between 0 and that. */
  firstPause: 250,
  /** The longest pause: below the disconnect grace (15 s), so that a seat is not lost to waiting. */
  longestPause: 10_000,
  /** From the first byte of a handshake to the acknowledgement. */
  handshake: 10_000,
  /** For a token: on a network that is going away a request for one may hang for minutes. */
  token: 10_000,
  /** With `pong`, a half-open socket is found in less than the grace. */
  ping: 8_000,
  pong: 4_000,
};

type Document<Data, Variables> = TypedDocumentString<Data, Variables>;

export class Connection extends Emitter<ConnectionEvents> {
  readonly #url: string;
  readonly #askToken: ConnectionOptions['token'];
  #client: Client | null = null;
  /** Counts clients: what an earlier one still says is no news. */
  #turn = 0;
  #state: ConnectionState = 'idle';
  /** Why nothing is sent until `open`; null where it is open, or opens by itself. */
  #closed: ConnectionError | null = null;
  /** Ends a pause before its time: the network is back, or the connection is closed. */
  #hurry: (() => void) | null = null;
  /** What waits for an answer or for events, and is told when the connection is closed. */
  readonly #open = new Set<(error: ConnectionError) => void>();
  #socket: WebSocket | null = null;
  /**
   * Operations that were begun while the socket went: graphql-ws would send them on the next one before those
   * that had no answer on the last. Null where none has to wait.
   */
  #held: (() => void)[] | null = null;
  #unlisten: (() => void) | null = null;

  /** Throws a TypeError for what is no URL. */
  constructor({ url, token }: ConnectionOptions) {
    super();
    this.#url = socketUrl(url);
    this.#askToken = token;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Opens the socket and keeps it open; the first request does that too, but not after the end. */
  open(): void {
    this.#closed = null;
    this.#client ??= this.#createClient();
  }

  /**
   * One query or mutation. Rejects with a RequestError, or a ConnectionError; `limit` in milliseconds, null
   * for something that is to be done however long it takes.
   */
  request<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: Variables,
    limit: number | null = TIMES.command,
  ): Promise<Data> {
    return new Promise((resolve, reject) => {
      const timer = limit === null ? undefined : setTimeout(() => give(NO_ANSWER()), limit);
      const stop = this.#subscribe<Data>(document.toString(), () => variables, {
        next: (data) => settle(() => resolve(data)),
        over: (error) => settle(() => reject(error ?? NO_ANSWER())),
      });
      const settle = (how: () => void) => {
        clearTimeout(timer);
        how();
      };
      const give = (error: Error) => {
        stop();
        reject(error);
      };
    });
  }

  /**
   * Events until the server ends them, over however many sockets; on each new one `variables` is asked
   * again. Returns what ends them from here.
   */
  subscribe<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: () => Variables,
    sink: Sink<Data>,
  ): () => void {
    return this.#subscribe(document.toString(), variables, sink);
  }

  /** Nothing is sent or heard any more; what had no answer is rejected. */
  close(): void {
    this.#shut(new ConnectionError('CLOSED', 'The connection was closed by this page.'));
  }

  #subscribe<Data>(query: string, variables: () => object, sink: Sink<Data>): () => void {
    let over = false;
    if (this.#closed) {
      const why = this.#closed;
      queueMicrotask(() => {
        if (!over) sink.over(why);
      });
      return () => {
        over = true;
      };
    }
    const end = (error: Error | null) => {
      if (over) return;
      over = true;
      this.#open.delete(end);
      stop();
      sink.over(error);
    };
    // Read at each sending: a resumed stream goes on from the cursor of then.
    const payload = {
      query,
      get variables() {
        return variables() as Record<string, unknown>;
      },
    };
    this.#client ??= this.#createClient();
    const client = this.#client;
    let stop = () => {};
    const begin = () => {
      if (over) return;
      const leave = client.subscribe<Data>(payload, {
        next: ({ data, errors }) => {
          if (over) return;
          if (errors && errors.length > 0) end(errorOf(errors));
          else sink.next(data as Data);
        },
        error: (cause) => end(errorOf(cause)),
        complete: () => end(null),
      });
      // Not within an event: Node's WebSocket tells of all that came in one piece at once, and graphql-ws counts an
      // operation out twice that is left just before its `complete`. Later it takes the socket for one that nobody
      // needs, closes it, and does not open it again.
      stop = () => queueMicrotask(leave);
    };
    this.#open.add(end);
    if (this.#socket && this.#socket.readyState >= WebSocket.CLOSING) this.#held ??= [];
    if (this.#held) this.#held.push(begin);
    else begin();
    return () => {
      over = true;
      this.#open.delete(end);
      stop();
    };
  }

  #createClient(): Client {
    this.#turn += 1;
    const turn = this.#turn;
    let token = '';
    let handshake: ReturnType<typeof setTimeout> | undefined;
    let pong: ReturnType<typeof setTimeout> | undefined;
    const client: Client = createClient({
      // What is thrown in here would leave graphql-ws waiting for ever: so it is tried until there is one.
      url: async () => {
        token = await this.#token(turn);
        handshake = setTimeout(() => client.terminate(), TIMES.handshake);
        return this.#url;
      },
      connectionParams: () => ({ authorization: `Bearer ${token}` }),
      webSocketImpl: socketClass((cause) => {
        if (turn === this.#turn) this.#shut(refused({ reason: String(cause) }));
      }),
      lazy: false,
      retryAttempts: Number.POSITIVE_INFINITY,
      // Codes that mean 'do not come back' never get as far as this.
      shouldRetry: () => true,
      retryWait: (retries) => this.#pause(retries),
      keepAlive: TIMES.ping,
      onNonLazyError: (cause) => {
        if (turn === this.#turn) this.#shut(refused(cause));
      },
      on: {
        connecting: (again) => this.#become(again ? 'reconnecting' : 'connecting', turn),
        opened: (socket) => {
          if (turn === this.#turn) this.#socket = socket as WebSocket;
        },
        connected: () => {
          clearTimeout(handshake);
          this.#become('connected', turn);
        },
        closed: () => {
          clearTimeout(handshake);
          clearTimeout(pong);
          if (turn === this.#turn) this.#holdForATurn(turn);
          this.#become('reconnecting', turn);
        },
        ping: (received) => {
          if (!received) pong = setTimeout(() => client.terminate(), TIMES.pong);
        },
        pong: (received) => {
          if (received) clearTimeout(pong);
        },
      },
    });
    this.#listen();
    return client;
  }

  async #token(turn: number): Promise<string> {
    for (let tries = 0; ; tries++) {
      // Closed meanwhile: nobody waits for this socket any more, so none is opened.
      if (turn !== this.#turn) await new Promise(() => {});
      try {
        return await inTime(this.#askToken(), TIMES.token);
      } catch (cause) {
        this.emit('error', cause instanceof Error ? cause : new Error(String(cause)));
        await this.#pause(tries);
      }
    }
  }

  /** By then what had no answer stands in line for the next socket. */
  #holdForATurn(turn: number): void {
    this.#socket = null;
    this.#held ??= [];
    setTimeout(() => {
      if (turn !== this.#turn) return;
      const held = this.#held ?? [];
      this.#held = null;
      for (const begin of held) begin();
    });
  }

  #pause(tries: number): Promise<void> {
    const most = Math.min(TIMES.longestPause, TIMES.firstPause * 2 ** Math.min(tries, 16));
    return new Promise((resolve) => {
      // At least one turn: the end of the lost socket must not be taken for the next one's.
      const timer = setTimeout(resolve, Math.random() * most);
      this.#hurry = () => {
        clearTimeout(timer);
        setTimeout(resolve);
      };
    });
  }

  #become(state: ConnectionState, turn: number): void {
    if (turn !== this.#turn || state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }

  #shut(error: ConnectionError): void {
    const client = this.#client;
    if (client === null) return;
    this.#client = null;
    this.#turn += 1;
    this.#socket = null;
    this.#held = null;
    this.#unlisten?.();
    this.#hurry?.();
    this.#closed = error;
    this.#state = 'closed';
    // Before anyone hears of it: who opens it again in answer begins anew.
    for (const end of [...this.#open]) end(error);
    this.emit('state', 'closed');
    if (error.code === 'REFUSED') this.emit('error', error);
    // A socket that is still being opened is closed as soon as it is open; nobody waits for that.
    Promise.resolve(client.dispose()).catch(() => {});
  }

  /** The network is back, or the page is looked at again: no reason to wait. */
  #listen(): void {
    if (typeof window === 'undefined') return;
    const hurry = () => {
      if (document.visibilityState === 'visible') this.#hurry?.();
    };
    window.addEventListener('online', hurry);
    document.addEventListener('visibilitychange', hurry);
    this.#unlisten = () => {
      window.removeEventListener('online', hurry);
      document.removeEventListener('visibilitychange', hurry);
    };
  }
}

const NO_ANSWER = () =>
  new ConnectionError('NO_ANSWER', 'The server did not answer in time. The same request can be repeated.');

/** Rejects where there is no answer in time. */
async function inTime<Answer>(answer: Answer | Promise<Answer>, limit: number): Promise<Answer> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = () => new Error(`The token callback gave no token within ${limit / 1_000} s.`);
    timer = setTimeout(() => reject(error()), limit);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The browser's WebSocket. Its constructor throws where the page may not open one, as from https to ws
 * (mixed content): graphql-ws would wait for ever.
 */
function socketClass(failed: (cause: unknown) => void): typeof WebSocket {
  return new Proxy(WebSocket, {
    construct(target, [url, protocols]: [string, string]) {
      try {
        return new target(url, protocols);
      } catch (cause) {
        failed(cause);
        return { readyState: target.CLOSED, close() {}, send() {} };
      }
    },
  });
}

/** `https://host`, `https://host/graphql`, `wss://…` alike; a path alone counts from the page. */
function socketUrl(given: string): string {
  const url = new URL(given, typeof location === 'undefined' ? undefined : location.href);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  if (!/^wss?:$/.test(url.protocol)) throw new TypeError(`No address of a server: ${given}`);
  if (url.pathname === '/') url.pathname = '/graphql';
  url.hash = '';
  return url.href;
}

interface GraphQLErrorLike {
  readonly message: string;
  readonly extensions?: { readonly code?: unknown } | undefined;
}

function errorOf(cause: unknown): Error {
  if (Array.isArray(cause)) {
    const [first] = cause as readonly GraphQLErrorLike[];
    return new RequestError(String(first?.extensions?.code ?? 'UNKNOWN'), first?.message ?? 'No message');
  }
  return refused(cause);
}

function refused(cause: unknown): ConnectionError {
  const { code, reason } = (cause ?? {}) as { code?: unknown; reason?: unknown };
  const closeCode = typeof code === 'number' ? code : null;
  const why = typeof reason === 'string' && reason !== '' ? reason : 'no reason given';
  return new ConnectionError('REFUSED', `The server closed the connection for good: ${why}.`, closeCode);
}
