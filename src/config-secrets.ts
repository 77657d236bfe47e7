/**
 * What production refuses although it has the right form: secrets that others know, or that anyone could
 * guess. A message says what to do and never repeats the value.
 */

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
export function weaknessOf(secret: string): string | null {
  if (EXAMPLE.test(secret)) return 'has a word of an example in it';
  if (isRepetition(secret)) return 'repeats itself';
  const codes = [...secret].map((character) => character.codePointAt(0) as number);
  const steps = codes.slice(1).map((code, index) => code - (codes[index] as number));
  if (new Set(codes).size < FEWEST || new Set(steps).size < FEWEST) return 'is no product of chance';
  return null;
}

/** Why the password of a URL protects nothing, or null; without one it is the server that decides. */
export function passwordWeakness(url: string): string | null {
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
