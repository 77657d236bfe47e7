import { isIPv4, isIPv6 } from 'node:net';

/**
 * The rules of an ICE candidate: the string by the grammar of RFC 8839 section 5.1 with RFC 6544 for TCP,
 * and what stands beside it in a W3C RTCIceCandidateInit. Browsers let CR and LF through into their remote
 * SDP, so what is let through here is one line of printable ASCII. A problem never quotes the input.
 */

/**
 * Characters of a candidate at most. Real ones have 60 to 200, and one with two names of the greatest length
 * some 600; 32 of this length still fit into a message of 64 KiB.
 */
export const MAX_CANDIDATE_LENGTH = 1024;
/** Characters of a media identification at most: what RFC 8843's header extension carries. */
export const MAX_MID_LENGTH = 255;
/** Media sections of a description at most, and so one above the highest sdpMLineIndex. */
export const MAX_MEDIA_SECTIONS = 256;

/** W3C RTCIceCandidateInit as a client sends it. */
export interface CandidateInit {
  readonly candidate: string;
  readonly sdpMid?: string | null;
  readonly sdpMLineIndex?: number | null;
  readonly usernameFragment?: string | null;
}

/**
 * Null when it is valid, else the field and what is wrong with it, such as `candidate: port out of range`.
 * End-of-candidates may come without sdpMid and sdpMLineIndex: it is then for every media section (W3C
 * WebRTC section 4.4.2, addIceCandidate), and both browsers take it so.
 */
export function checkCandidate(init: CandidateInit): string | null {
  const { candidate, sdpMid = null, sdpMLineIndex = null, usernameFragment = null } = init;
  const problem = candidate === '' ? null : checkCandidateLine(candidate);
  if (problem !== null) return `candidate: ${problem}`;
  if (sdpMid === null && sdpMLineIndex === null && candidate !== '') {
    return 'sdpMid: sdpMid or sdpMLineIndex must be there';
  }
  if (sdpMid !== null && !isMid(sdpMid)) {
    return `sdpMid: not a token of 1 to ${MAX_MID_LENGTH} characters`;
  }
  if (sdpMLineIndex !== null && !isMLineIndex(sdpMLineIndex)) {
    return `sdpMLineIndex: not an integer from 0 to ${MAX_MEDIA_SECTIONS - 1}`;
  }
  if (usernameFragment !== null && !isUfrag(usernameFragment)) {
    return 'usernameFragment: not 4 to 256 letters, digits, "+" or "/"';
  }
  return null;
}

/** RFC 8839 section 5.4: 4 to 256 ice-char. */
export function isUfrag(text: string): boolean {
  return text.length >= 4 && text.length <= 256 && consistsOf(ICE_CHAR, text, 0, text.length);
}

/** RFC 8839 section 5.4: 22 to 256 ice-char. */
export function isIcePassword(text: string): boolean {
  return text.length >= 22 && text.length <= 256 && consistsOf(ICE_CHAR, text, 0, text.length);
}

/** RFC 5888 section 4: a token. */
export function isMid(text: string): boolean {
  return text.length >= 1 && text.length <= MAX_MID_LENGTH && consistsOf(TOKEN_CHAR, text, 0, text.length);
}

function isMLineIndex(index: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < MAX_MEDIA_SECTIONS;
}

/**
 * Null when `text` is a candidate-attribute (RFC 8839 section 5.1), with or without `a=` before it as some
 * stacks write it; else what is wrong. Literals are case-insensitive, as those of ABNF are. One pass over the
 * text with indexes, since this is the hot path: nothing is split, and only addresses are cut out.
 */
export function checkCandidateLine(text: string): string | null {
  const { length } = text;
  if (length <= MAX_CANDIDATE_LENGTH && COMMON.test(text)) return null;
  if (length > MAX_CANDIDATE_LENGTH) return `longer than ${MAX_CANDIDATE_LENGTH} characters`;
  if (!isPrintableAscii(text)) return 'a control character, or one that is not ASCII';

  let start = text.startsWith('a=') ? 2 : 0;
  if (!isLiteral(text, start, start + 10, 'candidate:')) return 'does not begin with "candidate:"';
  start += 10;
  let end = fieldEnd(text, start);
  if (end - start < 1 || end - start > 32 || !consistsOf(ICE_CHAR, text, start, end)) {
    return 'foundation is not 1 to 32 letters, digits, "+" or "/"';
  }

  start = end + 1;
  end = fieldEnd(text, start);
  const component = digits(text, start, end, 3);
  if (component < 1 || component > 256) return 'component is not a number from 1 to 256';

  start = end + 1;
  end = fieldEnd(text, start);
  // The grammar has room for other transports; W3C's RTCIceProtocol has not, and Chromium refuses them.
  const tcp = isLiteral(text, start, end, 'tcp');
  if (!tcp && !isLiteral(text, start, end, 'udp')) return 'transport is neither udp nor tcp';

  start = end + 1;
  end = fieldEnd(text, start);
  const priority = digits(text, start, end, 10);
  if (priority < 1 || priority > 0x7fffffff) return 'priority is not a number from 1 to 2^31-1';

  start = end + 1;
  end = fieldEnd(text, start);
  if (!isAddress(text, start, end)) return 'address is neither an IP address nor a domain name';

  start = end + 1;
  end = fieldEnd(text, start);
  const port = digits(text, start, end, 5);
  if (port < 0) return 'port is not a number';
  if (port > 65535) return 'port out of range';

  start = end + 1;
  end = fieldEnd(text, start);
  if (!isLiteral(text, start, end, 'typ')) return '"typ" is missing';
  start = end + 1;
  end = fieldEnd(text, start);
  if (!isCandidateType(text, start, end)) return 'type is none of host, srflx, prflx and relay';

  let active = false;
  while (end < length) {
    start = end + 1;
    const nameEnd = fieldEnd(text, start);
    if (nameEnd === start || !consistsOf(TOKEN_CHAR, text, start, nameEnd)) {
      return 'the name of an extension is not a token';
    }
    if (nameEnd === length) return 'an extension has no value';
    const valueStart = nameEnd + 1;
    end = fieldEnd(text, valueStart);
    if (isLiteral(text, start, nameEnd, 'raddr')) {
      if (!isAddress(text, valueStart, end)) return 'raddr is neither an IP address nor a domain name';
    } else if (isLiteral(text, start, nameEnd, 'rport')) {
      const relatedPort = digits(text, valueStart, end, 5);
      if (relatedPort < 0 || relatedPort > 65535) return 'rport is not a number from 0 to 65535';
    } else if (isLiteral(text, start, nameEnd, 'tcptype')) {
      if (!tcp) return 'tcptype on a candidate that is not tcp';
      if (!isTcpType(text, valueStart, end)) return 'tcptype is none of active, passive and so';
      active = isLiteral(text, valueStart, end, 'active');
    }
  }
  // An active candidate's port is never connected to: RFC 6544 section 4.5 writes 9, older stacks write 0.
  if (port === 0 && !active) return 'port out of range';
  return null;
}

/**
 * What browsers send nearly always: a part of the grammar that one expression takes at a glance, in a third of the time.
 * Whatever is not in it is looked at field by field.
 */
const COMMON = (() => {
  const byte = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
  const address = `(?:(?:${byte}\\.){3}${byte}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.local)`;
  const port = '[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d\\d|655[0-2]\\d|6553[0-5]';
  const related = `(?: raddr ${address} rport (?:0|${port}))?`;
  // Up to 2139999999: those of host candidates are just above 2^31 less 2^24.
  const priority = '(?:[1-9]\\d{0,8}|1\\d{9}|2(?:0\\d|1[0-3])\\d{7})';
  const more = '(?: (?:generation|ufrag|network-id|network-cost) [A-Za-z0-9+/]{1,32}){0,4}';
  const udp = `(?:udp|UDP) ${priority} ${address} (?:${port}) typ (?:host|srflx|prflx|relay)${related}`;
  const tcp = `(?:tcp|TCP) ${priority} ${address} 9 typ host tcptype active`;
  return new RegExp(`^candidate:[A-Za-z0-9+/]{1,32} [12] (?:${udp}|${tcp})${more}$`);
})();

/** Anything that is not. */
const NOT_PRINTABLE_ASCII = /[^\x20-\x7e]/;

function isPrintableAscii(text: string): boolean {
  return !NOT_PRINTABLE_ASCII.test(text);
}

const TOKEN_CHAR = 1;
const ICE_CHAR = 2;
/** For each ASCII code the classes it is in: token-char of RFC 8866 section 9, ice-char of RFC 8839. */
const CLASSES = new Uint8Array(128);
for (let code = 0x21; code < 0x7f; code += 1) {
  const char = String.fromCharCode(code);
  if (!'"(),/:;<=>?@[\\]'.includes(char)) CLASSES[code]! |= TOKEN_CHAR;
  if (/[A-Za-z0-9+/]/.test(char)) CLASSES[code]! |= ICE_CHAR;
}

function consistsOf(charClass: number, text: string, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0x7f || (CLASSES[code]! & charClass) === 0) return false;
  }
  return true;
}

/** Where the field that begins at `start` ends: at the next space or at the end. */
function fieldEnd(text: string, start: number): number {
  const space = text.indexOf(' ', start);
  return space < 0 ? text.length : space;
}

/** Whether the printable text from `start` to `end` is `literal`, which is in lower case, in any case. */
function isLiteral(text: string, start: number, end: number, literal: string): boolean {
  if (end - start !== literal.length || end > text.length) return false;
  for (let i = 0; i < literal.length; i += 1) {
    // The bit of lower case changes no printable character into a letter but a letter.
    if ((text.charCodeAt(start + i) | 0x20) !== literal.charCodeAt(i)) return false;
  }
  return true;
}

/** The number from `start` to `end`; -1 where it is not 1 to `most` digits. */
function digits(text: string, start: number, end: number, most: number): number {
  if (end <= start || end - start > most) return -1;
  let value = 0;
  for (let i = start; i < end; i += 1) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function isCandidateType(text: string, start: number, end: number): boolean {
  return (
    isLiteral(text, start, end, 'host') ||
    isLiteral(text, start, end, 'srflx') ||
    isLiteral(text, start, end, 'relay') ||
    isLiteral(text, start, end, 'prflx')
  );
}

function isTcpType(text: string, start: number, end: number): boolean {
  return (
    isLiteral(text, start, end, 'active') ||
    isLiteral(text, start, end, 'passive') ||
    isLiteral(text, start, end, 'so')
  );
}

/** An IPv4 or IPv6 address without a zone (a zone means something on its own host alone), or a name. */
function isAddress(text: string, start: number, end: number): boolean {
  if (end <= start || end - start > 253) return false;
  const address = text.slice(start, end);
  if (address.includes(':')) return isIPv6(address) && !address.includes('%');
  return isIPv4(address) || isDomainName(address);
}

/**
 * A fully qualified name, the `.local` ones of mDNS among them: labels of 1 to 63 letters, digits and
 * hyphens, two at least, the last not a number, so that a broken IPv4 address does not pass for a name.
 */
function isDomainName(name: string): boolean {
  let labelStart = 0;
  let labels = 0;
  let numeric = true;
  for (let i = 0; i <= name.length; i += 1) {
    const code = i < name.length ? name.charCodeAt(i) : 0x2e;
    if (code === 0x2e) {
      if (i === labelStart || i - labelStart > 63) return false;
      if (name.charCodeAt(labelStart) === 0x2d || name.charCodeAt(i - 1) === 0x2d) return false;
      labels += 1;
      labelStart = i + 1;
      if (i < name.length) numeric = true;
      continue;
    }
    const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    if (letter || code === 0x2d) numeric = false;
    else if (code < 0x30 || code > 0x39) return false;
  }
  return labels >= 2 && !numeric;
}
