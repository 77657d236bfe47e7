import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP, type Socket, connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { IceServerFault, type OpenStunSession, type StunSession } from './ice-server-check.ts';
import { decodeMessage, messageLength, type StunMessage } from './stun-message.ts';

/** The way to a STUN or TURN server: UDP, TCP, or TLS over TCP (RFC 8489 section 6.2). */

/** Until a request over UDP is sent again; then twice as long each time. */
const FIRST_RETRANSMISSION = 500;

/** One request at a time. `signal` ends it, with its reason. There is no DTLS in Node. */
export const openStunSession: OpenStunSession = async (address, signal) => {
  if (address.transport === 'tcp') return openStream(address, signal);
  if (address.secure) throw new IceServerFault('DTLS is not supported');
  return openUdp(address, signal);
};

async function openUdp(
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<StunSession> {
  const found = await orAborted(lookup(host), signal);
  const socket: UdpSocket = createSocket(found.family === 6 ? 'udp6' : 'udp4');
  const session = new Session(
    // A failure comes as an error event too.
    { send: (bytes) => socket.send(bytes, () => {}), close: () => socket.close(), isLossy: true },
    signal,
  );
  socket.on('message', (bytes) => session.receive(decodeMessage(bytes)));
  socket.on('error', (error) => session.fail(error));
  socket.connect(port, found.address);
  return session.opened(once(socket, 'connect'));
}

async function openStream(
  { host, port, secure }: { readonly host: string; readonly port: number; readonly secure: boolean },
  signal: AbortSignal,
): Promise<StunSession> {
  // RFC 6066 section 3: no address in a server name.
  const socket: Socket = secure
    ? tlsConnect({ host, port, ...(isIP(host) === 0 && { servername: host }) })
    : tcpConnect({ host, port });
  const session = new Session(
    { send: (bytes) => socket.write(bytes), close: () => socket.destroy(), isLossy: false },
    signal,
  );
  let unread = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 20) {
      const length = messageLength(unread);
      if (length === null) return session.fail(new IceServerFault('what it answers is not STUN'));
      if (unread.length < length) return;
      session.receive(decodeMessage(unread.subarray(0, length)));
      unread = unread.subarray(length);
    }
  });
  socket.on('error', (error) => session.fail(error));
  socket.on('close', () => session.fail(new IceServerFault('it has closed the connection')));
  return session.opened(once(socket, secure ? 'secureConnect' : 'connect'));
}

interface Way {
  readonly send: (bytes: Buffer) => void;
  readonly close: () => void;
  /** What is sent may get lost. */
  readonly isLossy: boolean;
}

class Session implements StunSession {
  readonly #way: Way;
  readonly #signal: AbortSignal;
  readonly #over = Promise.withResolvers<never>();
  #waiting: { readonly id: Buffer; readonly resolve: (answer: StunMessage) => void } | null = null;
  #closed = false;

  constructor(way: Way, signal: AbortSignal) {
    this.#way = way;
    this.#signal = signal;
    this.#over.promise.catch(() => {});
    signal.addEventListener('abort', this.#abort);
    if (signal.aborted) this.#abort();
  }

  readonly #abort = (): void => this.fail(this.#signal.reason as Error);

  /** Once it is connected. */
  async opened(connected: Promise<unknown>): Promise<StunSession> {
    connected.catch(() => {});
    await Promise.race([connected, this.#over.promise]);
    return this;
  }

  async request(message: Buffer): Promise<StunMessage> {
    const answer = Promise.withResolvers<StunMessage>();
    this.#waiting = { id: message.subarray(8, 20), resolve: answer.resolve };
    let timer: NodeJS.Timeout | undefined;
    // RFC 8489 section 6.2.1.
    const send = (pause: number) => {
      this.#way.send(message);
      if (this.#way.isLossy) timer = setTimeout(() => send(pause * 2), pause);
    };
    if (!this.#closed) send(FIRST_RETRANSMISSION);
    try {
      return await Promise.race([answer.promise, this.#over.promise]);
    } finally {
      clearTimeout(timer);
      this.#waiting = null;
    }
  }

  /** What answers another request, or nothing, may come from anyone. */
  receive(message: StunMessage | null): void {
    if (message === null || message.class === 'request' || message.class === 'indication') return;
    if (this.#waiting?.id.equals(message.transactionId)) this.#waiting.resolve(message);
  }

  fail(error: Error): void {
    this.#over.reject(error);
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal.removeEventListener('abort', this.#abort);
    this.#over.reject(new IceServerFault('the session is closed'));
    this.#way.close();
  }
}

/** A lookup can't be called off, but nobody need wait for it. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort);
  try {
    if (signal.aborted) throw signal.reason as Error;
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
