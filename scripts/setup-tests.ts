import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Before the tests: what they need and npm does not have comes from Debian's packages. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  'redis-server': 'redis-server',
  chromium: 'chromium',
  'chromium-headless-shell': 'chromium-headless-shell',
  'firefox-esr': 'firefox-esr',
  turnserver: 'coturn',
  openssl: 'openssl',
  promtool: 'prometheus',
  caddy: 'caddy',
};

/** The packages whose programs are not there. */
function missing(): string[] {
  // Debian has servers in sbin, which is not on everyone's PATH.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'];
  return Object.entries(PACKAGE_OF)
    .filter(([program]) => !folders.some((folder) => isProgram(join(folder, program))))
    .map(([, name]) => name);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** As root, or as one who may become it without a password. */
function aptGet(...args: string[]): boolean {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  // RUNLEVEL=1: no service is started; the tests run servers of their own.
  const command = [...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get', ...args];
  return spawnSync(command[0] as string, command.slice(1), { stdio: 'inherit' }).status === 0;
}

const wanted = missing();
if (wanted.length > 0) {
  process.stdout.write(`Installing ${wanted.join(' and ')} for the tests\n`);
  if (aptGet('update')) aptGet('install', '-y', '--no-install-recommends', ...wanted);
}
const left = missing();
if (left.length > 0) {
  process.stderr.write(
    `The tests need the programs of ${left.join(' and ')} on PATH. On Debian: apt-get install ${left.join(' ')}\n`,
  );
  process.exitCode = 1;
}
