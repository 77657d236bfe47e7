import { isIPv4, isIPv6 } from 'node:net';
import type { IceServer } from '../graphql/services.ts';

/**
 * The rules of STUN and TURN URLs (RFC 7064, RFC 7065) and of the ICE_SERVERS setting. One URL that a
 * browser does not take makes its whole `new RTCPeerConnection` throw, so a wrong one has to be found when
 * the server starts. A problem never quotes the input: credentials are written beside and into URLs.
 */

/** Characters of a URL at most: a domain name of the greatest length (253) leaves plenty of room. */
const MAX_URL_LENGTH = 512;
/** Servers, and URLs of a server, at most. Browsers slow down from five on. */
const MAX_SERVERS = 32;
export const MAX_URLS = 32;
/** Bytes of a user name at most (RFC 8489 section 14.3); browsers throw above. */
const MAX_USERNAME_BYTES = 509;
/** Bytes of a credential at most. RFC 8489 has no bound; a token as a password fits. */
const MAX_CREDENTIAL_BYTES = 2048;

/**
 * Null when it is valid, else what is wrong. Narrower than the RFCs where browsers are: a port from 1 to
 * 65535, transport udp or tcp, and of the names of RFC 3986 those that DNS can resolve, with `_`, which
 * private names often have. Firefox throws on `stuns:`, which RFC 7064 has: whoever configures it should
 * know.
 */
export function checkIceServerUrl(url: string): string | null {
  if (url.length > MAX_URL_LENGTH) return `longer than ${MAX_URL_LENGTH} characters`;
  const scheme = /^(stuns?|turns?):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) return 'does not begin with stun:, stuns:, turn: or turns:';
  let rest = url.slice(scheme.length + 1);

  const query = rest.indexOf('?');
  if (query >= 0) {
    if (scheme.startsWith('stun')) return 'a STUN URL has no query';
    if (!/^\?transport=(udp|tcp)$/i.test(rest.slice(query))) {
      return 'the query is neither ?transport=udp nor ?transport=tcp';
    }
    rest = rest.slice(0, query);
  }

  // An IPv6 address stands in brackets, so that the colon before the port is the only one outside them.
  const hostEnd = rest.startsWith('[') ? rest.indexOf(']') + 1 : rest.search(/:|$/);
  const host = rest.slice(0, hostEnd);
  const port = rest.slice(hostEnd);
  if (!isHost(host)) return 'the host is neither an IP address (IPv6 in brackets) nor a domain name';
  if (port !== '' && !isPortSuffix(port)) return 'the port is not a number from 1 to 65535';
  return null;
}

/** Where an ICE server is to be found, and how it is spoken to. */
export interface IceServerAddress {
  readonly kind: 'stun' | 'turn';
  /** Name or address, IPv6 without brackets, in lower case. */
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  /** TLS over TCP (RFC 8489 section 6.2.3), DTLS over UDP (RFC 7350). */
  readonly secure: boolean;
}

/**
 * Of a URL that `checkIceServerUrl` has taken, with what it leaves out: ports 3478 and 5349, and UDP, or TCP
 * where it is secure (RFC 7064 section 3.2, RFC 7065 section 3.2; `turns:` over UDP only where it says so, as
 * browsers have it).
 */
export function parseIceServerUrl(url: string): IceServerAddress {
  const [, scheme, host, port, transport] =
    /^(stuns?|turns?):(.+?)(?::(\d+))?(?:\?transport=(udp|tcp))?$/.exec(url.toLowerCase())!;
  const secure = scheme!.endsWith('s');
  return {
    kind: scheme!.startsWith('stun') ? 'stun' : 'turn',
    host: host!.replace(/^\[|\]$/g, ''),
    port: Number(port ?? (secure ? 5349 : 3478)),
    transport: (transport as 'udp' | 'tcp' | undefined) ?? (secure ? 'tcp' : 'udp'),
    secure,
  };
}

/** One spelling for all URLs of one server, with port and transport. */
export function formatIceServerUrl({ kind, host, port, transport, secure }: IceServerAddress): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return `${kind}${secure ? 's' : ''}:${name}:${port}?transport=${transport}`;
}

function isHost(host: string): boolean {
  if (host.startsWith('[')) return isIPv6(host.slice(1, -1)) && !host.includes('%');
  if (host.length > 253) return false;
  const labels = host.split('.');
  // A name whose last label is a number is a broken IPv4 address.
  if (/^\d+$/.test(labels.at(-1)!)) return isIPv4(host);
  return labels.every((label) => label.length <= 63 && /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/i.test(label));
}

function isPortSuffix(suffix: string): boolean {
  return /^:\d{1,5}$/.test(suffix) && Number(suffix.slice(1)) >= 1 && Number(suffix.slice(1)) <= 65535;
}

/** What is valid of an ICE_SERVERS setting, and what is wrong with what is left out. */
export interface CheckedIceServers {
  readonly valid: IceServer[];
  readonly problems: string[];
}

/**
 * Checks the ICE_SERVERS setting, parsed from JSON: W3C RTCIceServer[], with `urls` a string or several. A URL
 * that is wrong drops out by itself; a server drops out where anything else of it is wrong, or no URL is left.
 * All problems are found, each with its place, such as `[1].urls[0]: does not begin with …`. What else stands
 * in an object (Twilio writes `url` beside `urls`) is left out; a `credentialType` other than password is
 * refused, since Firefox throws on it.
 */
export function checkIceServers(servers: unknown): CheckedIceServers {
  if (!Array.isArray(servers)) return { valid: [], problems: ['is not an array of RTCIceServer'] };
  const problems: string[] = [];
  const valid: IceServer[] = [];
  if (servers.length > MAX_SERVERS) problems.push(`has more than ${MAX_SERVERS} servers`);
  for (const [index, server] of servers.slice(0, MAX_SERVERS).entries()) {
    const read = readServer(server, (problem) => problems.push(`[${index}]${problem}`));
    if (read !== null) valid.push(read);
  }
  return { valid, problems };
}

/** Reports every problem; null where it can't be used. */
function readServer(server: unknown, report: (problem: string) => void): IceServer | null {
  if (typeof server !== 'object' || server === null || Array.isArray(server)) {
    report(': not an object');
    return null;
  }
  const given = server as Record<string, unknown>;
  const urls = readUrls(given.urls, report);
  let usable = true;
  const spoil = (problem: string) => {
    usable = false;
    report(problem);
  };
  const username = readSecret('username', given.username, MAX_USERNAME_BYTES, spoil);
  const credential = readSecret('credential', given.credential, MAX_CREDENTIAL_BYTES, spoil);
  if (given.credentialType !== undefined && given.credentialType !== 'password') {
    spoil('.credentialType: not password');
  }
  if (urls.some((url) => /^turn/i.test(url))) {
    if (isAbsent(given.username)) spoil('.username: a TURN server needs one');
    if (isAbsent(given.credential)) spoil('.credential: a TURN server needs one');
  }
  return usable && urls.length > 0 ? { urls, username, credential } : null;
}

function readUrls(urls: unknown, report: (problem: string) => void): string[] {
  const list: unknown[] = Array.isArray(urls) ? urls : [urls];
  if (urls == null || list.length === 0) {
    report('.urls: missing or empty');
    return [];
  }
  if (list.length > MAX_URLS) report(`.urls: more than ${MAX_URLS}`);
  const checked: string[] = [];
  for (const [index, url] of list.slice(0, MAX_URLS).entries()) {
    const problem = typeof url === 'string' ? checkIceServerUrl(url) : 'not a string';
    if (problem !== null) report(`${Array.isArray(urls) ? `.urls[${index}]` : '.urls'}: ${problem}`);
    else checked.push(url as string);
  }
  return checked;
}

/** An empty one is none: providers write it beside STUN URLs. */
function isAbsent(value: unknown): boolean {
  return value == null || value === '';
}

/** Null where it is absent or wrong. RFC 8265 section 4: no control characters. */
function readSecret(
  name: string,
  value: unknown,
  mostBytes: number,
  report: (problem: string) => void,
): string | null {
  if (isAbsent(value)) return null;
  if (typeof value !== 'string') {
    report(`.${name}: not a string`);
  } else if (Buffer.byteLength(value) > mostBytes) {
    report(`.${name}: longer than ${mostBytes} bytes`);
  } else if (/\p{Cc}/u.test(value)) {
    report(`.${name}: a control character`);
  } else {
    return value;
  }
  return null;
}
