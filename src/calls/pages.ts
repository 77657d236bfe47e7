/** How many entries a page of a list has: where none is asked for, and at most. */
export interface PageSize {
  readonly usual: number;
  readonly largest: number;
}

export const CALLS_PAGE: PageSize = { usual: 20, largest: 100 };
export const DEAD_LETTERS_PAGE: PageSize = { usual: 50, largest: 500 };
export const TIMELINE_PAGE: PageSize = { usual: 100, largest: 500 };
