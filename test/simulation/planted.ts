import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Planted, plant } from '../support/planted.ts';
import type { Code } from './code.ts';

/** Bugs put in on purpose: what the simulation has to notice. */

export const PLANTED: readonly Planted[] = [
  {
    name: 'no fence: the late end of an older stream takes the seat from the newer one',
    file: 'src/seats/seat-rules.ts',
    edits: [
      [
        'if (participant?.seat?.streamId === streamId) beginGrace(draft, userId, false);',
        'if (participant?.seat) beginGrace(draft, userId, false);',
      ],
    ],
  },
  {
    name: 'published before the commit',
    file: 'src/calls/call-unit.ts',
    edits: [
      [
        'await saveCall(tx, before, after, row);',
        'await this.publish(row, after);\n    await saveCall(tx, before, after, row);',
      ],
    ],
  },
  {
    name: 'what a crash left unpublished nobody takes up',
    file: 'src/calls/outbox.ts',
    edits: [['for (const row of rows) await this.publish(await this.#asOfNow(toRow(row)));', '']],
  },
  {
    name: 'a repeated clientSeq is taken again',
    file: 'src/call-log/memory.ts',
    edits: [["if (takenAt !== undefined) return { outcome: 'duplicate', at: takenAt };", '']],
  },
  {
    name: 'a feed does not notice a gap',
    file: 'src/call-log/feed.ts',
    edits: [
      [
        "if (this.#mode === 'live' && entry.seq === this.#logPosition.seq + 1) {",
        "if (this.#mode === 'live') {",
      ],
    ],
  },
  {
    name: 'a feed that starts over says that nothing is missing',
    file: 'src/call-log/feed.ts',
    edits: [
      [
        "this.#add({ kind: 'restored', place: this.#logPosition, recovered });",
        "this.#add({ kind: 'restored', place: this.#logPosition, recovered: true });",
      ],
    ],
  },
  {
    name: 'the end of a call in an outage is not told after it',
    file: 'src/call-log/feeds.ts',
    edits: [['await this.pollState(feed.callId);', '']],
  },
  {
    name: 'the seats of a dead instance are kept',
    file: 'src/seats/instances.ts',
    edits: [['if (!back) instanceLost(draft, instanceId);', '']],
  },
  {
    name: 'a signal for an old seat reaches the new one',
    file: 'src/call-log/memory.ts',
    edits: [
      [
        'recipient === undefined || (draft.toJoinSeq ?? recipient.joinSeq) !== recipient.joinSeq',
        'recipient === undefined',
      ],
    ],
  },
];

/** The code with the bug in it, from a copy that `remove` takes away. */
export async function load(planted: Planted): Promise<{ code: Code; remove: () => void }> {
  const folder = plant(planted);
  const modules = await Promise.all(FILES.map((file) => import(new URL(file, folder).href)));
  const code = Object.assign({}, ...modules) as Code;
  return { code, remove: () => rmSync(fileURLToPath(folder), { recursive: true }) };
}

/** Where the parts of `Code` are. */
const FILES = [
  'src/core.ts',
  'src/call-log/call-log.ts',
  'src/call-log/memory.ts',
  'src/call-log/memory-channels.ts',
  'src/database/failures.ts',
  'src/database/lease.ts',
];
