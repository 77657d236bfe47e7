import { CodedError } from '../errors.ts';
import type { DeadLetterService } from '../graphql/services.ts';
import type { NoticeQueue } from './notice-queue.ts';

/** For operators: what was given up, and once more. `queue`: null where no channel is configured. */
export function createDeadLetterService(queue: NoticeQueue | null): DeadLetterService {
  return {
    async deadLetters(page) {
      if (queue === null) return [];
      const letters = await queue.deadLetters(page);
      if (letters !== null) return letters;
      throw new CodedError('BAD_USER_INPUT', 'after: there is no such dead letter any more.', 'after');
    },
    async redeliver(ids) {
      return queue === null || ids?.length === 0 ? 0 : queue.redeliver(ids);
    },
  };
}
