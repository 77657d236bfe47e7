import { execFileSync } from 'node:child_process';
import { type Browser, chromium } from 'playwright-core';

/** Real browsers, one process each: the pages of one share one fake camera. */

const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--use-fake-device-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--allow-loopback-in-peer-connection',
  // Pages that nobody looks at are as lively as any other.
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

export function launchChromium(...more: string[]): Promise<Browser> {
  return chromium.launch({
    executablePath: programPath('chromium'),
    args: [...CHROMIUM_ARGUMENTS, ...more],
  });
}

export function programPath(name: string): string {
  return execFileSync('which', [name], { encoding: 'utf8' }).trim();
}
