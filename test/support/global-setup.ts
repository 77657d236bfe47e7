import type { TestProject } from 'vitest/node';
import { buildDemo } from '../../scripts/build-demo.ts';
import { makeTemplate as makeEmbeddedTemplate } from '../../src/database/embedded-template.ts';
import { makeTemplate, startPostgres } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres that the whole test run shares; see support/database.ts. */
    postgresUrl: string;
  }
}

/**
 * One Postgres for the whole run, and none where only unit tests run; the embedded database's template, so that not
 * each worker makes it; for browsers the demo of now.
 */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  if (project.vitest.projects.every(({ name }) => name === 'unit')) return undefined;
  if (project.vitest.projects.some(({ name }) => name === 'browser') && !buildDemo()) {
    throw new Error('The demo is not built');
  }
  const embedded = makeEmbeddedTemplate();
  const server = await startPostgres();
  await Promise.all([makeTemplate(server.url), embedded]);
  project.provide('postgresUrl', server.url);
  return () => server.stop();
}
