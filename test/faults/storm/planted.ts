import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Bugs put in on purpose, which a run has to catch: each is a copy of the server with some lines changed. */

export interface Planted {
  readonly name: string;
  readonly file: string;
  /** Each text is there exactly once. */
  readonly edits: readonly (readonly [find: string, replace: string])[];
}

export const PLANTED: readonly Planted[] = [
  {
    name: 'a missing fence',
    file: 'src/seats/seat-rules.ts',
    edits: [
      ['if (participant?.seat?.streamId === streamId) beginGrace', 'if (participant?.seat) beginGrace'],
    ],
  },
  {
    name: 'a publish before the commit',
    file: 'src/calls/call-unit.ts',
    edits: [
      [
        'const row = await save(tx, locked, kept, facts);',
        'const row = await save(tx, locked, kept, facts);\n    if (row) await this.#outbox.publish(row);',
      ],
    ],
  },
  {
    name: 'a count without a lock',
    file: 'src/calls/call.repository.ts',
    edits: [
      [
        '  const row = await query.executeTakeFirst();\n  if (!row) return null;\n  const participants',
        '  const participants',
      ],
      [
        "    .orderBy('user_id')\n    .execute();\n  return {\n    call: toCall(row, participants),\n    now:",
        "    .orderBy('user_id')\n    .execute();\n  const row = await query.executeTakeFirst();\n  if (!row) return null;\n  return {\n    call: toCall(row, participants),\n    now:",
      ],
    ],
  },
  {
    name: 'an outbox that nobody else takes up',
    file: 'src/calls/outbox.ts',
    edits: [['for (const row of rows) await this.publish(await this.#asOfNow(toRow(row)));', '']],
  },
  {
    name: 'a repeated signal that counts as new',
    file: 'src/call-log/redis-scripts.ts',
    edits: [['if taken == clientSeq then return', 'if false then return']],
  },
  {
    name: 'a gap that nobody looks for',
    file: 'src/call-log/feed.ts',
    edits: [["if (this.#mode === 'live') this.#waitForGap();\n  }\n\n  #drain", '}\n\n  #drain']],
  },
];

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** The path of a server's program with the bug in it. */
export function plant({ name, file, edits }: Planted): string {
  const folder = `${ROOT}.cache/planted/${name.replaceAll(' ', '-')}`;
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['src', 'migrations', 'package.json']) {
    cpSync(`${ROOT}${part}`, `${folder}/${part}`, { recursive: true });
  }
  let text = readFileSync(`${folder}/${file}`, 'utf8');
  for (const [find, replace] of edits) {
    if (text.split(find).length !== 2) throw new Error(`${file} does not have this exactly once: ${find}`);
    text = text.replace(find, () => replace);
  }
  writeFileSync(`${folder}/${file}`, text);
  return `${folder}/src/main.ts`;
}
