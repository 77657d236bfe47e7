import type { Entry, SignalRecord, StateRecord } from './call-log.ts';

/**
 * An entry as Redis keeps and publishes it, one string that the scripts compose:
 * `s<seq> <token> <at> <StateRecord>`, `g<seq> <token> <at> <fromJoinSeq> <toJoinSeq or -> <SignalBody>`,
 * `o<seq> <token> <at>`. What stands before the JSON is what only the script knows. What a newer version adds
 * goes into the JSON: an older one beside it reads past that.
 */

/** The part of a signal that its appender knows. */
export type SignalBody = Omit<SignalRecord, 'fromJoinSeq' | 'toJoinSeq'>;

/**
 * `ownBody`: the body of a signal that this instance appended itself under the token; it need not be parsed
 * a second time.
 */
export function parseEntry(text: string, ownBody: (token: string) => SignalBody | undefined): Entry {
  const seqEnd = text.indexOf(' ');
  const tokenEnd = text.indexOf(' ', seqEnd + 1);
  const seq = Number(text.slice(1, seqEnd));
  const token = text.slice(seqEnd + 1, tokenEnd);
  const kind = text[0];
  if (kind === 'o') return { seq, token, at: Number(text.slice(tokenEnd + 1)), kind: 'origin' };

  const atEnd = text.indexOf(' ', tokenEnd + 1);
  const at = Number(text.slice(tokenEnd + 1, atEnd));
  if (kind === 's') {
    return { seq, token, at, kind: 'state', state: JSON.parse(text.slice(atEnd + 1)) as StateRecord };
  }
  const fromEnd = text.indexOf(' ', atEnd + 1);
  const toEnd = text.indexOf(' ', fromEnd + 1);
  const body = ownBody(token) ?? (JSON.parse(text.slice(toEnd + 1)) as SignalBody);
  return {
    seq,
    token,
    at,
    kind: 'signal',
    signal: {
      ...body,
      fromJoinSeq: Number(text.slice(atEnd + 1, fromEnd)),
      toJoinSeq: body.to === null ? null : Number(text.slice(fromEnd + 1, toEnd)),
    },
  };
}
