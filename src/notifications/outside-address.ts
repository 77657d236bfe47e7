import { BlockList, isIP } from 'node:net';

/**
 * Which addresses a request of the server's may go to, where somebody else has a say in its URL or in what its
 * name resolves to: those of the internet; those of a private network where that is allowed. Pure.
 */

/** Why a request may not go there; null where it may. The words do not repeat the address. */
export function whyNotTo(address: string, allowPrivate: boolean): string | null {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) return 'is no address';
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (METADATA.check(address, type)) return 'is a metadata service';
  if (PRIVATE.check(address, type)) return allowPrivate ? null : 'is in a private network';
  const outside = type === 'ipv4' || GLOBAL.check(address, type);
  return outside && !SPECIAL.check(address, type) ? null : 'is not an address of the internet';
}

function blockList(...ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network, bits] = range.split('/') as [string, string];
    list.addSubnet(network, Number(bits), isIP(network) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

/** What clouds tell their own machines, keys included: never. Beside these, all of the link-local range. */
const METADATA = blockList(
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.192/32',
  '169.254.0.0/16',
  'fd00:ec2::254/128',
);

/** One's own machine, one's own network. */
const PRIVATE = blockList(
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '::1/128',
  'fc00::/7',
);

/** Of IPv6 all that is routed: so no address that carries an IPv4 one inside, but for those in SPECIAL. */
const GLOBAL = blockList('2000::/3');

/** The rest of IANA's registries of special-purpose addresses (RFC 6890), multicast, and what is reserved. */
const SPECIAL = blockList(
  '0.0.0.0/8',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
);
