import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Person } from '../support/browser/person.ts';
import { everyoneSeesEveryone, type Stage, setTheStage } from '../support/browser/stage.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import { type NetworkProxy, startProxy } from '../support/proxy.ts';
import { startTurn } from '../support/turn.ts';

/**
 * What breaks under a call between two Chromium processes, and what is left of it for those who talk: their way to
 * the server, the server, or the way of their media, which is a TURN server that all of them go over. The describes
 * run beside each other, each on a stage of its own, for most of it is waiting; their tests one after the other.
 */
// More than that make a small machine busy enough to be late.
vi.setConfig({ maxConcurrency: 3 });
const ONE_BY_ONE = { concurrent: false };

/** A way to the first instance that can be cut. */
function setTheProxy(stage: Stage): { readonly proxy: NetworkProxy } {
  let proxy: NetworkProxy;
  beforeAll(async () => {
    proxy = await startProxy(stage.world.apps[0]!.url);
  });
  afterAll(() => proxy?.close());
  afterEach(() => {
    proxy.allow();
    proxy.target(stage.world.apps[0]!.url);
  });
  return {
    get proxy() {
      return proxy;
    },
  };
}

const RELAYED = { rtcConfiguration: { iceTransportPolicy: 'relay' } } as const;

/** People whose media go over a TURN server of their own. */
async function setTheRelay() {
  /** Of the TURN server and of ours, until a test changes both. */
  let secrets = ['the-first-secret'];
  const turn = await startTurn({ secrets });
  afterAll(() => turn.stop());
  const stage = setTheStage({
    env: { TURN_URLS: turn.url, TURN_SECRETS: secrets.join() },
    change: (config) => ({
      ...config,
      ice: {
        ...config.ice,
        turn: {
          ...config.ice.turn!,
          get secrets() {
            return secrets;
          },
        },
      },
    }),
  });
  return {
    turn,
    inCall: () => stage.inCall({ ada: { colour: '#f00', ...RELAYED }, ben: { colour: '#00f', ...RELAYED } }),
    /** A new TURN server, which takes no credential of before. */
    async changeSecrets(others: string[]): Promise<void> {
      secrets = others;
      await turn.restart(secrets);
    },
  };
}

/** A picture that moves. */
async function keepsSeeing(person: Person, other: string): Promise<void> {
  const before = await person.run((phone, id) => phone.framesOf(id), other);
  await person.until(
    (phone, [id, frames]) => phone.framesOf(id) > frames + 10,
    [other, before] as [string, number],
    `keeps seeing ${other}`,
  );
}

/** More of the other one's picture than there is now. */
async function goesOnSeeing(person: Person, other: string): Promise<void> {
  const before = await person.run((phone, id) => phone.framesOf(id), other);
  await person.until(
    (phone, [id, frames]) => phone.framesOf(id) > frames + 5,
    [other, before] as [string, number],
    `goes on seeing ${other}`,
    60_000,
  );
}

const connectionsOf = (person: Person) => person.run((phone) => phone.connections);
const trouble = (person: Person, other: string) => person.happened(`link ${other} reconnecting`, 60_000);

async function joinSeqsOf(person: Person) {
  const view = await person.view();
  return [view?.me.joinSeq, ...(view?.participants.map(({ joinSeq }) => joinSeq) ?? [])];
}

const links = (events: string[]) => events.filter((event) => event.startsWith('link'));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.concurrent('a call over a TURN server that does not answer', async () => {
  const { turn, inCall } = await setTheRelay();

  it('builds the link anew when there is no way for 30 s, and not the call', async () => {
    const { ada, ben } = await inCall();
    const joinSeq = (await ada.view())?.participants[0]?.joinSeq;
    turn.pause();
    await trouble(ada, 'ben');
    await Promise.any(
      [ada, ben].map((person) => person.until((phone) => phone.connections > 1, undefined, 'builds', 60_000)),
    );
    turn.resume();
    await Promise.all([goesOnSeeing(ada, 'ben'), goesOnSeeing(ben, 'ada')]);
    expect((await ada.view())?.participants[0]?.joinSeq).toBe(joinSeq);
    expect((await ada.view())?.status).toBe('ACTIVE');
  });
});

describe.concurrent('a call of one whose socket is cut', () => {
  const stage = setTheStage();
  const network = setTheProxy(stage);

  it(
    'goes on while a socket is cut for 5 s, and signals flow again after it, on the same link',
    ONE_BY_ONE,
    async () => {
      const { ada, ben } = await stage.inCall({
        ada: '#f00',
        ben: { colour: '#00f', url: network.proxy.url },
      });
      const seats = await joinSeqsOf(ben);
      network.proxy.refuse();
      await ben.until((phone) => phone.state?.signaling === 'reconnecting');
      await ada.until((phone) => phone.view()?.participants[0]?.status === 'RECONNECTING');
      const until = Date.now() + 5_000;
      await keepsSeeing(ada, 'ben');
      await keepsSeeing(ben, 'ada');
      await pause(Math.max(0, until - Date.now()));
      network.proxy.allow();
      await ben.until((phone) => phone.state?.signaling === 'connected');
      await ada.until((phone) => phone.view()?.participants[0]?.status === 'CONNECTED');
      // A new source needs a negotiation, and that needs signals.
      await ben.run((phone) => phone.share('#0ff'));
      await ada.sees('ben', '#0ff', 'screen');
      expect(await joinSeqsOf(ben)).toEqual(seats);
      expect(links(await ben.events())).toEqual(['link ada connected']);
      expect(links(await ada.events())).toEqual(['link ben connecting', 'link ben connected']);
    },
  );

  it.each(['caller', 'callee'] as const)(
    'comes to be although the socket of the %s is cut for 5 s in mid-negotiation',
    ONE_BY_ONE,
    async (who) => {
      const cut = { url: network.proxy.url };
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
      network.proxy.refuse();
      await pause(5_000);
      network.proxy.allow();
      await everyoneSeesEveryone([ada, ben]);
    },
  );
});

describe.concurrent('a call of one who is away for longer than the grace', () => {
  const stage = setTheStage();
  const network = setTheProxy(stage);

  it('is over for a page that was away for longer than the grace, and says so', ONE_BY_ONE, async () => {
    const { ada, ben } = await stage.inCall({ ada: '#f00', ben: { colour: '#00f', url: network.proxy.url } });
    network.proxy.refuse();
    await ada.happened('ended CONNECTION_LOST', 60_000);
    network.proxy.allow();
    await ben.happened('ended CONNECTION_LOST', 60_000);
  });
});

describe.concurrent('a group', () => {
  const stage = setTheStage({ browsers: 3 });
  const network = setTheProxy(stage);

  it('takes back one who was away for longer than the grace', {
    ...ONE_BY_ONE,
    timeout: 120_000,
  }, async () => {
    const { ada, ben, cleo } = await stage.inCall({
      ada: '#f00',
      ben: '#00f',
      cleo: { colour: '#0f0', url: network.proxy.url },
    });
    network.proxy.refuse();
    await ada.until((phone) =>
      Boolean(phone.view()?.participants.some((one) => one.userId === 'cleo' && one.status === 'LEFT')),
    );
    network.proxy.allow();
    await ada.until((phone) =>
      Boolean(phone.view()?.participants.some((one) => one.userId === 'cleo' && one.status === 'CONNECTED')),
    );
    await everyoneSeesEveryone([ada, ben, cleo]);
  });
});

describe.concurrent('a call over a TURN server', async () => {
  const { inCall, changeSecrets } = await setTheRelay();

  it('says that it is relayed, with its round trip', ONE_BY_ONE, async () => {
    const { ada, ben } = await inCall();
    for (const person of [ada, ben]) {
      await person.until((phone) => (phone.state?.participants[0]?.stats ?? null) !== null);
      const stats = await person.run((phone) => phone.state?.participants[0]?.stats);
      expect(stats).toMatchObject({ relayed: true, localCandidateType: 'relay' });
      expect(stats?.roundTripMs).toBeGreaterThanOrEqual(0);
    }
  });

  it(
    'restarts ICE when the way is gone, on the same peer connection, with credentials that are good',
    ONE_BY_ONE,
    async () => {
      const { ada, ben } = await inCall();
      // A device that slept: its timers did not run, and what it has ran out meanwhile.
      for (const person of [ada, ben]) {
        await person.run(() => {
          const { now } = Date;
          Date.now = () => now() + 3_600_000;
        });
      }
      await changeSecrets(['the-second-secret']);
      await trouble(ada, 'ben');
      await Promise.all([goesOnSeeing(ada, 'ben'), goesOnSeeing(ben, 'ada')]);
      await Promise.all([ada.linked('ben'), ben.linked('ada')]);
      expect(await Promise.all([ada, ben].map(connectionsOf))).toEqual([1, 1]);
    },
  );
});

describe.concurrent('a call', () => {
  const stage = setTheStage({ instances: 2 });
  const network = setTheProxy(stage);

  it('is found again by a page that is reloaded in mid-call', ONE_BY_ONE, async () => {
    const { ada, ben, callId } = await stage.inCall({ ada: '#f00', ben: '#00f' });
    await ben.load();
    const found = await ben.run(async (phone) => (await phone.ringdown.activeCalls()).map(({ id }) => id));
    expect(found).toContain(callId);
    await ben.join(callId, true);
    await everyoneSeesEveryone([ada, ben]);
  });

  it('goes on when a token runs out: the page comes back with a new one', ONE_BY_ONE, async () => {
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

  it('goes on when the instance under it is killed', ONE_BY_ONE, async ({ onTestFinished }) => {
    const { world } = stage;
    onTestFinished(endInstances);
    const victim = await startInstance({
      DATABASE_URL: world.databaseUrl,
      REDIS_URL: world.redis.url,
      ALLOWED_ORIGINS: stage.pages.origin,
    });
    network.proxy.target(victim.url);
    const { ada, ben } = await stage.inCall({
      ada: { colour: '#f00', url: network.proxy.url },
      ben: { colour: '#00f', url: network.proxy.url },
    });
    const seats = await joinSeqsOf(ada);
    victim.signal('SIGKILL');
    await victim.ended;
    network.proxy.target(world.apps[1]!.url);
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

  it(
    'goes on while Redis is away, which the page is told; after it every link restarts ICE',
    ONE_BY_ONE,
    async () => {
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
    },
  );
});
