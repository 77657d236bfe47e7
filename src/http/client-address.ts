import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import proxyAddr from 'proxy-addr';

/**
 * Whose request it is, for limits by address. Anyone can write an X-Forwarded-For; it is believed from the
 * proxies alone that TRUSTED_PROXIES names, and each of them has added to its end whom it heard.
 */

export interface ClientAddresses {
  /** What the request counts as. */
  of(request: IncomingMessage): string;
  /** To be told of each refusal by address: says, once, that it may have met a proxy that nobody named. */
  refused(request: IncomingMessage): void;
}

export function createClientAddresses(
  trustedProxies: readonly string[],
  warn: (message: string) => void,
): ClientAddresses {
  const trust = proxyAddr.compile([...trustedProxies]);
  let warned = false;
  return {
    of(request) {
      const way = proxyAddr.all(request, trust);
      // A proxy may write `unknown`: then it counts for whom it speaks.
      const address = way.findLast(isAddress);
      return address === undefined ? 'unknown' : countedAs(address);
    },
    refused({ headers, socket }) {
      if (warned || headers['x-forwarded-for'] === undefined || trust(socket.remoteAddress ?? '', 0)) return;
      warned = true;
      // Without the address, which may be a participant's.
      warn(
        'A limit by address refused somebody who sends X-Forwarded-For and is not one of TRUSTED_PROXIES: ' +
          'if it is your proxy, name it there; until then all its clients count as one',
      );
    },
  };
}

/** By both: ipaddr.js takes `1` for an address too, and does not know each form of IPv6. */
function isAddress(text: string | undefined): boolean {
  return text !== undefined && isIP(text) !== 0 && ipaddr.isValid(text);
}

/** An IPv4 address as it is; of an IPv6 address the /64, of which one line has all. */
function countedAs(address: string): string {
  const parsed = ipaddr.process(address);
  if ('octets' in parsed) return parsed.toString();
  const network = parsed.parts.slice(0, 4).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}

/** What TRUSTED_PROXIES may name. */
export function isProxyName(text: string): boolean {
  // proxy-addr alone would take `1`, elsewhere a number of proxies, for the address 0.0.0.1.
  const known = isAddress(text.split('/')[0]) || ['loopback', 'linklocal', 'uniquelocal'].includes(text);
  if (!known) return false;
  try {
    proxyAddr.compile(text);
    return true;
  } catch {
    return false;
  }
}
