import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Connection, type ConnectionState } from '../../client/src/connection.ts';
import { ConnectionError, RequestError } from '../../client/src/errors.ts';
import {
  ActiveCallsDocument,
  GetCallDocument,
  IncomingCallsDocument,
  type IncomingCallsSubscription,
} from '../../client/src/generated/graphql.ts';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';

/** The SDK's way to the server, against the real one, on Node's own WebSocket. */

let app: App;
let proxy: NetworkProxy;
beforeAll(async () => {
  app = await startTestApp();
  proxy = await startProxy(app.url);
});
afterAll(async () => {
  await proxy?.close();
  await app?.stop();
});

const opened: Connection[] = [];
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  for (const connection of opened.splice(0)) connection.close();
  proxy.allow();
});

function connect(token: () => string | Promise<string>, url = proxy.url) {
  const connection = new Connection({ url, token });
  const states: ConnectionState[] = [];
  const errors: Error[] = [];
  connection.on('state', (state) => states.push(state));
  connection.on('error', (error) => errors.push(error));
  opened.push(connection);
  return { connection, states, errors };
}

const viewer = async (connection: Connection) =>
  (await connection.request(ActiveCallsDocument, {})).viewer.id;

describe('a connection', () => {
  it('answers a request', async () => {
    const { connection, states } = connect(() => tokenFor('ada'));
    expect(await viewer(connection)).toBe('ada');
    expect(states).toEqual(['connecting', 'connected']);
  });

  it('gives a GraphQL error with its code', async () => {
    const { connection } = connect(() => tokenFor('ada'));
    const request = connection.request(GetCallDocument, {} as never);
    await expect(request).rejects.toThrow(RequestError);
    await expect(request).rejects.toMatchObject({ code: 'BAD_USER_INPUT' });
  });

  it('stays open, and is opened again, after what was refused or left in the event before its end', async () => {
    const { connection, states } = connect(() => tokenFor('ada'));
    await viewer(connection);
    const sockets = proxy.connections;
    await expect(connection.request(GetCallDocument, {} as never)).rejects.toThrow(RequestError);
    await new Promise<void>((resolve, reject) => {
      const stop = connection.subscribe(ActiveCallsDocument, () => ({}), {
        next: () => {
          stop();
          resolve();
        },
        over: reject,
      });
    });
    expect(await viewer(connection)).toBe('ada');
    expect({ states, sockets: proxy.connections }).toEqual({ states: ['connecting', 'connected'], sockets });
    proxy.cut();
    await vi.waitFor(() => expect(states.slice(2)).toEqual(['reconnecting', 'connected']), 5_000);
  });

  it('comes back after a cut, with a new token', async () => {
    const token = vi.fn(() => tokenFor('ada'));
    const { connection, states } = connect(token);
    await viewer(connection);
    proxy.cut();
    await vi.waitFor(() => expect(states.slice(2)).toEqual(['reconnecting', 'connected']), 5_000);
    expect(await viewer(connection)).toBe('ada');
    expect(token).toHaveBeenCalledTimes(2);
  });

  it('comes back after a cut also where a listener of the page throws, whose error is the page’s', async () => {
    const { connection, states } = connect(() => tokenFor('ada'));
    await viewer(connection);
    const thrown: unknown[] = [];
    const { queueMicrotask } = globalThis;
    vi.stubGlobal('queueMicrotask', (task: () => void) =>
      queueMicrotask(() => {
        try {
          task();
        } catch (error) {
          thrown.push(error);
        }
      }),
    );
    const error = new Error('of the page');
    const unlisten = connection.on('state', () => {
      throw error;
    });
    proxy.cut();
    await vi.waitFor(() => expect(states.slice(2)).toEqual(['reconnecting', 'connected']), 5_000);
    unlisten();
    expect(thrown).toEqual([error, error]);
  });

  it('answers a request that was made while the server was out of reach', async () => {
    const { connection, states } = connect(() => tokenFor('ada'));
    await viewer(connection);
    proxy.refuse();
    await vi.waitFor(() => expect(states.at(-1)).toBe('reconnecting'));
    const answer = viewer(connection);
    proxy.allow();
    expect(await answer).toBe('ada');
  });

  it('keeps the order of what had no answer and what was asked for while the socket went', async () => {
    const sockets: WebSocket[] = [];
    const sent: string[] = [];
    vi.stubGlobal(
      'WebSocket',
      class extends WebSocket {
        constructor(url: string, protocols: string[]) {
          super(url, protocols);
          sockets.push(this);
        }
        override send(message: string) {
          const { id } = JSON.parse(message).payload?.variables ?? {};
          if (sockets.length > 1 && id) sent.push(id);
          super.send(message);
        }
      },
    );
    const { connection } = connect(() => tokenFor('ada'));
    await viewer(connection);
    const ask = (id: string) => connection.request(GetCallDocument, { id });
    const asked: Promise<unknown>[] = [];
    proxy.loseReplies();
    asked.push(ask('in flight 1'), ask('in flight 2'));
    connection.on('state', (state) => {
      if (state === 'reconnecting') asked.push(ask('while it is gone'));
    });
    await new Promise((resolve) => setTimeout(resolve));
    sockets[0]?.close();
    asked.push(ask('while it closes'));
    proxy.cut();
    await vi.waitFor(() => expect(asked).toHaveLength(4));
    await Promise.all(asked);
    expect(sent).toEqual(['in flight 1', 'in flight 2', 'while it closes', 'while it is gone']);
  });

  it('says so where a request has no answer in time', async () => {
    proxy.refuse();
    const { connection } = connect(() => tokenFor('ada'));
    const request = connection.request(ActiveCallsDocument, {}, 100);
    await expect(request).rejects.toThrow(ConnectionError);
    await expect(request).rejects.toMatchObject({ code: 'NO_ANSWER' });
  });

  it('finds out that nobody answers on a socket that looks open', { timeout: 30_000 }, async () => {
    const { connection, states } = connect(() => tokenFor('ada'));
    await viewer(connection);
    proxy.freeze();
    await vi.waitFor(() => expect(states).toContain('reconnecting'), 20_000);
    proxy.allow();
    expect(await viewer(connection)).toBe('ada');
  });

  it('asks for a token until there is one, and tells why there is none', async () => {
    let tries = 0;
    const { connection, errors } = connect(() => {
      tries += 1;
      if (tries < 3) throw new Error('The back end is away');
      return tokenFor('ada');
    });
    expect(await viewer(connection)).toBe('ada');
    expect(errors.map(({ message }) => message)).toEqual(['The back end is away', 'The back end is away']);
  });

  it('comes back with a new token when the old one runs out', { timeout: 20_000 }, async () => {
    let lifetimeMs = 2_000;
    const { connection, states } = connect(() => {
      const token = tokenFor('ada', '', lifetimeMs);
      lifetimeMs = 600_000;
      return token;
    });
    expect(await viewer(connection)).toBe('ada');
    await vi.waitFor(() => expect(states).toEqual(['connecting', 'connected', 'reconnecting', 'connected']), {
      timeout: 10_000,
    });
    expect(await viewer(connection)).toBe('ada');
  });

  it('stays closed, and says why, where the token will never be good, until it is opened again', async () => {
    let token = 'nonsense';
    const { connection, states, errors } = connect(() => token);
    const refusal = { code: 'REFUSED', closeCode: 4401 };
    await expect(viewer(connection)).rejects.toMatchObject(refusal);
    expect(states.at(-1)).toBe('closed');
    expect(errors).toMatchObject([refusal]);
    token = await tokenFor('ada');
    await expect(viewer(connection)).rejects.toMatchObject(refusal);
    expect(states.at(-1)).toBe('closed');
    connection.open();
    expect(await viewer(connection)).toBe('ada');
  });

  it('can be opened again by whoever hears that it is closed', async () => {
    let token = 'nonsense';
    const { connection } = connect(() => token);
    const answer = new Promise((resolve, reject) => {
      connection.on('state', async (state) => {
        if (state !== 'closed') return;
        token = await tokenFor('ada');
        connection.open();
        viewer(connection).then(resolve, reject);
      });
    });
    await expect(viewer(connection)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(await answer).toBe('ada');
  });

  it('is refused at once where the browser opens no socket, as from https to http', async () => {
    vi.stubGlobal(
      'WebSocket',
      class extends WebSocket {
        constructor(url: string) {
          super(url);
          this.close();
          throw new DOMException('Mixed content', 'SecurityError');
        }
      },
    );
    const { connection, errors } = connect(() => tokenFor('ada'));
    await expect(viewer(connection)).rejects.toMatchObject({ code: 'REFUSED' });
    expect(errors[0]?.message).toContain('Mixed content');
  });

  it.each(['', 'ftp://calls.example', 'mailto:ada'])('is made for no address like %j', (url) => {
    expect(() => connect(() => '', url)).toThrow(TypeError);
  });

  it('asks for a token again where the one that was asked for never comes', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let asked = 0;
    const { connection, errors } = connect(() => {
      asked += 1;
      return asked === 1 ? new Promise<string>(() => {}) : tokenFor('ada');
    });
    const request = viewer(connection);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(errors[0]?.message).toContain('no token within 10 s');
    await vi.advanceTimersByTimeAsync(250);
    vi.useRealTimers();
    expect(await request).toBe('ada');
    expect(asked).toBe(2);
  });

  it('pauses at random before each try, and for longer from try to try', async () => {
    // Half of the longest that each pause may be.
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const tries: number[] = [];
    const { connection } = connect(() => {
      tries.push(Date.now());
      return Promise.reject(new Error('The back end is away'));
    });
    connection.open();
    await vi.advanceTimersByTimeAsync(60_000);
    const pauses = tries.slice(1).map((at, index) => at - tries[index]!);
    expect(pauses.slice(0, 8)).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  it('goes on with a subscription on the next socket, with the variables of then', async () => {
    const { connection } = connect(() => tokenFor('ada'));
    const events: IncomingCallsSubscription['incomingCalls'][] = [];
    let asked = 0;
    const variables = () => {
      asked += 1;
      return {};
    };
    const stop = connection.subscribe(IncomingCallsDocument, variables, {
      next: ({ incomingCalls }) => events.push(incomingCalls),
      over: (error) => expect.unreachable(String(error)),
    });
    await vi.waitFor(() => expect(events).toHaveLength(1));
    const before = asked;
    proxy.cut();
    await vi.waitFor(() => expect(events).toHaveLength(2), 5_000);
    expect(asked).toBeGreaterThan(before);
    stop();
  });

  it('tells a subscription that it is refused', async () => {
    const { connection } = connect(() => tokenFor('ada'));
    const document = IncomingCallsDocument.toString().replace('incomingCalls {', 'noSuchField {');
    const over = await new Promise((resolve) => {
      connection.subscribe(document as never, () => ({}), { next() {}, over: resolve });
    });
    expect(over).toBeInstanceOf(RequestError);
  });

  it('rejects what has no answer when it is closed, and sends nothing more', async () => {
    let sockets = 0;
    // Counted where they are made: the proxy hears of one somewhat later.
    vi.stubGlobal(
      'WebSocket',
      class extends WebSocket {
        constructor(...given: ConstructorParameters<typeof WebSocket>) {
          super(...given);
          sockets++;
        }
      },
    );
    const { connection, states } = connect(() => tokenFor('ada'));
    await viewer(connection);
    proxy.refuse();
    await vi.waitFor(() => expect(states.at(-1)).toBe('reconnecting'));
    const request = viewer(connection);
    connection.close();
    await expect(request).rejects.toMatchObject({ code: 'CLOSED' });
    expect(states.at(-1)).toBe('closed');
    const before = sockets;
    proxy.allow();
    // As many turns as a reconnect without a pause would take.
    expect(await viewer(connect(() => tokenFor('ada')).connection)).toBe('ada');
    expect(sockets).toBe(before + 1);
  });

  it.each(['', '/', '/graphql'])('takes the server’s address with %j at its end', async (end) => {
    const { connection } = connect(() => tokenFor('ada'), `${app.url}${end}`);
    expect(await viewer(connection)).toBe('ada');
  });
});
