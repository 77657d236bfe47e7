import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openChromium, openWholeChromium } from '../support/browser/browsers.ts';
import type { MediaLab } from '../support/browser/page/media.ts';
import { bundle, type PageServer, servePage } from '../support/browser/page-server.ts';

/** What a page sends, with the devices of a real Chromium, which are fake ones. */

/** A name that is not localhost: what is served from there over HTTP may have no devices. */
const PLAIN = 'plain.example';

let pages: PageServer;
/** Whatever is asked for is allowed. */
let allowing: Browser;
/** What was not allowed before is refused. */
let refusing: Browser;
/** The picker of screens is closed without a choice. */
let cancelling: Browser;
beforeAll(async () => {
  pages = await servePage(
    await bundle(fileURLToPath(new URL('../support/browser/page/media.ts', import.meta.url))),
  );
  const devices = '--use-fake-device-for-media-stream=device-count=2';
  [allowing, refusing, cancelling] = await Promise.all([
    openChromium(devices, '--use-fake-ui-for-media-stream'),
    openWholeChromium(devices, '--deny-permission-prompts', `--host-resolver-rules=MAP ${PLAIN} 127.0.0.1`),
    openWholeChromium(devices, '--use-fake-ui-for-media-stream=deny'),
  ]);
});
afterAll(async () => {
  await Promise.all([allowing, refusing, cancelling].map((browser) => browser?.close()));
  await pages?.close();
});

/** For each of the two describes that run beside each other; their tests run one after the other. */
function setTheLab() {
  const closes: (() => Promise<void>)[] = [];
  const problems: string[] = [];
  afterEach(async () => {
    for (const close of closes.splice(0)) await close();
    expect(problems.splice(0)).toEqual([]);
  });

  /** A page of its own: `run` runs in it. `allowed`: in the browser that refuses all else. */
  async function open(browser = allowing, { allowed = [] as string[], origin = pages.origin } = {}) {
    const context = await browser.newContext({ permissions: allowed });
    closes.push(() => context.close());
    const page = await context.newPage();
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(origin);
    const lab = await page.waitForFunction(() => window.mediaLab);
    return {
      run<Result, Argument = undefined>(
        work: (lab: MediaLab, argument: Argument) => Result | Promise<Result>,
        argument?: Argument,
      ): Promise<Result> {
        return lab.evaluate(work as never, argument) as Promise<Result>;
      },
      revoke: () => context.clearPermissions(),
    };
  }
  return open;
}
const ONE_BY_ONE = { concurrent: false };

const BOTH_LIVE = {
  microphone: 'live',
  camera: 'live',
  live: ['audio', 'video'],
  preview: ['audio', 'video'],
};
const ALL_OFF = { microphone: 'off', camera: 'off', screen: 'off', live: [], preview: [] };

describe.concurrent('what is asked for', () => {
  const open = setTheLab();

  describe('the camera and the microphone', ONE_BY_ONE, () => {
    it('are opened together, and seen in the preview', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        const state = await media.open({ camera: true, microphone: true });
        const { microphones, cameras } = await media.devices();
        return {
          isNow: state === media.state,
          known: [
            microphones.some(({ deviceId }) => deviceId === state.microphone.deviceId),
            cameras.some(({ deviceId }) => deviceId === state.camera.deviceId),
          ],
          asked: lab.asked.length,
          tracks: lab.tracks,
          errors: lab.errors,
          ...lab.view(),
        };
      });
      expect(seen).toEqual({
        isNow: true,
        known: [true, true],
        asked: 1,
        tracks: ['microphone on', 'camera on'],
        errors: [],
        ...BOTH_LIVE,
        screen: 'off',
      });
    });

    it('are asked for only where they are wanted', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({});
        await lab.media.open({ microphone: true });
        return { asked: lab.asked, ...lab.view() };
      });
      expect(seen).toMatchObject({
        asked: [{ audio: {} }],
        microphone: 'live',
        camera: 'off',
        live: ['audio'],
      });
    });

    it('are as they were asked for, and so again when they are turned on again', async () => {
      const { run } = await open();
      const sizes = await run(async (lab) => {
        const size = () => {
          const { width, height } = lab.track('camera')!.getSettings();
          return `${width} x ${height}`;
        };
        await lab.media.open({ camera: { width: { exact: 320 }, height: { exact: 240 } } });
        const first = size();
        await lab.media.setCamera(false);
        await lab.media.setCamera(true);
        return [first, size()];
      });
      expect(sizes).toEqual(['320 x 240', '320 x 240']);
    });

    it('are a new state after each change, which is told', async () => {
      const { run } = await open();
      const told = await run(async ({ media }) => {
        const states = [media.state];
        media.on('change', (state) => states.push(state));
        await media.open({ camera: true });
        await media.setMuted(true);
        await media.setCamera(false);
        return {
          areNew: new Set(states).size === states.length,
          isLast: states.at(-1) === media.state,
          inOrder: states.map(({ camera, microphone }) => [camera.track !== null, microphone.muted]),
        };
      });
      expect(told).toEqual({
        areNew: true,
        isLast: true,
        inOrder: [
          [false, false],
          [true, false],
          [true, true],
          [false, true],
        ],
      });
    });

    it('are had without the one that is refused, which is an error with its reason', async () => {
      const { run } = await open(refusing, { allowed: ['microphone'] });
      const seen = await run(async (lab) => {
        const { camera } = await lab.media.open({ camera: true, microphone: true });
        const { name, source, message } = camera.error!;
        return { ...lab.view(), errors: lab.errors, error: [name, source, message] };
      });
      expect(seen).toMatchObject({
        microphone: 'live',
        camera: 'refused',
        live: ['audio'],
        errors: ['camera refused'],
        error: ['MediaError', 'camera', expect.stringContaining('allow it')],
      });
    });

    it('are two errors where both are refused, and nothing rejects', async () => {
      const { run } = await open(refusing);
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: true, microphone: true });
        await lab.media.setCamera(true);
        await lab.media.setMuted(false);
        return lab.view();
      });
      expect(seen).toMatchObject({ microphone: 'refused', camera: 'refused', live: [] });
    });

    it('are missing where there are none like that', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: { width: { exact: 99_999 } }, microphone: true });
        return lab.view();
      });
      expect(seen).toMatchObject({ microphone: 'live', camera: 'missing', live: ['audio'] });
    });

    // Rejected by a stand-in for the browser: a fake device is always there, and never in use.
    it.each([
      ['NotFoundError', 'missing'],
      ['NotReadableError', 'busy'],
      ['AbortError', 'busy'],
      ['SecurityError', 'refused'],
      ['TypeError', 'failed'],
    ])('tell why they can’t be had: after a %s the camera is %s', async (name, reason) => {
      const { run } = await open();
      const seen = await run(async (lab, why) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true });
        (await lab.prompt()).refuse(why);
        await opened;
        return lab.view().camera;
      }, name);
      expect(seen).toBe(reason);
    });

    it('say so where the page may have none, as one that is not served over HTTPS', async () => {
      const { run } = await open(refusing, { origin: pages.origin.replace('127.0.0.1', PLAIN) });
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true, microphone: true });
        const screen = await media.startScreen();
        await media.setDevice('microphone', 'any');
        await media.setCamera(true);
        await media.setMuted(false);
        const view = lab.view();
        const devices = await media.devices();
        media.close();
        return { isThere: 'mediaDevices' in navigator, view, screen, devices };
      });
      expect(seen).toMatchObject({
        isThere: false,
        view: { microphone: 'unsupported', camera: 'unsupported', screen: 'unsupported' },
        screen: false,
        devices: { microphones: [], cameras: [], speakers: [] },
      });
    });

    it('are listed, and listed anew when one comes or goes', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: true, microphone: true });
        const now = await lab.media.devices();
        const later = new Promise<typeof now>((resolve) => lab.media.on('devices', resolve));
        // A stand-in: what is plugged in can't be changed from here.
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
        const labels = ({ cameras }: typeof now) => cameras.map(({ label }) => label);
        return [labels(now), labels(await later), now.microphones.length > 1, now.speakers.length > 1];
      });
      const cameras = [expect.stringContaining('fake_device_0'), expect.stringContaining('fake_device_1')];
      expect(seen).toEqual([cameras, cameras, true, true]);
    });
  });

  // Who is asked and takes their time is a stand-in: a browser without anyone before it answers at once.
  describe('a user who is still being asked', ONE_BY_ONE, () => {
    it('mutes and unmutes at once', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ microphone: true });
        lab.takeTime();
        const opened = media.open({ camera: true });
        const prompt = await lab.prompt();
        const sends: unknown[] = [];
        const note = () => sends.push([lab.track('microphone')!.enabled, media.state.microphone.muted]);
        const muted = media.setMuted(true);
        note();
        await muted;
        const unmuted = media.setMuted(false);
        note();
        await unmuted;
        prompt.allow();
        await opened;
        return { sends, ...lab.view() };
      });
      expect(seen).toMatchObject({
        sends: [
          [false, true],
          [true, false],
        ],
        ...BOTH_LIVE,
      });
    });

    it('is heard only once they have unmuted, whatever they said before', async () => {
      const { run } = await open();
      const heard = await run(async (lab) => {
        const { media } = lab;
        const isHeard = () => lab.track('microphone')?.enabled ?? false;
        await media.setMuted(true);
        lab.takeTime();
        // Unmuting opens a microphone where there is none.
        const unmuted = media.setMuted(false);
        const prompt = await lab.prompt();
        await media.setMuted(true);
        prompt.allow();
        await unmuted;
        const before = [lab.view().microphone, isHeard()];
        await media.setMuted(false);
        return [...before, isHeard(), lab.asked.length];
      });
      expect(heard).toEqual(['live', false, true, 1]);
    });

    it('is not seen where they turned the camera off meanwhile', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true, microphone: true });
        const prompt = await lab.prompt();
        await lab.media.setCamera(false);
        prompt.allow();
        await opened;
        return { tracks: lab.tracks, ...lab.view() };
      });
      expect(seen).toMatchObject({
        tracks: ['microphone on'],
        camera: 'off',
        live: ['audio'],
        preview: ['audio'],
      });
    });

    it('is not seen where they turned the camera off before they were asked', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const opened = lab.media.open({ camera: true });
        const off = lab.media.setCamera(false);
        await Promise.all([opened, off]);
        return lab.view();
      });
      expect(seen).toMatchObject(ALL_OFF);
    });

    it('is not asked again for the camera that they turned off, where there is no microphone', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true, microphone: true });
        const prompt = await lab.prompt();
        await lab.media.setCamera(false);
        prompt.refuse('NotFoundError');
        (await lab.prompt(2)).refuse('NotFoundError');
        await opened;
        return { asked: lab.asked, errors: lab.errors, ...lab.view() };
      });
      expect(seen).toMatchObject({
        asked: [{ audio: {}, video: {} }, { audio: {} }],
        errors: ['microphone missing'],
        camera: 'off',
        live: [],
      });
    });

    it('has no error of a camera that they turned off before they refused it', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true });
        const prompt = await lab.prompt();
        await lab.media.setCamera(false);
        prompt.refuse();
        await opened;
        return { errors: lab.errors, ...lab.view() };
      });
      expect(seen).toMatchObject({ errors: [], ...ALL_OFF });
    });

    it('is seen in the end where they turned the camera off and on again', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true });
        const prompt = await lab.prompt();
        void lab.media.setCamera(false);
        const on = lab.media.setCamera(true);
        prompt.allow();
        (await lab.prompt(2)).allow();
        await Promise.all([opened, on]);
        return lab.view();
      });
      expect(seen).toMatchObject({ camera: 'live', live: ['video'], preview: ['video'] });
    });

    it('sends the app’s own picture that came meanwhile', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true });
        const prompt = await lab.prompt();
        const own = lab.canvas();
        lab.media.setTrack('camera', own);
        prompt.allow();
        await opened;
        return { isOwn: lab.track('camera') === own, ...lab.view() };
      });
      expect(seen).toMatchObject({ isOwn: true, camera: 'live', live: [] });
    });
  });
});

describe.concurrent('what is sent', () => {
  const open = setTheLab();

  describe('the camera', ONE_BY_ONE, () => {
    it('is stopped at once when it is turned off', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: true, microphone: true });
        void lab.media.setCamera(false);
        return { ...lab.view(), tracks: lab.tracks.slice(2) };
      });
      expect(seen).toMatchObject({
        camera: 'off',
        live: ['audio'],
        preview: ['audio'],
        tracks: ['camera off'],
      });
    });

    it.each([
      [[false, true], 'live', ['video']],
      [[false, true, false], 'off', []],
      [[true, false, true, false, true], 'live', ['video']],
    ])('is in the end what was said last: %j', async (turns, camera, live) => {
      const { run } = await open();
      const seen = await run(async (lab, all) => {
        await lab.media.open({ camera: true });
        await Promise.all(all.map((on) => lab.media.setCamera(on)));
        return lab.view();
      }, turns);
      expect(seen).toMatchObject({ camera, live, preview: live });
    });

    it('can be changed: the next one is on its way before the last one is stopped', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const first = media.state.camera;
        const other = (await lab.cameras()).find((id) => id !== first.deviceId)!;
        await media.setDevice('camera', other);
        const { track, deviceId, error } = media.state.camera;
        return {
          isOther: deviceId === other && track!.getSettings().deviceId === other,
          error,
          isStopped: first.track!.readyState === 'ended',
          tracks: lab.tracks,
          ...lab.view(),
        };
      });
      expect(seen).toMatchObject({
        isOther: true,
        error: null,
        isStopped: true,
        tracks: ['camera on', 'camera on'],
        camera: 'live',
        live: ['video'],
        preview: ['video'],
      });
    });

    it('is the one that was chosen last, however long the user takes over the one before', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const first = media.state.camera.deviceId!;
        const other = (await lab.cameras()).find((id) => id !== first)!;
        lab.takeTime();
        const changes = [media.setDevice('camera', other), media.setDevice('camera', first)];
        const prompt = await lab.prompt();
        // One question at a time.
        const prompts = lab.prompts.length;
        prompt.allow();
        (await lab.prompt(2)).allow();
        await Promise.all(changes);
        return { prompts, isFirst: media.state.camera.deviceId === first, ...lab.view() };
      });
      expect(seen).toMatchObject({ prompts: 1, isFirst: true, camera: 'live', live: ['video'] });
    });

    it('stays where the other one can’t be had, which is an error until a change works', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const { track, deviceId } = media.state.camera;
        await media.setDevice('camera', 'no such camera');
        const { camera } = media.state;
        const stays = camera.track === track && camera.deviceId === deviceId && track!.readyState === 'live';
        const reason = camera.error?.reason;
        // What was chosen in vain is not asked for when it is turned on again.
        await media.setCamera(false);
        await media.setCamera(true);
        return { stays, reason, errors: lab.errors, error: media.state.camera.error, ...lab.view() };
      });
      expect(seen).toMatchObject({
        stays: true,
        reason: 'missing',
        errors: ['camera missing'],
        error: null,
        camera: 'live',
        live: ['video'],
      });
    });

    it('is off where it was when another one was chosen, which is the one that is turned on', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const first = media.state.camera.deviceId;
        await media.setCamera(false);
        const other = (await lab.cameras()).find((id) => id !== first)!;
        await media.setDevice('camera', other);
        const before = [lab.view().camera, media.state.camera.deviceId === other];
        await media.setCamera(true);
        return [...before, lab.track('camera')?.getSettings().deviceId === other];
      });
      expect(seen).toEqual(['off', true, true]);
    });

    it('is tried with another one where it could not be had', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: { deviceId: { exact: 'no such camera' } } });
        const before = lab.view().camera;
        const [id] = await lab.cameras();
        await lab.media.setDevice('camera', id!);
        return [before, lab.view().camera, lab.media.state.camera.error];
      });
      expect(seen).toEqual(['missing', 'live', null]);
    });
  });

  describe('a track that ends by itself', ONE_BY_ONE, () => {
    // Ended by a stand-in: a fake device never does.
    it('is opened again', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: true, microphone: true });
        await lab.media.setMuted(true);
        const before = [lab.track('camera'), lab.track('microphone')];
        lab.end(lab.track('camera'));
        lab.end(lab.track('microphone'));
        await lab.until(() => lab.track('camera') !== null && lab.track('microphone') !== null);
        return {
          areNew: !before.includes(lab.track('camera')) && !before.includes(lab.track('microphone')),
          isMuted: !lab.track('microphone')!.enabled,
          tracks: lab.tracks.slice(2),
          ...lab.view(),
        };
      });
      expect(seen).toMatchObject({
        areNew: true,
        isMuted: true,
        tracks: ['camera off', 'microphone off', 'camera on', 'microphone on'],
        microphone: 'live',
        camera: 'live',
      });
    });

    it('is an error where its permission was taken back', async () => {
      const { run, revoke } = await open(refusing, { allowed: ['camera', 'microphone'] });
      await run((lab) => lab.media.open({ camera: true, microphone: true }).then(() => {}));
      expect(await run((lab) => lab.view())).toMatchObject(BOTH_LIVE);
      await revoke();
      const seen = await run(async (lab) => {
        await lab.until(() => lab.errors.length === 2);
        return { tracks: lab.tracks.slice(2).sort(), ...lab.view() };
      });
      expect(seen).toMatchObject({
        tracks: ['camera off', 'microphone off'],
        microphone: 'refused',
        camera: 'refused',
        live: [],
        preview: [],
      });
    });

    it('is not opened again where the user turned it off meanwhile', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        lab.takeTime();
        lab.end(lab.track('camera'));
        const prompt = await lab.prompt();
        await media.setCamera(false);
        prompt.allow();
        // In the queue behind it: so by then it is done.
        await media.open({});
        return lab.view();
      });
      expect(seen).toMatchObject(ALL_OFF);
    });

    it('is no reason to open a device where it was the app’s own', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.media.setTrack('camera', lab.canvas());
        lab.end(lab.track('camera'));
        await lab.media.open({});
        return { asked: lab.asked, tracks: lab.tracks, ...lab.view() };
      });
      expect(seen).toMatchObject({ asked: [], tracks: ['camera on', 'camera off'], ...ALL_OFF });
    });

    it('changes nothing where another one has taken its place', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const [first, second] = [lab.canvas(), lab.canvas()];
        lab.media.setTrack('camera', first);
        lab.media.setTrack('camera', second);
        lab.end(first);
        return { stays: lab.track('camera') === second, tracks: lab.tracks };
      });
      expect(seen).toEqual({ stays: true, tracks: ['camera on', 'camera on'] });
    });

    it('is followed by another camera where the chosen one is not there any more', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const first = media.state.camera.deviceId;
        const chosen = (await lab.cameras()).find((id) => id !== first)!;
        await media.setDevice('camera', chosen);
        const wasChosen = media.state.camera.deviceId === chosen;
        lab.unplug(lab.track('camera'));
        await lab.until(() => lab.track('camera') !== null);
        const { deviceId, error } = media.state.camera;
        return { wasChosen, isFirst: deviceId === first, error, ...lab.view() };
      });
      expect(seen).toMatchObject({
        wasChosen: true,
        isFirst: true,
        error: null,
        camera: 'live',
        live: ['video'],
        preview: ['video'],
      });
    });
  });

  describe('the screen', ONE_BY_ONE, () => {
    it('is shared, and is no part of the preview, until the user stops', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const isShared = await lab.media.startScreen();
        const during = lab.view();
        lab.media.stopScreen();
        return { isShared, during, after: lab.view(), tracks: lab.tracks };
      });
      expect(seen).toMatchObject({
        isShared: true,
        during: { screen: 'live', live: ['video'], preview: [] },
        after: ALL_OFF,
        tracks: ['screen on', 'screen off'],
      });
    });

    it('is not shared where the user closes the picker, which is no error', async () => {
      const { run } = await open(cancelling);
      const seen = await run(async (lab) => {
        const isShared = await lab.media.startScreen();
        return { isShared, asked: lab.asked.length, errors: lab.errors, ...lab.view() };
      });
      expect(seen).toMatchObject({ isShared: false, asked: 1, errors: [], ...ALL_OFF });
    });

    it('can be changed for another one, and stays where the user then chooses none', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.startScreen();
        const first = lab.track('screen');
        await media.startScreen();
        const second = lab.track('screen');
        const isOther = second !== first && first!.readyState === 'ended';
        lab.takeTime();
        const started = media.startScreen();
        (await lab.prompt()).refuse();
        return { isOther, isShared: await started, stays: lab.track('screen') === second, ...lab.view() };
      });
      expect(seen).toMatchObject({
        isOther: true,
        isShared: false,
        stays: true,
        screen: 'live',
        live: ['video'],
      });
    });

    it('is not shared where sharing was stopped while the user was still choosing', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const started = lab.media.startScreen();
        const prompt = await lab.prompt();
        lab.media.stopScreen();
        prompt.allow();
        return { isShared: await started, given: lab.given.length, ...lab.view() };
      });
      expect(seen).toMatchObject({ isShared: false, given: 1, ...ALL_OFF });
    });

    it('is an error where the browser can’t share it', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const started = lab.media.startScreen();
        (await lab.prompt()).refuse('NotReadableError');
        return { isShared: await started, errors: lab.errors, ...lab.view() };
      });
      expect(seen).toMatchObject({ isShared: false, errors: ['screen busy'], screen: 'busy' });
    });

    it('is not asked for again where the browser’s own button ended it', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.startScreen();
        // A stand-in for the button, which is the browser's.
        lab.end(lab.track('screen'));
        await lab.media.open({});
        return { asked: lab.asked.length, tracks: lab.tracks, ...lab.view() };
      });
      expect(seen).toMatchObject({ asked: 1, tracks: ['screen on', 'screen off'], ...ALL_OFF });
    });

    it('does not wait for the answer to another question', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        void lab.media.open({ camera: true });
        await lab.prompt();
        const started = lab.media.startScreen();
        (await lab.prompt(2)).allow();
        return { isShared: await started, ...lab.view() };
      });
      expect(seen).toMatchObject({ isShared: true, screen: 'live', camera: 'off' });
    });
  });

  describe('the app’s own track', ONE_BY_ONE, () => {
    it('takes the place of a device, and is never stopped here', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        await media.open({ camera: true });
        const own = [lab.canvas(), lab.canvas(), lab.canvas()] as const;
        media.setTrack('camera', own[0]);
        const during = { isOwn: lab.track('camera') === own[0], ...lab.view() };
        media.setTrack('camera', own[1]);
        await media.setCamera(false);
        await media.setCamera(true);
        const after = lab.view();
        media.setTrack('screen', own[2]);
        media.setTrack('camera', own[0]);
        media.close();
        return { during, after, states: own.map(({ readyState }) => readyState), live: lab.live() };
      });
      expect(seen).toMatchObject({
        during: { isOwn: true, camera: 'live', live: [], preview: ['video'] },
        after: { camera: 'live', live: ['video'], preview: ['video'] },
        states: ['live', 'live', 'live'],
        live: [],
      });
    });

    it('is silent where the user is muted', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const own = new AudioContext().createMediaStreamDestination().stream.getAudioTracks()[0]!;
        await lab.media.setMuted(true);
        lab.media.setTrack('microphone', own);
        const before = own.enabled;
        await lab.media.setMuted(false);
        return [before, own.enabled, lab.asked.length];
      });
      expect(seen).toEqual([false, true, 0]);
    });
  });

  describe('the end', ONE_BY_ONE, () => {
    it('stops all that was opened, and tells it', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        await lab.media.open({ camera: true, microphone: true });
        await lab.media.startScreen();
        lab.media.close();
        return { tracks: lab.tracks.slice(3), ...lab.view() };
      });
      expect(seen).toEqual({ tracks: ['microphone off', 'camera off', 'screen off'], ...ALL_OFF });
    });

    it('stops what is allowed only then', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true, microphone: true });
        const started = lab.media.startScreen();
        const prompts = [await lab.prompt(), await lab.prompt(2)];
        lab.media.close();
        for (const prompt of prompts) prompt.allow();
        const state = await opened;
        return {
          isShared: await started,
          given: lab.given.length,
          isState: state === lab.media.state,
          tracks: lab.tracks,
          ...lab.view(),
        };
      });
      expect(seen).toEqual({ isShared: false, given: 3, isState: true, tracks: [], ...ALL_OFF });
    });

    it('is no error of what is refused only then', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        lab.takeTime();
        const opened = lab.media.open({ camera: true });
        const prompt = await lab.prompt();
        lab.media.close();
        prompt.refuse();
        await opened;
        return { errors: lab.errors, ...lab.view() };
      });
      expect(seen).toMatchObject({ errors: [], ...ALL_OFF });
    });

    it('asks nobody for anything any more, and hears of no devices', async () => {
      const { run } = await open();
      const seen = await run(async (lab) => {
        const { media } = lab;
        const { mediaDevices } = navigator;
        const list = mediaDevices.enumerateDevices.bind(mediaDevices);
        let lists = 0;
        mediaDevices.enumerateDevices = () => {
          lists += 1;
          return list();
        };
        media.on('devices', () => lab.errors.push('devices'));
        await media.open({ camera: true });
        const before = lab.asked.length;
        // One is still being listed when the end comes.
        mediaDevices.dispatchEvent(new Event('devicechange'));
        media.close();
        mediaDevices.dispatchEvent(new Event('devicechange'));
        await media.open({ camera: true, microphone: true });
        await media.setCamera(true);
        await media.setMuted(false);
        const isShared = await media.startScreen();
        const asked = lab.asked.length - before;
        // As long as a list takes, and one of the two.
        await media.devices();
        return { asked, lists, isShared, errors: lab.errors, ...lab.view() };
      });
      expect(seen).toEqual({ asked: 0, lists: 2, isShared: false, errors: [], ...ALL_OFF });
    });
  });
});
