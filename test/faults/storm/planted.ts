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
        'await saveCall(tx, before, after, row);',
        'await this.#outbox.publish(row);\n    await saveCall(tx, before, after, row);',
      ],
    ],
  },
  {
    name: 'a count without a lock',
    file: 'src/calls/call.repository.ts',
    edits: [
      ['const [calls, participants] = (', 'const [participants, calls] = ('],
      [
        'together(tx, [lock, CompiledQuery.raw(PARTICIPANTS, [callId])])) as [\n    CallRow[],\n    (ParticipantRow & { member: boolean; now: Date })[],\n',
        'together(tx, [CompiledQuery.raw(PARTICIPANTS, [callId]), lock])) as [\n    (ParticipantRow & { member: boolean; now: Date })[],\n    CallRow[],\n',
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
];
