/**
 * What Postgres is sent and what it answers (its manual, "Message Formats"). PGlite has both, which would take
 * a fifth of a simulation's time.
 */

export interface Field {
  readonly name: string;
  readonly dataTypeID: number;
}

export type Part =
  | { readonly kind: 'fields'; readonly fields: readonly Field[] }
  | { readonly kind: 'row'; readonly values: readonly (string | null)[] }
  | { readonly kind: 'done'; readonly tag: string }
  | { readonly kind: 'error'; readonly error: Error };

export function* partsOf(bytes: Buffer): Generator<Part> {
  let at = 0;
  /** Text up to the next zero, and past it. */
  const text = () => {
    const end = bytes.indexOf(0, at);
    const found = bytes.toString('utf8', at, end);
    at = end + 1;
    return found;
  };
  for (let end = 0; end < bytes.length; ) {
    const type = String.fromCharCode(bytes[end]!);
    at = end + 5;
    end += 1 + bytes.readInt32BE(end + 1);
    if (type === 'D') {
      const values: (string | null)[] = new Array(bytes.readInt16BE(at));
      at += 2;
      for (let i = 0; i < values.length; i++) {
        const length = bytes.readInt32BE(at);
        at += 4;
        values[i] = length < 0 ? null : bytes.toString('utf8', at, at + length);
        at += Math.max(0, length);
      }
      yield { kind: 'row', values };
    } else if (type === 'T') {
      const fields: Field[] = new Array(bytes.readInt16BE(at));
      at += 2;
      for (let i = 0; i < fields.length; i++) {
        const name = text();
        fields[i] = { name, dataTypeID: bytes.readInt32BE(at + 6) };
        at += 18;
      }
      yield { kind: 'fields', fields };
    } else if (type === 'C') yield { kind: 'done', tag: text() };
    else if (type === 'E') {
      const told: Record<string, string> = {};
      while (bytes[at] !== 0) told[String.fromCharCode(bytes[at++]!)] = text();
      yield { kind: 'error', error: Object.assign(new Error(told.M), { code: told.C, constraint: told.n }) };
    }
  }
}

const SYNC = made('S');
/** Of the portal that has no name, all rows. */
const EXECUTE_AND_SYNC = Buffer.concat([made('E', '\0', int32(0)), SYNC]);
const NULL = int32(-1);

export function toQuery(sql: string): Buffer {
  return made('Q', `${sql}\0`);
}

export function toPrepare(name: string, sql: string): Buffer {
  return Buffer.concat([made('P', `${name}\0${sql}\0\0\0`), made('D', `S${name}\0`), SYNC]);
}

/** Everything as text. */
export function toExecute(name: string, values: readonly (string | null)[]): Buffer {
  const parts: (string | Buffer)[] = [`\0${name}\0\0\0`, int16(values.length)];
  for (const value of values) {
    if (value === null) parts.push(NULL);
    else parts.push(int32(Buffer.byteLength(value)), value);
  }
  return Buffer.concat([made('B', ...parts, int16(0)), EXECUTE_AND_SYNC]);
}

function made(type: string, ...parts: readonly (string | Buffer)[]): Buffer {
  const length = parts.reduce((sum, part) => sum + Buffer.byteLength(part), 4);
  const message = Buffer.allocUnsafe(1 + length);
  let at = message.write(type);
  at = message.writeInt32BE(length, at);
  for (const part of parts) {
    at += typeof part === 'string' ? message.write(part, at) : part.copy(message, at);
  }
  return message;
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}
