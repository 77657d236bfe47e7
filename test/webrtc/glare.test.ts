import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  closeAll,
  type Deployment,
  exchange,
  expectDelivered,
  startPair,
  startTwoInstances,
  until,
} from '../support/peer-calls.ts';
import type { Link } from '../support/peer-link.ts';

/** Both sides of a link offer at the same moment, and perfect negotiation brings both changes about. */

const ROUNDS = 5;

/** What is agreed upon. */
function mediaOf({ connection }: Link): string[] {
  if (connection.signalingState !== 'stable') return [];
  const agreed = connection.getTransceivers().filter(({ mid, currentDirection }) => mid && currentDirection);
  return agreed.map(({ kind, mid }) => `${mid} ${kind}`).sort();
}

describe('two offers at once on two instances', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await startTwoInstances();
  });
  afterAll(() => deployment.stop());

  it(`end with both sides stable, with the media of both, ${ROUNDS} times in one call`, async () => {
    const { ann, ben, conversation } = await startPair(deployment);
    await Promise.all([ann.call(conversation, ben.userId), ben.answer()]);
    await exchange(ann, ben);
    const polite = ann.links.get(ben.userId)!;
    const impolite = ben.links.get(ann.userId)!;
    expect([polite.polite, impolite.polite]).toEqual([true, false]);

    for (let round = 1; round <= ROUNDS; round++) {
      polite.connection.addTransceiver('audio');
      impolite.connection.addTransceiver('video');
      await until(
        () => mediaOf(polite).length === 2 * round && mediaOf(impolite).length === 2 * round,
        `the media of both, in round ${round}`,
      );
      expect(mediaOf(polite)).toEqual(mediaOf(impolite));
      expect({ rollbacks: polite.rollbacks, ignored: impolite.ignoredOffers }).toEqual({
        rollbacks: round,
        ignored: round,
      });
      await exchange(ann, ben);
    }

    await ben.leave();
    await Promise.all([ann.streamEnded, ben.streamEnded]);
    await expectDelivered(ann, ben);
    await expectDelivered(ben, ann);
    await closeAll(ann, ben);
  });
});
