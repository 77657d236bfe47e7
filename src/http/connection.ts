import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { UNSENT_LIMIT } from '../call-log/stream.ts';
import { CLOSE } from '../errors.ts';
import type { SocketLink } from '../graphql/services.ts';
import { framed } from './frames.ts';
import { SocketSession } from './socket-session.ts';

/** Bytes not yet taken by the network above which a stream is not asked for its next event. */
const HIGH_WATER = 64 * 1024;
/** The longest delay that a timer of Node takes, in milliseconds: 25 days. */
const LONGEST_DELAY = 2 ** 31 - 1;

export interface CloseFrame {
  readonly code: number;
  readonly reason: string;
}

/** One WebSocket: what is written to it, whether its peer is there, and until when its token is good. */
export class Connection implements SocketLink {
  readonly session = new SocketSession(this);
  readonly ws: WebSocket;
  /** See Viewer. */
  readonly addressKey: string | undefined;
  readonly #tcp: Duplex;
  /** Messages of this turn of the event loop. */
  #out: string[] = [];
  #outSize = 0;
  #waiting: (() => void)[] = [];
  #heard = true;
  #deadline: NodeJS.Timeout | undefined;
  readonly #onEnd: (() => void)[] = [];
  #ended = false;

  constructor(ws: WebSocket, tcp: Duplex, addressKey: string | undefined) {
    this.ws = ws;
    this.addressKey = addressKey;
    this.#tcp = tcp;
    ws.on('pong', () => this.#hear());
    ws.on('message', () => this.#hear());
    ws.on('close', () => this.#end());
    // A broken frame or connection. ws closes it, and 'close' follows.
    ws.on('error', () => {});
  }

  get open(): boolean {
    return this.ws.readyState === this.ws.OPEN;
  }

  /**
   * Messages of one turn, an answer and its `complete` for instance, leave as one piece in one write. Waits only where
   * the network is behind, so that streams are pulled no faster than it takes them.
   */
  send(message: string): Promise<void> | undefined {
    if (!this.open) return undefined;
    if (this.unsentBytes() > UNSENT_LIMIT) {
      // It sends, perhaps, but does not read: what it would be told must not pile up here.
      this.close(CLOSE.TOO_SLOW);
      return undefined;
    }
    if (this.#out.length === 0) process.nextTick(() => this.#flush());
    this.#out.push(message);
    this.#outSize += message.length;
    if (this.unsentBytes() < HIGH_WATER) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #flush(): void {
    const messages = this.#out;
    const waiting = this.#waiting;
    this.#out = [];
    this.#outSize = 0;
    if (waiting.length > 0) this.#waiting = [];
    const written = () => {
      for (const resolve of waiting) resolve();
    };
    if (messages.length === 0 || !this.open) written();
    // ws writes its own frames, of pings and the close, to the same connection: each of them whole, as these are.
    else if (waiting.length > 0) this.#tcp.write(framed(messages), written);
    else this.#tcp.write(framed(messages));
  }

  unsentBytes(): number {
    return this.ws.bufferedAmount + this.#outSize;
  }

  /** Its operations end at once; they do not wait for the peer to answer the close. */
  close({ code, reason }: CloseFrame): void {
    if (!this.open) return;
    this.#flush();
    this.ws.close(code, reason);
    this.#end();
  }

  /** Called in turns: asks the peer for a sign of life, and cuts one that gave none since the last time. */
  check(): void {
    if (!this.#heard) this.ws.terminate();
    else if (this.open) {
      this.#heard = false;
      this.ws.ping();
    }
  }

  /** Closes with `frame` at an instant of the clock `now`, in milliseconds, and not at the one said before. */
  closeAt(instant: number, frame: CloseFrame, now: () => number): void {
    this.closeNever();
    if (this.#ended) return;
    const left = instant - now();
    if (left <= 0) this.close(frame);
    else this.#deadline = setTimeout(() => this.closeAt(instant, frame, now), Math.min(left, LONGEST_DELAY));
  }

  closeNever(): void {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }

  /** Once, when nothing can be sent any more; at once where that is so already. */
  onEnd(listener: () => void): void {
    if (this.#ended) listener();
    else this.#onEnd.push(listener);
  }

  #hear(): void {
    this.#heard = true;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.closeNever();
    for (const listener of this.#onEnd) listener();
  }
}
