import { execFileSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';
import puppeteer from 'puppeteer-core';

/** Real browsers, one process each: the pages of one share one fake camera. */

export interface TestBrowser {
  /** A tab with cookies and storage of its own. */
  openTab(): Promise<Tab>;
  close(): Promise<void>;
}

/** What a test does with a tab, in whichever browser. */
export interface Tab {
  goto(url: string): Promise<unknown>;
  /** Runs the function in the page. */
  evaluate<Result, Argument>(
    work: (argument: Argument) => Result,
    argument: Argument,
  ): Promise<Awaited<Result>>;
  /** Gives the page a function that runs here. */
  expose(name: string, work: () => Promise<string>): Promise<void>;
  /** What nobody caught in the page. */
  onError(listener: (message: string) => void): void;
  close(): Promise<void>;
}

const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  // Enough to see that a picture moves: more is work for the machine.
  '--use-fake-device-for-media-stream=fps=10',
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
  // Pages that nobody looks at are as lively as any other.
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

/**
 * Chromium without a window of its own: the same engine for half the work, since it has no pages of its own to show.
 * It grants whatever a page asks its user for, and shows no notifications.
 */
export function openChromium(...args: string[]): Promise<Browser> {
  return open('chromium-headless-shell', args);
}

/** The browser that people have, for what is refused and what rings a closed page. */
export function openWholeChromium(...args: string[]): Promise<Browser> {
  return open('chromium', args);
}

function open(program: string, args: readonly string[]): Promise<Browser> {
  return chromium.launch({ executablePath: programPath(program), args: [...CHROMIUM_ARGUMENTS, ...args] });
}

export const launchChromium = async (): Promise<TestBrowser> => tabsOf(await openChromium());
export const launchWholeChromium = async (): Promise<TestBrowser> => tabsOf(await openWholeChromium());

function tabsOf(browser: Browser): TestBrowser {
  return {
    async openTab() {
      const context = await browser.newContext();
      const page = await context.newPage();
      return {
        goto: (url) => page.goto(url),
        evaluate: (work, argument) => page.evaluate(work as never, argument),
        expose: async (name, work) => void (await page.exposeFunction(name, work)),
        onError: (listener) => page.on('pageerror', (error) => listener(error.message)),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

const FIREFOX_PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  // All traffic stays on this machine, where nobody answers for mDNS names.
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
};

/** By WebDriver BiDi: playwright drives a Firefox of its own alone. */
export async function launchFirefox(): Promise<TestBrowser> {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: programPath('firefox-esr'),
    extraPrefsFirefox: FIREFOX_PREFERENCES,
  });
  return {
    async openTab() {
      const context = await browser.createBrowserContext();
      const page = await context.newPage();
      return {
        goto: (url) => page.goto(url),
        evaluate: (work, argument) => page.evaluate(work as never, argument) as Promise<never>,
        expose: (name, work) => page.exposeFunction(name, work),
        onError: (listener) => page.on('pageerror', (error) => listener(String(error))),
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}

function programPath(name: string): string {
  return execFileSync('which', [name], { encoding: 'utf8' }).trim();
}
