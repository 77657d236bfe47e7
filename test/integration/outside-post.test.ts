import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { DeliveryFailed } from '../../src/notifications/channel.ts';
import { createOutsidePost, type OutsidePostOptions } from '../../src/notifications/outside-post.ts';
import { type Behaviour, Receiver } from '../support/receiver.ts';

/** Requests to a server that is not trusted, against real ones that misbehave. */

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function receiver(behave?: Behaviour): Promise<Receiver> {
  const made = await Receiver.start();
  undo.push(() => made.close());
  if (behave) made.behave = behave;
  return made;
}

const ANYWHERE: OutsidePostOptions = { allowHttp: true, allowPrivate: true, timeoutMs: 400 };

function poster(options: Partial<OutsidePostOptions> = {}) {
  const post = createOutsidePost({ ...ANYWHERE, ...options });
  undo.push(() => post.close());
  return (url: string, signal = new AbortController().signal) =>
    post(new URL(url), { a: 'b' }, '{"c":1}', signal);
}

/** What it came to: a status or a word; and how long it took, milliseconds. */
async function outcome(work: Promise<{ status: number }>): Promise<{ as: number | string; ms: number }> {
  const startedAt = performance.now();
  try {
    return { as: (await work).status, ms: performance.now() - startedAt };
  } catch (error) {
    expect(error).toBeInstanceOf(DeliveryFailed);
    return { as: (error as Error).message, ms: performance.now() - startedAt };
  }
}

describe('a receiver', () => {
  it('gets the body and the headers, over one connection after another that is still open', async () => {
    const { url, all, sockets } = await receiver();
    const post = poster();
    for (let i = 0; i < 3; i++) expect(await post(url)).toEqual({ status: 204 });
    expect(all[2]).toMatchObject({ body: '{"c":1}', headers: { a: 'b', 'content-length': '7' } });
    expect(sockets.size).toBe(1);
  });

  it.each([200, 299, 400, 410, 500, 503])('that answers %i has answered', async (status) => {
    const { url } = await receiver((response) => response.writeHead(status).end('x'));
    expect(await poster()(url)).toEqual({ status });
  });

  it.each([301, 302, 303, 307, 308])('that redirects (%i) is not followed', async (status) => {
    const other = await receiver();
    const { url } = await receiver((response) => response.writeHead(status, { location: other.url }).end());
    expect(await poster()(url)).toEqual({ status });
    expect(other.sockets.size).toBe(0);
    expect(other.all).toEqual([]);
  });

  it('that never answers is waited for no longer than is allowed', async () => {
    const { url, sockets } = await receiver(() => {});
    const { as, ms } = await outcome(poster()(url));
    expect(as).toBe('No answer within 400 ms');
    expect(ms).toBeLessThan(1_000);
    await expect.poll(() => sockets.size).toBe(0);
  });

  it('that never ends its headers is no different', async () => {
    const drip = (socket: import('node:net').Socket) => {
      socket.on('error', () => {});
      socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket.write('x-more: 1\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
    };
    const server = createTcpServer(drip).listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const { as } = await outcome(poster()(`http://127.0.0.1:${port}/`));
    expect(as).toMatch(/^No answer/);
  });

  it('that takes no connection, or breaks it off, is named without its address', async () => {
    const { url, close } = await receiver().then((r) => ({ url: r.url, close: () => r.close() }));
    undo.length = 0;
    await close();
    expect((await outcome(poster()(url))).as).toBe('No answer: ECONNREFUSED');
    const rude = await receiver((response) => response.socket?.destroy());
    expect((await outcome(poster()(rude.url))).as).toBe('No answer: ECONNRESET');
    expect((await outcome(poster()('http://no-such-name.invalid/'))).as).toMatch(
      /^No answer(: E[A-Z_]+| within.*)$/,
    );
  });

  it('that sends a gigabyte, or one byte after the other, has its connection cut, and costs no memory', async () => {
    let sent = 0;
    const chunk = Buffer.alloc(1 << 20, 'x');
    const flood: Behaviour = (response) => {
      response.writeHead(200);
      const more = () => {
        while (sent < 1 << 30 && !response.destroyed) {
          sent += chunk.length;
          if (!response.write(chunk)) return response.once('drain', more);
        }
        return response.end();
      };
      more();
    };
    const { url, sockets } = await receiver(flood);
    const before = process.memoryUsage().rss;
    expect(await poster()(url)).toEqual({ status: 200 });
    await expect.poll(() => sockets.size).toBe(0);
    expect(sent).toBeLessThan(64 << 20);
    expect(process.memoryUsage().rss - before).toBeLessThan(128 << 20);

    const slow = await receiver(async (response) => {
      response.writeHead(200);
      for (let i = 0; i < 100 && !response.destroyed; i++) {
        response.write('x');
        await sleep(20);
      }
    });
    expect(await poster()(slow.url)).toEqual({ status: 200 });
    await expect.poll(() => slow.sockets.size, { timeout: 1_500 }).toBe(0);
  });

  it('is not waited for where nobody waits for the answer', async () => {
    const { url } = await receiver(() => {});
    const stop = new AbortController();
    const going = outcome(poster({ timeoutMs: 10_000 })(url, stop.signal));
    setTimeout(() => stop.abort(), 50);
    expect((await going).ms).toBeLessThan(1_000);
  });

  it('that closed an idle connection a moment ago is asked again at once', async () => {
    const { url, all, sockets } = await receiver();
    const post = poster();
    await post(url);
    // The next request is written to a connection that is being closed.
    for (const socket of sockets) socket.resetAndDestroy();
    expect(await post(url)).toEqual({ status: 204 });
    expect(all).toHaveLength(2);
  });
});

describe('where a request may go', () => {
  it('is over https, unless it is said otherwise', async () => {
    const { url, sockets } = await receiver();
    const { as } = await outcome(poster({ allowHttp: false })(url));
    expect(as).toBe('The receiver is not reached over https');
    for (const other of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'data:text/plain,x']) {
      expect((await outcome(poster()(other))).as).toBe('The receiver is not reached over https');
    }
    expect(sockets.size).toBe(0);
  });

  it.each(['127.0.0.1', 'localhost', '[::1]', '0x7f.1', '2130706433', '0177.0.0.1', '127.1'])(
    'is not a private network: http://%s, whatever its writing',
    async (host) => {
      const { url, sockets } = await receiver();
      const { as } = await outcome(poster({ allowPrivate: false })(url.replace('127.0.0.1', host)));
      expect(as).toBe('The address of the receiver is in a private network');
      expect(sockets.size).toBe(0);
    },
  );

  it.each([
    ['169.254.169.254', 'is a metadata service'],
    ['[fd00:ec2::254]', 'is a metadata service'],
    ['0.0.0.0', 'is not an address of the internet'],
    ['[fe80::1]', 'is not an address of the internet'],
  ])('is never http://%s', async (host, why) => {
    const { as, ms } = await outcome(poster()(`http://${host}/latest/meta-data/`));
    expect(as).toBe(`The address of the receiver ${why}`);
    expect(ms).toBeLessThan(200);
  });

  /** MOCK of the resolver: a name that the DNS answers otherwise each time is nothing that a test can have here. */
  const answering = (...answers: string[][]): NonNullable<OutsidePostOptions['lookUp']> => {
    let asked = 0;
    return (_name, _options, answer) => {
      const addresses = answers[Math.min(asked++, answers.length - 1)] as string[];
      answer(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    };
  };

  it('is decided anew for each connection: a name that leads elsewhere the second time leads nowhere', async () => {
    const { url, all } = await receiver((response) => response.writeHead(200, { connection: 'close' }).end());
    const named = url.replace('127.0.0.1', 'rebound.example');
    const post = poster({ lookUp: answering(['127.0.0.1'], ['169.254.169.254']) });
    expect(await post(named)).toEqual({ status: 200 });
    expect((await outcome(post(named))).as).toBe('The address of the receiver is a metadata service');
    expect(all).toHaveLength(1);
  });

  it('is an address of which all are allowed, so that no order of them helps', async () => {
    const { url, sockets } = await receiver();
    const named = url.replace('127.0.0.1', 'mixed.example');
    const post = poster({ allowPrivate: false, lookUp: answering(['93.184.216.34', '127.0.0.1']) });
    expect((await outcome(post(named))).as).toBe('The address of the receiver is in a private network');
    expect(sockets.size).toBe(0);
  });
});
