/**
 * Text messages as frames of a WebSocket, RFC 6455 section 5.2: final, not masked, not compressed. ws would make a
 * header, a copy and two writes of each; here all of a turn are one piece.
 */

const FINAL_TEXT = 0x81;
/** From here on the length has two bytes of its own, and from 64 KiB on eight. */
const [TWO_BYTES, EIGHT_BYTES] = [126, 127];

/** UTF-8; what is no Unicode, a surrogate alone, becomes U+FFFD. */
export function framed(messages: readonly string[]): Buffer {
  const lengths: number[] = [];
  let size = 0;
  for (const message of messages) {
    const length = Buffer.byteLength(message);
    lengths.push(length);
    size += headerSize(length) + length;
  }
  const frames = Buffer.allocUnsafe(size);
  let at = 0;
  for (let i = 0; i < messages.length; i++) {
    const length = lengths[i] as number;
    at = writeHeader(frames, at, length);
    // Nearly all messages are ASCII, which is quicker where it is known.
    const isLatin = length === (messages[i] as string).length;
    at += frames.write(messages[i] as string, at, length, isLatin ? 'latin1' : 'utf8');
  }
  return frames;
}

function headerSize(length: number): number {
  if (length < TWO_BYTES) return 2;
  return length < 0x1_0000 ? 4 : 10;
}

function writeHeader(frames: Buffer, at: number, length: number): number {
  frames[at] = FINAL_TEXT;
  if (length < TWO_BYTES) {
    frames[at + 1] = length;
    return at + 2;
  }
  if (length < 0x1_0000) {
    frames[at + 1] = TWO_BYTES;
    frames[at + 2] = length >> 8;
    frames[at + 3] = length & 0xff;
    return at + 4;
  }
  frames[at + 1] = EIGHT_BYTES;
  frames.writeUInt32BE(0, at + 2);
  frames.writeUInt32BE(length, at + 6);
  return at + 10;
}
