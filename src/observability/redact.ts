/**
 * What nobody may find in a log or a trace: tokens, SDP, candidates, IP addresses of participants, ICE
 * passwords, TURN credentials. Known by the name of a field, and inside text by its form.
 */

/** Names of fields whose value is never shown, in lower case. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  ...['authorization', 'cookie', 'token', 'accesstoken', 'operatortoken', 'jwt', 'secret', 'secrets'],
  ...['password', 'credential', 'credentials', 'username', 'usernamefragment', 'icepwd', 'iceufrag'],
  ...['sdp', 'offer', 'answer', 'candidate', 'candidates', 'connectionparams', 'variables'],
  ...['ip', 'address', 'remoteaddress', 'x-forwarded-for', 'forwarded', 'x-real-ip'],
  ...['databaseurl', 'redisurl', 'iceservers', 'turn'],
]);

const HIDDEN = '[redacted]';

const SECRET_TEXT: readonly (readonly [form: RegExp, replacement: string])[] = [
  // A session description goes on to the end of the text, with line breaks as they are or escaped.
  [/\bv=0\s*(?:\\r|\\n|\r|\n)[\s\S]*/g, HIDDEN],
  [/\bcandidate:[^\r\n"'\\]*/gi, HIDDEN],
  [/\bice-(?:pwd|ufrag):[^\s"'\\]*/gi, HIDDEN],
  [/\beyJ[\w-]*\.[\w-]+\.[\w-]*/g, HIDDEN],
  [/\bBearer\s+[^\s"']+/gi, `Bearer ${HIDDEN}`],
  // User and password of a URL.
  [/:\/\/[^\s/@"']*@/g, `://${HIDDEN}@`],
];

export function redactText(text: string): string {
  let shown = text;
  for (const [form, replacement] of SECRET_TEXT) shown = shown.replace(form, replacement);
  return shown;
}

/** Deeper than this nothing is shown: a log line is not the place for a whole object graph. */
const MAX_DEPTH = 6;

/** A copy that may be shown. Of an error only name, message, stack, code and cause are left. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '[too deep]';
  if (value instanceof Error) return redactError(value, depth);
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  if (value instanceof Map) return redact(Object.fromEntries(value), depth);
  if (value instanceof Set) return redact([...value], depth);
  if ('toJSON' in value && typeof value.toJSON === 'function') return redact(value.toJSON(), depth + 1);
  return redactFields(value, depth);
}

/** `redact` for the fields of a line of the log. */
export function redactFields(fields: object, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      SECRET_FIELDS.has(name.toLowerCase()) && value !== null && value !== undefined
        ? HIDDEN
        : redact(value, depth + 1),
    ]),
  );
}

/** Other properties of errors carry what failed: ioredis keeps a command's arguments, pg a row's values. */
function redactError(error: Error, depth: number): Record<string, unknown> {
  const code = 'code' in error ? error.code : undefined;
  return {
    name: error.name,
    message: redactText(error.message),
    stack: error.stack === undefined ? undefined : redactText(error.stack),
    code: typeof code === 'string' || typeof code === 'number' ? code : undefined,
    cause: error.cause === undefined ? undefined : redact(error.cause, depth + 1),
  };
}
