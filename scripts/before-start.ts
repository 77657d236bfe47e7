import { createRequire } from 'node:module';
import { makeTemplate } from '../src/database/embedded-template.ts';
import { buildDemo } from './build-demo.ts';

/**
 * Before a start from a checkout, what is made once and kept: the demo's page and the embedded database's template,
 * at the same time. It never keeps a start from happening: a server without the page says itself what there is to
 * do, and does without the template.
 */

/** An install without devDependencies has no bundler; it is no place for a demo. */
function canBuild(): boolean {
  try {
    createRequire(new URL('../demo/package.json', import.meta.url)).resolve('vite/package.json');
    return true;
  } catch {
    return false;
  }
}

if (process.env.NODE_ENV !== 'production' && canBuild()) {
  const isEmbedded = process.env.DATABASE_URL === undefined && process.env.DATABASE_URL_FILE === undefined;
  const template = isEmbedded ? makeTemplate().catch(() => {}) : null;
  buildDemo();
  await template;
}
