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
const MAX_URLS = 32;
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

/**
 * Checks the ICE_SERVERS setting, parsed from JSON: W3C RTCIceServer[], with `urls` a string or several. All
 * problems are found, each with its place, such as `[1].urls[0]: does not begin with …`. What else stands in
 * an object (Twilio writes `url` beside `urls`) is left out; a `credentialType` other than password is
 * refused, since Firefox throws on it.
 */
export function checkIceServers(servers: unknown): { servers: IceServer[] } | { problems: string[] } {
  if (!Array.isArray(servers)) return { problems: ['not an array of RTCIceServer'] };
  if (servers.length > MAX_SERVERS) return { problems: [`more than ${MAX_SERVERS} servers`] };
  const problems: string[] = [];
  const checked: IceServer[] = [];
  for (const [index, server] of servers.entries()) {
    checked.push(readServer(server, (problem) => problems.push(`[${index}]${problem}`)));
  }
  return problems.length > 0 ? { problems } : { servers: checked };
}

/** Reports every problem; what it gives back counts only where there was none. */
function readServer(server: unknown, report: (problem: string) => void): IceServer {
  const none: IceServer = { urls: [], username: null, credential: null };
  if (typeof server !== 'object' || server === null || Array.isArray(server)) {
    report(': not an object');
    return none;
  }
  const given = server as Record<string, unknown>;
  const urls = readUrls(given.urls, report);
  const username = readSecret('username', given.username, MAX_USERNAME_BYTES, report);
  const credential = readSecret('credential', given.credential, MAX_CREDENTIAL_BYTES, report);
  if (given.credentialType !== undefined && given.credentialType !== 'password') {
    report('.credentialType: not password');
  }
  if (urls.some((url) => /^turn/i.test(url))) {
    if (isAbsent(given.username)) report('.username: a TURN server needs one');
    if (isAbsent(given.credential)) report('.credential: a TURN server needs one');
  }
  return { urls, username, credential };
}

function readUrls(urls: unknown, report: (problem: string) => void): string[] {
  const list: unknown[] = Array.isArray(urls) ? urls : [urls];
  if (urls == null || list.length === 0) {
    report('.urls: missing or empty');
    return [];
  }
  if (list.length > MAX_URLS) {
    report(`.urls: more than ${MAX_URLS}`);
    return [];
  }
  const checked: string[] = [];
  for (const [index, url] of list.entries()) {
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
