import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Code } from './code.ts';

/** Bugs put in on purpose: what the simulation has to notice. */

export interface Planted {
  readonly name: string;
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const PLANTED: readonly Planted[] = [
  {
    name: 'no fence: the late end of an older stream takes the seat from the newer one',
    file: 'src/seats/seat-rules.ts',
    find: 'if (participant?.seat?.streamId === streamId) beginGrace(draft, userId, false);',
    replace: 'if (participant?.seat) beginGrace(draft, userId, false);',
  },
  {
    name: 'published before the commit',
    file: 'src/calls/call-unit.ts',
    find: 'return locked ? this.#decide(tx, locked, decide) : null;',
    replace: `if (!locked) return null;
      const decided = await this.#decide(tx, locked, decide);
      if (decided.row) await this.publish(decided.row, decided.call);
      return decided;`,
  },
  {
    name: 'what a crash left unpublished nobody takes up',
    file: 'src/calls/outbox.ts',
    find: 'for (const row of rows) await this.publish(await this.#asOfNow(toRow(row)));',
    replace: '',
  },
  {
    name: 'a repeated clientSeq is taken again',
    file: 'src/call-log/memory.ts',
    find: "if (takenAt !== undefined) return { outcome: 'duplicate', at: takenAt };",
    replace: '',
  },
  {
    name: 'a feed does not notice a gap',
    file: 'src/call-log/feed.ts',
    find: "if (this.#mode === 'live' && entry.seq === this.#logPosition.seq + 1) {",
    replace: "if (this.#mode === 'live') {",
  },
  {
    name: 'a feed that starts over says that nothing is missing',
    file: 'src/call-log/feed.ts',
    find: "this.#add({ kind: 'restored', place: this.#logPosition, recovered });",
    replace: "this.#add({ kind: 'restored', place: this.#logPosition, recovered: true });",
  },
  {
    name: 'the end of a call in an outage is not told after it',
    file: 'src/call-log/feeds.ts',
    find: 'await this.pollState(feed.callId);',
    replace: '',
  },
  {
    name: 'the seats of a dead instance are kept',
    file: 'src/seats/instances.ts',
    find: 'if (!back) instanceLost(draft, instanceId);',
    replace: '',
  },
  {
    name: 'a signal for an old seat reaches the new one',
    file: 'src/call-log/memory.ts',
    find: 'recipient === undefined || (draft.toJoinSeq ?? recipient.joinSeq) !== recipient.joinSeq',
    replace: 'recipient === undefined',
  },
];

const ROOT = new URL('../../', import.meta.url);

export function timesFound({ file, find }: Planted): number {
  return readFileSync(new URL(file, ROOT), 'utf8').split(find).length - 1;
}

/** The code with the bug in it, from a copy that `remove` takes away. */
export async function plant(planted: Planted): Promise<{ code: Code; remove: () => void }> {
  if (timesFound(planted) !== 1) throw new Error(`The text of "${planted.name}" is not there exactly once`);
  const name = planted.name.replace(/\W+/g, '-');
  const root = new URL(`.cache/planted/${name}/`, ROOT);
  cpSync(new URL('src/', ROOT), new URL('src/', root), { recursive: true });
  const file = new URL(planted.file, root);
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replace(planted.find, () => planted.replace),
  );
  return { code: await load(root), remove: () => rmSync(fileURLToPath(root), { recursive: true }) };
}

async function load(root: URL): Promise<Code> {
  const files = [
    'src/core.ts',
    'src/call-log/call-log.ts',
    'src/call-log/memory.ts',
    'src/call-log/memory-channels.ts',
    'src/database/failures.ts',
    'src/database/lease.ts',
  ];
  const modules = await Promise.all(files.map((file) => import(new URL(file, root).href)));
  return Object.assign({}, ...modules) as Code;
}
