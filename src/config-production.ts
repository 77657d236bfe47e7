import type { SettingName, SettingValues } from './config-settings.ts';

/**
 * What production refuses although it has the right form: secrets that others know or that anyone could
 * guess, and a database that forgets. A message says what to do and never repeats the value. A setting that
 * is wrong by itself has no value here, and nothing more is said of it.
 */

export type Report = (name: SettingName, what: string) => void;

const RANDOM = 'allowed in production: a random one, as';

export function checkProduction(values: SettingValues, report: Report): void {
  checkProductionDatabase(values, report);
  checkPassword('REDIS_URL', values.REDIS_URL, report);
  if (values.VAPID_PRIVATE_KEY && weaknessOf(values.VAPID_PRIVATE_KEY)) {
    report(
      'VAPID_PRIVATE_KEY',
      `is no product of chance; ${RANDOM} \`npx web-push generate-vapid-keys\` makes it`,
    );
  }
  for (const name of ['JWT_SECRET', 'JWT_PREVIOUS_SECRET'] as const) {
    const weakness = values[name] && weaknessOf(values[name]);
    if (weakness) report(name, `${weakness}; ${RANDOM} \`openssl rand -base64 48\` makes it`);
  }
  for (const [index, secret] of (values.WEBHOOK_SECRETS ?? []).entries()) {
    const weakness = weaknessOf(secret.slice('whsec_'.length));
    if (weakness) {
      report(
        'WEBHOOK_SECRETS',
        `item ${index + 1} ${weakness}; ${RANDOM} \`echo whsec_$(openssl rand -base64 32)\` makes it`,
      );
    }
  }
  for (const [index, secret] of (values.TURN_SECRETS?.valid ?? []).entries()) {
    // HMAC-SHA1 wants a key as long as its hash (RFC 2104, section 3), and every participant gets something to
    // try guesses on.
    const weakness = Buffer.byteLength(secret) < 20 ? 'is shorter than 20 bytes' : weaknessOf(secret);
    if (weakness)
      report('TURN_SECRETS', `item ${index + 1} ${weakness}; ${RANDOM} \`openssl rand -hex 32\` makes it`);
  }
}

/** Production keeps its data, and its database is not open to all. */
export function checkProductionDatabase(
  values: Pick<SettingValues, 'DATABASE_URL' | 'DATA_DIR'>,
  report: Report,
): void {
  if (values.DATABASE_URL === null && values.DATA_DIR === null) {
    report(
      'DATABASE_URL',
      'is not set and neither is DATA_DIR, so that all is forgotten with the process; allowed in production: a ' +
        '`postgres://` URL, or DATA_DIR for one instance on the embedded database',
    );
  }
  checkPassword('DATABASE_URL', values.DATABASE_URL, report);
}

function checkPassword(name: SettingName, url: string | null | undefined, report: Report): void {
  const weakness = url && passwordWeakness(url);
  if (weakness) report(name, `${weakness}; ${RANDOM} \`openssl rand -hex 24\` makes it`);
}

/** Words of examples and templates; by chance a random secret has one of them once in ten million times. */
const EXAMPLE =
  /change.?(?:me|it|this)|secret|passw[o0]rd|example|default|placeholder|insecure|ringdown|your.?key/i;

/** Passwords that servers, images and READMEs come with, and what scanners try first. */
const KNOWN_PASSWORDS = new Set(
  'admin administrator app changeme db default example foobared guest letmein pass passw0rd password postgres postgresql qwerty redis ringdown root secret test user welcome'.split(
    ' ',
  ),
);

/** A secret of chance has more different characters, and more different steps from one to the next. */
const FEWEST = 8;

/**
 * Why a secret is none, or null. It sees examples, repetitions and rows of the keyboard or the alphabet; it
 * can't see that a long text was published somewhere.
 */
function weaknessOf(secret: string): string | null {
  if (EXAMPLE.test(secret)) return 'has a word of an example in it';
  if (isRepetition(secret)) return 'repeats itself';
  const codes = [...secret].map((character) => character.codePointAt(0) as number);
  const steps = codes.slice(1).map((code, index) => code - (codes[index] as number));
  if (new Set(codes).size < FEWEST || new Set(steps).size < FEWEST) return 'is no product of chance';
  return null;
}

/** Why the password of a URL protects nothing, or null; without one it is the server that decides. */
function passwordWeakness(url: string): string | null {
  const { username, password } = new URL(url);
  if (password === '') return null;
  const known = decoded(password).toLowerCase();
  if (KNOWN_PASSWORDS.has(known)) return 'has a password that everyone knows';
  if (username !== '' && known === decoded(username).toLowerCase())
    return "has the user's name as its password";
  return null;
}

/** One part over and over, the last of them perhaps cut off. */
function isRepetition(text: string): boolean {
  for (let part = 1; part <= text.length / 2; part++) {
    if (text.startsWith(text.slice(part))) return true;
  }
  return false;
}

/** Percent signs that encode nothing are what the password has. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
