import { DEAD_LETTERS_PAGE } from '../calls/pages.ts';
import { builder } from '../graphql/builder.ts';
import { requireScope } from '../graphql/context.ts';
import { assertValid, MAX_USER_IDS, type Problem } from '../graphql/input.ts';
import { isUuid } from '../ids.ts';
import type { DeadLetter } from './notice-queue.ts';

/** Notifications that were given up, for operators. Nobody else sees them: they tell who called whom. */

const DeadLetterRef = builder.objectRef<DeadLetter>('DeadLetter').implement({
  description:
    'A notification that could not be delivered to one receiver, after about a day of attempts. It is kept for two weeks.',
  fields: (t) => ({
    id: t.exposeID('id'),
    channel: t.exposeString('channel', {
      description: '`webhook`, or another way in which people are told.',
    }),
    receiver: t.exposeString('receiver', { description: 'Whom of its channel.' }),
    notificationId: t.exposeID('noticeId', {
      description: 'The same however often it is delivered; `webhook-id` of a webhook.',
    }),
    kind: t.exposeString('kind', {
      description: '`incoming`, `answered_elsewhere`, `declined`, `cancelled`, `missed` or `ended`.',
    }),
    callId: t.exposeID('callId'),
    sequence: t.exposeInt('sequence', { description: 'Grows from one notification of a call to the next.' }),
    at: t.expose('at', { type: 'DateTime', description: 'When what it tells became true.' }),
    failedAt: t.expose('failedAt', { type: 'DateTime', description: 'When it was given up.' }),
    attempts: t.exposeInt('attempts'),
    error: t.exposeString('error', { description: 'What the last attempt came to.' }),
  }),
});

const NEEDS = 'Needs the scope `admin`. Errors: FORBIDDEN, BAD_USER_INPUT.';

builder.queryField('deadLetters', (t) =>
  t.field({
    type: [DeadLetterRef],
    description: `Notifications that were given up, the oldest first. ${NEEDS}`,
    extensions: { page: DEAD_LETTERS_PAGE },
    args: {
      first: t.arg.int({
        description: `${DEAD_LETTERS_PAGE.usual} unless given, ${DEAD_LETTERS_PAGE.largest} at most.`,
      }),
      after: t.arg.id({ description: 'The id of the last one of the page before.' }),
    },
    resolve: (_root, { first, after }, context) => {
      requireScope(context, 'admin');
      const size = first ?? DEAD_LETTERS_PAGE.usual;
      if (size < 1 || size > DEAD_LETTERS_PAGE.largest) {
        assertValid({
          field: 'first',
          message: `first: give a number from 1 to ${DEAD_LETTERS_PAGE.largest}.`,
        });
      }
      assertValid(letterProblem('after', after == null ? [] : [after]));
      return context.services.deadLetters.deadLetters({ first: size, after: after ?? null });
    },
  }),
);

builder.mutationField('redeliver', (t) =>
  t.int({
    description: `Sends dead letters again, as new ones with all their attempts; a ring that is over is not sent. How many. ${NEEDS}`,
    args: {
      ids: t.arg.idList({
        description: `Which, ${MAX_USER_IDS} at most; others are left out. Null: the oldest ${MAX_USER_IDS}.`,
      }),
    },
    resolve: (_root, { ids }, context) => {
      requireScope(context, 'admin');
      assertValid(letterProblem('ids', ids ?? []));
      return context.services.deadLetters.redeliver(ids ?? null);
    },
  }),
);

function letterProblem(field: string, ids: readonly string[]): Problem | null {
  if (ids.length > MAX_USER_IDS) return { field, message: `${field} has more than ${MAX_USER_IDS} ids.` };
  return ids.every(isUuid) ? null : { field, message: `${field}: is not an id of a dead letter.` };
}
