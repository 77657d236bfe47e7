import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkDescription, MAX_DESCRIPTION_BYTES } from '../../src/signals/session-description.ts';
import data from '../data/webrtc-samples.json' with { type: 'json' };

const samples = Object.entries(data.stacks).flatMap(([stack, { offers, answers }]) => [
  ...offers.map((sdp, index) => ({ stack, role: 'offer' as const, index, sdp })),
  ...answers.map((sdp, index) => ({ stack, role: 'answer' as const, index, sdp })),
]);

const SHA_256 = Array(32).fill('AB').join(':');
const SESSION = ['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0'];
const AUDIO = 'm=audio 9 UDP/TLS/RTP/SAVPF 111';
const VIDEO = 'm=video 9 UDP/TLS/RTP/SAVPF 96';
const ICE = ['a=ice-ufrag:abcd', `a=ice-pwd:${'p'.repeat(22)}`];
const TRANSPORT = [...ICE, `a=fingerprint:sha-256 ${SHA_256}`, 'a=setup:actpass'];
const sdp = (...lines: (string | readonly string[])[]) =>
  lines
    .flat()
    .map((line) => `${line}\r\n`)
    .join('');
const offer = (...lines: (string | readonly string[])[]) => checkDescription(sdp(...lines), 'offer');

describe('each description of real stacks', () => {
  it.each(samples)('$stack $role $index is taken', ({ role, sdp }) => {
    expect(checkDescription(sdp, role)).toBeNull();
  });

  it.each(samples)('$stack $role $index is taken with LF alone', ({ role, sdp }) => {
    expect(checkDescription(sdp.replaceAll('\r\n', '\n'), role)).toBeNull();
  });

  it.each(samples)('$stack $role $index is refused without any one line that it needs', ({ role, sdp }) => {
    const lines = sdp.split('\r\n');
    const needed = lines.flatMap((line, index) =>
      /^(v=|o=|s=|t=|a=ice-ufrag:|a=ice-pwd:|a=fingerprint:|a=setup:)/.test(line) ? [index] : [],
    );
    expect(needed.length).toBeGreaterThanOrEqual(8);
    for (const index of needed) {
      const cut = lines.toSpliced(index, 1).join('\r\n');
      expect(checkDescription(cut, role), lines[index]).not.toBeNull();
    }
  });

  it.each(samples.filter(({ role }) => role === 'offer'))('$stack offer $index is no answer', ({ sdp }) => {
    expect(checkDescription(sdp, 'answer')).toContain('setup of an answer');
  });
});

describe('well-formed lines', () => {
  it('takes the least that is one', () => {
    expect(offer(SESSION, AUDIO, TRANSPORT)).toBeNull();
  });

  it('takes free text in UTF-8', () => {
    expect(offer(SESSION.with(2, 's=Gespräch 😀'), AUDIO, TRANSPORT)).toBeNull();
  });

  it.each([
    ['an empty string', ''],
    ['another version', sdp(SESSION.with(0, 'v=1'), AUDIO, TRANSPORT)],
    [
      'o= after s=',
      sdp(
        [0, 2, 1, 3].map((i) => SESSION[i]!),
        AUDIO,
        TRANSPORT,
      ),
    ],
    ['a short origin', sdp(SESSION.with(1, 'o=- 1 2 IN IP4'), AUDIO, TRANSPORT)],
    ['no t=', sdp(SESSION.slice(0, 3), AUDIO, TRANSPORT)],
    ['t= that is no time', sdp(SESSION.with(3, 't=now'), AUDIO, TRANSPORT)],
    ['no m=', sdp(SESSION, TRANSPORT)],
    ['m= without formats', sdp(SESSION, 'm=audio 9 UDP/TLS/RTP/SAVPF', TRANSPORT)],
    ['m= with a port of 65536', sdp(SESSION, 'm=audio 65536 UDP/TLS/RTP/SAVPF 111', TRANSPORT)],
    ['a line without =', sdp(SESSION, AUDIO, TRANSPORT, 'hello')],
    ['an unknown type', sdp(SESSION, AUDIO, TRANSPORT, 'x=1')],
    ['a line of the session in a media section', sdp(SESSION, AUDIO, TRANSPORT, 't=0 0')],
    ['an empty line', sdp(SESSION, '', AUDIO, TRANSPORT)],
    ['an empty line at the end', sdp(SESSION, AUDIO, TRANSPORT, '')],
    ['a last line without its end', sdp(SESSION, AUDIO, TRANSPORT).trimEnd()],
    ['CR without LF', sdp(SESSION, AUDIO, TRANSPORT, 'a=x\ra=y')],
    ['half a surrogate pair', sdp(SESSION, AUDIO, TRANSPORT, 'a=x:\ud83d')],
    ['more than 256 media sections', sdp(SESSION, TRANSPORT, Array(257).fill(AUDIO))],
    ['two mids in a section', sdp(SESSION, AUDIO, TRANSPORT, 'a=mid:0', 'a=mid:1')],
    ['the same mid twice', sdp(SESSION, TRANSPORT, AUDIO, 'a=mid:0', VIDEO, 'a=mid:0')],
    [
      'a candidate that is none',
      sdp(SESSION, AUDIO, TRANSPORT, 'a=candidate:1 1 udp 1 999.1.1.1 9 typ host'),
    ],
  ])('refuses %s', (_name, text) => {
    expect(checkDescription(text, 'offer')).not.toBeNull();
  });

  it('refuses what is longer than its bound in bytes', () => {
    const rest = MAX_DESCRIPTION_BYTES - sdp(SESSION, AUDIO, TRANSPORT, 'a=x:').length;
    expect(offer(SESSION, AUDIO, TRANSPORT, `a=x:${'y'.repeat(rest)}`)).toBeNull();
    expect(offer(SESSION, AUDIO, TRANSPORT, `a=x:${'y'.repeat(rest + 1)}`)).toContain('longer');
    expect(offer(SESSION, AUDIO, TRANSPORT, `a=x:${'y'.repeat(rest - 1)}ä`)).toContain('longer');
  });

  it('fits, at its bound and with short lines, as JSON into a message of 64 KiB', () => {
    const line = 'a=rtcp-fb:96 nack';
    const count = Math.floor((MAX_DESCRIPTION_BYTES - 500) / (line.length + 2));
    const text = sdp(SESSION, AUDIO, TRANSPORT, Array(count).fill(line));
    expect(checkDescription(text, 'offer')).toBeNull();
    expect(JSON.stringify(text).length).toBeLessThan(62 * 1024);
  });
});

describe('the transport of a media section', () => {
  it('may stand at the session level', () => {
    expect(offer(SESSION, TRANSPORT, AUDIO, VIDEO)).toBeNull();
  });

  it('is not needed in a rejected section', () => {
    expect(offer(SESSION, 'm=audio 0 UDP/TLS/RTP/SAVPF 0', 'a=inactive')).toBeNull();
  });

  it.each(['m=video 9 UDP/TLS/RTP/SAVPF 96', 'm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only'])(
    'may be that of the first section of the bundle: %j',
    (video) => {
      const group = 'a=group:BUNDLE 0 1';
      expect(offer(SESSION, group, AUDIO, 'a=mid:0', TRANSPORT, video, 'a=mid:1')).toBeNull();
      expect(offer(SESSION, AUDIO, 'a=mid:0', TRANSPORT, video, 'a=mid:1')).toBe(
        'media section 2: no a=ice-ufrag',
      );
      expect(offer(SESSION, group, AUDIO, 'a=mid:0', video, 'a=mid:1', TRANSPORT)).toBe(
        'media section 1: no a=ice-ufrag',
      );
    },
  );

  it('is not half its own and half of the bundle or the session', () => {
    const bundle = [...SESSION, 'a=group:BUNDLE 0 1', AUDIO, 'a=mid:0', ...TRANSPORT, VIDEO, 'a=mid:1'];
    expect(offer(bundle, ICE)).toBe('media section 2: no a=fingerprint');
    expect(offer(bundle, TRANSPORT.slice(1))).toBe('media section 2: no a=ice-ufrag');
    expect(offer(SESSION, TRANSPORT, AUDIO, ICE[1]!)).toBe('media section 1: no a=ice-ufrag');
  });

  it.each([
    'a=ice-ufrag:abc',
    `a=ice-ufrag:${'u'.repeat(257)}`,
    'a=ice-ufrag:ab-d',
    `a=ice-pwd:${'p'.repeat(21)}`,
    `a=ice-pwd:${'p'.repeat(257)}`,
    'a=fingerprint:sha-256',
    'a=fingerprint:sha-256 AB:CD',
    `a=fingerprint:sha-256 ${SHA_256}:AB`,
    `a=fingerprint:sha-256 ${SHA_256.replaceAll(':', '-')}`,
    `a=fingerprint:sha-256 ${SHA_256.replace('AB', 'GG')}`,
    `a=fingerprint:sha-1 ${SHA_256}`,
    `a=fingerprint:md5 ${Array(16).fill('AB').join(':')}`,
    'a=setup:holdconn',
    'a=setup:',
  ])('refuses %s', (line) => {
    const name = line.slice(0, line.indexOf(':') + 1);
    const lines = TRANSPORT.map((given) => (given.startsWith(name) ? line : given));
    expect(offer(SESSION, AUDIO, lines)).toMatch(/^line \d+: /);
  });

  it('refuses a second ufrag, password or setup in a section', () => {
    for (const line of [...ICE, 'a=setup:actpass']) {
      expect(offer(SESSION, AUDIO, TRANSPORT, line)).toContain('a second');
    }
  });

  it('takes active and passive in both roles, actpass in an offer alone', () => {
    for (const setup of ['active', 'passive', 'actpass']) {
      const text = sdp(SESSION, AUDIO, TRANSPORT.with(3, `a=setup:${setup}`));
      expect(checkDescription(text, 'offer')).toBeNull();
      expect(checkDescription(text, 'answer') === null).toBe(setup !== 'actpass');
    }
  });
});

describe('for any', () => {
  const sample = fc.constantFrom(...samples);

  it('control character put into a valid description: it is refused', () => {
    const control = fc.constantFrom('\r', '\0', '\x01', '\t', '\x7f', '\x85');
    fc.assert(
      fc.property(sample, fc.nat(), control, ({ sdp, role }, at, char) => {
        // Before the LF of a CRLF, a CR makes CR CR LF: refused as well.
        const place = at % sdp.length;
        expect(checkDescription(sdp.slice(0, place) + char + sdp.slice(place), role)).not.toBeNull();
      }),
    );
  });

  it('refusal: it quotes neither address nor credentials', () => {
    fc.assert(
      fc.property(sample, fc.nat(), ({ sdp, role }, at) => {
        const lines = sdp.split('\r\n').slice(0, -1);
        const place = at % lines.length;
        const text = lines.with(place, `${lines[place]}\0`).join('\r\n');
        const secrets = sdp.matchAll(/(?:ice-pwd:|ice-ufrag:|IP4 )(\S+)/g);
        const problems = [text, text.replaceAll('\0', ' ('), text.replaceAll('\0', ' (').concat('\r\n')].map(
          (broken) => checkDescription(broken, role) ?? '',
        );
        for (const [, secret] of secrets)
          for (const problem of problems) expect(problem).not.toContain(secret);
      }),
    );
  });

  it('string: it gets an answer, and what is taken has no control character', () => {
    const piece = fc.oneof(
      fc.constantFrom(...SESSION, ...TRANSPORT, AUDIO, VIDEO, 'a=mid:0', 'a=group:BUNDLE 0', 'a=bundle-only'),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    const lines = fc.array(piece, { maxLength: 12 }).map((more) => sdp(SESSION, AUDIO, TRANSPORT, more));
    const anything = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2000 }),
      lines,
      fc.array(piece).map((l) => sdp(l)),
    );
    fc.assert(
      fc.property(anything, fc.constantFrom('offer', 'answer'), (text, role) => {
        if (checkDescription(text, role) === null) expect(text.replace(/\r?\n/g, '')).not.toMatch(/\p{Cc}/u);
      }),
      { numRuns: 1000 },
    );
  });
});
