import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  closeAll,
  conversationOf,
  type Deployment,
  exchange,
  expectDelivered,
  startPeer,
  startTwoInstances,
  until,
} from '../support/peer-calls.ts';

/** A group: everyone has a link to everyone. */

const ROUNDS = 5;

describe('three in a call on two instances', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await startTwoInstances();
  });
  afterAll(() => deployment.stop());

  it(`are all connected to each other, and two still are when the third has left, ${ROUNDS} times`, async () => {
    for (let round = 1; round <= ROUNDS; round++) {
      const [a, b] = deployment.apps;
      const users = ['cleo', 'dora', 'emil'].map((name) => `${name}-${round}`) as [string, string, string];
      const conversation = await conversationOf(a.url, ...users);
      const cleo = await startPeer(a, users[0]);
      const dora = await startPeer(b, users[1]);
      const emil = await startPeer(a, users[2]);
      // The two answer at once: either may have the higher joinSeq.
      await Promise.all([cleo.call(conversation, dora.userId, emil.userId), dora.answer(), emil.answer()]);

      const pairs = [
        [cleo, dora],
        [dora, emil],
        [emil, cleo],
      ] as const;
      await Promise.all(pairs.map(([one, other]) => exchange(one, other)));

      await cleo.leave();
      await cleo.streamEnded;
      await until(() => dora.links.size === 1 && emil.links.size === 1, 'the end of the links to who left');
      await exchange(dora, emil);
      await dora.leave();
      await emil.leave();
      await Promise.all([dora.streamEnded, emil.streamEnded]);
      expect(emil.events.at(-1)?.__typename).toBe('CallEnded');
      for (const [one, other] of pairs) {
        await expectDelivered(one, other);
        await expectDelivered(other, one);
      }
      await closeAll(cleo, dora, emil);
    }
  });
});
