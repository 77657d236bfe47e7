import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { startApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger } from '../src/observability/logger.ts';
import { openWholeChromium } from '../test/support/browser/browsers.ts';
import { buildDemo } from './build-demo.ts';

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
if (!buildDemo()) process.exit(1);

/** From the choice of a user to the end of a call of three, and what there is when things go wrong. */
async function walk(
  browser: Browser,
  colorScheme: 'light' | 'dark',
  size: keyof typeof SIZES,
  everything: boolean,
) {
  let app = await startApp(loadConfig({ PORT: '0', METRICS_PORT: '0' }), createLogger('fatal'));
  const contexts: BrowserContext[] = [];
  const newPage = async (user: string) => {
    const touch = size === 'phone';
    const context = await browser.newContext({ colorScheme, viewport: SIZES[size], hasTouch: touch });
    contexts.push(context);
    await context.addInitScript(pretend, [picture(LOOKS[user] ?? LOOKS.ada!), SCREEN] as const);
    return context.newPage();
  };
  const shoot = async (page: Page, name: string) => {
    if (!everything && name !== 'demo') return;
    const file = everything ? `${name}-${size}-${colorScheme}.png` : `${name}.png`;
    await page.screenshot({ path: join(folder, file) });
  };
  const open = async (user: string) => {
    const page = await newPage(user);
    await page.goto(`${app.url}/?user=${user}`);
    await page.getByText('Ready.').waitFor();
    return page;
  };
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const connected = (page: Page) => page.getByText(/there and back · nothing lost/).waitFor();
  /** Until the pictures move. The first ones are small: how much there is room for is found out on the way. */
  const sees = (page: Page, selector: string, width = 1) =>
    page.waitForFunction(
      ([css, least]) => {
        const videos = [...document.querySelectorAll<HTMLVideoElement>(css)];
        const isThere = (video: HTMLVideoElement) =>
          video.videoWidth >= least && video.getVideoPlaybackQuality().totalVideoFrames > 9;
        return videos.length > 0 && videos.every(isThere);
      },
      [selector, width] as const,
    );
  try {
    if (everything) {
      const welcome = await newPage('ada');
      await welcome.route('**/demo.json', (route) => route.abort());
      await welcome.goto(app.url);
      await welcome.getByText('Try again').waitFor();
      await shoot(welcome, 'unreachable');
      await welcome.unroute('**/demo.json');
      await press(welcome, 'Try again');
      await welcome.getByText('Be Ada').waitFor();
      await shoot(welcome, 'welcome');
      await welcome.getByText('For developers').click();
      await shoot(welcome, 'developers');
    }
    const [ada, ben, cleo] = [await open('ada'), await open('ben'), await open('cleo')];
    await shoot(ada, 'people');
    await press(ada, 'Call Ben');
    await ben.getByText('is calling').waitFor();
    await sees(ada, '.own video');
    await shoot(ada, 'ringing');
    await shoot(ben, 'ring');
    await press(ben, 'Answer');
    await sees(ada, '.tile video');
    await connected(ada);
    await shoot(ada, 'pair');
    if (everything) {
      await press(ada, 'Devices');
      await ada.locator('.devices option:text("fake_device_0")').waitFor({ state: 'attached' });
      await shoot(ada, 'devices');
      await ada.keyboard.press('Escape');
    }
    await press(ada, 'Add someone');
    await ada.getByRole('button', { name: 'Add Cleo' }).waitFor();
    await shoot(ada, 'add');
    await press(ada, 'Add Cleo');
    await press(cleo, 'Answer');
    await sees(ada, '.tile video', everything ? 1 : 640);
    await ada.getByText(/Connected to Ben and Cleo/).waitFor();
    await connected(ada);
    // So that the focus is on nothing, as where a mouse is used.
    await ada.mouse.click(2, 2);
    await ada.mouse.move(0, 0);
    await shoot(ada, 'demo');
    if (!everything) return;
    await press(cleo, 'Mute');
    await press(cleo, 'Turn camera off');
    await ada.getByText('camera off', { exact: true }).waitFor();
    await ada.locator('.tile').first().hover();
    await shoot(ada, 'powers');
    await press(ben, 'Share screen');
    await sees(ada, 'video[data-source=screen]');
    await connected(ada);
    await shoot(ada, 'sharing');
    await ben.locator('.tile').nth(2).waitFor();
    await shoot(ben, 'sharing-own');
    const dan = await open('dan');
    await press(dan, 'Call Ada');
    await ada.getByText('Dan').waitFor();
    await shoot(ada, 'ring-in-call');
    await press(ada, 'I’m busy');
    await dan.getByText('is busy').waitFor();
    await shoot(dan, 'busy');
    await press(ada, 'End for everyone');
    await ben.getByTestId('ended').waitFor();
    await shoot(ben, 'ended');
    await ben.getByRole('button', { name: /^Recent calls/ }).click();
    await ben
      .getByRole('button', { name: /^Details/ })
      .first()
      .waitFor();
    await shoot(ben, 'recent');
    await ben
      .getByRole('button', { name: /^Details/ })
      .first()
      .click();
    await ben.getByTestId('verdict').waitFor();
    await shoot(ben, 'record');
    await press(ben, 'Back to recent calls');
    await press(ada, 'Call Ben');
    await press(ben, 'Answer without video');
    await connected(ada);
    const { port } = new URL(app.url);
    await app.stop();
    await ada.getByText('The way to the server is lost').waitFor();
    await shoot(ada, 'lost');
    app = await startApp(loadConfig({ PORT: port, METRICS_PORT: '0' }), createLogger('fatal'));
    await ada.getByTestId('ended').waitFor();
    await shoot(ada, 'lost-call');
  } finally {
    for (const context of contexts) await context.close();
    await app.stop();
  }
}

/**
 * In the page: a drawn person sits before the camera, for Chromium's own test picture is a green pie; and the
 * screen that is shared is a drawn one, for a browser without a display has none.
 */
function pretend([person, screen]: readonly [string, string]): void {
  const show = (svg: string, width: number, height: number): MediaStreamTrack => {
    const canvas = document.createElement('canvas');
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext('2d')!;
    const image = new Image();
    image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
    // Again and again: a canvas that does not change gives no frames.
    setInterval(() => context.drawImage(image, 0, 0, width, height), 50);
    return canvas.captureStream().getVideoTracks()[0]!;
  };
  const { mediaDevices } = navigator;
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    const stream = await ask(constraints);
    for (const track of stream.getVideoTracks()) {
      const drawn = show(person, 960, 720);
      drawn.getSettings = () => track.getSettings();
      stream.removeTrack(track);
      track.stop();
      stream.addTrack(drawn);
    }
    return stream;
  };
  mediaDevices.getDisplayMedia = async () => new MediaStream([show(screen, 1280, 720)]);
}

interface Look {
  readonly wall: string;
  readonly behind: string;
  readonly skin: string;
  readonly hair: string;
  readonly top: string;
  readonly cut: 'long' | 'short' | 'curls';
  readonly more?: string;
}

function picture({ wall, behind, skin, hair, top, cut, more = '' }: Look): string {
  const back = {
    long: 'M216 400C196 260 206 108 320 104s124 156 104 296z',
    short: 'M236 222c-10-76 26-116 84-116s94 40 84 116z',
    curls:
      'M214 250a44 44 0 0 1 2-76 50 50 0 0 1 44-64 62 62 0 0 1 120 0 50 50 0 0 1 44 64 44 44 0 0 1 2 76zM203 244a22 22 0 1 1 44 0 22 22 0 1 1-44 0zM393 244a22 22 0 1 1 44 0 22 22 0 1 1-44 0z',
  }[cut];
  const front = {
    long: 'M240 232c0-70 30-96 66-104 40 34 84 40 96 104 6-78-20-124-82-124s-88 48-80 124z',
    short: 'M238 214c2-40 14-62 40-66 34 12 70 10 98-4 20 14 26 36 26 70 12-76-22-112-82-112s-94 38-82 112z',
    curls:
      'M238 208c-4-30 10-46 30-48 8-18 30-22 46-12 16-12 40-8 48 10 24 2 40 20 40 50 14-70-20-106-82-106s-96 34-82 106z',
  }[cut];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="960" height="720" viewBox="0 0 640 480">
    <defs>
      <filter id="far"><feGaussianBlur stdDeviation="5"/></filter>
      <filter id="soft"><feGaussianBlur stdDeviation="7"/></filter>
      <linearGradient id="light" x1="0" y1="0" x2="1" y2=".6">
        <stop offset="0" stop-color="#fff" stop-opacity=".34"/><stop offset="1" stop-color="#000" stop-opacity=".3"/>
      </linearGradient>
      <clipPath id="face"><path d="M238 214c0-70 34-104 82-104s82 34 82 104c0 66-42 112-82 112s-82-46-82-112z"/></clipPath>
    </defs>
    <rect width="640" height="480" fill="${wall}"/>
    <g filter="url(#far)">${behind}</g>
    <rect width="640" height="480" fill="url(#light)"/>
    <path d="${back}" fill="${hair}"/>
    <path d="M96 490c8-92 78-118 160-136h128c82 18 152 44 160 136z" fill="${top}"/>
    <path d="M278 290h84v62c-8 34-76 34-84 0z" fill="${skin}"/>
    <path d="M278 306c20 30 64 30 84 0v22c-20 24-64 24-84 0z" fill="#000" opacity=".16"/>
    <ellipse cx="237" cy="226" rx="13" ry="22" fill="${skin}"/><ellipse cx="403" cy="226" rx="13" ry="22" fill="${skin}"/>
    <g clip-path="url(#face)">
      <rect x="230" y="100" width="180" height="240" fill="${skin}"/>
      <ellipse cx="408" cy="230" rx="54" ry="120" fill="#000" opacity=".12" filter="url(#soft)"/>
      <ellipse cx="272" cy="256" rx="22" ry="15" fill="#d0453a" opacity=".2" filter="url(#soft)"/>
      <ellipse cx="368" cy="256" rx="22" ry="15" fill="#d0453a" opacity=".2" filter="url(#soft)"/>
    </g>
    <path d="${front}" fill="${hair}"/>
    <g fill="#fff"><ellipse cx="287" cy="220" rx="13" ry="9"/><ellipse cx="353" cy="220" rx="13" ry="9"/></g>
    <g fill="#2c1d14"><circle cx="288" cy="220" r="7.5"/><circle cx="352" cy="220" r="7.5"/></g>
    <g fill="#fff"><circle cx="285" cy="217" r="2"/><circle cx="349" cy="217" r="2"/></g>
    <g fill="none" stroke="${hair}" stroke-width="5" stroke-linecap="round">
      <path d="M270 199q17-10 33-2M337 197q16-8 33 2"/>
    </g>
    <path d="M320 226q-9 22-7 28 6 7 15 1" fill="none" stroke="#000" stroke-opacity=".25" stroke-width="4" stroke-linecap="round"/>
    <path d="M288 278q32 12 64 0-10 27-32 27t-32-27z" fill="#8d2f2c"/><path d="M294 281q26 9 52 0l-4 8q-22 5-44 0z" fill="#fff"/>
    ${more}
  </svg>`;
}

const WINDOW =
  '<rect x="20" y="30" width="190" height="250" fill="#f6f3e8"/><rect x="32" y="42" width="166" height="226" fill="#bfe0ee"/><path d="M32 200q50-60 90-20t76-30v118H32z" fill="#7fae7a"/><path d="M112 42h8v226h-8zM32 150h166v8H32z" fill="#f6f3e8"/>';
const PLANT =
  '<path d="M520 300q-70-40-60-130 60 30 64 110 0-90 50-140 26 80-30 160z" fill="#3f7d55"/><path d="M490 300h84l-14 90h-56z" fill="#b5623c"/>';
const SHELF =
  '<g><rect x="420" y="150" width="220" height="12" fill="#7b5534"/><rect x="420" y="290" width="220" height="12" fill="#7b5534"/><path d="M434 66h24v84h-24zM492 74h22v76h-22zM560 60h28v90h-28z" fill="#b5452f"/><path d="M460 80h30v70h-30zM590 82h24v68h-24z" fill="#e0b04c"/><path d="M516 58h20v92h-20zM446 214h34v76h-34z" fill="#2f5d73"/><path d="M482 204h22v86h-22zM540 220h40v70h-40z" fill="#5b7f4e"/></g>';
const LAMP =
  '<circle cx="96" cy="130" r="120" fill="#ffe1a1" opacity=".5"/><path d="M56 160 76 90h44l20 70z" fill="#ffdf9b"/><path d="M94 160h8v230h-8z" fill="#5d4a3a"/>';
const FRAME =
  '<rect x="440" y="60" width="150" height="110" fill="#3a4a52"/><rect x="450" y="70" width="130" height="90" fill="#e8c79a"/><path d="M450 160l50-60 30 34 20-20 30 46z" fill="#b0623d"/>';

const LOOKS: Readonly<Record<string, Look>> = {
  ada: {
    wall: '#d8cfc0',
    behind: WINDOW + PLANT,
    skin: '#f0c3a0',
    hair: '#4a2a1a',
    top: '#0d5c46',
    cut: 'long',
  },
  ben: {
    wall: '#8fa5ab',
    behind: SHELF + LAMP,
    skin: '#8a5a3c',
    hair: '#1d1512',
    top: '#d9a441',
    cut: 'short',
    more: '<g fill="none" stroke="#1a1a1a" stroke-width="4"><rect x="264" y="204" width="46" height="34" rx="13"/><rect x="330" y="204" width="46" height="34" rx="13"/><path d="M310 218q10-6 20 0"/></g>',
  },
  cleo: {
    wall: '#c9b3a6',
    behind: FRAME + LAMP,
    skin: '#d39a6d',
    hair: '#7a2f17',
    top: '#34507c',
    cut: 'curls',
  },
};

const SCREEN = `<svg xmlns="http://www.w3.org/2000/svg" width="1280" height="720" viewBox="0 0 1280 720" font-family="sans-serif">
  <rect width="1280" height="720" fill="#fffdf8"/><rect width="1280" height="56" fill="#22302b"/>
  <circle cx="32" cy="28" r="8" fill="#f2705f"/><circle cx="58" cy="28" r="8" fill="#f2b64b"/><circle cx="84" cy="28" r="8" fill="#4fc49b"/>
  <text x="80" y="160" font-size="52" font-weight="700" fill="#18211e">Calls answered in time</text>
  <text x="80" y="210" font-size="26" fill="#5d6964">By week, of a hundred</text>
  <g fill="#0d5c46"><path d="M120 600V420h110v180zM290 600V380h110v220zM460 600V400h110v200zM630 600V330h110v270zM800 600V300h110v300z"/></g>
  <path d="M970 600V260h110v340z" fill="#a9700b"/><path d="M80 602h1100" stroke="#18211e" stroke-width="4"/>
</svg>`;

const browser = await openWholeChromium(...FAKE_DEVICES);
try {
  if (all) {
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const size of ['desk', 'phone'] as const) await walk(browser, colorScheme, size, true);
    }
  } else await walk(browser, 'light', 'desk', false);
} finally {
  await browser.close();
}
