import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Ringdown } from '../../client/src/index.ts';
import { useCall, useCalls, useConnection, useIncomingCalls } from '../../client/src/react/index.ts';
import { openWholeChromium } from '../support/browser/browsers.ts';
import type { HooksLab } from '../support/browser/page/hooks.ts';
import { bundle, type PageServer, servePage } from '../support/browser/page-server.ts';

/** The SDK's hooks, in a real page, with React's own renderer. */

let pages: PageServer;
let browser: Browser;
beforeAll(async () => {
  pages = await servePage(
    await bundle(fileURLToPath(new URL('../support/browser/page/hooks.ts', import.meta.url))),
  );
  browser = await openWholeChromium('--use-fake-device-for-media-stream=device-count=2');
});
afterAll(async () => {
  await browser?.close();
  await pages?.close();
});

/** For each of the two describes that run beside each other; their tests run one after the other. */
function setTheLab() {
  let page: Page;
  let problems: string[];
  beforeEach(async () => {
    problems = [];
    page = await (await browser.newContext()).newPage();
    page.on('pageerror', (error) => problems.push(String(error)));
    // Where React says what is wrong.
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.goto(pages.origin);
  });
  afterEach(async () => {
    await page.context().close();
    expect(problems).toEqual([]);
  });

  /** Runs in the page. */
  async function run<Result, Argument = undefined>(
    work: (lab: HooksLab, argument: Argument) => Result | Promise<Result>,
    argument?: Argument,
  ): Promise<Result> {
    const lab = await page.waitForFunction(() => window.hooksLab);
    return lab.evaluate(work as never, argument) as Promise<Result>;
  }
  return {
    get page() {
      return page;
    },
    run,
  };
}
const ONE_BY_ONE = { concurrent: false };

describe.concurrent('the hooks', () => {
  const { run } = setTheLab();

  describe('a hook', ONE_BY_ONE, () => {
    it.each([
      'useConnection',
      'useIncomingCalls',
      'useCalls',
      'useCall',
      'useParticipant',
      'useLocalMedia',
    ] as const)('renders once for each change, and nobody listens after the end: %s', async (name) => {
      const seen = await run(async (lab, which) => {
        const { hooks } = lab;
        const [ringdown, fake] = [lab.ringdown(), new lab.FakeRingdown()];
        const [call, media] = [new lab.FakeCall(), new lab.LocalMedia()];
        const [source, look, change] = {
          useConnection: [
            ringdown,
            () => hooks.useConnection(ringdown),
            () => {
              if (ringdown.connection === 'idle') ringdown.connect().catch(() => {});
              else ringdown.close();
            },
          ],
          useIncomingCalls: [fake, () => hooks.useIncomingCalls(fake.real), () => fake.ring()],
          useCalls: [fake, () => hooks.useCalls(fake.real), () => fake.enter()],
          useCall: [call, () => hooks.useCall(call.real), () => call.change('ben')],
          useParticipant: [call, () => hooks.useParticipant(call.real, 'ben'), () => call.change('ben')],
          useLocalMedia: [
            media,
            () => hooks.useLocalMedia(media),
            () => void media.setMuted(!media.state.microphone.muted),
          ],
        }[which] as [typeof ringdown, () => unknown, () => void];
        const listeners = lab.listeners(source);
        const probe = lab.probe(look);
        const values = [probe.now];
        const counts = [listeners()];
        for (const nth of [1, 2]) {
          lab.flush(change);
          values.push(probe.now);
          counts.push(probe.seen.length - nth);
        }
        probe.unmount();
        return { counts, areDifferent: new Set(values).size === 3, left: listeners() };
      }, name);
      expect(seen).toEqual({ counts: [1, 0, 0], areDifferent: true, left: 0 });
    });

    it('gives what there is now', async () => {
      const seen = await run(async (lab) => {
        const { hooks } = lab;
        const [ringdown, fake] = [lab.ringdown(), new lab.FakeRingdown()];
        const [call, media] = [new lab.FakeCall(), new lab.LocalMedia()];
        fake.ring();
        fake.enter();
        ringdown.connect().catch(() => {});
        const connection = lab.probe(() => hooks.useConnection(ringdown));
        const first = connection.now;
        lab.flush(() => ringdown.close());
        return [
          first,
          connection.now,
          lab.probe(() => hooks.useIncomingCalls(fake.real)).now === fake.incomingCalls,
          lab.probe(() => hooks.useCalls(fake.real)).now === fake.calls,
          lab.probe(() => hooks.useCall(call.real)).now === call.state,
          lab.probe(() => hooks.useParticipant(call.real, 'ada')).now === call.state.me,
          lab.probe(() => hooks.useParticipant(call.real, 'cleo')).now === call.state.participants[1],
          lab.probe(() => hooks.useLocalMedia(media)).now === media.state,
        ];
      });
      expect(seen).toEqual(['connecting', 'closed', true, true, true, true, true, true]);
    });

    it('is rendered for nothing else that its object tells', async () => {
      const renders = await run(async (lab) => {
        const fake = new lab.FakeRingdown();
        const probe = lab.probe(() => lab.hooks.useCalls(fake.real));
        lab.flush(() => fake.ring());
        const before = probe.seen.length;
        lab.flush(() => fake.enter());
        return [before, probe.seen.length];
      });
      expect(renders).toEqual([0, 1]);
    });

    it.each(['useCall', 'useParticipant', 'useLocalMedia', 'useDevices'] as const)(
      'takes null until there is something to look at, and after it is gone: %s',
      async (name) => {
        const seen = await run(async (lab, which) => {
          const { hooks } = lab;
          const [call, media] = [new lab.FakeCall(), new lab.LocalMedia()];
          const [source, look] = {
            useCall: [call, (it: unknown) => hooks.useCall(it as never)],
            useParticipant: [call, (it: unknown) => hooks.useParticipant(it as never, 'ben')],
            useLocalMedia: [media, (it: unknown) => hooks.useLocalMedia(it as never)],
            useDevices: [media, (it: unknown) => hooks.useDevices(it as never)],
          }[which] as [typeof media, (it: unknown) => unknown];
          const listeners = lab.listeners(source);
          const probe = lab.probe(() => look(null));
          const first = probe.now;
          probe.look(() => look(source));
          await lab.until(() => probe.now !== first);
          const during = listeners() > 0;
          probe.look(() => look(null));
          return [first, during, listeners()];
        }, name);
        const nothing = name === 'useDevices' ? { microphones: [], cameras: [], speakers: [] } : null;
        expect(seen).toEqual([nothing, true, 0]);
      },
    );

    it('looks at the other object that it is given, and at the last one no more', async () => {
      const seen = await run(async (lab) => {
        const [one, other] = [new lab.FakeCall(), new lab.FakeCall()];
        const counts = [lab.listeners(one), lab.listeners(other)];
        const probe = lab.probe(() => lab.hooks.useCall(one.real));
        probe.look(() => lab.hooks.useCall(other.real));
        const isOther = probe.now === other.state;
        lab.flush(() => other.change('ben'));
        return [isOther, probe.now === other.state, counts.map((count) => count())];
      });
      expect(seen).toEqual([true, true, [0, 1]]);
    });

    it('renders on a server, where nothing rings and nobody is connected', () => {
      const ringdown = new Ringdown({ url: 'https://calls.example', token: () => '' });
      function Page() {
        const call = useCall(null);
        const seen = [useConnection(ringdown), useIncomingCalls(ringdown), useCalls(ringdown), call];
        return createElement('p', null, JSON.stringify(seen).replaceAll('"', ''));
      }
      expect(renderToString(createElement(Page))).toBe('<p>[idle,[],[],null]</p>');
    });
  });
});

describe.concurrent('one of the hooks', () => {
  const lab = setTheLab();
  const { run } = lab;

  describe('useParticipant', ONE_BY_ONE, () => {
    it('renders again only for that one', async () => {
      const renders = await run(async (lab) => {
        const call = new lab.FakeCall();
        const names = ['ada', 'ben', 'cleo', 'dan'];
        const probes = names.map((name) => lab.probe(() => lab.hooks.useParticipant(call.real, name)));
        const whole = lab.probe(() => lab.hooks.useCall(call.real));
        for (const name of ['ben', 'ben', 'ada', 'ben']) lab.flush(() => call.change(name));
        return { each: probes.map(({ seen }) => seen.length), whole: whole.seen.length };
      });
      expect(renders).toEqual({ each: [1, 3, 0, 0], whole: 4 });
    });

    it('is null for somebody who is not there, until they come', async () => {
      const seen = await run(async (lab) => {
        const call = new lab.FakeCall();
        const probe = lab.probe(() => lab.hooks.useParticipant(call.real, 'dan'));
        const before = probe.now;
        lab.flush(() => call.change('dan'));
        return [before, probe.now?.userId];
      });
      expect(seen).toEqual([null, 'dan']);
    });
  });

  describe('useMediaStream', ONE_BY_ONE, () => {
    it('plays the stream, another one, and none', async () => {
      const seen = await run(async (lab) => {
        const [one, other] = [lab.stream(), lab.stream()];
        const face = lab.video(one);
        const { element } = face;
        const seen: boolean[] = [element.srcObject === one];
        await lab.until(() => !element.paused);
        face.show(other);
        seen.push(face.element === element, element.srcObject === other);
        await lab.until(() => !element.paused);
        face.show(null);
        return [...seen, element.srcObject === null];
      });
      expect(seen).toEqual([true, true, true, true]);
    });

    it('leaves alone what plays where the component is rendered for another reason', async () => {
      const plays = await run(async (lab) => {
        const { play } = HTMLMediaElement.prototype;
        let count = 0;
        HTMLMediaElement.prototype.play = function () {
          count += 1;
          return play.call(this);
        };
        const stream = lab.stream();
        const face = lab.video(stream);
        face.show(stream);
        face.show(stream);
        return count;
      });
      expect(plays).toBe(1);
    });

    it('takes the stream from an element that goes, and gives it to the one that comes', async () => {
      const seen = await run(async (lab) => {
        const stream = lab.stream();
        const face = lab.video(stream);
        const first = face.element;
        face.show(stream, 'two');
        const second = face.element;
        const during = [second !== first, first.srcObject === null, second.srcObject === stream];
        face.unmount();
        return [...during, second.srcObject === null];
      });
      expect(seen).toEqual([true, true, true, true]);
    });

    it('leaves the element paused where the browser does not let it play', async () => {
      const seen = await run(async (lab) => {
        // A stand-in: this browser plays whatever it is given.
        let refusals = 0;
        HTMLMediaElement.prototype.play = async () => {
          refusals += 1;
          throw new DOMException('No click yet', 'NotAllowedError');
        };
        const stream = lab.stream();
        const { element } = lab.video(stream);
        const uncaught = await lab.uncaught();
        return { refusals, uncaught, isGiven: element.srcObject === stream, paused: element.paused };
      });
      expect(seen).toEqual({ refusals: 1, uncaught: [], isGiven: true, paused: true });
    });
  });

  describe('useDevices', ONE_BY_ONE, () => {
    it('lists the devices, and again once one was opened: before that they have no names', async () => {
      const { page } = lab;
      await page.exposeFunction('allow', () => page.context().grantPermissions(['camera', 'microphone']));
      const seen = await run(async (lab) => {
        const media = new lab.LocalMedia();
        const listeners = lab.listeners(media);
        const probe = lab.probe(() => lab.hooks.useDevices(media));
        await lab.until(() => probe.now.cameras.length > 0);
        const labels = () => probe.now.cameras.map(({ label }) => label);
        const before = labels().every((label) => label === '');
        await (window as unknown as { allow(): Promise<void> }).allow();
        await media.open({ camera: true, microphone: true });
        await lab.until(() => labels().every((label) => label !== ''));
        const after = labels();
        const others = probe.now.microphones.length > 1 && probe.now.speakers.length > 1;
        probe.unmount();
        media.close();
        return { before, after, others, listeners: listeners() };
      });
      expect(seen).toEqual({
        before: true,
        after: [expect.stringContaining('fake_device_0'), expect.stringContaining('fake_device_1')],
        others: true,
        listeners: 0,
      });
    });

    it('lists them anew when one comes or goes', async () => {
      const seen = await run(async (lab) => {
        const media = new lab.LocalMedia();
        const probe = lab.probe(() => lab.hooks.useDevices(media));
        await lab.until(() => probe.now.cameras.length > 0);
        const before = probe.now;
        // A stand-in for pulling one out, which the browser would tell like this.
        navigator.mediaDevices.enumerateDevices = async () => [];
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));
        await lab.until(() => probe.now !== before);
        return probe.now;
      });
      expect(seen).toEqual({ microphones: [], cameras: [], speakers: [] });
    });

    it('lists none where the browser will not say', async () => {
      const seen = await run(async (lab) => {
        let refusals = 0;
        navigator.mediaDevices.enumerateDevices = async () => {
          refusals += 1;
          throw new DOMException('Not here', 'NotAllowedError');
        };
        const media = new lab.LocalMedia();
        const probe = lab.probe(() => lab.hooks.useDevices(media));
        const uncaught = await lab.uncaught();
        return { isRefused: refusals > 0, uncaught, devices: probe.now };
      });
      const devices = { microphones: [], cameras: [], speakers: [] };
      expect(seen).toEqual({ isRefused: true, uncaught: [], devices });
    });
  });
});
