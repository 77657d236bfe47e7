import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApp, tokenFor } from '../support/app.ts';
import { openChromium } from '../support/browser/browsers.ts';
import { bundle, servePage } from '../support/browser/page-server.ts';
import { createClient } from '../support/client.ts';
import { PutConversation } from '../support/operations.ts';

/** The SDK as an app gets it: packed, and installed where nothing of this repository is. */

const run = promisify(execFile);
const CLIENT = fileURLToPath(new URL('../../client/', import.meta.url));
const TSC = fileURLToPath(new URL('../../node_modules/typescript/bin/tsc', import.meta.url));

let folder: string;
let packed: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringdown-app-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: CLIENT });
  const [tarball] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [
    { filename: string; files: { path: string }[] },
  ];
  packed = tarball.files.map(({ path }) => path);
  await writeFile(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "module" }');
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', join(folder, tarball.filename)];
  await run('npm', install, { cwd: folder });
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('the packed SDK', () => {
  it('holds the SDK, its types, its examples and its documents, and nothing else', () => {
    const folders = new Set(packed.map((path) => path.split('/')[0]));
    expect([...folders].sort()).toEqual([
      ...['LICENSE', 'README.md', 'dist', 'documents.json', 'examples', 'package.json', 'src'],
    ]);
    expect(packed).toContain('dist/index.js');
    expect(packed).toContain('dist/index.d.ts');
    expect(packed).toContain('dist/react/index.d.ts');
    expect(packed.filter((path) => /test|tsbuildinfo/.test(path))).toEqual([]);
  });

  it('brings no more than the GraphQL client', async () => {
    const installed = await readdir(join(folder, 'node_modules'));
    expect(installed.filter((name) => !name.startsWith('.')).sort()).toEqual([
      '@graphql-typed-document-node',
      '@ringdown',
      'graphql',
      'graphql-ws',
    ]);
  });

  it('has types that hold by themselves', async () => {
    await writeFile(
      join(folder, 'app.ts'),
      `import { type Call, LocalMedia, RejectionError, Ringdown } from '@ringdown/client';
const ringdown = new Ringdown({ url: 'https://calls.example', token: () => 'token' });
export async function call(): Promise<Call | null> {
  try {
    return await ringdown.start({ conversationId: 'room', calleeIds: ['ben'], media: new LocalMedia() });
  } catch (error) {
    if (error instanceof RejectionError && error.code === 'RATE_LIMITED') return null;
    throw error;
  }
}
// @ts-expect-error There is no such method.
ringdown.fly();
`,
    );
    const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024'];
    const lib = ['--lib', 'es2024,dom,dom.iterable', '--types', '', '--ignoreConfig'];
    await run(process.execPath, [TSC, ...flags, ...lib, 'app.ts'], { cwd: folder });
  });

  it('makes a call with the example of at most 30 lines', async () => {
    const example = join(folder, 'node_modules/@ringdown/client/examples/call.js');
    const source = await readFile(example, 'utf8');
    expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(30);
    await cp(example, join(folder, 'call.js'));
    const pages = await servePage(await bundle(join(folder, 'call.js')), {
      '/token': (query) => tokenFor(query.get('user') as string),
    });
    const app = await startTestApp({ ALLOWED_ORIGINS: pages.origin });
    const backEnd = createClient({ url: app.url, token: await tokenFor('back-end', 'service') });
    await backEnd.mutate(PutConversation, { id: 'room-7', memberIds: ['ada', 'ben'] });
    const browser = await openChromium('--use-fake-ui-for-media-stream');
    try {
      const open = async (query: string) => {
        const page = await browser.newPage();
        await page.goto(`${pages.origin}/?${query}&server=${encodeURIComponent(app.url)}`);
        return page;
      };
      const plays = () => {
        const video = document.querySelector('video');
        return (video?.videoWidth ?? 0) > 0 && (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 5;
      };
      const ben = await open('user=ben');
      const ada = await open('user=ada&call=ben');
      await Promise.all([ada.waitForFunction(plays), ben.waitForFunction(plays)]);
    } finally {
      await browser.close();
      await backEnd.dispose();
      await app.stop();
      await pages.close();
    }
  });
});
