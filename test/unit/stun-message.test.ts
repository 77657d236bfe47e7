import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ATTRIBUTES,
  decodeMessage,
  encodeRequest,
  errorCodeOf,
  hasIntegrity,
  longTermKey,
  METHODS,
  withFingerprint,
  withIntegrity,
  xorAddressOf,
} from '../../src/ice-servers/stun-message.ts';

/** RFC 5769, with its erratum about the user name of 2.4. */
const VECTORS = {
  request: `000100582112a442b7e7a701bc34d686fa87dfae 802200105354554e207465737420636c69656e74
    002400046e0001ff 80290008932ff9b151263b36 00060009 6576746a3a68367659202020
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004e57a3bcf`,
  ipv4: `0101003c2112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
    002000080001a147e112a643 000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004c07d4c96`,
  ipv6: `010100482112a442b7e7a701bc34d686fa87dfae 8022000b7465737420766563746f7220
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014a382954e4be67bf11784c97c8292c275bfe3ed41 80280004c8fb0b4c`,
  longTerm: `000100602112a44278ad3433c6ad72c029da412e 00060012e3839ee38388e383aae38383e382afe382b90000
    0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473 41
    0014000b6578616d706c652e6f726700 00080014f67024656dd64a3e02b8e0712e85c9a28ca89666`,
};
const bytesOf = (hex: string) => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const PASSWORD = Buffer.from('VOkJxbRl1RmTxUk/WvJxBt');
const ID = Buffer.from('b7e7a701bc34d686fa87dfae', 'hex');

describe('the test vectors of RFC 5769', () => {
  it('2.1: a request with short-term authentication', () => {
    const message = decodeMessage(bytesOf(VECTORS.request))!;
    expect(message).toMatchObject({ class: 'request', method: METHODS.binding, transactionId: ID });
    expect(message.attributes.get(ATTRIBUTES.username)?.toString()).toBe('evtj:h6vY');
    expect(hasIntegrity(message, PASSWORD)).toBe(true);
    expect(hasIntegrity(message, Buffer.from('another'))).toBe(false);
  });

  it('2.2: a response with an IPv4 address', () => {
    const message = decodeMessage(bytesOf(VECTORS.ipv4))!;
    expect(message).toMatchObject({ class: 'success', method: METHODS.binding, transactionId: ID });
    expect(xorAddressOf(message, ATTRIBUTES.xorMappedAddress)).toEqual({
      address: Buffer.from([192, 0, 2, 1]),
      port: 32853,
    });
    expect(hasIntegrity(message, PASSWORD)).toBe(true);
  });

  it('2.3: a response with an IPv6 address', () => {
    const message = decodeMessage(bytesOf(VECTORS.ipv6))!;
    expect(xorAddressOf(message, ATTRIBUTES.xorMappedAddress)).toEqual({
      address: Buffer.from('20010db8123456780011223344556677', 'hex'),
      port: 32853,
    });
    expect(hasIntegrity(message, PASSWORD)).toBe(true);
  });

  it('2.4: a request with long-term authentication, read and written', () => {
    const bytes = bytesOf(VECTORS.longTerm);
    const username = 'マトリックス';
    const key = longTermKey(username, 'example.org', 'TheMatrIX');
    expect(hasIntegrity(decodeMessage(bytes)!, key)).toBe(true);
    const request = encodeRequest(METHODS.binding, bytes.subarray(8, 20), [
      [ATTRIBUTES.username, Buffer.from(username)],
      [ATTRIBUTES.nonce, Buffer.from('f//499k954d6OL34oL9FSTvy64sA')],
      [ATTRIBUTES.realm, Buffer.from('example.org')],
    ]);
    expect(withIntegrity(request, key)).toEqual(bytes);
  });

  it('a damaged byte before the fingerprint is found, whichever it is', () => {
    const bytes = bytesOf(VECTORS.ipv6);
    for (let at = 0; at < bytes.length - 8; at++) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 0x10;
      expect(decodeMessage(damaged)).toBeNull();
    }
  });
});

const id = fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => Buffer.from(bytes));
const value = fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes));
const ordinary = fc
  .integer({ min: 0, max: 0xffff })
  .filter((kind) => kind !== ATTRIBUTES.messageIntegrity && kind !== ATTRIBUTES.fingerprint);

describe('a message', () => {
  it('is read as it was written', () => {
    const attributes = fc.uniqueArray(fc.tuple(ordinary, value), {
      selector: ([kind]) => kind,
      maxLength: 6,
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xfff }), id, attributes, value, (method, tid, given, key) => {
        const written = withFingerprint(withIntegrity(encodeRequest(method, tid, given), key));
        const message = decodeMessage(written)!;
        expect(message).toMatchObject({ class: 'request', method, transactionId: tid });
        for (const [kind, wanted] of given) expect(message.attributes.get(kind)).toEqual(wanted);
        expect(hasIntegrity(message, key)).toBe(true);
      }),
    );
  });

  it('has no attribute that nobody vouches for', () => {
    const key = Buffer.from('key');
    const signed = withIntegrity(encodeRequest(METHODS.refresh, ID, []), key);
    // Another attribute after MESSAGE-INTEGRITY, counted in the header.
    const more = Buffer.concat([signed, Buffer.from('000d000400000258', 'hex')]);
    more.writeUInt16BE(more.length - 20, 2);
    const message = decodeMessage(more)!;
    expect(message.attributes.has(ATTRIBUTES.lifetime)).toBe(false);
    expect(hasIntegrity(message, key)).toBe(true);
  });

  it.each([
    ['00000401', 401],
    ['00000326', 338],
    ['00000463', 499],
    ['00000464', null],
    ['00000200', null],
    ['000004', null],
  ])('with the error %s has the code %s', (hex, code) => {
    const attribute = Buffer.from(hex, 'hex');
    const message = decodeMessage(encodeRequest(METHODS.allocate, ID, [[ATTRIBUTES.errorCode, attribute]]))!;
    expect(errorCodeOf(message)).toBe(code);
  });

  it('made of anything is read, or is none; nothing throws', () => {
    const framed = fc.tuple(fc.integer({ min: 0, max: 0xffff }), id, fc.uint8Array({ maxLength: 120 }));
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      // With a header that fits, so that the attributes are reached.
      framed.map(([type, tid, body]) => {
        const padded = Buffer.alloc((body.length + 3) & ~3);
        padded.set(body);
        const header = encodeRequest(0, tid, []);
        header.writeUInt16BE(type & 0x3fff, 0);
        header.writeUInt16BE(padded.length, 2);
        return Buffer.concat([header, padded]);
      }),
      // One that was right, cut or with a byte changed.
      fc
        .tuple(fc.constantFrom(...Object.values(VECTORS)), fc.nat(130), fc.nat(255))
        .map(([hex, at, byte]) => {
          const bytes = bytesOf(hex);
          if (at >= bytes.length) return bytes.subarray(0, at - bytes.length);
          bytes[at] = byte;
          return bytes;
        }),
    );
    fc.assert(
      fc.property(garbage, (bytes) => {
        const message = decodeMessage(bytes);
        if (message === null) return;
        errorCodeOf(message);
        xorAddressOf(message, ATTRIBUTES.xorMappedAddress);
        xorAddressOf(message, ATTRIBUTES.xorRelayedAddress);
        hasIntegrity(message, PASSWORD);
        const room = [...message.attributes.values()].reduce((sum, { length }) => sum + length + 4, 20);
        expect(room).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2_000 },
    );
  });
});
