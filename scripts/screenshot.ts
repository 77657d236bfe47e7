import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { startApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger } from '../src/observability/logger.ts';
import { CHROMIUM_ARGUMENTS, programPath } from '../test/support/browser/browsers.ts';

/**
 * Pictures of the demo, made by using it: `node scripts/screenshot.ts` writes docs/demo.png, the one in the
 * README. `node scripts/screenshot.ts --all <folder>` writes every screen there, by day and by night, on a
 * desk and on a phone, for whoever changes the page.
 */

const FAKE_DEVICES = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'];
const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };

const all = process.argv[2] === '--all';
const folder = all ? (process.argv[3] ?? '.') : fileURLToPath(new URL('../docs/', import.meta.url));
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: programPath('chromium'),
  args: [...CHROMIUM_ARGUMENTS, ...FAKE_DEVICES],
});
try {
  if (all) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const size of ['desk', 'phone'] as const) await walk(colorScheme, size, true);
    }
  } else await walk('light', 'desk', false);
} finally {
  await browser.close();
}

/** From the choice of a user to the end of a call of three. */
async function walk(colorScheme: 'light' | 'dark', size: keyof typeof SIZES, everything: boolean) {
  const app = await startApp(loadConfig({ PORT: '0', METRICS_PORT: '0' }), createLogger('fatal'));
  const context = await browser.newContext({ colorScheme, viewport: SIZES[size] });
  const shoot = async (page: Page, name: string) => {
    if (!everything && name !== 'demo') return;
    const file = everything ? `${name}-${size}-${colorScheme}.png` : `${name}.png`;
    await page.screenshot({ path: join(folder, file) });
  };
  const open = async (user: string) => {
    const page = await context.newPage();
    await page.goto(`${app.url}/?user=${user}`);
    await page.getByText('Ready.').waitFor();
    return page;
  };
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const connected = (page: Page) => page.getByText(/Connected to .* there and back/).waitFor();
  try {
    const welcome = await context.newPage();
    await welcome.goto(app.url);
    await welcome.getByText('Be Ada').waitFor();
    await shoot(welcome, 'welcome');
    const [ada, ben, cleo] = [await open('ada'), await open('ben'), await open('cleo')];
    await shoot(ada, 'people');
    await press(ada, 'Call Ben');
    await ben.getByText('is calling').waitFor();
    await shoot(ada, 'ringing');
    await shoot(ben, 'ring');
    await press(ben, 'Answer');
    await connected(ada);
    await shoot(ada, 'pair');
    await press(ada, 'Devices');
    await shoot(ada, 'devices');
    await ada.keyboard.press('Escape');
    await press(ada, 'Add someone');
    await press(ada, 'Add Cleo');
    await press(cleo, 'Answer without video');
    await ada.getByText('Cleo', { exact: true }).waitFor();
    await connected(ada);
    await shoot(ada, 'demo');
    await press(ben, 'Share screen');
    await ada.locator('video[data-source=screen]').waitFor();
    await connected(ada);
    await shoot(ada, 'sharing');
    await press(ada, 'End for everyone');
    await ben.getByTestId('ended').waitFor();
    await shoot(ben, 'ended');
  } finally {
    await context.close();
    await app.stop();
  }
}
