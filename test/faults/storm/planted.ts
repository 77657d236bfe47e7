import type { Planted } from '../../support/planted.ts';

/** Bugs put in on purpose, which a run has to catch. */

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
