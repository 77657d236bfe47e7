import type { TestProject } from 'vitest/node';
import { buildDemo } from '../../scripts/build-demo.ts';
import { makeTemplate, startPostgres } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres that the whole test run shares; see support/database.ts. */
    postgresUrl: string;
  }
}

/** One Postgres for the whole run, and none where only unit tests run; for browsers the demo of now. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.vitest.projects.every(({ name }) => name === 'unit')) return undefined;
  if (project.vitest.projects.some(({ name }) => name === 'browser') && !buildDemo()) {
    throw new Error('The demo is not built');
  }
  const server = await startPostgres();
  await makeTemplate(server.url);
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}
