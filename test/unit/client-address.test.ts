import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createClientAddresses, isProxyName } from '../../src/http/client-address.ts';

function request(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { headers, socket: { remoteAddress } } as unknown as IncomingMessage;
}

function addressOf(trusted: string[], remoteAddress: string | undefined, forwarded?: string): string {
  return createClientAddresses(trusted, () => {}).of(request(remoteAddress, forwarded));
}

const PROXIES = ['loopback', '10.1.0.0/16', '2001:db8:ffff::7'];

describe('the address that a request counts as', () => {
  it.each([
    ['192.0.2.7', undefined, '192.0.2.7'],
    ['::ffff:192.0.2.7', undefined, '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', undefined, '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', undefined, '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', undefined, '2001:db8:1:3::/64'],
    ['::1', undefined, '0:0:0:0::/64'],
    ['fe80::1%eth0', undefined, 'fe80:0:0:0::/64'],
    // Of a connection that is gone.
    [undefined, '192.0.2.7', 'unknown'],
    // By proxies, however many of them are trusted.
    ['127.0.0.1', '192.0.2.7', '192.0.2.7'],
    ['::ffff:127.0.0.1', '2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:db8:ffff::7', '192.0.2.7', '192.0.2.7'],
    ['127.0.0.1', '192.0.2.7, 10.1.2.3', '192.0.2.7'],
    ['127.0.0.1', '::ffff:192.0.2.7,::ffff:10.1.2.3', '192.0.2.7'],
    // What a client wrote itself stands before what the proxy added.
    ['127.0.0.1', '203.0.113.9, 192.0.2.7', '192.0.2.7'],
    ['127.0.0.1', '10.1.2.3, 192.0.2.7', '192.0.2.7'],
    // A proxy that does not say for whom it speaks.
    ['10.1.2.3', undefined, '10.1.2.3'],
    ['10.1.2.3', 'unknown', '10.1.2.3'],
    ['10.1.2.3', '', '10.1.2.3'],
    ['10.1.2.3', '::0.0.0.0', '10.1.2.3'],
  ])('of %s that sends %s is %s', (remoteAddress, forwarded, counted) => {
    expect(addressOf(PROXIES, remoteAddress, forwarded)).toBe(counted);
  });

  const anyAddress = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV4().map((address) => `::ffff:${address}`),
  );
  const anyHeader = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(anyAddress, fc.string(), fc.constant('127.0.0.1'))).map((parts) => parts.join(', ')),
  );

  it('does not depend on the header of one who is not trusted', () => {
    // Addresses of documentation (RFC 5737, RFC 3849): none of them is one of the proxies.
    const outside = fc.oneof(
      fc.nat(255).map((last) => `192.0.2.${last}`),
      fc.nat(255).map((last) => `::ffff:203.0.113.${last}`),
      fc.nat(0xffff).map((part) => `2001:db8:1:${part.toString(16)}::1`),
    );
    fc.assert(
      fc.property(outside, anyHeader, fc.constantFrom([], PROXIES), (address, header, trusted) => {
        expect(addressOf(trusted, address, header)).toBe(addressOf(trusted, address));
      }),
    );
  });

  it('does not depend on what a client wrote before its proxy added to it', () => {
    fc.assert(
      fc.property(anyHeader, fc.nat(255), (forged, last) => {
        const client = `192.0.2.${last}`;
        expect(addressOf(PROXIES, '127.0.0.1', `${forged}, ${client}`)).toBe(client);
      }),
    );
  });

  it('is an IPv4 address or a /64, whatever proxies may write', () => {
    fc.assert(
      fc.property(anyHeader, (header) => {
        const everyone = ['0.0.0.0/1', '128.0.0.0/1', '::/1', '8000::/1'];
        expect(addressOf(everyone, '127.0.0.1', header)).toMatch(/^(?:\d+\.\d+\.\d+\.\d+|[0-9a-f:]+::\/64)$/);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('a refusal by address', () => {
  it('is explained once, where it may have met a proxy that nobody named, and without the address', () => {
    const warnings: string[] = [];
    const addresses = createClientAddresses(PROXIES, (message) => warnings.push(message));
    addresses.refused(request('192.0.2.7'));
    addresses.refused(request('127.0.0.1', '192.0.2.7'));
    expect(warnings).toEqual([]);
    addresses.refused(request('192.0.2.7', '203.0.113.9'));
    addresses.refused(request('192.0.2.8', '203.0.113.9'));
    expect(warnings).toEqual([expect.stringContaining('TRUSTED_PROXIES')]);
    expect(warnings.join()).not.toMatch(/\d+\.\d+\.\d+/);
  });
});

describe('a trusted proxy', () => {
  it.each([
    'loopback',
    'linklocal',
    'uniquelocal',
    '192.0.2.1',
    '::1',
    '10.0.0.0/8',
    '2001:db8::/32',
    '10.0.0.0/255.0.0.0',
  ])('may be named as %s', (name) => expect(isProxyName(name)).toBe(true));

  it.each([
    '',
    '1',
    'true',
    'proxy.example.com',
    '*',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/33',
    '10.0.0.0/',
    '127.1',
    '10.0.0.0/8/8',
    '192.0.2.1:80',
    'constructor',
  ])('may not be named as %j', (name) => expect(isProxyName(name)).toBe(false));
});
