import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

/** What people do on the demo's page, and what they wait for there: by what its buttons say. */

export const button = (page: Page, name: string): Locator => page.getByRole('button', { name, exact: true });
export const press = (page: Page, name: string) => button(page, name).click();
export const status = (page: Page, text: string) =>
  page.getByTestId('status').filter({ hasText: text }).waitFor();
export const ended = (page: Page, text: string) =>
  page.getByTestId('ended').filter({ hasText: text }).waitFor();

/** By the clock: to look at each frame makes the page draw as fast as it can. Milliseconds. */
const OFTEN = { polling: 50 };

/** Until the other one's picture moves. */
export async function sees(page: Page, user: string, source = 'camera'): Promise<void> {
  await page.waitForFunction(
    ([id, from]) => {
      const video = document.querySelector<HTMLVideoElement>(`video[data-user=${id}][data-source=${from}]`);
      return (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > 3;
    },
    [user, source],
    OFTEN,
  );
}

/** Until it moves on from where it is now. */
export async function moves(page: Page, user: string): Promise<void> {
  const video = page.locator(`video[data-user=${user}][data-source=camera]`);
  const before = await video.evaluate(
    (element: HTMLVideoElement) => element.getVideoPlaybackQuality().totalVideoFrames,
  );
  await page.waitForFunction(
    ([id, frames]) => {
      const video = document.querySelector<HTMLVideoElement>(`video[data-user=${id}][data-source=camera]`);
      return (video?.getVideoPlaybackQuality().totalVideoFrames ?? 0) > frames + 3;
    },
    [user, before] as const,
    OFTEN,
  );
}

interface Asking {
  times: number;
  readonly tracks: MediaStreamTrack[];
  allow(): void;
}

declare global {
  interface Window {
    asking: Asking;
  }
}

/** The user is asked for the camera, and does not answer before `window.asking.allow()`. */
export async function ask(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const { mediaDevices } = navigator;
    const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
    let allow = () => {};
    const allowed = new Promise<void>((resolve) => {
      allow = resolve;
    });
    const kept: Asking = { times: 0, tracks: [], allow: () => allow() };
    window.asking = kept;
    mediaDevices.getUserMedia = async (constraints) => {
      kept.times += 1;
      await allowed;
      const stream = await getUserMedia(constraints);
      kept.tracks.push(...stream.getTracks());
      return stream;
    };
  });
}

/** Faster than the page can show that it has heard the first time. */
export async function pressTwice(page: Page, name: string): Promise<void> {
  await button(page, name).evaluate((element) => {
    (element as HTMLElement).click();
    (element as HTMLElement).click();
  });
}

export const isFocused = (element: Element) => element === document.activeElement;

/** Tab until the focus is there and can be seen, then Enter. */
export async function enter(page: Page, name: string): Promise<void> {
  await button(page, name).waitFor();
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    const outline = await button(page, name).evaluate((element) =>
      element === document.activeElement ? getComputedStyle(element).outlineStyle : null,
    );
    if (outline === null) continue;
    expect(outline).toBe('solid');
    await page.keyboard.press('Enter');
    return;
  }
  throw new Error(`Tab does not lead to ${name}`);
}

/** What a screen reader could make nothing of. */
export async function flaws(page: Page): Promise<string[]> {
  const nameless = (await page.locator('body').ariaSnapshot())
    .split('\n')
    .filter((line) => /^\s*- (button|link|textbox|combobox|group|region|list|main)( \[.*\])?:?$/.test(line))
    .filter((line) => !/- (list|group)/.test(line));
  const found = await page.evaluate(() => {
    const all = (selector: string) => [...document.querySelectorAll(selector)];
    const ids = all('[id]').map(({ id }) => id);
    return [
      ...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `Twice: #${id}`),
      ...all('video:not([aria-label])').map(({ outerHTML }) => outerHTML),
      ...all('[aria-controls], [aria-labelledby]')
        .map((one) => one.getAttribute('aria-labelledby'))
        .filter((id) => id !== null && !ids.includes(id))
        .map((id) => `Nowhere: #${id}`),
      ...(all('main').length === 1 ? [] : ['Not one main']),
      ...(all('h1').length === 1 ? [] : ['Not one h1']),
    ];
  });
  return [...nameless, ...found];
}
