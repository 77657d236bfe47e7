import { describe, expect, it } from 'vitest';
import { whyNotTo } from '../../src/notifications/outside-address.ts';

describe('an address that a request may go to', () => {
  it.each([
    '8.8.8.8',
    '93.184.216.34',
    '172.15.255.255',
    '172.32.0.1',
    '2606:4700::1111',
    '2a00:1450:4001::1',
  ])('%s is of the internet', (address) => {
    expect(whyNotTo(address, false)).toBeNull();
  });

  it.each([
    '127.0.0.1',
    '127.255.255.254',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '100.64.0.1',
    '::1',
    'fd00::1',
    'fc00::1',
    '::ffff:10.0.0.1',
    '::ffff:7f00:1',
  ])('%s is private: only where that is allowed', (address) => {
    expect(whyNotTo(address, false)).toBe('is in a private network');
    expect(whyNotTo(address, true)).toBeNull();
  });

  it.each([
    '169.254.169.254',
    '169.254.0.1',
    '::ffff:169.254.169.254',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    'fd00:ec2::254',
  ])('%s tells a cloud machine its keys: never', (address) => {
    expect(whyNotTo(address, true)).toBe('is a metadata service');
  });

  it.each([
    '0.0.0.0',
    '0.1.2.3',
    '192.0.2.1',
    '192.88.99.1',
    '198.18.0.1',
    '198.51.100.7',
    '203.0.113.7',
    '224.0.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '::',
    'fe80::1',
    'fec0::1',
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '3fff::1',
    '100::1',
    // With an IPv4 address inside: 6to4, NAT64, compatible.
    '2002:a00:1::',
    '64:ff9b::a00:1',
    '64:ff9b:1::a00:1',
    '::10.0.0.1',
    '::ffff:8.8.8.8',
  ])('%s is no one to talk to: never', (address) => {
    expect(whyNotTo(address, true)).toBe('is not an address of the internet');
  });

  it.each(['', 'localhost', '1', '0x7f000001', '127.1', '10.0.0.1/8', 'fe80::1%lo', '[::1]'])(
    '%s is no address',
    (text) => {
      expect(whyNotTo(text, true)).toBe('is no address');
    },
  );
});
