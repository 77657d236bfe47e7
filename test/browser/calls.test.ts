import { describe, expect, it, onTestFinished } from 'vitest';
import { launchWholeChromium } from '../support/browser/browsers.ts';
import { everyoneSeesEveryone, expectWithin, rowOf, setTheStage } from '../support/browser/stage.ts';

/**
 * Calls between Chromium processes, from the ring to the end. A camera is a canvas of its owner's colour. Two stages
 * beside each other, for much of it is waiting; on each, one test after the other.
 */
const ONE_BY_ONE = { concurrent: false };

describe.concurrent('two people', () => {
  const stage = setTheStage({ browsers: 3 });

  it(
    'ring, answer, see each other and hang up; the database has the call with its true duration',
    ONE_BY_ONE,
    async () => {
      const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
      const callId = await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
      await ben.happened('ring ada');
      const before = Date.now();
      await ben.answer();
      const answered = Date.now();
      await everyoneSeesEveryone([ada, ben]);
      // So long that a duration that counted the ringing, or nothing, would show.
      await ada.until((phone) => phone.framesOf('ben') > 15);
      const ending = Date.now();
      await ben.leave();
      const after = Date.now();
      await ada.happened('ended HANGUP');
      const row = await rowOf(stage.world, callId);
      expect(row).toMatchObject({ status: 'ENDED', end_reason: 'HANGUP', ended_by: 'ben' });
      const lasted = row.ended_at!.getTime() - row.answered_at!.getTime();
      expectWithin(lasted, ending - answered, after - before);
      expect((await ada.view())?.durationSeconds).toBe(Math.floor(lasted / 1_000));
    },
  );

  it('decline: the caller sees it, and nobody rings any more', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ben.run((phone) => phone.decline());
    await ada.happened('ended DECLINED');
    expect(await ben.run((phone) => phone.ringdown.incomingCalls.length)).toBe(0);
  });

  it('are busy: the caller sees that too', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ben.run((phone) => phone.decline(true));
    await ada.happened('ended DECLINED');
    expect((await ada.view())?.participants[0]?.declinedBusy).toBe(true);
  });

  it('cancel: the ring stops', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ada.run((phone) => phone.call!.cancel());
    await ben.happened('ring stopped CANCELLED');
    expect((await ada.view())?.over).toEqual({ reason: 'CANCELLED', by: 'ada' });
  });

  it('answer on one of two windows: the other one stops ringing', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    const other = await stage.openWindow({ userId: 'ben', colour: '#0f0' });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await other.happened('ring ada');
    await other.answer();
    await ben.happened('ring stopped ANSWERED_ELSEWHERE');
    await ada.sees('ben', '#0f0');
    expect(await other.events()).not.toContain('ring stopped ANSWERED_ELSEWHERE');
  });

  it('call each other at once: they are in one call', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    const room = await stage.world.conversation(['ada', 'ben']);
    const [one, other] = await Promise.all([ada.start(room, 'ben'), ben.start(room, 'ada')]);
    expect(one).toBe(other);
    await everyoneSeesEveryone([ada, ben]);
  });

  it('ask twice for the same: there is one call, and one answer', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
    const room = await stage.world.conversation(['ada', 'ben']);
    const started = await ada.run(async ({ ringdown, media }, conversationId) => {
      const start = () => ringdown.start({ conversationId, calleeIds: ['ben'], media });
      const [one, other] = await Promise.all([start(), start()]);
      return [one === other, one === (await start()), ringdown.calls.length] as const;
    }, room);
    expect(started).toEqual([true, true, 1]);
    await ben.happened('ring ada');
    const answered = await ben.run(async ({ ringdown, media }) => {
      const [ring] = ringdown.incomingCalls;
      const [one, other] = await Promise.all([ring!.answer({ media }), ring!.answer({ media })]);
      return [one === other, one === (await ringdown.join(ring!.id)), ringdown.calls.length] as const;
    });
    expect(answered).toEqual([true, true, 1]);
    expect((await ben.events()).filter((event) => event.startsWith('ring stopped'))).toEqual([]);
  });

  it('share a screen in a voice call: it is told from a camera that comes later', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: '#f00', ben: null });
    await ada.run((phone) => {
      phone.type = 'AUDIO';
      phone.media!.setTrack('camera', null);
    });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ben.answer();
    await ben.linked('ada');
    expect(await ben.run((phone) => phone.tracks)).not.toContain('ada screen');
    await ada.run((phone) => phone.share('#0ff'));
    await ben.sees('ada', '#0ff', 'screen');
    expect(await ben.run((phone) => phone.tracks)).toContain('ada screen');
    await ada.run((phone) => phone.show('#f00'));
    await ben.sees('ada', '#f00');
    await ben.sees('ada', '#0ff', 'screen');
  });

  it('share their screens at once: each sees the other’s', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    await Promise.all([ada.run((phone) => phone.share('#ff0')), ben.run((phone) => phone.share('#0ff'))]);
    await Promise.all([ada.sees('ben', '#0ff', 'screen'), ben.sees('ada', '#ff0', 'screen')]);
    await everyoneSeesEveryone([ada, ben]);
    await ada.run((phone) => phone.share(null));
    await ben.until((phone) => phone.view()?.participants[0]?.screen === false);
    expect((await ada.view())?.participants[0]?.screen).toBe(true);
  });

  it('change the camera in mid-call, without a new negotiation', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    const before = (await ben.view())?.participants[0]?.joinSeq;
    await ada.run((phone) => phone.show('#0f0'));
    await ben.sees('ada', '#0f0');
    expect((await ben.view())?.participants[0]?.joinSeq).toBe(before);
    expect((await ben.events()).filter((event) => event.startsWith('link'))).toEqual(['link ada connected']);
  });

  it('tell each other what they send', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    await ada.run((phone) => phone.media!.setCamera(false));
    await ben.until((phone) => phone.view()?.participants[0]?.media.videoOn === false);
    await ada.run((phone) => phone.show('#0f0'));
    await ben.until((phone) => phone.view()?.participants[0]?.media.videoOn === true);
    await ben.sees('ada', '#0f0');
  });

  it('send messages past the server', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    expect(await ada.run((phone) => phone.call!.send('hello'))).toBe(1);
    await ben.until((phone) => phone.messages.length === 1);
    expect(await ben.run((phone) => phone.messages)).toEqual([{ from: 'ada', data: 'hello' }]);
  });

  it('go on where one of them has no media at all', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.open({ ada: null, ben: '#00f' });
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ben.answer();
    await everyoneSeesEveryone([ada, ben]);
    expect((await ben.view())?.participants[0]?.media).toEqual({
      muted: true,
      videoOn: false,
      screenOn: false,
    });
  });

  it('go on where one of them refuses the camera, which the other one is told', ONE_BY_ONE, async () => {
    // No permission was granted to the page, and nobody is there to be asked.
    const browser = await launchWholeChromium();
    onTestFinished(() => browser.close());
    const { ada, ben } = await stage.open({ ada: '#f00', ben: { colour: '#00f', browser } });
    await ben.run(async (phone) => {
      phone.media!.setTrack('camera', null);
      await phone.media!.open({ camera: true, microphone: true });
    });
    expect(await ben.events()).toContain('camera refused');
    await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
    await ben.happened('ring ada');
    await ben.answer();
    await ben.sees('ada', '#f00');
    await ada.linked('ben');
    await ada.until((phone) => phone.view()?.participants[0]?.media.videoOn === false);
  });
});

describe.concurrent('a call that changes hands, or has more of them', () => {
  const stage = setTheStage({ browsers: 3 });

  describe('a page that has closed its connection', ONE_BY_ONE, () => {
    it('comes back into its call without being asked whether to take it over', async () => {
      const { ada, ben, callId } = await stage.inCall({ ada: '#f00', ben: '#00f' });
      await ben.run((phone) => phone.ringdown.close());
      await ben.happened('ended DISCONNECTED');
      const refused = ben.run((phone) => phone.ringdown.activeCalls().then(() => 'sent', String));
      expect(await refused).toContain('closed by this page');
      await ben.run((phone) => phone.ringdown.connect());
      await ben.join(callId);
      await everyoneSeesEveryone([ada, ben]);
    });
  });

  describe('one of two windows of a user', ONE_BY_ONE, () => {
    it('takes the call over: the other one is told, and the peer sees the new one', async () => {
      const { ada, callId } = await stage.inCall({ ada: '#f00', ben: '#00f' });
      const other = await stage.openWindow({ userId: 'ben', colour: '#0f0' });
      const found = await other.run(async (phone) =>
        (await phone.ringdown.activeCalls()).map(({ id }) => id),
      );
      expect(found).toContain(callId);
      await expect(other.join(callId)).rejects.toThrow('takeOver');
      await other.join(callId, true);
      await ada.sees('ben', '#0f0');
      await other.sees('ada', '#f00');
    });

    it('is told that another one has taken the call over', async () => {
      const { ben, callId } = await stage.inCall({ ada: '#f00', ben: '#00f' });
      const other = await stage.openWindow({ userId: 'ben', colour: '#0f0' });
      await other.join(callId, true);
      await ben.happened('ended REPLACED');
      expect((await ben.view())?.status).toBe('ACTIVE');
    });
  });

  describe('three people', ONE_BY_ONE, () => {
    it('see each other in a mesh, and two go on when one leaves', async () => {
      const { ada, ben, cleo } = await stage.inCall({ ada: '#f00', ben: '#00f', cleo: '#0f0' });
      await cleo.leave();
      await ada.happened('link cleo null');
      await everyoneSeesEveryone([ada, ben]);
    });

    it('see one again who left and was invited again, in the same page', async () => {
      const { ada, ben, cleo } = await stage.inCall({ ada: '#f00', ben: '#00f', cleo: '#0f0' });
      await cleo.leave();
      await ada.happened('link cleo null');
      await ada.run((phone) => phone.call!.invite(['cleo']));
      await cleo.until((phone) => phone.ringdown.incomingCalls.length === 1);
      await cleo.answer();
      await everyoneSeesEveryone([ada, ben, cleo]);
    });

    it('come to be when one of two invites another', async () => {
      const { ada, ben } = await stage.open({ ada: '#f00', ben: '#00f' });
      const { cleo } = await stage.open({ cleo: '#0f0' });
      const room = await stage.world.conversation(['ada', 'ben', 'cleo']);
      await ada.start(room, 'ben');
      await ben.happened('ring ada');
      await ben.answer();
      await ben.run((phone) => phone.call!.invite(['cleo']));
      await cleo.happened('ring ada');
      await cleo.answer();
      await everyoneSeesEveryone([ada, ben, cleo]);
    });

    it('obey their host: one is muted, one is removed', async () => {
      const { ada, ben, cleo } = await stage.inCall({ ada: '#f00', ben: '#00f', cleo: '#0f0' });
      await ben.run((phone) => {
        const audio = new AudioContext().createMediaStreamDestination();
        phone.media!.setTrack('microphone', audio.stream.getAudioTracks()[0]!);
      });
      await ada.until((phone) =>
        Boolean(phone.view()?.participants.some(({ userId, media }) => userId === 'ben' && !media.muted)),
      );
      await ada.run((phone) => phone.call!.mute('ben'));
      await ben.happened('muted by host');
      expect(await ben.run((phone) => phone.media!.state.microphone.track?.enabled)).toBe(false);
      await ada.run((phone) => phone.call!.remove('cleo'));
      await cleo.happened('ended REMOVED');
      await expect(ben.run((phone) => phone.call!.end())).rejects.toThrow('Only the host');
      await ada.run((phone) => phone.call!.end());
      await ben.happened('ended ENDED_BY_HOST');
    });
  });
});
