import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../support/browser/browsers.ts';
import { type PageServer, servePage } from '../support/browser/page-server.ts';
import { Person } from '../support/browser/person.ts';
import { createWorld, type World } from '../support/world.ts';

let pages: PageServer;
let world: World;
const browsers: Browser[] = [];
beforeAll(async () => {
  pages = await servePage();
  world = await createWorld({ env: { ALLOWED_ORIGINS: pages.origin } });
  browsers.push(...(await Promise.all([launchChromium(), launchChromium(), launchChromium()])));
});
afterAll(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await world?.close();
  await pages?.close();
});

const people: Person[] = [];
afterEach(async () => {
  await Promise.all(people.splice(0).map((person) => person.close()));
});

/** Each in a browser process of their own, in this order. */
async function open<Name extends string>(
  colours: Record<Name, string | null>,
): Promise<Record<Name, Person>> {
  const opened = await Promise.all(
    Object.entries<string | null>(colours).map(([userId, colour], index) =>
      Person.open({
        browser: browsers[index % browsers.length]!,
        userId,
        origin: pages.origin,
        url: world.apps[0]!.url,
        colour,
      }),
    ),
  );
  people.push(...opened);
  return Object.fromEntries(opened.map((person) => [person.userId, person])) as Record<Name, Person>;
}

describe('two people', () => {
  it('ring, answer, see each other and hang up', async () => {
    const { ada, ben } = await open({ ada: '#f00', ben: '#00f' });
    const room = await world.conversation(['ada', 'ben']);
    await ada.start(room, 'ben');
    await ben.happened('ring ada');
    await ben.answer();
    await Promise.all([ada.sees('ben', '#00f'), ben.sees('ada', '#f00')]);
    await ben.leave();
    await ada.happened('ended HANGUP');
    await ada.expectNoErrors();
    await ben.expectNoErrors();
  });
});
