import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A bug put in on purpose, which a proof has to notice. */
export interface Planted {
  readonly name: string;
  readonly file: string;
  /** What stands in the file, exactly once, and what stands there with the bug. */
  readonly edits: readonly (readonly [find: string, replace: string])[];
}

const ROOT = new URL('../../', import.meta.url);

/** Which of the texts are not in the file exactly once, as when the code has moved on. */
export function lostTexts({ file, edits }: Planted): string[] {
  const text = readFileSync(new URL(file, ROOT), 'utf8');
  return edits.map(([find]) => find).filter((find) => text.split(find).length !== 2);
}

/** A copy of the server with the bug in it: its folder, inside the checkout so that it finds the packages. */
export function plant(planted: Planted): URL {
  const { name, file, edits } = planted;
  const [lost] = lostTexts(planted);
  if (lost !== undefined) throw new Error(`${file} does not have this exactly once: ${lost}`);
  const folder = new URL(`.cache/planted/${name.replace(/\W+/g, '-')}/`, ROOT);
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['src', 'migrations', 'package.json']) {
    cpSync(fileURLToPath(new URL(part, ROOT)), fileURLToPath(new URL(part, folder)), { recursive: true });
  }
  let text = readFileSync(new URL(file, folder), 'utf8');
  for (const [find, replace] of edits) text = text.replace(find, () => replace);
  writeFileSync(new URL(file, folder), text);
  return folder;
}
