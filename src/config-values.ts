import { z } from 'zod';

/**
 * How the text of an environment variable becomes a value: zod schemas from string to value. A message
 * says what is wrong and never repeats the value, for that may be a secret.
 */

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/;

function milliseconds(text: string): number {
  const [, count, unit] = DURATION.exec(text)!;
  return Number(count) * UNITS[unit!]!;
}

/** A duration from `min` to `max` such as `500ms`, `15s`, `5m`, `24h` or `1d`, in milliseconds. */
export function duration(min: string, max: string) {
  const range = z
    .number()
    .min(milliseconds(min), { error: 'is too short' })
    .max(milliseconds(max), { error: 'is too long' });
  return z
    .string()
    .regex(DURATION, { error: 'is not a duration', abort: true })
    .transform(milliseconds)
    .pipe(range);
}

export function integer(min: number, max: number) {
  const range = z.number().min(min, { error: 'is too small' }).max(max, { error: 'is too large' });
  return z
    .string()
    .regex(/^\d{1,9}$/, { error: 'is not a whole number', abort: true })
    .transform(Number)
    .pipe(range);
}

/** A number from 0 to 1. */
export const fraction = z
  .string()
  .regex(/^(?:0|1|0?\.\d{1,9}|1\.0{1,9})$/, { error: 'is not a number from 0 to 1' })
  .transform(Number);

export function oneOf<const T extends string>(...values: readonly T[]) {
  return z.enum(values, { error: 'is none of these' });
}

export const boolean = z
  .enum(['true', 'false'], { error: 'is neither true nor false' })
  .transform((value) => value === 'true');

/** Comma-separated; spaces around an item are dropped, an empty item or a repeated one is an error. */
export function list<T>(item: z.ZodType<T, string>) {
  return z
    .string()
    .transform((value) => value.split(',').map((part) => part.trim()))
    .refine((parts) => !parts.includes(''), { error: 'has an empty item', abort: true })
    .refine((parts) => new Set(parts).size === parts.length, { error: 'names an item twice', abort: true })
    .pipe(z.array(item));
}

/** What is valid of a setting that is not refused as a whole, and what is wrong with the rest of it. */
export interface Sifted<T> {
  readonly valid: T;
  /** Each with its place, and without the value. */
  readonly problems: readonly string[];
}

/** `list`, in which a bad item drops out by itself; `most` items at most. */
export function siftedList<T>(item: z.ZodType<T, string>, most: number) {
  return z.string().transform((value): Sifted<readonly T[]> => {
    const valid: T[] = [];
    const problems: string[] = [];
    const parts = value.split(',').map((part) => part.trim());
    for (const [index, part] of parts.entries()) {
      const result = item.safeParse(part);
      const problem =
        part === ''
          ? 'is empty'
          : parts.indexOf(part) < index
            ? 'is named twice'
            : result.error?.issues.map(({ message }) => message).join(', ');
      if (problem !== undefined) problems.push(`item ${index + 1} ${problem}`);
      else if (valid.length === most) problems.push(`item ${index + 1} is one more than ${most}`);
      else valid.push(result.data as T);
    }
    return { valid, problems };
  });
}

/** A URL of one of these schemes, with a host. */
export function url(...schemes: readonly string[]) {
  return z.url({
    protocol: new RegExp(`^(?:${schemes.join('|')})$`),
    hostname: /./,
    error: 'is not such a URL',
  });
}

/** Text without control characters; the bounds count its bytes as UTF-8. */
export function text(minBytes: number, maxBytes: number) {
  return z
    .string()
    .regex(/^\P{Cc}*$/u, { error: 'has a control character in it' })
    .refine((value) => Buffer.byteLength(value) >= minBytes, { error: 'is too short' })
    .refine((value) => Buffer.byteLength(value) <= maxBytes, { error: 'is too long' });
}

/** An address or a host name to listen on. */
export const host = z
  .string()
  .regex(/^[A-Za-z0-9:.%_-]{1,253}$/, { error: 'is neither an address nor a host name' });

/** What a browser sends as `Origin` (RFC 6454, section 6.2): a scheme, a host, a port that is not the default. */
export const origin = z
  .string()
  .regex(/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/, { error: 'is not an origin', abort: true })
  .refine((value) => !/^https?:/.test(value) || (URL.canParse(value) && new URL(value).origin === value), {
    error: 'is not an origin as browsers send it (lower case, without the default port)',
  });

/** The check of another file that answers with what is wrong, or null. */
export function checkedBy(check: (value: string) => string | null) {
  return z.string().superRefine((value, context) => {
    const problem = check(value);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });
}

/** JSON, sifted; the message of JSON.parse is dropped, because it quotes the text. */
export function siftedJson<T>(nothing: T, sift: (value: unknown) => Sifted<T>) {
  return z.string().transform((text): Sifted<T> => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return { valid: nothing, problems: ['is not JSON'] };
    }
    return sift(value);
  });
}
