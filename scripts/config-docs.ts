/**
 * Writes `.env.example` and the README's table of settings from the one table in the code. With `--check`
 * it writes nothing and exits with 1 where either is out of date.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SETTINGS, type Setting } from '../src/config-settings.ts';

const START = '<!-- settings:start -->';
const END = '<!-- settings:end -->';
const settings = Object.entries(SETTINGS) as [string, Setting][];

function envExample(): string {
  const lines = [
    '# Every setting of Ringdown with its default. Written by scripts/config-docs.ts: change src/config-settings.ts.',
    '# A setting marked "secret" may come from a file instead: NAME_FILE=/run/secrets/name.',
  ];
  let group = '';
  for (const [name, setting] of settings) {
    if (setting.group !== group) {
      group = setting.group;
      lines.push('', `# --- ${group} ---`);
    }
    const note = setting.default === null ? [`# Default: ${setting.defaultNote ?? 'not set'}.`] : [];
    lines.push(
      '',
      `# ${setting.about}`,
      `# Allowed: ${setting.allowed}.${setting.secret ? ' Secret.' : ''}`,
      ...note,
      `# Why: ${setting.why}.`,
      `#${name}=${setting.default ?? ''}`,
    );
  }
  return `${lines.join('\n').replaceAll('`', '')}\n`;
}

function readmeTable(): string {
  const rows = settings.map(([name, setting]) => {
    const file = setting.secret ? ` Or \`${name}_FILE\`.` : '';
    const byDefault =
      setting.default === null ? (setting.defaultNote ?? 'not set') : `\`${setting.default}\``;
    const cells = [`\`${name}\``, byDefault, `${setting.about}${file}`, setting.allowed, setting.why];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return [
    '| Setting | Default | What it is | Allowed | Why this default |',
    '|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** The README with its table anew; null where it has no place for one. */
function withTable(readme: string): string | null {
  const start = readme.indexOf(START);
  const end = readme.indexOf(END);
  if (start < 0 || end < start) return null;
  return `${readme.slice(0, start + START.length)}\n\n${readmeTable()}\n\n${readme.slice(end)}`;
}

const checkOnly = process.argv.includes('--check');

function bring(name: string, make: (current: string) => string | null): boolean {
  const path = fileURLToPath(new URL(`../${name}`, import.meta.url));
  const say = (what: string) => process.stdout.write(`${name}: ${what}\n`);
  const exists = existsSync(path);
  const current = exists ? readFileSync(path, 'utf8') : '';
  const wanted = make(current);
  if (wanted === null) {
    say(exists ? `has no ${START} and ${END}` : 'is not there yet; its table was left out');
    return !exists;
  }
  if (wanted === current) {
    say('up to date');
    return true;
  }
  if (checkOnly) {
    say('out of date; run scripts/config-docs.ts');
    return false;
  }
  writeFileSync(path, wanted);
  say('written');
  return true;
}

const done = [bring('.env.example', envExample), bring('README.md', withTable)];
if (done.includes(false)) process.exitCode = 1;
