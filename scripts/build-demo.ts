import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Builds the demo's page into demo/dist, where what it is made of has changed since the last time.
 *
 *     node scripts/build-demo.ts             builds, or exits 1
 *     node scripts/build-demo.ts <folder>    and puts a copy there
 */

const root = fileURLToPath(new URL('..', import.meta.url));

/** What the page is made of. The SDK's generated operations are not named: they are made of these. */
const SOURCES = [
  'demo/{src,public}/**',
  'demo/{index.html,vite.config.ts,package.json,tsconfig.json}',
  'client/src/**',
  'client/package.json',
  '{package-lock.json,tsconfig.json,schema.graphql,codegen.ts}',
];
const NOT_SOURCES = ['client/src/generated/**'];

/** Beside the page, so that it goes when the page goes. Its dot keeps the server from serving it. */
const STAMP = '.made-of';

/** Hash of the names and contents of all files of `folder` that the page is made of. */
export function hashSources(folder: string = root): string {
  const found = globSync(SOURCES, { cwd: folder, exclude: NOT_SOURCES, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const content = readFileSync(file);
    hash.update(`${file.slice(folder.length)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/** Whether the page in `output` is there and was made of sources with this hash. */
export function isFresh(output: string, hash: string): boolean {
  const stamp = join(output, STAMP);
  return existsSync(join(output, 'index.html')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
}

/** Builds what is stale. `false`: it could not, and the reason stands on stderr. */
export function buildDemo(): boolean {
  const output = join(root, 'demo/dist');
  const hash = hashSources();
  if (isFresh(output, hash)) return true;
  process.stdout.write("Building the demo's page\n");
  if (!run('codegen') || !run('build', '--workspace', 'demo')) return false;
  writeFileSync(join(output, STAMP), hash);
  return true;
}

/** An npm script, of which only what goes wrong is shown. */
function run(script: string, ...args: string[]): boolean {
  const { status, stdout, stderr, error } = spawnSync('npm', ['run', '--silent', script, ...args], {
    cwd: root,
    encoding: 'utf8',
    // Whoever runs the tests wants the page that people get, too.
    env: { ...process.env, NODE_ENV: 'production' },
    shell: process.platform === 'win32',
  });
  if (status === 0) return true;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error ? `${error.message}\n` : ''}`);
  process.stderr.write(`\`npm run ${[script, ...args].join(' ')}\` failed: the demo's page is not built.\n`);
  return false;
}

if (import.meta.main) {
  const [argument] = process.argv.slice(2);
  if (!buildDemo()) {
    process.exitCode = 1;
  } else if (argument !== undefined) {
    rmSync(argument, { recursive: true, force: true });
    cpSync(join(root, 'demo/dist'), argument, { recursive: true });
  }
}
