import { inject } from 'vitest';
import { copyOf, TEMPLATE, type TestDatabase } from './postgres.ts';

/** A new database, with the tables of migrations/, on the server that the whole test run shares. */
export function createDatabase(): Promise<TestDatabase> {
  return copyOf(inject('postgresUrl'), TEMPLATE);
}

/** The same without tables. */
export function createEmptyDatabase(): Promise<TestDatabase> {
  return copyOf(inject('postgresUrl'), 'template1');
}
