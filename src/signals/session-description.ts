import { checkCandidateLine, isIcePassword, isMid, isUfrag, MAX_MEDIA_SECTIONS } from './ice-candidate.ts';

/**
 * The rules of a session description that one WebRTC peer may hand to another: well-formed lines (RFC 8866),
 * and for each media section that is in use what ICE (RFC 8839) and DTLS (RFC 8122, RFC 8842) need.
 * One scan of our own: sdp-transform takes nearly anything and drops what it does not understand, so it
 * can't say what is wrong. A problem names the line or the section and never quotes the input.
 */

/**
 * Bytes of a description at most. Browsers write 3 to 10 KB for audio and video. 48 KiB fits into a message
 * of 64 KiB: in JSON each CRLF takes two bytes more, a tenth for short lines, and the rest of the GraphQL
 * request needs less than 2 KiB.
 */
export const MAX_DESCRIPTION_BYTES = 48 * 1024;

/** What a media section, or the session level, says about its transport. */
interface Level {
  /** As in a problem: `session` or `media section 1`. */
  readonly name: string;
  /** Not rejected: a port other than 0, or one that is 0 for `bundle-only` (RFC 8843 section 6). */
  active: boolean;
  mid: string | null;
  ufrag: boolean;
  pwd: boolean;
  fingerprint: boolean;
  setup: boolean;
}

interface Description {
  readonly role: 'offer' | 'answer';
  readonly session: Level;
  readonly sections: Level[];
  /** For each mid in a bundle the bundle's first one, whose section has the transport (RFC 8843). */
  readonly bundleTags: Map<string, string>;
  timed: boolean;
}

/** Null when it is valid, else what is wrong with it. */
export function checkDescription(sdp: string, role: 'offer' | 'answer'): string | null {
  if (sdp.length > MAX_DESCRIPTION_BYTES || Buffer.byteLength(sdp) > MAX_DESCRIPTION_BYTES) {
    return `longer than ${MAX_DESCRIPTION_BYTES} bytes`;
  }
  const problem = checkCharacters(sdp);
  if (problem !== null) return problem;

  const description: Description = {
    role,
    session: level('session'),
    sections: [],
    bundleTags: new Map(),
    timed: false,
  };
  let number = 0;
  for (let start = 0; start < sdp.length; ) {
    const newline = sdp.indexOf('\n', start);
    const end = sdp.charCodeAt(newline - 1) === 0x0d ? newline - 1 : newline;
    number += 1;
    if (description.sections.length === 0 || !isForPeersAlone(sdp, start, end)) {
      const problem = readLine(description, sdp.slice(start, end), number);
      if (problem !== null) return `line ${number}: ${problem}`;
    }
    start = newline + 1;
  }
  if (number < 3) return 'v=, o= and s= must be there';
  if (!description.timed) return 'no t= line';
  if (description.sections.length === 0) return 'no m= line: there is nothing to connect';
  return checkTransports(description);
}

/** Text in UTF-8 without control characters, in lines that end in CRLF or LF, the last one too. */
function checkCharacters(sdp: string): string | null {
  for (let i = 0; i < sdp.length; i += 1) {
    const code = sdp.charCodeAt(i);
    if (code >= 0x20 && code < 0x7f) continue;
    if (code === 0x0a || code > 0x9f) continue;
    if (code === 0x0d && sdp.charCodeAt(i + 1) === 0x0a) continue;
    return 'a control character, or a CR without LF';
  }
  if (!sdp.isWellFormed()) return 'not well-formed Unicode';
  // Chromium refuses a last line without its end.
  return sdp.endsWith('\n') ? null : 'the last line does not end in CRLF';
}

function level(name: string): Level {
  return { name, active: false, mid: null, ufrag: false, pwd: false, fingerprint: false, setup: false };
}

/** The lines that RFC 8866 section 5 puts first, in this order, each once. */
const FIRST_LINES = ['v=', 'o=', 's='];
const SESSION_TYPES = 'iuepcbtrzka';
const MEDIA_TYPES = 'icbka';

function readLine(description: Description, line: string, number: number): string | null {
  if (line.charCodeAt(1) !== 0x3d) return 'not of the form <type>=<value>';
  const type = line.charAt(0);
  const value = line.slice(2);
  const first = FIRST_LINES[number - 1];
  if (first !== undefined && !line.startsWith(first)) return `not ${first}`;
  if (number === 1) return value === '0' ? null : 'the version is not 0';
  if (number === 2) return isOrigin(value) ? null : 'not an origin';
  if (number === 3) return null;
  if (type === 'm') return openSection(description, value);

  const section = description.sections.at(-1);
  if (!(section === undefined ? SESSION_TYPES : MEDIA_TYPES).includes(type)) {
    return 'a type that has no place here';
  }
  if (type === 't') {
    description.timed = true;
    return /^\d{1,20} \d{1,20}$/.test(value) ? null : 'not a time';
  }
  return type === 'a' ? readAttribute(description, section, value) : null;
}

/** RFC 8866 section 5.2: user name, session id, version, network type, address type, address. */
function isOrigin(value: string): boolean {
  const fields = value.split(' ');
  if (fields.length !== 6 || fields.includes('')) return false;
  return /^\d{1,20}$/.test(fields[1]!) && /^\d{1,20}$/.test(fields[2]!);
}

/** RFC 8866 section 5.14: media, port, proto and at least one fmt. */
function openSection(description: Description, value: string): string | null {
  const fields = value.split(' ');
  if (fields.length < 4 || fields.includes('')) return 'not media, port, protocol and formats';
  const port = /^(\d{1,5})(\/\d{1,5})?$/.exec(fields[1]!);
  if (port === null || Number(port[1]) > 65535) return 'port out of range';
  if (description.sections.length === MAX_MEDIA_SECTIONS) return 'too many media sections';
  const section = level(`media section ${description.sections.length + 1}`);
  section.active = Number(port[1]) !== 0;
  description.sections.push(section);
  return null;
}

/** How the attributes begin that `readAttribute` looks at: two characters of each. */
const LOOKED_AT = new Set(['ic', 'fi', 'se', 'ca', 'mi', 'bu', 'gr'].map((text) => twoAt(text, 0)));
const A_IS = twoAt('a=', 0);

function twoAt(text: string, at: number): number {
  return text.charCodeAt(at) * 0x1_0000 + text.charCodeAt(at + 1);
}

/** Most lines of a description: attributes that mean nothing to ICE and DTLS, codecs and the like. */
function isForPeersAlone(sdp: string, start: number, end: number): boolean {
  return end - start >= 4 && twoAt(sdp, start) === A_IS && !LOOKED_AT.has(twoAt(sdp, start + 2));
}

function readAttribute(
  description: Description,
  section: Level | undefined,
  attribute: string,
): string | null {
  const colon = attribute.indexOf(':');
  const name = colon < 0 ? attribute : attribute.slice(0, colon);
  const value = colon < 0 ? '' : attribute.slice(colon + 1);
  const at = section ?? description.session;
  switch (name) {
    case 'ice-ufrag':
      if (at.ufrag) return 'a second ice-ufrag';
      at.ufrag = true;
      return isUfrag(value) ? null : 'ice-ufrag is not 4 to 256 letters, digits, "+" or "/"';
    case 'ice-pwd':
      if (at.pwd) return 'a second ice-pwd';
      at.pwd = true;
      return isIcePassword(value) ? null : 'ice-pwd is not 22 to 256 letters, digits, "+" or "/"';
    case 'fingerprint':
      at.fingerprint = true;
      return checkFingerprint(value);
    case 'setup':
      if (at.setup) return 'a second setup';
      at.setup = true;
      return checkSetup(value, description.role);
    case 'candidate':
      return checkCandidateLine(attribute);
    case 'mid':
      if (section === undefined) return 'mid outside of a media section';
      if (!isMid(value)) return 'mid is not a token';
      if (description.sections.some((other) => other.mid !== null && (other === at || other.mid === value))) {
        return 'a second mid, or one that is taken';
      }
      at.mid = value;
      return null;
    case 'bundle-only':
      at.active = true;
      return null;
    case 'group':
      if (section === undefined && value.startsWith('BUNDLE ')) {
        const mids = value.split(' ').slice(1);
        for (const mid of mids) description.bundleTags.set(mid, mids[0]!);
      }
      return null;
    default:
      return null;
  }
}

/** Bytes of the hashes of RFC 8122 section 5; its md5 and md2 must not be used, so they are not here. */
const HASH_BYTES = new Map([
  ['sha-1', 20],
  ['sha-224', 28],
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

function checkFingerprint(value: string): string | null {
  const space = value.indexOf(' ');
  const bytes = HASH_BYTES.get(value.slice(0, Math.max(space, 0)).toLowerCase());
  if (bytes === undefined) return 'the hash function of fingerprint is none of sha-1 and sha-224 to sha-512';
  const pairs = value.slice(space + 1);
  if (pairs.length !== bytes * 3 - 1 || !/^[0-9a-f]{2}(?::[0-9a-f]{2})*$/i.test(pairs)) {
    return 'fingerprint is not as many pairs of hex digits as its hash function has bytes';
  }
  return null;
}

/** RFC 8842 section 5: an offer may leave the choice, an answer has to make it. `holdconn` is not for DTLS. */
function checkSetup(value: string, role: 'offer' | 'answer'): string | null {
  if (value === 'active' || value === 'passive') return null;
  if (value === 'actpass') return role === 'offer' ? null : 'setup of an answer must be active or passive';
  return 'setup is none of actpass, active and passive';
}

/**
 * Each section in use has its ICE credentials, fingerprint and setup, of its own or from the session level;
 * or it has none of its own and shares the transport of the first section of its bundle (RFC 8843 section 7,
 * RFC 8829 section 5.2.1).
 */
function checkTransports({ session, sections, bundleTags }: Description): string | null {
  for (const section of sections) {
    if (!section.active) continue;
    const lacks = lacking(section, session);
    if (lacks === null) continue;
    const own = section.ufrag || section.pwd || section.fingerprint;
    const tag = section.mid === null ? undefined : bundleTags.get(section.mid);
    const shared =
      tag === undefined ? undefined : sections.find((other) => other.active && other.mid === tag);
    if (!own && shared !== undefined && lacking(shared, session) === null) continue;
    return `${section.name}: no ${lacks}`;
  }
  return null;
}

/** The first attribute that the section needs and neither it nor the session level has. */
function lacking(section: Level, session: Level): string | null {
  // Credentials go together: one of the section's own does not go with one of the session's.
  const credentials = section.ufrag || section.pwd ? section : session;
  if (!credentials.ufrag) return 'a=ice-ufrag';
  if (!credentials.pwd) return 'a=ice-pwd';
  if (!section.fingerprint && !session.fingerprint) return 'a=fingerprint';
  if (!section.setup && !session.setup) return 'a=setup';
  return null;
}
