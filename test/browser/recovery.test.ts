import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/browser/person.ts';
import { everyoneSeesEveryone, setTheStage } from '../support/browser/stage.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';

/** What breaks under a call between two Chromium processes, and what is left of it for those who talk. */

const stage = setTheStage({ browsers: 3, instances: 2 });

let proxy: NetworkProxy;
beforeAll(async () => {
  proxy = await startProxy(stage.world.apps[0]!.url);
});
afterAll(() => proxy?.close());
afterEach(async () => {
  proxy.allow();
  proxy.target(stage.world.apps[0]!.url);
  await endInstances();
});

/** A picture that moves. */
async function keepsSeeing(person: Person, other: string): Promise<void> {
  const before = await person.run((phone, id) => phone.framesOf(id), other);
  await person.until(
    (phone, [id, frames]) => phone.framesOf(id) > frames + 10,
    [other, before] as [string, number],
    `keeps seeing ${other}`,
  );
}

async function joinSeqsOf(person: Person) {
  const view = await person.view();
  return [view?.me.joinSeq, ...(view?.participants.map(({ joinSeq }) => joinSeq) ?? [])];
}

const links = (events: string[]) => events.filter((event) => event.startsWith('link'));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a call', () => {
  it('goes on while a socket is cut for 5 s, and signals flow again after it, on the same link', async () => {
    const { ada, ben } = await stage.inCall({
      ada: '#f00',
      ben: { colour: '#00f', url: proxy.url },
    });
    const seats = await joinSeqsOf(ben);
    proxy.refuse();
    await ben.until((phone) => phone.state?.signaling === 'reconnecting');
    await ada.until((phone) => phone.view()?.participants[0]?.status === 'RECONNECTING');
    const until = Date.now() + 5_000;
    await keepsSeeing(ada, 'ben');
    await keepsSeeing(ben, 'ada');
    await pause(Math.max(0, until - Date.now()));
    proxy.allow();
    await ben.until((phone) => phone.state?.signaling === 'connected');
    await ada.until((phone) => phone.view()?.participants[0]?.status === 'CONNECTED');
    // A new source needs a negotiation, and that needs signals.
    await ben.run((phone) => phone.share('#0ff'));
    await ada.sees('ben', '#0ff', 'screen');
    expect(await joinSeqsOf(ben)).toEqual(seats);
    expect(links(await ben.events())).toEqual(['link ada connected']);
    expect(links(await ada.events())).toEqual(['link ben connecting', 'link ben connected']);
  });

  it.each(['caller', 'callee'] as const)(
    'comes to be although the socket of the %s is cut for 5 s in mid-negotiation',
    async (who) => {
      const cut = { url: proxy.url };
      const { ada, ben } = await stage.open({
        ada: { colour: '#f00', ...(who === 'caller' && cut) },
        ben: { colour: '#00f', ...(who === 'callee' && cut) },
      });
      await ada.start(await stage.world.conversation(['ada', 'ben']), 'ben');
      await ben.happened('ring ada');
      await ben.run((phone) => void phone.answer());
      // From the join on the callee's offer is under way.
      const witness = who === 'caller' ? ada : ben;
      await witness.until((phone) => (phone.call?.state.participants[0]?.link ?? null) !== null);
      proxy.refuse();
      await pause(5_000);
      proxy.allow();
      await everyoneSeesEveryone([ada, ben]);
    },
  );

  it('is found again by a page that is reloaded in mid-call', async () => {
    const { ada, ben, callId } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    await ben.load();
    const found = await ben.run(async (phone) => (await phone.ringdown.activeCalls()).map(({ id }) => id));
    expect(found).toContain(callId);
    await ben.join(callId, true);
    await everyoneSeesEveryone([ada, ben]);
  });

  it('goes on when the instance under it is killed', async () => {
    const { world } = stage;
    const victim = await startInstance({
      DATABASE_URL: world.databaseUrl,
      REDIS_URL: world.redis.url,
      ALLOWED_ORIGINS: stage.pages.origin,
    });
    proxy.target(victim.url);
    const { ada, ben } = await stage.inCall({
      ada: { colour: '#f00', url: proxy.url },
      ben: { colour: '#00f', url: proxy.url },
    });
    const seats = await joinSeqsOf(ada);
    victim.signal('SIGKILL');
    await victim.ended;
    proxy.target(world.apps[1]!.url);
    for (const person of [ada, ben]) {
      await person.until((phone) => phone.state?.signaling === 'connected');
      await person.until((phone) => phone.view()?.participants[0]?.status === 'CONNECTED');
    }
    await ben.run((phone) => phone.share('#0ff'));
    await ada.sees('ben', '#0ff', 'screen');
    await everyoneSeesEveryone([ada, ben]);
    expect(await joinSeqsOf(ada)).toEqual(seats);
    expect(links(await ben.events())).toEqual(['link ada connected']);
  });

  it('goes on when a token runs out: the page comes back with a new one', async () => {
    const { ada, ben } = await stage.inCall({
      ada: '#f00',
      ben: { colour: '#00f', tokenLifetimeMs: 4_000 },
    });
    await ben.until((phone) => phone.events.filter((event) => event === 'connection connected').length > 1);
    await keepsSeeing(ada, 'ben');
    await ben.run((phone) => phone.share('#0ff'));
    await ada.sees('ben', '#0ff', 'screen');
    expect(links(await ben.events())).toEqual(['link ada connected']);
  });

  it('goes on while Redis is away, which the page is told; after it every link restarts ICE', async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    const [fragment] = await ben.run((phone) => phone.fragments);
    await stage.world.redis.kill();
    await ada.until((phone) => phone.state?.signaling === 'degraded');
    await keepsSeeing(ben, 'ada');
    await stage.world.redis.restart();
    await ada.until((phone) => phone.state?.signaling === 'connected');
    await ben.until((phone) => phone.state?.signaling === 'connected');
    // Redis came back empty, so signals may be missing.
    await ben.until((phone, old) => phone.fragments[0] !== old, fragment);
    await ben.run((phone) => phone.share('#0ff'));
    await ada.sees('ben', '#0ff', 'screen');
    expect(links(await ben.events())).toEqual(['link ada connected']);
  });

  it('is over for a page that was away for longer than the grace, and says so', async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: { colour: '#00f', url: proxy.url } });
    proxy.refuse();
    await ada.happened('ended CONNECTION_LOST');
    proxy.allow();
    await ben.happened('ended CONNECTION_LOST');
  });
});

describe('a group', () => {
  it('takes back one who was away for longer than the grace', { timeout: 120_000 }, async () => {
    const { ada, ben, cleo } = await stage.inCall({
      ada: '#f00',
      ben: '#00f',
      cleo: { colour: '#0f0', url: proxy.url },
    });
    proxy.refuse();
    await ada.until((phone) =>
      Boolean(phone.view()?.participants.some((one) => one.userId === 'cleo' && one.status === 'LEFT')),
    );
    proxy.allow();
    await ada.until((phone) =>
      Boolean(phone.view()?.participants.some((one) => one.userId === 'cleo' && one.status === 'CONNECTED')),
    );
    await everyoneSeesEveryone([ada, ben, cleo]);
  });
});
