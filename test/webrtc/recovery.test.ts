import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Passage, Peer } from '../support/peer.ts';
import {
  closeAll,
  type Deployment,
  exchange,
  expectDelivered,
  lossNoticed,
  startOneInstance,
  startPair,
  startTwoInstances,
} from '../support/peer-calls.ts';

/** Sockets cut in the middle of a negotiation: whoever comes back with the last cursor goes on as before. */

type Name = 'ann' | 'ben';

interface Cut {
  readonly who: Name;
  /** The cut comes as this signal passes for the first time. */
  readonly at: Passage;
  /** So late that what is sent is on the wire; else it is not. */
  readonly onTheWire?: boolean;
}

/** Ann rings; Ben, who joins later, makes the offer. Each row is a call. */
const CALLS: readonly (readonly Cut[])[] = [
  [{ who: 'ben', at: 'sends Offer' }],
  [{ who: 'ben', at: 'sends Offer', onTheWire: true }],
  [{ who: 'ben', at: 'places Offer' }],
  [{ who: 'ben', at: 'sends IceCandidates', onTheWire: true }],
  [{ who: 'ben', at: 'receives Answer' }],
  [{ who: 'ben', at: 'receives IceCandidates' }],
  [{ who: 'ann', at: 'receives Offer' }],
  [{ who: 'ann', at: 'sends Answer' }],
  [{ who: 'ann', at: 'sends Answer', onTheWire: true }],
  [{ who: 'ann', at: 'places Answer' }],
  [{ who: 'ann', at: 'sends IceCandidates' }],
  [
    { who: 'ben', at: 'sends Offer', onTheWire: true },
    { who: 'ann', at: 'receives Offer' },
  ],
];

const describeCut = ({ who, at, onTheWire }: Cut) => `${who} ${at}${onTheWire ? ', on the wire' : ''}`;

/** Resolves at the cut, with whether the peer was in mid-negotiation then. */
function cutAt(peer: Peer, { at, onTheWire = false }: Cut): Promise<boolean> {
  return new Promise((resolve) => {
    const cut = () => {
      resolve([...peer.links.values()].every((link) => !link.open));
      peer.cut();
    };
    peer.onPassage = (passage) => {
      if (passage !== at) return;
      peer.onPassage = null;
      if (onTheWire) setImmediate(cut);
      else cut();
    };
  });
}

describe.each([
  { where: 'on one instance', start: startOneInstance, others: [0, 0] },
  { where: 'on the other one of two instances', start: startTwoInstances, others: [1, 0] },
  { where: 'on the same one of two instances', start: startTwoInstances, others: [0, 1] },
] as const)('a peer whose socket was cut and who comes back $where', ({ start, others }) => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await start();
  });
  afterAll(() => deployment.stop());

  for (const [index, cuts] of CALLS.entries()) {
    it(`after a cut as ${cuts.map(describeCut).join(' and ')}: nothing is lost or comes twice, and they connect`, async () => {
      const { ann, ben, conversation } = await startPair(deployment);
      const peers = { ann, ben };
      const happened = cuts.map((cut) => cutAt(peers[cut.who], cut));
      await Promise.all([ann.call(conversation, ben.userId), ben.answer()]);
      expect(await Promise.all(happened)).toEqual(cuts.map(() => true));

      // Every second one of those who are alone in it stays away until it was noticed.
      const [only, second] = cuts;
      if (index % 2 === 0 && only && !second) {
        await lossNoticed(peers[only.who], only.who === 'ann' ? ben : ann);
      }
      for (const { who } of cuts) {
        await peers[who].comeBack(deployment.apps[who === 'ann' ? others[0] : others[1]].url);
      }
      await exchange(ann, ben);

      for (const { who, onTheWire } of cuts) {
        const snapshots = peers[who].events.filter((event) => event.__typename === 'CallSnapshot');
        expect(snapshots.at(-1)?.recovered).toBe(true);
        // Its answer was lost: sent again, it is known by its clientSeq.
        if (onTheWire) expect(peers[who].duplicates).toBeGreaterThan(0);
      }
      await ann.leave();
      await Promise.all([ann.streamEnded, ben.streamEnded]);
      await expectDelivered(ann, ben);
      await expectDelivered(ben, ann);
      await closeAll(ann, ben);
    });
  }
});
