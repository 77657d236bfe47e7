import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { openChromium } from '../support/browser/browsers.ts';

/** GraphiQL's 9 MB take their time to start. */
const LOADED = { timeout: 45_000 };

let browser: Browser;
let app: App;
beforeAll(async () => {
  browser = await openChromium();
  // As `npm start` does it in an empty environment, but for the ports.
  app = await startApp(loadConfig({ PORT: '0', METRICS_PORT: '0' }), createLogger('fatal'));
});
afterAll(async () => {
  await browser?.close();
  await app?.stop();
});

/** A page that reaches nothing but this machine; what it asks of others is noted. */
async function openPage(url: string): Promise<{ page: Page; elsewhere: string[]; problems: string[] }> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const elsewhere: string[] = [];
  const problems: string[] = [];
  await context.route(
    (target) => !['127.0.0.1', 'localhost'].includes(target.hostname) && target.protocol.startsWith('http'),
    (route) => {
      elsewhere.push(route.request().url());
      return route.abort();
    },
  );
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(url);
  return { page, elsewhere, problems };
}

/** Opens the tab of an operation and runs it. */
async function run(page: Page, operation: string): Promise<void> {
  await page.locator('.graphiql-tab-button', { hasText: operation }).first().click();
  await page.locator('button.graphiql-execute-button').click();
}

async function answerWith(page: Page, text: string): Promise<void> {
  const response = page.locator('.graphiql-response .view-lines');
  const answered = response.filter({ hasText: text });
  // GraphiQL reads a tab's operation a moment after it has shown the tab, and says so to whoever is faster.
  const early = response.filter({ hasText: 'Cannot infer operation' });
  await answered.or(early).waitFor(LOADED);
  while (await early.isVisible()) {
    await page.locator('button.graphiql-execute-button').click();
    await answered.or(early).waitFor(LOADED);
  }
  await answered.waitFor(LOADED);
}

/** Puts text into the editor of variables, in place of what is there. */
async function setVariables(page: Page, variables: object): Promise<void> {
  await page.locator('.graphiql-editor-tools button', { hasText: 'Variables' }).click();
  await page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden) .monaco-editor').click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(JSON.stringify(variables));
}

async function runWith(page: Page, operation: string, variables: object): Promise<void> {
  await page.locator('.graphiql-tab-button', { hasText: operation }).first().click();
  await setVariables(page, variables);
  await page.locator('button.graphiql-execute-button').click();
}

async function openAs(user: string) {
  const opened = await openPage(`${app.url}/graphql?user=${user}`);
  await opened.page.locator('.graphiql-execute-button').waitFor(LOADED);
  return opened;
}

describe('GraphiQL in Chromium', () => {
  it('carries a call between two demo users in two windows, without a network', async () => {
    const [ada, ben] = await Promise.all([openAs('ada'), openAs('ben')]);
    await run(ada.page, 'Viewer');
    await answerWith(ada.page, '"ada"');
    await run(ben.page, 'IncomingCalls');
    await answerWith(ben.page, 'IncomingSnapshot');

    await run(ada.page, 'InitiateCall');
    await answerWith(ada.page, 'RINGING');
    await answerWith(ben.page, 'CallRinging');
    const shown = await ada.page.locator('.graphiql-response .view-lines').innerText();
    const callId = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(shown)?.[0];

    await runWith(ada.page, 'CallEvents', { callId, sessionId: 'ada-1' });
    await answerWith(ada.page, 'CallSnapshot');
    await runWith(ben.page, 'JoinCall', { input: { callId, sessionId: 'ben-1' } });
    await answerWith(ben.page, 'ACTIVE');
    await runWith(ben.page, 'CallEvents', { callId, sessionId: 'ben-1' });
    await answerWith(ben.page, 'CallSnapshot');
    await answerWith(ada.page, 'CONNECTED');

    const third = await openAs('ada');
    const signal = { renegotiate: { iceRestart: true } };
    await runWith(third.page, 'SendSignal', { input: { callId, sessionId: 'ada-1', clientSeq: 1, signal } });
    await answerWith(third.page, 'duplicate');
    await answerWith(ben.page, 'SignalReceived');
    await runWith(third.page, 'LeaveCall', { callId, sessionId: 'ada-1' });
    await answerWith(ben.page, 'CallEnded');

    for (const { page, elsewhere, problems } of [ada, ben, third]) {
      expect(elsewhere).toEqual([]);
      expect(problems).toEqual([]);
      await page.context().close();
    }
  });

  it('is reached from the front page of a demo', async () => {
    const { page, problems } = await openPage(app.url);
    const opened = page.context().waitForEvent('page');
    await page.getByText('For developers').click();
    await page.getByRole('link', { name: 'Open GraphiQL as Ada' }).click();
    await (await opened).waitForURL(/graphql\?user=ada/, LOADED);
    expect(problems).toEqual([]);
    await page.context().close();
  });
});
