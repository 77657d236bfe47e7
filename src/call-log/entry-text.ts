import type { Entry, SignalRecord, StateRecord } from './call-log.ts';
import { TOKEN_LENGTH } from './tokens.ts';

/**
 * An entry as Redis keeps and publishes it, one string that the scripts compose:
 * `s<seq> <token> <at> <StateRecord>`, `g<seq> <token> <at> <fromJoinSeq> <toJoinSeq or -> <SignalBody>`,
 * `o<seq> <token> <at>`. What stands before the JSON is what only the script knows. What a newer version adds
 * goes into the JSON, before a signal's own: an older one beside it reads past that.
 */

/** The part of a signal that its appender knows. */
export type SignalBody = Omit<SignalRecord, 'fromJoinSeq' | 'toJoinSeq'>;

/** What stands before a signal in its body. It can't be part of what is before it: in a string its quotes are escaped. */
const BEFORE_SIGNAL = ',"signal":';

/** How the JSON of a signal begins. */
const BEFORE_KIND = '{"__typename":"';

/** A signal's body as JSON, the signal last. */
export function writeBody({ kind: _, json, ...rest }: SignalBody): string {
  return `${JSON.stringify(rest).slice(0, -1)}${BEFORE_SIGNAL}${json}}`;
}

function readBody(text: string, start: number): SignalBody {
  const signalAt = text.indexOf(BEFORE_SIGNAL, start);
  const rest = JSON.parse(`${text.slice(start, signalAt)}}`) as Omit<SignalBody, 'kind' | 'json'>;
  const json = text.slice(signalAt + BEFORE_SIGNAL.length, -1);
  const kind = json.slice(BEFORE_KIND.length, json.indexOf('"', BEFORE_KIND.length)) as SignalBody['kind'];
  return { ...rest, kind, json };
}

export function parseEntry(text: string): Entry {
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
  const body = readBody(text, toEnd + 1);
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

/** The token of an entry that is at hand as it was published, without a look at the rest. */
export function tokenOf(message: Buffer): string {
  const start = message.indexOf(BLANK) + 1;
  return message.toString('latin1', start, start + TOKEN_LENGTH);
}

const BLANK = 0x20;
