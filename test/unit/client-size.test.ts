import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, it } from 'vitest';

const CLIENT = fileURLToPath(new URL('../../client/src/', import.meta.url));
/** Gzipped, without dependencies: what an app pays for calls. */
const BUDGET = 20 * 1_024;

async function sizeOf(entry: string, external: string[]): Promise<number> {
  const output = await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: `${CLIENT}${entry}`, formats: ['es'] },
      rolldownOptions: { external },
    },
  });
  const [first] = Array.isArray(output) ? output : [output];
  if (!first || !('output' in first)) throw new Error('Nothing was built');
  // A library's spaces are left to the app's bundler; the letters of names are what it can't take away.
  return gzipSync(first.output[0].code, { level: 9 }).length;
}

it('keeps the SDK within 20 KB, gzipped and without dependencies', async ({ annotate }) => {
  const sdk = await sizeOf('index.ts', ['graphql-ws/client', 'react']);
  const hooks = await sizeOf('react/index.ts', ['graphql-ws/client', 'react', '../index.ts']);
  await annotate(`SDK ${sdk} bytes, hooks ${hooks} bytes`);
  process.stdout.write(`The SDK is ${sdk} bytes gzipped, its React hooks ${hooks}.\n`);
  expect(sdk).toBeGreaterThan(1_000);
  expect(sdk).toBeLessThanOrEqual(BUDGET);
  expect(hooks).toBeLessThanOrEqual(BUDGET / 10);
});
