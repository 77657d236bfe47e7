import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import type { Socket } from 'node:net';

/**
 * One WebSocket of the load: no more than RFC 6455 asks of a client, and frames made ready beforehand, so that the
 * load costs less than the server that it measures.
 */

/** One mask for all frames: what it guards against, caches on the way, is not there. A server undoes it as any other. */
const MASK = randomBytes(4).map((byte) => byte | 1);
const TEXT = 0x81;
/** The first, the middle and the last frame of a text that comes in several. */
const [FIRST, MORE, LAST] = [0x01, 0x00, 0x80];
const [CLOSE, PING, PONG] = [0x88, 0x89, 0x8a];
/** Bytes of the header of a server's frame at most. */
const HEADER = 10;

export class LoadSocket {
  readonly #socket: Socket;
  /** What came of a frame that is not all there yet. */
  #rest: Buffer | null = null;
  readonly #fragments: Buffer[] = [];
  /** Each message of the server, a view that holds for the call only. */
  hear: (message: Buffer) => void = () => {};
  lost: (why: string) => void = () => {};

  constructor(socket: Socket, head: Buffer) {
    this.#socket = socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.lost(error.message));
    socket.on('close', () => this.lost('closed'));
    // What came with the answer's head is heard when there is somebody who listens.
    this.#rest = head;
    setImmediate(() => this.#take(Buffer.alloc(0)));
  }

  /** `url` begins with `http:`. */
  static async open(url: string, protocol?: string): Promise<LoadSocket> {
    const opening = request(url, {
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': randomBytes(16).toString('base64'),
        ...(protocol === undefined ? {} : { 'sec-websocket-protocol': protocol }),
      },
    });
    opening.end();
    const [, socket, head] = (await once(opening, 'upgrade')) as [unknown, Socket, Buffer];
    return new LoadSocket(socket, head);
  }

  sendText(text: string): void {
    this.#socket.write(masked(text));
  }

  sendFrame(frame: Buffer): void {
    this.#socket.write(frame);
  }

  /** Resolves with the next message that has `text` in it, which nobody else hears. */
  message(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const last: string[] = [];
      this.hear = (message) => {
        if (!message.includes(text)) return void last.push(message.toString().slice(0, 500));
        this.lost = () => {};
        resolve(message.toString());
      };
      this.lost = (why) => reject(new Error(`${why} before ${text}, after ${last.slice(-3).join(' ')}`));
    });
  }

  close(): void {
    this.lost = () => {};
    this.hear = () => {};
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    let data = chunk;
    if (this.#rest !== null) {
      data = Buffer.concat([this.#rest, chunk]);
      this.#rest = null;
    }
    let at = 0;
    while (at < data.length) {
      const frame = frameAt(data, at);
      if (frame === null) {
        this.#rest = data.subarray(at);
        return;
      }
      at = frame.end;
      this.#read(frame.kind, data.subarray(frame.start, frame.end));
    }
  }

  #read(kind: number, payload: Buffer): void {
    if (kind === TEXT) this.hear(payload);
    else if (kind === FIRST || kind === MORE) this.#fragments.push(payload);
    else if (kind === LAST) this.hear(Buffer.concat([...this.#fragments.splice(0), payload]));
    else if (kind === PING) this.#socket.write(maskedFrame(PONG, payload));
    else if (kind === CLOSE) this.lost(`closed with ${payload.readUInt16BE()} ${payload.subarray(2)}`);
    else if (kind !== PONG) this.lost(`sent a frame that begins with ${kind}`);
  }
}

/** Where the payload of the frame at `at` begins and ends; null where not all of it is there. */
function frameAt(data: Buffer, at: number): { kind: number; start: number; end: number } | null {
  if (data.length < at + 2) return null;
  let length = data[at + 1]!;
  let start = at + 2;
  if (length === 126) {
    if (data.length < at + 4) return null;
    length = data.readUInt16BE(start);
    start += 2;
  } else if (length === 127) {
    if (data.length < at + HEADER) return null;
    length = Number(data.readBigUInt64BE(start));
    start += 8;
  }
  const end = start + length;
  return end > data.length ? null : { kind: data[at]!, start, end };
}

function masked(text: string): Buffer {
  return maskedFrame(TEXT, Buffer.from(text));
}

function maskedFrame(kind: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = length < 126 ? [length | 0x80] : [126 | 0x80, length >> 8, length & 0xff];
  if (length > 0xffff) throw new Error('A message of the load is longer than any of it has to be');
  return Buffer.concat([Buffer.from([kind, ...head]), MASK, payload.map((byte, i) => byte ^ MASK[i & 3]!)]);
}

/**
 * The frames of a text that differ in a number, which stands in each gap between its parts. Only the digits are
 * written for each frame.
 */
export class NumberedFrames {
  readonly #parts: readonly string[];
  /** The frame for numbers of so many digits, and where they stand in it. */
  #digits = 0;
  #frame: Buffer = Buffer.alloc(0);
  #gaps: readonly number[] = [];
  /** Where the payload begins. */
  #start = 0;

  constructor(parts: readonly string[]) {
    this.#parts = parts;
  }

  frame(n: number): Buffer {
    const digits = String(n);
    if (digits.length !== this.#digits) this.#prepare(digits);
    const frame = Buffer.from(this.#frame);
    for (const gap of this.#gaps) {
      for (let i = 0; i < digits.length; i++) {
        frame[gap + i] = digits.charCodeAt(i) ^ MASK[(gap + i - this.#start) & 3]!;
      }
    }
    return frame;
  }

  #prepare(digits: string): void {
    const text = this.#parts.join(digits);
    this.#frame = masked(text);
    this.#digits = digits.length;
    this.#start = this.#frame.length - Buffer.byteLength(text);
    let at = this.#start;
    this.#gaps = this.#parts.slice(0, -1).map((part) => {
      const gap = at + Buffer.byteLength(part);
      at = gap + digits.length;
      return gap;
    });
  }
}
