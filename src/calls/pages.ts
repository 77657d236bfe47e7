import { CodedError } from '../errors.ts';
import type { Connection, PageArgs } from '../graphql/services.ts';

/** Pages of a list, as the GraphQL Cursor Connections specification (Relay) has them. */

/** How many entries a page of a list has: where none is asked for, and at most. */
export interface PageSize {
  readonly usual: number;
  readonly largest: number;
}

export const CALLS_PAGE: PageSize = { usual: 20, largest: 100 };
export const DEAD_LETTERS_PAGE: PageSize = { usual: 50, largest: 500 };
export const TIMELINE_PAGE: PageSize = { usual: 100, largest: 500 };

export interface Page<T> {
  readonly size: number;
  readonly backwards: boolean;
  /** What the cursor stands for; null: from the beginning. */
  readonly from: T | null;
}

/** Relay's arguments, read strictly: one direction, a size within bounds, a cursor that was given out. */
export function pageOf<T>(
  { first, after, last, before }: PageArgs,
  parse: (cursor: string) => T | null,
  { usual, largest }: PageSize,
): Page<T> {
  const backwards = last !== null || before !== null;
  if (backwards && (first !== null || after !== null)) {
    throw new CodedError('BAD_USER_INPUT', 'Give first and after, or last and before, not both.', 'first');
  }
  const size = (backwards ? last : first) ?? usual;
  if (size < 1 || size > largest) {
    const field = backwards ? 'last' : 'first';
    throw new CodedError('BAD_USER_INPUT', `${field}: give a number from 1 to ${largest}.`, field);
  }
  const cursor = backwards ? before : after;
  if (cursor === null) return { size, backwards, from: null };
  const from = parse(cursor);
  if (from === null) {
    const field = backwards ? 'before' : 'after';
    throw new CodedError('BAD_USER_INPUT', `${field}: is not a cursor of this list.`, field);
  }
  return { size, backwards, from };
}

/** `found`: in the list's order, one more than the page's size where there are more. */
export function connection<Node, Edge extends object = object>(
  { size, backwards, from }: Page<unknown>,
  found: readonly ({ readonly node: Node } & Edge)[],
  cursorOf: (node: Node) => string,
): Connection<Node, Edge> {
  const more = found.length > size;
  const kept = backwards ? found.slice(more ? 1 : 0) : found.slice(0, size);
  const edges = kept.map((edge) => ({ ...edge, cursor: cursorOf(edge.node) }));
  return {
    edges,
    pageInfo: {
      hasNextPage: backwards ? from !== null : more,
      hasPreviousPage: backwards ? more : from !== null,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
