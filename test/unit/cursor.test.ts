import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor } from '../../src/call-log/cursor.ts';
import { randomTokens } from '../../src/call-log/tokens.ts';

const position = fc.record({
  seq: fc.maxSafeNat(),
  token: fc.stringMatching(/^[A-Za-z0-9_~-]{1,16}$/),
});

describe('cursor', () => {
  it('gives back the position that it was made of', () => {
    fc.assert(
      fc.property(position, (place) => {
        expect(decodeCursor(encodeCursor(place))).toEqual(place);
      }),
    );
  });

  it('is read in one spelling only, whatever it is', () => {
    const nearly = fc
      .tuple(position, fc.nat(), fc.string({ maxLength: 2 }), fc.nat({ max: 1 }))
      .map(([place, at, insert, cut]) => {
        const text = encodeCursor(place);
        const i = at % (text.length + 1);
        return text.slice(0, i) + insert + text.slice(i + cut);
      });
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string()), (text) => {
        const place = decodeCursor(text);
        if (place !== null) {
          expect(encodeCursor(place)).toBe(text);
          expect(Number.isSafeInteger(place.seq)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    '',
    '.',
    'nonsense',
    '.AAAAAAAA',
    '12',
    '12.',
    '012.AAAAAAAA',
    '-12.AAAAAAAA',
    '+12.AAAAAAAA',
    '1e3.AAAAAAAA',
    '1.5.AAAAAAAA',
    ' 12.AAAAAAAA',
    '12.AAAAAAAA ',
    '12.AAAAAAAA\n',
    '12.AAAA\nAAA',
    '12.AAAA=AAA',
    '12.ÄAAAAAAA',
    '١٢.AAAAAAAA',
    `12.${'A'.repeat(17)}`,
    '9007199254740993.AAAAAAAA',
    '99999999999999999.AAAAAAAA',
    `1${'0'.repeat(1_000_000)}.AAAAAAAA`,
  ])('refuses %.40j', (text) => {
    expect(decodeCursor(text)).toBeNull();
  });

  it('has tokens that fit in it and do not repeat', () => {
    const token = randomTokens();
    const tokens = Array.from({ length: 5000 }, token);
    expect(new Set(tokens).size).toBe(5000);
    for (const one of tokens) expect(one).toMatch(/^[A-Za-z0-9_-]{8}$/);
  });
});
