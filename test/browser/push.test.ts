import type { Browser, BrowserContext, CDPSession, Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { openWholeChromium } from '../support/browser/browsers.ts';
import { type PushService, startPushService, type TestBrowser } from '../support/push-service.ts';

/**
 * The demo's page is closed, and its browser rings all the same. Chromium's own push service is on the internet, so
 * here ours is in its place: it gives out the subscription, gets what the server sends, decrypts it, and hands it to
 * Chromium, which wakes the page's service worker as it would for its own.
 */

let browser: Browser;
let service: PushService;
let app: App;
beforeAll(async () => {
  service = await startPushService();
  const config = loadConfig({ PORT: '0', METRICS_PORT: '0' });
  const endpoints = { allowHttp: true, allowPrivate: true };
  app = await startApp(
    { ...config, webPush: config.webPush && { ...config.webPush, endpoints } },
    createLogger('fatal'),
  );
  browser = await openWholeChromium('--use-fake-ui-for-media-stream');
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  await service?.close();
});

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
const status = (page: Page, text: string) => page.getByTestId('status').filter({ hasText: text }).waitFor();
const ended = (page: Page, text: string) => page.getByTestId('ended').filter({ hasText: text }).waitFor();

async function open(context: BrowserContext, query: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${app.url}/?${query}`);
  return page;
}

/** FAKE: what Chromium would get from its push service, which is on the internet. */
function subscribeTo({ subscription }: TestBrowser) {
  const { endpoint, ...keys } = subscription;
  return {
    content: `{
    let key = null;
    const made = () => key && {
      options: { applicationServerKey: key },
      toJSON: () => (${JSON.stringify({ endpoint, keys })}),
      unsubscribe: async () => { key = null; return true; },
    };
    PushManager.prototype.getSubscription = async () => made();
    PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
      const text = atob(applicationServerKey.replaceAll('-', '+').replaceAll('_', '/'));
      key = Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
      return made();
    };
  }`,
  };
}

/** Hands what the push service decrypted to the service worker of the page, wherever that is. */
async function deliver(session: CDPSession, to: TestBrowser): Promise<void> {
  const registered = new Promise<string>((resolve) => {
    session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const own = registrations.find(({ scopeURL }) => scopeURL === `${app.url}/`);
      if (own) resolve(own.registrationId);
    });
  });
  await session.send('ServiceWorker.enable');
  to.onMessage = async (data) => {
    const registrationId = await registered;
    await session.send('ServiceWorker.deliverPushMessage', { origin: app.url, registrationId, data });
  };
}

interface Shown {
  readonly title: string;
  readonly actions: readonly string[];
}

function shown(worker: Worker): Promise<Shown[]> {
  return worker.evaluate(async () => {
    const { registration } = globalThis as unknown as { registration: ServiceWorkerRegistration };
    const all = (await registration.getNotifications()) as (Notification & {
      actions: { title: string }[];
    })[];
    return all.map(({ title, actions }) => ({ title, actions: actions.map((action) => action.title) }));
  });
}

/**
 * Notes what the worker shows, once it is there. The browser may not be asked for its notifications while one comes: it
 * takes it for one that is not shown any more, and drops it.
 */
function note(worker: Worker): Promise<void> {
  return worker.evaluate(() => {
    const scope = globalThis as unknown as ServiceWorkerLike;
    const { registration } = scope;
    const show = registration.showNotification.bind(registration);
    scope.noted = [];
    registration.showNotification = async (title, options) => {
      await show(title, options);
      scope.noted.push(title);
    };
  });
}

/** Resolves when it has shown one of this title since the last look. */
const shows = (worker: Worker, title: string) =>
  expect
    .poll(() => worker.evaluate(() => (globalThis as unknown as ServiceWorkerLike).noted.splice(0)), {
      timeout: 20_000,
    })
    .toContain(title);

/** What a click on the notification does; a page that it opens is opened by the test. */
function click(worker: Worker, action: string): Promise<string | null> {
  return worker.evaluate(async (chosen) => {
    const scope = globalThis as unknown as ServiceWorkerLike;
    let opened: string | null = null;
    // Only a real click may open a window, and nobody can click on a notification without a screen.
    scope.clients.openWindow = async (url) => {
      opened = url;
      return null;
    };
    const all = await scope.registration.getNotifications();
    const notification = all.find(({ title }) => title === 'Ada is calling');
    const work: Promise<unknown>[] = [];
    const event = new scope.NotificationEvent('notificationclick', { action: chosen, notification });
    Object.defineProperty(event, 'waitUntil', { value: (done: Promise<unknown>) => work.push(done) });
    scope.dispatchEvent(event);
    await Promise.all(work);
    return opened;
  }, action);
}

interface ServiceWorkerLike {
  /** Titles, by `note`. */
  noted: string[];
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { openWindow(url: string): Promise<unknown> };
  readonly NotificationEvent: new (type: string, init: object) => Event;
  dispatchEvent(event: Event): void;
}

it('A closed page rings: the call is declined, answered, or missed from its notification', async () => {
  const phone = service.browser();
  const bens = await browser.newContext();
  await bens.grantPermissions(['notifications'], { origin: app.url });
  await bens.addInitScript(subscribeTo(phone));
  const elsewhere = await bens.newPage();
  await deliver(await bens.newCDPSession(elsewhere), phone);
  const ben = await open(bens, 'user=ben');
  await status(ben, 'Ready');
  const [worker] = await Promise.all([
    bens.waitForEvent('serviceworker'),
    press(ben, 'Ring me when it is closed, too'),
  ]);
  await note(worker);
  await ben.getByText('This browser rings for you').waitFor();
  await ben.close();

  const ada = await open(await browser.newContext(), 'user=ada');
  await press(ada, 'Call Ben');
  await shows(worker, 'Ada is calling');
  expect(await shown(worker)).toEqual([{ title: 'Ada is calling', actions: ['Answer', 'Decline'] }]);
  await click(worker, 'decline');
  await ended(ada, 'declined');

  await press(ada, 'Call Ben');
  await shows(worker, 'Ada is calling');
  const url = await click(worker, 'answer');
  expect(url).toMatch(/^\/\?user=ben&answer=[0-9a-f-]{36}$/);
  const answering = await open(bens, url!.slice(2));
  for (const page of [ada, answering]) {
    await page.getByRole('button', { name: 'Leave', exact: false }).first().waitFor();
  }
  await answering.waitForFunction(
    () => (document.querySelector<HTMLVideoElement>('video[data-user=ada]')?.videoWidth ?? 0) > 0,
  );
  expect(new URL(answering.url()).search).toBe('?user=ben');
  await press(ada, 'Leave');
  await answering.getByTestId('ended').waitFor();
  await answering.close();

  await press(ada, 'Call Ben');
  await shows(worker, 'Ada is calling');
  await press(ada, 'Cancel');
  await shows(worker, 'Missed call from Ada');
  // In the place of the ring; and nothing is left of the calls that were declined and answered.
  await expect
    .poll(() => shown(worker), { timeout: 20_000 })
    .toEqual([{ title: 'Missed call from Ada', actions: [] }]);
});
