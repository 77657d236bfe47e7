import { CodedError, type Rejection, reject } from '../errors.ts';
import { isId } from '../ids.ts';
import type { Result } from './services.ts';

/** What is wrong with an argument. */
export interface Problem {
  /** The argument as a path: `input.calleeIds`. */
  readonly field: string;
  readonly message: string;
}

/** Most ids in `calleeIds` and `userIds`. */
export const MAX_USER_IDS = 1_000;
/** Most members that a conversation is given at once. */
export const MAX_MEMBER_IDS = 10_000;

const ID_RULE = 'wants 1 to 128 characters, none of them a control character';

/** Null where the id is well formed, or absent. */
export function idProblem(field: string, id: string | null | undefined): Problem | null {
  return id == null || isId(id) ? null : { field, message: `${field} ${ID_RULE}.` };
}

export function idsProblem(field: string, ids: readonly string[], most: number): Problem | null {
  if (ids.length > most) return { field, message: `${field} has more than ${most} ids.` };
  return ids.every(isId)
    ? null
    : { field, message: `An id in ${field} ${ID_RULE.replace('wants', 'must have')}.` };
}

/** For a field that answers with a Rejection. */
export function invalid(problem: Problem): Rejection {
  return reject('INVALID_INPUT', problem.message);
}

/** For a field that has no Rejection to answer with. */
export function assertValid(problem: Problem | null): void {
  if (problem !== null) throw new CodedError('BAD_USER_INPUT', problem.message, problem.field);
}

/** A service's result as the member of a result union that it is. */
export function member<T extends object>(result: Result<T>): T | Rejection {
  return 'rejection' in result ? result.rejection : result;
}
