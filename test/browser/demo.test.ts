import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { GENEROUS_RATES } from '../support/app.ts';
import { openChromium, openWholeChromium } from '../support/browser/browsers.ts';
import {
  ask,
  button,
  ended,
  enter,
  flaws,
  isFocused,
  moves,
  press,
  pressTwice,
  sees,
  status,
} from '../support/browser/demo-page.ts';
import { createClient } from '../support/client.ts';
import { TerminateCall, Viewer } from '../support/operations.ts';
import { success } from '../support/world.ts';

/** The page that `npm start` serves in an empty environment, as people use it: by what its buttons say. */

let browser: Browser;
/** Where the camera is asked for, and nobody is there to allow it. */
let refusing: Browser;
beforeAll(async () => {
  [browser, refusing] = await Promise.all([
    openChromium(
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream=device-count=2,fps=10',
      // An address at which a page is not trusted as one at localhost is: like another machine's at plain http.
      `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`,
    ),
    openWholeChromium('--deny-permission-prompts'),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await refusing?.close();
});

/** Documentation's own (RFC 5737), so nobody's; an IP address, for by another name the demo is not served. */
const ELSEWHERE = '192.0.2.1';

/** Resolves when the page sends a message with `text` in it over a WebSocket. */
function sent(page: Page, text: string): Promise<void> {
  return new Promise((resolve) => {
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        if (payload.includes(text)) resolve();
      });
    });
  });
}

interface Options extends BrowserContextOptions {
  readonly where?: Browser;
  /** Before anything is loaded. */
  readonly prepare?: (page: Page) => Promise<unknown>;
}

/** The tests of a describe have a server of their own, one after the other; nobody is in a call when one begins. */
function setTheDemo() {
  let app: App;
  let isUp = false;
  const opened: Page[] = [];
  let problems: string[] = [];
  let excused: RegExp | null = null;
  async function start(port = '0'): Promise<void> {
    const config = loadConfig({ PORT: port, METRICS_PORT: '0', ...GENEROUS_RATES });
    app = await startApp(config, createLogger('fatal'));
    isUp = true;
  }
  async function stop(): Promise<void> {
    if (isUp) await app.stop();
    isUp = false;
  }
  /** At the same address, with an empty database and new tokens. */
  const startAgain = () => start(new URL(app.url).port);
  beforeAll(() => start());
  afterAll(stop);

  /** Whoever closes a window keeps their seat for a while, and would be in the call in the next test, too. */
  async function endCalls(): Promise<void> {
    const { users, operatorToken } = (await (await fetch(`${app.url}/demo.json`)).json()) as {
      users: { token: string }[];
      operatorToken: string;
    };
    const as = (token: string) => createClient({ url: app.url, token });
    for (const { token } of users) {
      const { viewer } = await as(token).query(Viewer, {}, { over: 'http' });
      for (const { id } of viewer.activeCalls) {
        const { terminateCall } = await as(operatorToken).mutate(
          TerminateCall,
          { callId: id },
          { over: 'http' },
        );
        success(terminateCall);
      }
    }
  }
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((page) => page.context().close()));
    // Where a test failed half-way.
    if (!isUp) await startAgain();
    await endCalls();
    const left = problems.filter((problem) => !excused?.test(problem));
    problems = [];
    excused = null;
    expect(left).toEqual([]);
  });

  /** A window of its own. */
  async function load(path: string, { where = browser, prepare, ...options }: Options = {}): Promise<Page> {
    const context = await where.newContext(options);
    const page = await context.newPage();
    opened.push(page);
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await prepare?.(page);
    await page.goto(`${app.url}${path}`);
    return page;
  }

  async function open(user: string, options: Options = {}): Promise<Page> {
    const page = await load(`/?user=${user}`, options);
    await status(page, 'Ready');
    return page;
  }

  return {
    get url() {
      return app.url;
    },
    load,
    open,
    async inCall(): Promise<{ ada: Page; ben: Page }> {
      const [ada, ben] = await Promise.all([open('ada'), open('ben')]);
      await press(ada, 'Call Ben');
      await press(ben, 'Answer');
      await sees(ada, 'ben');
      await sees(ben, 'ada');
      return { ada, ben };
    },
    /** What the browser says in its console where a test takes the network away. */
    excuse(pattern: RegExp): void {
      excused = pattern;
    },
    stop,
    startAgain,
  };
}

// Two describes beside each other are as much as a small machine can draw; in each, people are in one call at a time.
const ONE_BY_ONE = { concurrent: false };

describe.concurrent('the demo', () => {
  const { open, inCall } = setTheDemo();

  describe('in a call', ONE_BY_ONE, () => {
    it('rings, answers, says how it is connected, and hangs up', async () => {
      const [ada, ben] = await Promise.all([open('ada'), open('ben')]);
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
      const [ada, ben, cleo] = await Promise.all([open('ada'), open('ben'), open('cleo')]);
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

    it('counts what was missed in a badge, until it is looked at, and rings back from there', async () => {
      // Of whom no other test here wants anything.
      const [ada, finn] = await Promise.all([open('ada'), open('finn')]);
      const badge = finn.getByTestId('badge');
      for (let calls = 1; calls <= 2; calls++) {
        await press(ada, 'Call Finn');
        await button(finn, 'Answer').waitFor();
        await press(ada, 'Cancel');
        await finn.getByText(String(calls), { exact: false }).and(badge).waitFor();
      }
      expect(await finn.title()).toMatch(/^\(2\) Finn/);
      await finn.getByRole('button', { name: /^Recent calls/ }).click();
      await finn.getByTestId('entry').nth(1).waitFor();
      expect(await finn.getByTestId('entry').first().innerText()).toMatch(/Ada.*Missed/s);
      await badge.waitFor({ state: 'detached' });
      await finn.getByRole('button', { name: 'Call Ada again' }).first().click();
      await press(ada, 'Answer');
      await sees(finn, 'ada');
    });

    it('explains a call that failed: why, and at which step', async () => {
      // The SDK reports a link when it has failed.
      const reports: Promise<unknown>[] = [];
      // Of the ways to each other only those through a TURN server may be used, and there is none.
      const prepare = (page: Page) => {
        reports.push(sent(page, 'reportCallQuality'));
        return page.addInitScript(() => {
          const Real = RTCPeerConnection;
          window.RTCPeerConnection = class extends Real {
            constructor(configuration?: RTCConfiguration) {
              super({ ...configuration, iceTransportPolicy: 'relay' });
            }
            override setConfiguration(configuration?: RTCConfiguration) {
              super.setConfiguration({ ...configuration, iceTransportPolicy: 'relay' });
            }
          };
        });
      };
      // Of whom no other test here wants anything.
      const [ada, eve] = await Promise.all([open('ada', { prepare }), open('eve', { prepare })]);
      await press(ada, 'Call Eve');
      await press(eve, 'Answer');
      await status(ada, 'Connecting to Eve');
      await Promise.all(reports);
      await press(ada, 'Leave');
      await ended(eve, 'Ada hung up');
      await eve.getByRole('button', { name: 'Recent calls' }).click();
      await eve.getByRole('button', { name: /^Details/ }).click();
      const verdict = eve.getByTestId('verdict');
      await verdict.waitFor();
      expect(await verdict.innerText()).toMatch(
        /Ada and Eve were never connected.*no way between their networks/s,
      );
      const steps = await eve.getByRole('listitem').allInnerTexts();
      const told = steps.map((step) => step.split('\n').at(-1));
      expect(told).toEqual(
        expect.arrayContaining(['calls', 'rings', 'joins', 'offer', 'answer', 'no connection']),
      );
      await press(eve, 'Back to recent calls');
      await eve.getByTestId('entry').waitFor();
    });

    it('mutes and turns the camera off, by button and by key, and shows it to the other one', async () => {
      const { ada, ben } = await inCall();
      await press(ada, 'Mute');
      await ben.getByText('muted', { exact: true }).waitFor();
      await ada.keyboard.press('m');
      await ben.getByText('muted', { exact: true }).waitFor({ state: 'detached' });
      // Where the focus is elsewhere, keys are not the call's.
      await ada.mouse.click(2, 2);
      await ada.keyboard.press('m');
      expect(await button(ada, 'Unmute').count()).toBe(0);
      await ada.getByRole('main').focus();
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
      await ada.getByRole('status').filter({ hasText: 'Cleo: Removed' }).waitFor();
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

    it('comes back into the call after a reload, and by the browser’s Back', async () => {
      const { ada, ben } = await inCall();
      await ben.reload();
      await sees(ben, 'ada');
      await status(ada, 'Connected to Ben');
      await ben.goto('about:blank');
      await ben.goBack();
      await sees(ben, 'ada');
      await status(ada, 'Connected to Ben');
      await press(ada, 'Leave');
      await ended(ben, 'Ada hung up.');
    });

    it('is as muted and as dark after a reload as before', async () => {
      const { ada, ben } = await inCall();
      await press(ben, 'Mute');
      await press(ben, 'Turn camera off');
      await ada.getByText('muted', { exact: true }).waitFor();
      await ada.getByText('camera off', { exact: true }).waitFor();
      await ben.reload();
      await sees(ben, 'ada');
      await button(ben, 'Unmute').waitFor();
      await button(ben, 'Turn camera on').waitFor();
      await ada.getByText('muted', { exact: true }).waitFor();
      await ada.getByText('camera off', { exact: true }).waitFor();
    });

    it('leaves the call where it is when the tab is duplicated, and offers to move it', async () => {
      const { ada, ben } = await inCall();
      // Opened by the page itself, and so with a copy of its sessionStorage, as a duplicate.
      const [copy] = await Promise.all([
        ben.context().waitForEvent('page'),
        ben.evaluate(() => void window.open(location.href)),
      ]);
      await status(copy, 'Ready');
      await button(copy, 'Move it here').waitFor();
      await status(ben, 'Connected to Ada');
      await press(ada, 'Leave');
      await ended(ben, 'Ada hung up.');
      // Nobody tells a window that is not in it of its end.
      await button(copy, 'Move it here').waitFor({ state: 'detached' });
    });
  });
});

describe.concurrent('the page of the demo', () => {
  const demo = setTheDemo();
  const { load, open, inCall } = demo;

  describe('as people find it', ONE_BY_ONE, () => {
    it('lets somebody choose who to be, and asks nothing of the network but its own server', async () => {
      const asked = new Set<string>();
      const page = await load('/', {
        prepare: async (unloaded) => unloaded.on('request', (it) => asked.add(new URL(it.url()).host)),
      });
      await press(page, 'Be Ada');
      await status(page, 'Ready');
      expect(await page.getByRole('button', { name: /^Call \w+$/ }).count()).toBe(5);
      expect([...asked]).toEqual([new URL(demo.url).host]);
    });

    it('says what to do where the camera is refused, and goes on without', async () => {
      const [ada, ben] = await Promise.all([open('ada'), open('ben', { where: refusing })]);
      await press(ada, 'Call Ben');
      await press(ben, 'Answer');
      await ben.getByText('Your camera and microphone may not be used').waitFor();
      await sees(ben, 'ada');
      await ada.getByText('camera off', { exact: true }).waitFor();
    });

    it('asks for the camera once, however often Answer is pressed, and closes it with the call', async () => {
      const [ada, ben] = await Promise.all([open('ada'), open('ben', { prepare: ask })]);
      await press(ada, 'Call Ben');
      await pressTwice(ben, 'Answer');
      await status(ben, 'Asking for your camera and microphone…');
      for (const name of ['Answer', 'Answer without video', 'Call Ada', 'Call Cleo without video']) {
        expect(await button(ben, name).getAttribute('aria-disabled'), name).toBe('true');
      }
      await pressTwice(ben, 'Answer without video');
      await ben.evaluate(() => window.asking.allow());
      await sees(ada, 'ben');
      expect(await ben.evaluate(() => window.asking.times)).toBe(1);
      await press(ada, 'Leave');
      await ended(ben, 'Ada hung up.');
      await ben.waitForFunction(() => window.asking.tracks.every((track) => track.readyState === 'ended'));
    });

    it('asks for the camera once, however often a call is moved', async () => {
      const { ada } = await inCall();
      const other = await open('ben', { prepare: ask });
      await pressTwice(other, 'Move it here');
      await status(other, 'Asking for your camera and microphone…');
      expect(await button(other, 'Move it here').getAttribute('aria-disabled')).toBe('true');
      await other.evaluate(() => window.asking.allow());
      await sees(other, 'ada');
      expect(await other.evaluate(() => window.asking.times)).toBe(1);
      await status(ada, 'Connected to Ben');
    });

    it('says what a page at plain http can’t do, and does the rest', async () => {
      const url = demo.url.replace('127.0.0.1', ELSEWHERE);
      const [ada, ben] = await Promise.all([open('ada'), open('ben')]);
      await ben.goto(`${url}/?user=ben`);
      await status(ben, 'Ready');
      await ben.getByText('For developers').click();
      await press(ben, 'Copy token of Ben');
      const token = ben.getByRole('textbox', { name: /copy it yourself: the token of Ben/ });
      expect(await token.inputValue()).toMatch(/^ey.*\..*\./);
      await press(ada, 'Call Ben');
      await press(ben, 'Answer');
      await ben.getByText('This browser gives this page no camera and microphone').waitFor();
      await sees(ben, 'ada');
      await press(ben, 'Leave');
      await ended(ada, 'Ben hung up.');
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

  describe('where the server is out of reach', ONE_BY_ONE, () => {
    it('says so at the load, and tries again when asked to', async () => {
      demo.excuse(/Failed to load resource/);
      const page = await load('/?user=ada', {
        prepare: (unloaded) => unloaded.route('**/demo.json', (route) => route.abort()),
      });
      await page
        .getByRole('alert')
        .filter({ hasText: 'The server can’t be reached. Is it running?' })
        .waitFor();
      await page.unroute('**/demo.json');
      await press(page, 'Try again');
      await status(page, 'Ready');
    });

    it('gives the server’s own words where it answers, and refuses', async () => {
      demo.excuse(/Failed to load resource/);
      const page = await load('/', {
        prepare: (unloaded) =>
          unloaded.route('**/demo.json', (route) =>
            route.fulfill({ status: 403, json: { error: 'Open it as localhost.' } }),
          ),
      });
      await page.getByRole('alert').filter({ hasText: 'Open it as localhost.' }).waitFor();
    });

    it('says that it looks for the server as long as it gets no connection', async () => {
      let isUp = false;
      const page = await load('/?user=ada', {
        prepare: (unloaded) =>
          unloaded.routeWebSocket('**/graphql', (socket) => {
            if (isUp) socket.connectToServer();
            else void socket.close();
          }),
      });
      await status(page, 'Looking for the server…');
      expect(await button(page, 'Call Ben').getAttribute('aria-disabled')).toBe('true');
      isUp = true;
      await status(page, 'Ready');
      expect(await button(page, 'Call Ben').getAttribute('aria-disabled')).toBe('false');
    });

    it('says that the server has refused it, and what to do', async () => {
      const page = await load('/?user=ada', {
        prepare: (unloaded) =>
          unloaded.route('**/demo.json', async (route) => {
            const answer = await (await route.fetch()).json();
            for (const user of answer.users) user.token = 'worth nothing';
            await route.fulfill({ json: answer });
          }),
      });
      await status(page, 'The server has refused this page. Load it again.');
      await page.unroute('**/demo.json');
      await press(page, 'Load the page again');
      await status(page, 'Ready');
    });

    it('says in a call that the server has refused it, and is in the call again after a load', async () => {
      let refuse = () => {};
      const prepare = (unloaded: Page) =>
        unloaded.routeWebSocket('**/graphql', (socket) => {
          const server = socket.connectToServer();
          refuse = () => {
            void socket.close({ code: 4401, reason: 'Unauthorized' });
            void server.close({ code: 1000 });
          };
        });
      const [ada, ben] = await Promise.all([open('ada'), open('ben', { prepare })]);
      await press(ada, 'Call Ben');
      await press(ben, 'Answer');
      await sees(ada, 'ben');
      await sees(ben, 'ada');
      refuse();
      await status(ben, 'The server has refused this page, so the call will soon be lost.');
      await status(ada, 'The server has lost Ben; waiting for them to come back…');
      await press(ben, 'Load the page again');
      await sees(ben, 'ada');
      await status(ada, 'Connected to Ben');
    });

    it('says that the call goes on without the server, and that it is lost when a new one is there', async () => {
      demo.excuse(/WebSocket connection to|Failed to load resource/);
      const { ada, ben } = await inCall();
      const cleo = await open('cleo');
      await demo.stop();
      for (const page of [ada, ben]) {
        await status(page, 'The way to the server is lost; looking for it… The call goes on.');
      }
      await status(cleo, 'Looking for the server…');
      await moves(ada, 'ben');
      await demo.startAgain();
      for (const page of [ada, ben]) {
        await ended(page, 'The server does not have this page in the call any more');
        await status(page, 'Ready');
      }
      await press(cleo, 'Call Ben');
      await button(ben, 'Answer').waitFor();
    });

    it('says that it reconnects to whoever is gone', async () => {
      const { ada, ben } = await inCall();
      await ben.goto('about:blank');
      await status(ada, 'Reconnecting to Ben…');
      await ada.locator('.tile', { hasText: 'Ben' }).getByText('Reconnecting…').waitFor();
      await ben.goBack();
      await status(ada, 'Connected to Ben');
      await moves(ada, 'ben');
    });
  });

  describe('without a mouse or a screen', ONE_BY_ONE, () => {
    it('is used by Tab and Enter alone, from the choice of a user to the end of a call', async () => {
      const [ada, ben] = await Promise.all([load('/'), load('/')]);
      await enter(ada, 'Be Ada');
      await enter(ben, 'Be Ben');
      await status(ada, 'Ready');
      await status(ben, 'Ready');
      await enter(ada, 'Call Ben');
      await button(ben, 'Answer').waitFor();
      await enter(ben, 'Answer');
      await sees(ada, 'ben');
      await sees(ben, 'ada');
      await enter(ada, 'Mute');
      await ben.getByText('muted', { exact: true }).waitFor();
      await enter(ben, 'Devices');
      // Until the devices are known there is nothing to choose, and nothing to tab to.
      await ben.getByLabel('Camera', { exact: true }).locator('option').nth(1).waitFor({ state: 'attached' });
      await ben.keyboard.press('Tab');
      expect(await ben.getByLabel('Camera', { exact: true }).evaluate(isFocused)).toBe(true);
      await ben.keyboard.press('Escape');
      expect(await button(ben, 'Devices').evaluate(isFocused)).toBe(true);
      await enter(ada, 'Leave');
      await ended(ada, 'You hung up.');
      await ended(ben, 'Ada hung up.');
    });

    it('takes the focus along when the screen changes, and not at the first load', async () => {
      const [ada, ben] = await Promise.all([load('/'), open('ben')]);
      const on = (page: Page, name: string) => page.locator(`main[aria-label="${name}"]:focus`).waitFor();
      await button(ada, 'Be Ada').waitFor();
      expect(await ada.evaluate(() => document.activeElement === document.body)).toBe(true);
      await press(ada, 'Be Ada');
      await on(ada, 'Call somebody');
      await press(ada, 'Call Ben');
      await on(ada, 'Call with Ben');
      await press(ben, 'Decline');
      await on(ben, 'Call somebody');
      await ended(ada, 'Ben declined.');
      await on(ada, 'Call somebody');
      await press(ada, 'Call Ben');
      await press(ben, 'Answer');
      await on(ben, 'Call with Ada');
      await press(ben, 'Leave');
      await on(ben, 'Call somebody');
      await on(ada, 'Call somebody');
    });

    it('reads out what the connection does, and not its figures', async () => {
      const { ada } = await inCall();
      await ada.locator('.figures', { hasText: 'ms there and back' }).waitFor();
      const live = await ada.locator('[role=status], [role=alert], [aria-live]').allTextContents();
      expect(live).toContainEqual('Connected to Ben directly');
      expect(live.join()).not.toMatch(/ ms|nothing lost|% lost/);
    });

    it('has a name for every button, field and picture, and no id twice', async () => {
      const first = await load('/');
      await button(first, 'Be Ada').waitFor();
      await first.getByText('For developers').click();
      expect(await flaws(first)).toEqual([]);
      const { ada, ben } = await inCall();
      expect(await flaws(ben)).toEqual([]);
      await press(ada, 'Devices');
      await ada.getByLabel('Camera', { exact: true }).waitFor();
      expect(await flaws(ada)).toEqual([]);
      await ada.keyboard.press('Escape');
      const cleo = await open('cleo');
      expect(await flaws(cleo)).toEqual([]);
      await press(ada, 'Add someone');
      expect(await flaws(ada)).toEqual([]);
      await press(ada, 'Add Cleo');
      await button(cleo, 'Answer').waitFor();
      expect(await flaws(cleo)).toEqual([]);
      await press(cleo, 'Answer');
      await sees(ada, 'cleo');
      await press(ben, 'Share screen');
      await sees(ada, 'ben', 'screen');
      expect(await flaws(ada)).toEqual([]);
      expect(await flaws(ben)).toEqual([]);
      await press(ada, 'End for everyone');
      await ended(ben, 'Ada ended the call for everyone.');
      expect(await flaws(ben)).toEqual([]);
    });
  });
});
