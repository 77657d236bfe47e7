import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * An embedded database with nothing in it, as initdb leaves it, kept beside the sources: to unpack it takes a fifth
 * of the time of making one.
 */

const FOLDER = fileURLToPath(new URL('../../.cache/database/', import.meta.url));

/** As a tar file; null where it can't be made or kept here, and PGlite has to go the long way. */
export async function embeddedTemplate(): Promise<Blob | null> {
  try {
    return new Blob([await readFile(await makeTemplate())], { type: 'application/x-tar' });
  } catch {
    return null;
  }
}

/**
 * Its file, made where it is not there: in a process of its own, since there V8 need not compile WebAssembly a second
 * time, for speed, which comes too late for a program that runs once. Several may do this at once; each leaves
 * a whole file. The process has begun when this returns, whatever the caller does then.
 */
export async function makeTemplate(): Promise<string> {
  const library = createRequire(import.meta.url).resolve('@electric-sql/pglite');
  const { version } = JSON.parse(readFileSync(join(library, '../../package.json'), 'utf8')) as {
    version: string;
  };
  const file = `${FOLDER}pglite-${version}.tar`;
  if (existsSync(file)) return file;
  mkdirSync(FOLDER, { recursive: true });
  const made = `${file}.${process.pid}`;
  const program = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, ['--liftoff-only', program, made], { stdio: 'ignore' });
  try {
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`It ended with ${code}`);
    await rename(made, file);
    return file;
  } finally {
    await rm(made, { force: true });
  }
}

const [, , output] = process.argv;
if (import.meta.main && output !== undefined) {
  const { PGlite } = await import('@electric-sql/pglite');
  const pglite = await PGlite.create();
  const dump = await pglite.dumpDataDir('none');
  await writeFile(output, Buffer.from(await dump.arrayBuffer()), { flush: true });
  await pglite.close();
}
