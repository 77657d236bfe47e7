import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashSources, isFresh } from '../../scripts/build-demo.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ringdown-build-'));
  await put('demo/src/main.tsx', 'main');
  await put('demo/src/ui/button.tsx', 'button');
  await put('client/src/index.ts', 'index');
  await put('client/package.json', '{}');
  await put('schema.graphql', 'type Query');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(file: string, content: string): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true });
  await writeFile(join(root, file), content);
}

describe("The demo's page is stale", () => {
  it.each([
    'demo/src/ui/button.tsx',
    'demo/src/new.css',
    'demo/index.html',
    'demo/vite.config.ts',
    'demo/public/icon.svg',
    'client/src/index.ts',
    'client/src/links/link.ts',
    'client/package.json',
    'schema.graphql',
    'package-lock.json',
  ])('when %s changes', async (file) => {
    const before = hashSources(root);
    await put(file, 'changed');
    expect(hashSources(root)).not.toBe(before);
  });

  it('when a file has another name', async () => {
    const before = hashSources(root);
    await rename(join(root, 'demo/src/main.tsx'), join(root, 'demo/src/other.tsx'));
    expect(hashSources(root)).not.toBe(before);
  });

  it('when it is not there, or does not say what it was made of', async () => {
    const hash = hashSources(root);
    const output = join(root, 'demo/dist');
    expect(isFresh(output, hash)).toBe(false);
    await put('demo/dist/index.html', '');
    expect(isFresh(output, hash)).toBe(false);
    await put('demo/dist/.made-of', 'else');
    expect(isFresh(output, hash)).toBe(false);
  });
});

describe("The demo's page is as good as new", () => {
  it('when only what is made from the sources, or is none of them, changes', async () => {
    const before = hashSources(root);
    await put('client/src/generated/graphql.ts', 'generated');
    await put('demo/dist/index.html', 'built');
    await put('demo/node_modules/x/index.js', 'x');
    await put('src/app.ts', 'server');
    expect(hashSources(root)).toBe(before);
  });

  it('when it says that it was made of these sources', async () => {
    const hash = hashSources(root);
    await put('demo/dist/index.html', '');
    await put('demo/dist/.made-of', hash);
    expect(isFresh(join(root, 'demo/dist'), hash)).toBe(true);
  });
});
