import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { CHROMIUM_ARGUMENTS, programPath } from '../support/browser/browsers.ts';

/** The page that `npm start` serves in an empty environment, as people use it: by what its buttons say. */

let browser: Browser;
/** Where the camera is asked for, and nobody is there to allow it. */
let refusing: Browser;
let app: App;
beforeAll(async () => {
  const executablePath = programPath('chromium');
  const allow = ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream=device-count=2'];
  browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS, ...allow] });
  refusing = await chromium.launch({
    executablePath,
    args: [...CHROMIUM_ARGUMENTS, '--deny-permission-prompts'],
  });
});
afterAll(async () => {
  await browser?.close();
  await refusing?.close();
});
// Whoever closes a window keeps their seat for a while: so each test has people of its own.
beforeEach(async () => {
  app = await startApp(loadConfig({ PORT: '0', METRICS_PORT: '0' }), createLogger('fatal'));
});

const opened: { readonly page: Page; readonly problems: string[] }[] = [];
afterEach(async () => {
  const left = opened.splice(0);
  const problems = left.flatMap((page) => page.problems);
  for (const { page } of left) await page.context().close();
  await app.stop();
  expect(problems).toEqual([]);
});

async function open(user: string, options: BrowserContextOptions = {}, where = browser): Promise<Page> {
  const context = await where.newContext(options);
  const page = await context.newPage();
  const problems: string[] = [];
  opened.push({ page, problems });
  page.on('pageerror', (error) => problems.push(error.message));
  // A camera that is refused is said on the page; the browser says it in its console too.
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(`${app.url}/?user=${user}`);
  await status(page, 'Ready');
  return page;
}

const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
const press = (page: Page, name: string) => button(page, name).click();
const status = (page: Page, text: string) => page.getByTestId('status').filter({ hasText: text }).waitFor();
const ended = (page: Page, text: string) => page.getByTestId('ended').filter({ hasText: text }).waitFor();

/** Until the other one's picture moves. */
async function sees(page: Page, user: string, source = 'camera'): Promise<void> {
  await page.waitForFunction(
    ([id, from]) => {
      const video = document.querySelector<HTMLVideoElement>(`video[data-user=${id}][data-source=${from}]`);
      return (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 3;
    },
    [user, source],
  );
}

async function inCall(): Promise<{ ada: Page; ben: Page }> {
  const [ada, ben] = [await open('ada'), await open('ben')];
  await press(ada, 'Call Ben');
  await press(ben, 'Answer');
  await sees(ada, 'ben');
  await sees(ben, 'ada');
  return { ada, ben };
}

describe('the demo', () => {
  it('lets somebody choose who to be, and asks nothing of the network but its own server', async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    opened.push({ page, problems: [] });
    const asked = new Set<string>();
    page.on('request', (request) => asked.add(new URL(request.url()).host));
    await page.goto(app.url);
    await press(page, 'Be Ada');
    await status(page, 'Ready');
    expect(await page.getByRole('button', { name: /^Call \w+$/ }).count()).toBe(5);
    expect([...asked]).toEqual([new URL(app.url).host]);
  });

  it('rings, answers, says how it is connected, and hangs up', async () => {
    const [ada, ben] = [await open('ada'), await open('ben')];
    await press(ada, 'Call Ben');
    await status(ada, 'Ringing Ben…');
    await ben.getByText('Ada is calling').waitFor();
    await press(ben, 'Answer');
    await sees(ada, 'ben');
    await sees(ben, 'ada');
    await status(ada, 'Connected to Ben directly');
    await press(ben, 'Leave');
    await ended(ada, 'Ben hung up.');
    await ended(ben, 'You hung up.');
  });

  it('declines, is busy, and takes a call back', async () => {
    const [ada, ben, cleo] = [await open('ada'), await open('ben'), await open('cleo')];
    await press(ada, 'Call Ben');
    await press(ben, 'Decline');
    await ended(ada, 'Ben declined.');
    await press(ada, 'Call Ben');
    await button(ben, 'Answer').waitFor();
    await press(ada, 'Cancel');
    await button(ben, 'Answer').waitFor({ state: 'detached' });
    await press(ada, 'Call Ben');
    await press(ben, 'Answer');
    await press(cleo, 'Call Ben without video');
    await press(ben, 'I’m busy');
    await ended(cleo, 'Ben is busy.');
    await sees(ada, 'ben');
  });

  it('mutes and turns the camera off, by button and by key, and shows it to the other one', async () => {
    const { ada, ben } = await inCall();
    await press(ada, 'Mute');
    await ben.getByText('muted', { exact: true }).waitFor();
    await ada.keyboard.press('m');
    await ben.getByText('muted', { exact: true }).waitFor({ state: 'detached' });
    await ada.keyboard.press('v');
    await ben.getByText('camera off', { exact: true }).waitFor();
    await press(ada, 'Turn camera on');
    await ben.getByText('camera off', { exact: true }).waitFor({ state: 'detached' });
  });

  it('shares the screen, and stops', async () => {
    const { ada, ben } = await inCall();
    await press(ada, 'Share screen');
    await sees(ben, 'ada', 'screen');
    await press(ada, 'Stop sharing');
    await ben.locator('video[data-source=screen]').waitFor({ state: 'detached' });
  });

  it('changes the camera in mid-call', async () => {
    const { ada, ben } = await inCall();
    await press(ada, 'Devices');
    const cameras = ada.getByLabel('Camera', { exact: true });
    await cameras.locator('option').nth(1).waitFor({ state: 'attached' });
    const before = await cameras.inputValue();
    const values = await cameras
      .locator('option')
      .evaluateAll((all) => all.map((one) => (one as HTMLOptionElement).value));
    const other = values.find((value) => value !== before) as string;
    await cameras.selectOption(other);
    await ada.waitForFunction(
      (id) => document.querySelector<HTMLSelectElement>('.devices select')?.value === id,
      other,
    );
    await ada.keyboard.press('Escape');
    await cameras.waitFor({ state: 'detached' });
    await sees(ben, 'ada');
  });

  it('adds a third, whom the host can mute and remove', async () => {
    const { ada, ben } = await inCall();
    const cleo = await open('cleo');
    await press(ben, 'Add someone');
    await press(ben, 'Add Cleo');
    await press(cleo, 'Answer');
    await sees(ada, 'cleo');
    await sees(cleo, 'ben');
    await press(ada, 'Mute Cleo');
    await cleo.getByText('The host has muted you.').waitFor();
    await press(ada, 'Remove Cleo');
    await ended(cleo, 'The host has taken you out of the call.');
    await sees(ada, 'ben');
    await press(ada, 'End for everyone');
    await ended(ben, 'Ada ended the call for everyone.');
  });

  it('moves the call to another window', async () => {
    const { ada, ben } = await inCall();
    const other = await open('ben');
    await press(other, 'Move it here');
    await sees(other, 'ada');
    await ended(ben, 'The call goes on in another window of yours.');
    await status(ada, 'Connected to Ben');
  });

  it('comes back into the call after a reload', async () => {
    const { ada, ben } = await inCall();
    await ben.reload();
    await sees(ben, 'ada');
    await status(ada, 'Connected to Ben');
    await press(ada, 'Leave');
    await ended(ben, 'Ada hung up.');
  });

  it('says what to do where the camera is refused, and goes on without', async () => {
    const [ada, ben] = [await open('ada'), await open('ben', {}, refusing)];
    await press(ada, 'Call Ben');
    await press(ben, 'Answer');
    await ben.getByText('Your camera and microphone may not be used').waitFor();
    await sees(ben, 'ada');
    await ada.getByText('camera off', { exact: true }).waitFor();
  });

  it.each([
    { width: 360, height: 740 },
    { width: 1280, height: 800 },
  ])('fits into $width by $height: nothing has to be scrolled sideways', async (viewport) => {
    const ada = await open('ada', { viewport });
    const ben = await open('ben', { viewport });
    const fits = () => document.documentElement.scrollWidth <= window.innerWidth;
    expect(await ada.evaluate(fits)).toBe(true);
    await press(ada, 'Call Ben');
    await button(ben, 'Answer').waitFor();
    expect(await ben.evaluate(fits)).toBe(true);
    await press(ben, 'Answer');
    await sees(ada, 'ben');
    expect(await ada.evaluate(fits)).toBe(true);
    for (const name of ['Mute', 'Turn camera off', 'Share screen', 'Devices', 'Add someone', 'Leave']) {
      const box = await button(ada, name).boundingBox();
      expect(box && box.y + box.height).toBeLessThanOrEqual(viewport.height);
    }
  });
});
