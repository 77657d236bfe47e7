/**
 * GraphQL's own messages repeat the value that does not fit, and a value may be an SDP, a candidate or a
 * token. What is kept of such a message is built from parts that cannot be one.
 */

export interface ErrorText {
  readonly message: string;
  /** The variable that does not fit, as a path; null where the message is of another kind. */
  readonly field: string | null;
}

/** Of a variable that is missing or null; no value is in it. */
const ABSENT =
  /^Variable "\$(\w+)" of (?:required|non-null) type "[\w![\]]+" (?:was not provided|must not be null)\.$/;
const VARIABLE = /^Variable "\$(\w+)" got invalid value /;
/** The last one, for a value may have the like in it. */
const PATH = /[\s\S]* at "(\w+(?:\.\w+|\[\d+\])*)"; /;
const LITERAL = /^(Expected value of type "[\w![\]]+"), found [\s\S]*$/;
const SCALAR = /^((?:Enum "\w+"|\w+) cannot represent (?:a )?non[\w -]{1,40}? value): [\s\S]*$/;
/** What is written as a value of an enum may be anything, too. */
const ENUM_VALUE = /^Value "\w+" (?=does not exist in "\w+" enum\.)/;
const SYNTAX = /^(Syntax Error: [\w ",{}()[\]:=@!|&$.]{0,60}?)(?:Block)?String "[\s\S]*$/;
const REASONS = [
  /Field "\w{1,80}" of required type "[\w![\]]+" was not provided\.$/,
  /Field "\w{1,80}" is not defined by type "\w+"\.(?: Did you mean [\w", ]+\?)?$/,
  /Field "\w{1,80}" must be non-null\.$/,
  /Expected non-nullable type "[\w![\]]+" not to be null\.$/,
  /Expected type "[\w![\]]+" to be an object\.$/,
  /Exactly one key must be specified for OneOf type "\w+"\.$/,
  /(?<=Value "\w+" )does not exist in "\w+" enum\.(?: Did you mean [\w", ]+\?)?$/,
  /(?:Enum "\w+"|String|Int|Float|Boolean|ID) cannot represent (?:a )?non[\w -]{1,40}? value(?=: )/,
  /(?:DateTime|Cursor) wants [^;]+$/,
];

export function withoutValues(message: string): ErrorText {
  const absent = ABSENT.exec(message);
  if (absent !== null) return { message, field: absent[1]! };
  const variable = VARIABLE.exec(message);
  if (variable === null) {
    const kept = LITERAL.exec(message)?.[1] ?? SCALAR.exec(message)?.[1];
    if (kept !== undefined) return { message: `${kept}.`, field: null };
    const syntax = SYNTAX.exec(message)?.[1];
    if (syntax !== undefined) return { message: `${syntax}a string.`, field: null };
    return { message: message.replace(ENUM_VALUE, 'The value '), field: null };
  }
  const field = PATH.exec(message)?.[1] ?? variable[1]!;
  for (const pattern of REASONS) {
    const reason = pattern.exec(message)?.[0];
    if (reason !== undefined) return { message: `${field} is not valid: ${reason}`, field };
  }
  return { message: `${field} is not valid: it is of another type.`, field };
}

export function withoutSuggestion(message: string): string {
  return message.replace(/ ?Did you mean [^?]*\?$/, '');
}
