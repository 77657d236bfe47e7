import { describe, expect, it } from 'vitest';
import { launchChromium, launchFirefox } from '../support/browser/browsers.ts';
import { everyoneSeesEveryone, setTheStage } from '../support/browser/stage.ts';

/** Chromium with Firefox, which makes other SDP, other candidates and other mistakes. */

const stage = setTheStage({ browsers: [launchChromium, launchFirefox] });

describe('Chromium and Firefox', () => {
  it.each(['Chromium', 'Firefox'])('call each other: %s rings', async (caller) => {
    // Ada has Chromium, Ben Firefox.
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    const [from, to] = caller === 'Chromium' ? [ada, ben] : [ben, ada];
    const room = await stage.world.conversation(['ada', 'ben']);
    await from.start(room, to.userId);
    await to.happened(`ring ${from.userId}`);
    await to.answer();
    await everyoneSeesEveryone([ada, ben]);
    await to.leave();
    await from.happened('ended HANGUP');
  });

  it('share their screens at once, and send messages', async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    await Promise.all([ada.run((phone) => phone.share('#ff0')), ben.run((phone) => phone.share('#0ff'))]);
    await Promise.all([ada.sees('ben', '#0ff', 'screen'), ben.sees('ada', '#ff0', 'screen')]);
    expect(await ben.run((phone) => phone.call!.send('hello'))).toBe(1);
    await ada.until((phone) => phone.messages.length === 1);
  });

  it('have figures of their link', async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    for (const person of [ada, ben]) {
      await person.until((phone) => (phone.state?.participants[0]?.stats?.receivedKbps ?? 0) > 0);
      const stats = (await person.view())?.participants[0]?.stats;
      expect(stats).toMatchObject({ relayed: false, localCandidateType: expect.any(String) });
    }
  });
});
