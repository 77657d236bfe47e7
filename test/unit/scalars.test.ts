import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Cursor, DateTime, parseInstant } from '../../src/graphql/scalars.ts';

describe('DateTime', () => {
  it('is written in UTC with milliseconds, from a number or a Date', () => {
    expect(DateTime.serialize(Date.UTC(2026, 0, 31, 12))).toBe('2026-01-31T12:00:00.000Z');
    expect(DateTime.serialize(new Date(1))).toBe('1970-01-01T00:00:00.001Z');
  });

  it('refuses to write what is not an instant', () => {
    for (const value of [Number.NaN, '2026-01-31T12:00:00Z', null, 8.64e15 + 1]) {
      expect(() => DateTime.serialize(value)).toThrow();
    }
  });

  it('reads back every instant that it writes', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(parseInstant(date.toISOString())).toBe(date.getTime());
        },
      ),
    );
  });

  it.each([
    ['2026-01-31T12:00:00Z', Date.UTC(2026, 0, 31, 12)],
    ['2026-01-31t12:00:00.5z', Date.UTC(2026, 0, 31, 12, 0, 0, 500)],
    ['2026-01-31T12:00:00.123999+02:30', Date.UTC(2026, 0, 31, 9, 30, 0, 123)],
    ['2026-01-31T12:00:00-01:00', Date.UTC(2026, 0, 31, 13)],
    ['2024-02-29T23:59:59Z', Date.UTC(2024, 1, 29, 23, 59, 59)],
  ])('reads %s', (text, instant) => {
    expect(DateTime.parseValue(text)).toBe(instant);
  });

  it.each([
    '2026-02-30T12:00:00Z',
    '2023-02-29T12:00:00Z',
    '2026-13-01T12:00:00Z',
    '2026-00-01T12:00:00Z',
    '2026-01-31T24:00:00Z',
    '2026-01-31T12:60:00Z',
    '2026-06-30T23:59:60Z',
    '2026-01-31T12:00:00',
    '2026-01-31 12:00:00Z',
    '2026-01-31',
    '2026-01-31T12:00:00+24:00',
    '2026-01-31T12:00:00Z\n',
    '20260131T120000Z',
    '',
    'now',
    1_769_860_800_000,
    null,
  ])('refuses %j, and says what it wants', (value) => {
    expect(() => DateTime.parseValue(value)).toThrow('DateTime wants an RFC 3339 instant');
  });
});

describe('Cursor', () => {
  it('takes bounded text alone', () => {
    expect(Cursor.parseValue('abc')).toBe('abc');
    for (const value of ['', 'x'.repeat(257), 1, null, {}]) {
      expect(() => Cursor.parseValue(value)).toThrow('Cursor wants');
    }
  });
});
