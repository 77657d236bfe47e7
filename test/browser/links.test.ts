import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium, type Tab, type TestBrowser } from '../support/browser/browsers.ts';
import type { PairOutcome } from '../support/browser/page/pair.ts';
import { bundle, type PageServer, servePage } from '../support/browser/page-server.ts';

/**
 * Two ends of a link that negotiate all the time, with signals that take theirs: whatever meets whatever, both
 * come to rest, connected, and see what the other one shows last.
 */

const SEEDS = 12;

let pages: PageServer;
let browser: TestBrowser;
let tab: Tab;
beforeAll(async () => {
  const page = fileURLToPath(new URL('../support/browser/page/pair.ts', import.meta.url));
  pages = await servePage(await bundle(page));
  browser = await launchChromium();
  tab = await browser.openTab();
  await tab.goto(pages.origin);
});
afterAll(async () => {
  await browser?.close();
  await pages?.close();
});

async function run(seed: number, sends: [boolean, boolean]): Promise<PairOutcome> {
  const outcome = await tab.evaluate(([which, who]) => window.runPair(which, who), [seed, sends] as [
    number,
    [boolean, boolean],
  ]);
  const { errors, made, states, heard, sees, shows } = outcome;
  const seen = `seed ${seed}: ${JSON.stringify(outcome, null, 1)}`;
  expect(errors, seen).toEqual([]);
  expect(states, seen).toEqual(made.flatMap((count) => [...Array(count - 1).fill('closed'), 'stable']));
  expect(heard, seen).toEqual([['from 1'], ['from 0']]);
  expect(sees, seen).toEqual([shows[1], shows[0]]);
  return outcome;
}

describe('two ends of a link', () => {
  it.each([
    { who: 'both have media', sends: [true, true] as [boolean, boolean] },
    { who: 'the impolite one only receives', sends: [true, false] as [boolean, boolean] },
    { who: 'the polite one only receives', sends: [false, true] as [boolean, boolean] },
  ])('come to rest however their offers meet: $who', { timeout: 240_000 }, async ({ sends }) => {
    let glares = 0;
    for (let seed = 1; seed <= SEEDS; seed++) glares += (await run(seed, sends)).glares;
    // Else nothing was tested.
    expect(glares).toBeGreaterThan(0);
  });
});
