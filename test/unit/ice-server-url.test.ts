import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkIceServers,
  checkIceServerUrl,
  formatIceServerUrl,
  parseIceServerUrl,
} from '../../src/ice-servers/ice-server-url.ts';
import data from '../data/ice-server-urls.json' with { type: 'json' };

const LONG_LABEL = data.urls.find(({ url }) => url.length > 200)!.url;
/** The rows that the data leaves to policy. */
const POLICY: Record<string, { valid: boolean; why: string }> = {
  'stun:exa_mple.org': { valid: true, why: 'RFC 3986 allows it, private DNS has it, both browsers take it' },
  'stun:example.org:99999': { valid: false, why: 'there is no such port, and both browsers throw' },
  [LONG_LABEL]: { valid: false, why: 'DNS has no label longer than 63' },
  'turns:example.org?transport=udp': {
    valid: true,
    why: 'RFC 7350 is TURN over DTLS, both browsers take it',
  },
  'turn:example.org?transport=sctp': { valid: false, why: 'both browsers throw' },
};

describe('each URL of the data', () => {
  it.each(data.urls)('$url', ({ url, valid }) => {
    expect(checkIceServerUrl(url) === null).toBe(valid ?? POLICY[url]?.valid);
  });

  it('decides exactly the rows that are policy', () => {
    const open = data.urls.filter((row) => row.valid === null).map((row) => row.url);
    expect(Object.keys(POLICY).sort()).toEqual(open.sort());
  });
});

describe('checkIceServerUrl', () => {
  it.each([
    'stun:192.0.2.1',
    'stun:localhost:3478',
    'STUNS:example.org:5349',
    'turn:turn-1.example.org:1',
    'turns:[::1]:443',
  ])('takes %s', (url) => {
    expect(checkIceServerUrl(url)).toBeNull();
  });

  it.each([
    'stun:192.0.2.256',
    'stun:example.org:0',
    'stun:example.org:',
    'stun:[fe80::1%eth0]',
    'stun:[192.0.2.1]',
    'stun:[::1]x',
    'stun:-a.org',
    'stun:a..org',
    'stun:a.org,stun:b.org',
    'stun:example.org?transport=udp',
    'turn:user:secret@example.org',
    'turn:example.org?',
    ' stun:example.org',
    'stun: example.org',
    `stun:${'a'.repeat(64)}.org`,
    `stun:${'a.'.repeat(126)}org`,
    `stun:${'a.'.repeat(300)}org`,
  ])('refuses %s', (url) => {
    expect(checkIceServerUrl(url)).not.toBeNull();
  });

  it('does not quote a URL that it refuses', () => {
    expect(checkIceServerUrl('turn:user:secret@example.org')).not.toMatch(/user|secret|example/);
  });

  it('answers for any string, and takes printable ASCII alone', () => {
    const scheme = fc.constantFrom('', 'stun:', 'turn:', 'turns:[', 'turn:example.org?transport=');
    const url = fc.tuple(scheme, fc.string({ unit: 'binary' })).map((parts) => parts.join(''));
    fc.assert(
      fc.property(url, (text) => {
        if (checkIceServerUrl(text) === null) expect(text).toMatch(/^[!-~]+$/);
      }),
      { numRuns: 1000 },
    );
  });

  it('takes any host with any port by the grammar', () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.domain(),
    );
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65535 }), (name, port) => {
        expect(checkIceServerUrl(`stun:${name}:${port}`)).toBeNull();
        expect(checkIceServerUrl(`turns:${name}:${port}?transport=tcp`)).toBeNull();
      }),
    );
  });
});

describe('parseIceServerUrl', () => {
  it.each([
    ['stun:example.org', 'stun:example.org:3478?transport=udp'],
    ['STUNS:EXAMPLE.ORG', 'stuns:example.org:5349?transport=tcp'],
    ['turn:192.0.2.1:80', 'turn:192.0.2.1:80?transport=udp'],
    ['turn:example.org?transport=TCP', 'turn:example.org:3478?transport=tcp'],
    ['turns:[2001:DB8::1]', 'turns:[2001:db8::1]:5349?transport=tcp'],
    ['turns:[::1]:443?transport=udp', 'turns:[::1]:443?transport=udp'],
  ])('puts in what %s leaves out', (url, whole) => {
    expect(formatIceServerUrl(parseIceServerUrl(url))).toBe(whole);
    expect(formatIceServerUrl(parseIceServerUrl(whole))).toBe(whole);
  });

  it('has an answer for every URL that is valid', () => {
    for (const { url } of data.urls.filter((row) => checkIceServerUrl(row.url) === null)) {
      expect(parseIceServerUrl(url)).toMatchObject({ host: expect.stringMatching(/^[^[\]]+$/) });
    }
  });
});

const TURN = { urls: 'turn:example.org', username: 'u', credential: 'p' };

describe('checkIceServers', () => {
  /** The objects behind the names of the data's `serverObjects`. */
  const OBJECTS: Record<string, object> = {
    'turn no creds': { urls: 'turn:example.org' },
    'turn username only': { urls: 'turn:example.org', username: 'u' },
    'turn empty creds': { urls: 'turn:example.org', username: '', credential: '' },
    'urls empty array': { urls: [] },
    'urls missing': { username: 'u' },
    'urls array mix': { ...TURN, urls: ['stun:example.org', 'turn:example.org'] },
    'credentialType oauth': { ...TURN, credentialType: 'oauth' },
    'username 509': { ...TURN, username: 'u'.repeat(509) },
    'username 510': { ...TURN, username: 'u'.repeat(510) },
    'stun with creds': { ...TURN, urls: 'stun:example.org' },
  };
  const { chromium, firefox } = data.serverObjects;
  const rows = chromium.map(({ name, ok }, index) => ({ name, ok: ok && firefox[index]!.ok }));

  it.each(rows)('takes what both browsers take: $name', ({ name, ok }) => {
    expect(checkIceServers([OBJECTS[name]]).problems.length === 0).toBe(ok);
  });

  it('gives urls as a list and null for what is not there', () => {
    const given = [
      { urls: 'stun:example.org' },
      { ...TURN, urls: ['turn:a.org', 'stun:b.org'], url: 'turn:a.org' },
    ];
    expect(checkIceServers(given)).toEqual({
      problems: [],
      valid: [
        { urls: ['stun:example.org'], username: null, credential: null },
        { urls: ['turn:a.org', 'stun:b.org'], username: 'u', credential: 'p' },
      ],
    });
    expect(checkIceServers([])).toEqual({ valid: [], problems: [] });
  });

  it('leaves out the URL that is wrong, or the server where more of it is', () => {
    const given = [
      { ...TURN, urls: ['turn:a.org', 'turn:b.org:0'] },
      { ...TURN, credential: 1 },
      { urls: 'stun:c.org' },
    ];
    const { valid, problems } = checkIceServers(given);
    expect(valid.map(({ urls }) => urls)).toEqual([['turn:a.org'], ['stun:c.org']]);
    expect(problems).toHaveLength(2);
  });

  it('finds every problem and names its place', () => {
    const given = [{ urls: ['stun:example.org', 'http://example.org'] }, null, { urls: 'turn:example.org' }];
    expect(checkIceServers(given)).toEqual({
      valid: [{ urls: ['stun:example.org'], username: null, credential: null }],
      problems: [
        '[0].urls[1]: does not begin with stun:, stuns:, turn: or turns:',
        '[1]: not an object',
        '[2].username: a TURN server needs one',
        '[2].credential: a TURN server needs one',
      ],
    });
  });

  it.each([
    ['no array', { urls: 'stun:example.org' }],
    ['a string', 'stun:example.org'],
    ['null', null],
    ['a number as URL', [{ urls: 3478 }]],
    ['a number as credential', [{ ...TURN, credential: 1 }]],
    ['a control character', [{ ...TURN, credential: 'p\n' }]],
    ['a user name of 510 bytes', [{ ...TURN, username: 'ü'.repeat(255) }]],
    ['a credential without end', [{ ...TURN, credential: 'p'.repeat(2049) }]],
    ['33 servers', Array(33).fill(TURN)],
    ['33 URLs', [{ urls: Array(33).fill('stun:example.org') }]],
  ])('refuses %s', (_name, given) => {
    expect(checkIceServers(given)).toHaveProperty('problems.0');
  });

  it('quotes no credential', () => {
    const secret = 'hunter2';
    const given = [
      { urls: `turn:u:${secret}@a.org`, username: `${secret}\n`, credential: secret.repeat(500) },
    ];
    const result = checkIceServers(given);
    expect(result).toHaveProperty('problems.length', 3);
    expect(result.valid).toEqual([]);
    expect(JSON.stringify(result)).not.toContain(secret);
  });

  it('answers for any value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { valid, problems } = checkIceServers(value);
        expect(problems.length > 0 || (Array.isArray(value) && valid.length === value.length)).toBe(true);
      }),
    );
  });
});
