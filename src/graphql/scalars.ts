import { GraphQLError, GraphQLScalarType } from 'graphql';

/** RFC 3339 section 5.6 `date-time`; a leap second is not taken, for no clock here can hold it. */
const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

/** Milliseconds since the epoch, or null where the text is not an instant. Digits past milliseconds go. */
export function parseInstant(text: string): number | null {
  const match = RFC_3339.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const offsetHour = Number(match[9] ?? 0);
  const offsetMinute = Number(match[10] ?? 0);
  if (hour > 23 || minute > 59 || second > 59 || offsetHour > 23 || offsetMinute > 59) return null;
  const date = new Date(0);
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(year, month - 1, day);
  // A day that the month does not have rolls over into the next one.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  date.setUTCHours(hour, minute, second, Number((match[7] ?? '').padEnd(3, '0').slice(0, 3)));
  const offset = (offsetHour * 60 + offsetMinute) * 60_000;
  return date.getTime() - (match[8] === '-' ? -offset : offset);
}

let newest = Number.NaN;
let newestText = '';

/** Events of one moment, and each for several: the text of the last one is often asked for again. */
function serializeInstant(value: unknown): string {
  if (value === newest) return newestText;
  const date = value instanceof Date ? value : typeof value === 'number' ? new Date(value) : null;
  // Not a GraphQLError: the server's own fault, so it is masked and logged.
  if (date === null || Number.isNaN(date.getTime())) throw new TypeError('Not an instant');
  newest = date.getTime();
  newestText = date.toISOString();
  return newestText;
}

/** Messages of scalars never repeat the value: it may be something that must not stand in an error. */
export const DateTime = new GraphQLScalarType<number, string>({
  name: 'DateTime',
  description:
    'An instant, RFC 3339, UTC, milliseconds: `2026-01-31T12:00:00.000Z`. As input any RFC 3339 offset is taken.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339#section-5.6',
  serialize: serializeInstant,
  parseValue: (value) => {
    const instant = typeof value === 'string' ? parseInstant(value) : null;
    if (instant !== null) return instant;
    throw new GraphQLError('DateTime wants an RFC 3339 instant such as "2026-01-31T12:00:00.000Z".');
  },
});

/** Longest cursor that is read, in characters. Those that the server makes are far below it. */
const CURSOR_LENGTH = 256;

export const Cursor = new GraphQLScalarType<string, string>({
  name: 'Cursor',
  description: `An opaque place in one call's event log, taken from an event. Give back the last one seen as
\`callEvents(after:)\` to get every event since, exactly once and in order, or a snapshot that
says that the log no longer reaches back so far. At most ${CURSOR_LENGTH} characters.`,
  serialize: String,
  parseValue: (value) => {
    if (typeof value === 'string' && value.length > 0 && value.length <= CURSOR_LENGTH) return value;
    throw new GraphQLError('Cursor wants a cursor as an event of callEvents had it.');
  },
});
