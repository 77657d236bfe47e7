import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkCandidate, checkCandidateLine, MAX_CANDIDATE_LENGTH } from '../../src/signals/ice-candidate.ts';
import data from '../data/ice-candidates.json' with { type: 'json' };
import samples from '../data/webrtc-samples.json' with { type: 'json' };

const HOST = 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host';

/** The rows that the data leaves to policy. */
const POLICY: Record<string, { valid: boolean; why: string }> = {
  'a= prefix': { valid: true, why: 'node-datachannel writes it, and both browsers take it' },
  'fqdn non-local': { valid: true, why: 'RFC 8839 allows a name, and a peer may ignore it' },
  'a= prefix + CRLF': { valid: false, why: 'Firefox copies CRLF into its remote SDP' },
  'tcp no tcptype': { valid: true, why: 'both browsers take it for passive; refusing it would lose a path' },
};

describe('each candidate of the data', () => {
  it.each(data.candidates)('$name', ({ name, candidate, valid }) => {
    const expected = valid ?? POLICY[name]?.valid;
    expect(checkCandidate({ candidate, sdpMid: '0' }) === null).toBe(expected);
  });

  it('decides exactly the rows that are policy', () => {
    const open = data.candidates.filter((row) => row.valid === null).map((row) => row.name);
    expect(Object.keys(POLICY).sort()).toEqual(open.sort());
  });
});

describe('each form of RTCIceCandidateInit that both browsers were asked about', () => {
  const { chromium, firefox } = data.initForms;
  const asked = chromium
    .map((row, index) => ({ name: row.name, init: row.init, row, other: firefox[index]! }))
    .filter(({ init }) => typeof init === 'object' && init !== null && 'candidate' in init);
  /** Refused by a browser for what its remote description has, which the server does not look into. */
  const DEPENDS_ON_THE_PEER = ['unknown mid', 'mLineIndex 9', 'wrong ufrag'];

  it.each(asked)('$name', ({ name, init, row, other }) => {
    const valid = DEPENDS_ON_THE_PEER.includes(name) || (row.addOk && other.addOk);
    expect(checkCandidate(init as { candidate: string }) === null).toBe(valid);
  });
});

describe('each candidate of real stacks', () => {
  const rows = Object.entries(samples.stacks).flatMap(([stack, { candidates }]) =>
    candidates.map((init, index) => ({ stack, index, init })),
  );
  it.each(rows)('$stack $index', ({ init }) => {
    expect(checkCandidate(init)).toBeNull();
  });
});

describe('the candidate string', () => {
  const accepted = [
    ['component 256', 'candidate:1 256 udp 1 192.0.2.1 1 typ host'],
    ['foundation of 32', `candidate:${'a'.repeat(32)} 1 udp 1 192.0.2.1 1 typ host`],
    ['upper case everywhere', 'CANDIDATE:1 1 UDP 1 192.0.2.1 1 TYP HOST'],
    ['port 9 in udp', 'candidate:1 1 udp 1 192.0.2.1 9 typ host'],
    ['port 65535', 'candidate:1 1 udp 1 192.0.2.1 65535 typ host'],
    ['port 0 in tcp active', 'candidate:1 1 tcp 1 192.0.2.1 0 typ host tcptype active'],
    ['tcp so', 'candidate:1 1 tcp 1 192.0.2.1 9000 typ host tcptype so'],
    ['raddr hidden', 'candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr 0.0.0.0 rport 0'],
    ['srflx without raddr', 'candidate:1 1 udp 1 192.0.2.1 1 typ srflx'],
    ['prflx', 'candidate:1 1 udp 1 2001:db8::1 1 typ prflx raddr :: rport 9'],
    ['empty extension value', 'candidate:1 1 udp 1 192.0.2.1 1 typ host x-foo '],
    ['IPv4 in IPv6', 'candidate:1 1 udp 1 ::ffff:192.0.2.1 1 typ host'],
  ] as const;
  it.each(accepted)('takes %s', (_name, candidate) => {
    expect(checkCandidateLine(candidate)).toBeNull();
  });

  const refused = [
    ['component 257', 'candidate:1 257 udp 1 192.0.2.1 1 typ host', 'component'],
    ['component of four digits', 'candidate:1 0001 udp 1 192.0.2.1 1 typ host', 'component'],
    ['foundation of 33', `candidate:${'a'.repeat(33)} 1 udp 1 192.0.2.1 1 typ host`, 'foundation'],
    ['another transport', 'candidate:1 1 sctp 1 192.0.2.1 1 typ host', 'transport'],
    ['priority 2^31', 'candidate:1 1 udp 2147483648 192.0.2.1 1 typ host', 'priority'],
    ['port 0 in udp', 'candidate:1 1 udp 1 192.0.2.1 0 typ host', 'port'],
    ['port 0 in tcp passive', 'candidate:1 1 tcp 1 192.0.2.1 0 typ host tcptype passive', 'port'],
    ['port 0 in tcp without tcptype', 'candidate:1 1 tcp 1 192.0.2.1 0 typ host', 'port'],
    ['port 65536', 'candidate:1 1 udp 1 192.0.2.1 65536 typ host', 'port'],
    ['tcptype in udp', 'candidate:1 1 udp 1 192.0.2.1 1 typ host tcptype active', 'tcptype'],
    ['bad raddr', 'candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr 1.2.3 rport 1', 'raddr'],
    ['bad rport', 'candidate:1 1 udp 1 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport 65536', 'rport'],
    ['extension without value', 'candidate:1 1 udp 1 192.0.2.1 1 typ host x-foo', 'extension'],
    ['space at the end', 'candidate:1 1 udp 1 192.0.2.1 1 typ host ', 'extension'],
    ['two spaces', 'candidate:1  1 udp 1 192.0.2.1 1 typ host', 'component'],
    ['one label', 'candidate:1 1 udp 1 localhost 1 typ host', 'address'],
    ['label of 64', `candidate:1 1 udp 1 ${'a'.repeat(64)}.local 1 typ host`, 'address'],
    ['name of 254', `candidate:1 1 udp 1 ${'a.'.repeat(126)}ab 1 typ host`, 'address'],
    ['empty label', 'candidate:1 1 udp 1 a..local 1 typ host', 'address'],
    ['label that begins with a hyphen', 'candidate:1 1 udp 1 -a.local 1 typ host', 'address'],
    ['IPv4 in brackets', 'candidate:1 1 udp 1 [192.0.2.1] 1 typ host', 'address'],
    ['prefix alone', 'candidate:', 'foundation'],
    ['a= alone', 'a=', 'begin'],
    ['two candidates', `${HOST} ${HOST}`, 'extension'],
    ['too long', `${HOST} x-foo ${'y'.repeat(MAX_CANDIDATE_LENGTH)}`, 'longer'],
  ] as const;
  it.each(refused)('refuses %s', (_name, candidate, word) => {
    expect(checkCandidateLine(candidate)).toContain(word);
  });
});

describe('what stands beside the candidate', () => {
  it.each([
    [{ sdpMid: '' }, 'sdpMid'],
    [{ sdpMid: 'a b' }, 'sdpMid'],
    [{ sdpMid: '0\r\n' }, 'sdpMid'],
    [{ sdpMid: 'é' }, 'sdpMid'],
    [{ sdpMid: 'm'.repeat(256) }, 'sdpMid'],
    [{ sdpMLineIndex: -1 }, 'sdpMLineIndex'],
    [{ sdpMLineIndex: 256 }, 'sdpMLineIndex'],
    [{ sdpMLineIndex: 0.5 }, 'sdpMLineIndex'],
    [{ sdpMid: '0', usernameFragment: 'abc' }, 'usernameFragment'],
    [{ sdpMid: '0', usernameFragment: 'u'.repeat(257) }, 'usernameFragment'],
    [{ sdpMid: '0', usernameFragment: 'ab\ncd' }, 'usernameFragment'],
  ])('refuses %j', (rest, field) => {
    expect(checkCandidate({ candidate: HOST, ...rest })).toMatch(new RegExp(`^${field}: `));
    expect(checkCandidate({ candidate: '', ...rest })).toMatch(new RegExp(`^${field}: `));
  });

  it.each([
    { sdpMid: 'm'.repeat(255) },
    { sdpMLineIndex: 255 },
    { sdpMid: 'sdparta_0', sdpMLineIndex: null, usernameFragment: 'u'.repeat(256) },
  ])('takes %j', (rest) => {
    expect(checkCandidate({ candidate: HOST, ...rest })).toBeNull();
  });
});

const ALNUM = [...'ABCXYZabcxyz0189'];
const text = (chars: string[], minLength: number, maxLength: number) =>
  fc.string({ unit: fc.constantFrom(...chars), minLength, maxLength });
const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.uuid().map((id) => `${id}.local`),
  fc.domain().filter((name) => name.length <= 253),
);
const port = fc.integer({ min: 1, max: 65535 });
const anyCase = (word: string) => fc.constantFrom(word, word.toUpperCase());
const transport = fc.oneof(
  anyCase('udp').map((name) => ({ name, tcptype: '' })),
  fc.record({
    name: anyCase('tcp'),
    tcptype: fc.constantFrom('', ' tcptype active', ' tcptype passive', ' tcptype so'),
  }),
);
const extension = fc.tuple(text([...ALNUM, '-'], 1, 10), text([...ALNUM, ...'!/:@"'], 1, 10));
const candidates = fc
  .record({
    prefix: fc.constantFrom('', 'a='),
    foundation: text([...ALNUM, '+', '/'], 1, 32),
    component: fc.integer({ min: 1, max: 256 }),
    transport,
    priority: fc.integer({ min: 1, max: 0x7fffffff }),
    address,
    port,
    type: fc.constantFrom('host', 'srflx', 'prflx', 'relay'),
    related: fc.option(fc.tuple(address, fc.integer({ min: 0, max: 65535 }))),
    extensions: fc.array(
      extension.filter(([name]) => !['raddr', 'rport', 'tcptype'].includes(name.toLowerCase())),
      { maxLength: 4 },
    ),
  })
  .map((c) => {
    const related = c.related === null ? '' : ` raddr ${c.related[0]} rport ${c.related[1]}`;
    const extensions = c.extensions.map(([name, value]) => ` ${name} ${value}`).join('');
    const core = `${c.foundation} ${c.component} ${c.transport.name} ${c.priority} ${c.address} ${c.port}`;
    return {
      address: c.address,
      line: `${c.prefix}candidate:${core} typ ${c.type}${related}${c.transport.tcptype}${extensions}`,
    };
  });

describe('for any', () => {
  it('candidate by the grammar: it is taken', () => {
    fc.assert(
      fc.property(candidates, ({ line }) => {
        expect(checkCandidateLine(line)).toBeNull();
      }),
    );
  });

  it('control character put into a valid candidate: it is refused', () => {
    const control = fc.constantFrom('\r', '\n', '\r\n', '\0', '\t', '\x7f', '\x85', '\u2028');
    fc.assert(
      fc.property(candidates, fc.nat(), control, ({ line }, at, char) => {
        const place = at % (line.length + 1);
        expect(checkCandidateLine(line.slice(0, place) + char + line.slice(place))).not.toBeNull();
      }),
    );
  });

  it('refusal: it quotes nothing of the candidate', () => {
    fc.assert(
      fc.property(candidates, ({ line, address }) => {
        const problem = checkCandidateLine(line.replace(' typ ', ' type '));
        expect(problem).toBe('"typ" is missing');
        expect(checkCandidateLine(line.replace(address, `${address}%0`))).toMatch(/^[a-zA-Z ]+$/);
      }),
    );
  });

  it('string: it gets an answer, and what is taken is one line of printable ASCII', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2000 }),
      fc
        .tuple(candidates, fc.nat(), fc.string({ unit: 'binary', maxLength: 3 }))
        .map(([{ line }, at, piece]) => {
          const place = at % (line.length + 1);
          return line.slice(0, place) + piece + line.slice(place + piece.length);
        }),
    );
    fc.assert(
      fc.property(anything, (candidate) => {
        if (checkCandidate({ candidate, sdpMLineIndex: 0 }) === null) expect(candidate).toMatch(/^[ -~]*$/);
      }),
      { numRuns: 1000 },
    );
  });
});
