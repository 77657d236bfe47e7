import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * STUN messages (RFC 8489 section 5 and 14), as far as a client of STUN and TURN (RFC 8656) needs them.
 * Written here because what npm has knows no TURN, or is a whole WebRTC stack.
 */

export const METHODS = { binding: 0x001, allocate: 0x003, refresh: 0x004 } as const;

export const ATTRIBUTES = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  lifetime: 0x000d,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedTransport: 0x0019,
  xorMappedAddress: 0x0020,
  fingerprint: 0x8028,
} as const;

const CLASSES = ['request', 'indication', 'success', 'error'] as const;
export type StunClass = (typeof CLASSES)[number];

export interface StunMessage {
  readonly class: StunClass;
  readonly method: number;
  /** 12 bytes. */
  readonly transactionId: Buffer;
  /** The first of each type; those after MESSAGE-INTEGRITY are left out, since nobody vouches for them. */
  readonly attributes: ReadonlyMap<number, Buffer>;
  /** What MESSAGE-INTEGRITY is about, as it came; null where there is none. */
  readonly vouched: Buffer | null;
}

const HEADER = 20;
const MAGIC = 0x2112a442;
const INTEGRITY_BYTES = 24;
const FINGERPRINT_BYTES = 8;
/** "STUN" (RFC 8489 section 14.7). */
const FINGERPRINT_XOR = 0x5354554e;

export function encodeRequest(
  method: number,
  transactionId: Buffer,
  attributes: readonly (readonly [type: number, value: Buffer])[],
): Buffer {
  // Bits of a method stand on both sides of the class's, which are 0 for a request (section 5).
  const type = ((method & 0xf80) << 2) | ((method & 0x070) << 1) | (method & 0x00f);
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(type, 0);
  header.writeUInt32BE(MAGIC, 4);
  transactionId.copy(header, 8, 0, 12);
  let message: Buffer = header;
  for (const [kind, value] of attributes) message = append(message, kind, value);
  return message;
}

/** With MESSAGE-INTEGRITY by this key (section 14.5). */
export function withIntegrity(message: Buffer, key: Buffer): Buffer {
  return append(message, ATTRIBUTES.messageIntegrity, integrityOf(message, key));
}

/** With FINGERPRINT (section 14.7), which has to be the last. */
export function withFingerprint(message: Buffer): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(fingerprintOf(message));
  return append(message, ATTRIBUTES.fingerprint, value);
}

/** Null for what is no STUN message, or one that was damaged on its way. */
export function decodeMessage(bytes: Buffer): StunMessage | null {
  if (messageLength(bytes) !== bytes.length) return null;
  const type = bytes.readUInt16BE(0);
  const attributes = new Map<number, Buffer>();
  let vouched: Buffer | null = null;
  for (let at = HEADER; at < bytes.length; ) {
    const kind = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    const value = bytes.subarray(at + 4, at + 4 + length);
    const next = at + 4 + padded(length);
    if (next > bytes.length) return null;
    if (kind === ATTRIBUTES.fingerprint) {
      const last = next === bytes.length && length === 4;
      if (!last || value.readUInt32BE() !== fingerprintOf(bytes.subarray(0, at))) return null;
    } else if (vouched === null) {
      if (!attributes.has(kind)) attributes.set(kind, value);
      if (kind === ATTRIBUTES.messageIntegrity) vouched = bytes.subarray(0, at);
    }
    at = next;
  }
  return {
    class: CLASSES[((type >> 7) & 2) | ((type >> 4) & 1)]!,
    method: ((type >> 2) & 0xf80) | ((type >> 1) & 0x070) | (type & 0x00f),
    transactionId: bytes.subarray(8, HEADER),
    attributes,
    vouched,
  };
}

/** Bytes of the message that begins here, by its header; null where none does, or too little of it is there. */
export function messageLength(bytes: Buffer): number | null {
  if (bytes.length < HEADER || bytes.readUInt32BE(4) !== MAGIC) return null;
  const length = bytes.readUInt16BE(2);
  return bytes[0]! >= 0x40 || length % 4 !== 0 ? null : HEADER + length;
}

/** Whether MESSAGE-INTEGRITY is there and made with this key. */
export function hasIntegrity({ attributes, vouched }: StunMessage, key: Buffer): boolean {
  const given = attributes.get(ATTRIBUTES.messageIntegrity);
  return vouched !== null && given?.length === 20 && timingSafeEqual(given, integrityOf(vouched, key));
}

/** The key of the long-term credential mechanism (section 9.2.2), of a password that needs no preparation. */
export function longTermKey(username: string, realm: string, password: string): Buffer {
  return createHash('md5').update(`${username}:${realm}:${password}`).digest();
}

/** 300 to 699 (section 14.8); null where there is none. */
export function errorCodeOf({ attributes }: StunMessage): number | null {
  const value = attributes.get(ATTRIBUTES.errorCode);
  if (value === undefined || value.length < 4) return null;
  const code = (value[2]! & 7) * 100 + value[3]!;
  return code >= 300 && code <= 699 && value[3]! <= 99 ? code : null;
}

/** The value of XOR-MAPPED-ADDRESS and its like (section 14.2); null where it is not there or is not one. */
export function xorAddressOf(
  { attributes, transactionId }: StunMessage,
  type: number,
): { readonly address: Buffer; readonly port: number } | null {
  const value = attributes.get(type);
  if (value === undefined || value.length < 4) return null;
  const length = { 1: 4, 2: 16 }[value[1]!];
  if (value.length - 4 !== length) return null;
  const mask = Buffer.alloc(16);
  mask.writeUInt32BE(MAGIC);
  transactionId.copy(mask, 4);
  return {
    address: Buffer.from(value.subarray(4).map((byte, index) => byte ^ mask[index]!)),
    port: value.readUInt16BE(2) ^ (MAGIC >>> 16),
  };
}

/** The message with one more attribute, and a length in its header that counts it. */
function append(message: Buffer, kind: number, value: Buffer): Buffer {
  const attribute = Buffer.alloc(4 + padded(value.length));
  attribute.writeUInt16BE(kind, 0);
  attribute.writeUInt16BE(value.length, 2);
  value.copy(attribute, 4);
  return Buffer.concat([withLength(message, attribute.length), attribute]);
}

/** Length as if so many bytes more were there. */
function withLength(message: Buffer, more: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(message.length - HEADER + more, 2);
  return copy;
}

function integrityOf(message: Buffer, key: Buffer): Buffer {
  return createHmac('sha1', key).update(withLength(message, INTEGRITY_BYTES)).digest();
}

function fingerprintOf(message: Buffer): number {
  return (crc32(withLength(message, FINGERPRINT_BYTES)) ^ FINGERPRINT_XOR) >>> 0;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}
