import { afterAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/browser/person.ts';
import { setTheStage } from '../support/browser/stage.ts';
import { startTurn } from '../support/turn.ts';

/** What becomes of media when the network under them breaks: a TURN server, over which all of them go. */

const RELAYED = { rtcConfiguration: { iceTransportPolicy: 'relay' } } as const;

/** With a TURN server of its own, for each of the describes that run beside each other. */
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

// Beside each other: what each does most is wait.
const ONE_BY_ONE = { concurrent: false };

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
