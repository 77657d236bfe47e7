/**
 * What Postgres answers, taken apart (its manual, "Message Formats"). PGlite has a parser for it, which would
 * take a seventh of a simulation's time.
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

export function* partsOf(answer: Uint8Array): Generator<Part> {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
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
