import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Peer } from '../support/peer.ts';
import {
  closeAll,
  type Deployment,
  exchange,
  expectDelivered,
  lossNoticed,
  startOneInstance,
  startPair,
  startPeer,
  startTwoInstances,
} from '../support/peer-calls.ts';

/** Ben goes on with another of his devices, which connects to Ann as a new peer. */

/** Ann has dropped the link to the old device; the call went on with the new one; all of it arrived. */
async function expectMoved(ann: Peer, old: Peer, device: Peer): Promise<void> {
  await exchange(ann, device);
  expect(device.joinSeq).toBeGreaterThan(old.joinSeq);
  expect(ann.links.get(old.userId)?.joinSeq).toBe(device.joinSeq);
  await ann.leave();
  await Promise.all([ann.streamEnded, device.streamEnded]);
  await expectDelivered(ann, device);
  await expectDelivered(device, ann);
  await expectDelivered(old, ann);
  await closeAll(ann, old, device);
}

/** The last that the old device hears is that the seat is the new one's. */
async function expectToldOfLoss(old: Peer, device: Peer): Promise<void> {
  await old.streamEnded;
  expect(old.events.at(-1)).toMatchObject({
    __typename: 'ParticipantChanged',
    participant: { userId: old.userId, sessionId: device.sessionId, joinSeq: device.joinSeq },
  });
  expect(old.links.size).toBe(0);
}

describe.each([
  { where: 'one instance', start: startOneInstance },
  { where: 'two instances', start: startTwoInstances },
])('a second device on $where', ({ start }) => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await start();
  });
  afterAll(() => deployment.stop());

  it('takes the call over from the first: the caller drops the link and connects to it anew', async () => {
    const { ann, ben, conversation } = await startPair(deployment);
    const [callId] = await Promise.all([ann.call(conversation, ben.userId), ben.answer()]);
    await exchange(ann, ben);
    const link = ann.links.get(ben.userId)!;

    const device = await startPeer(deployment.apps[0], ben.userId);
    await device.join(callId, { takeOver: true });
    await expectToldOfLoss(ben, device);
    await expectMoved(ann, ben, device);
    expect(link.connection.connectionState).toBe('closed');
  });

  it('takes the call over while the first negotiates', async () => {
    const { ann, ben, conversation } = await startPair(deployment);
    const device = await startPeer(deployment.apps[0], ben.userId);
    const offered = new Promise<void>((resolve) => {
      ann.onPassage = (passage) => {
        if (passage === 'receives Offer') resolve();
      };
    });
    const [callId] = await Promise.all([ann.call(conversation, ben.userId), ben.answer(), offered]);
    await device.join(callId, { takeOver: true });
    await expectToldOfLoss(ben, device);
    await expectMoved(ann, ben, device);
  });

  it('goes on, unasked, where the first one lost its connection', async () => {
    const { ann, ben, conversation } = await startPair(deployment);
    const [callId] = await Promise.all([ann.call(conversation, ben.userId), ben.answer()]);
    await exchange(ann, ben);
    ben.cut();
    await lossNoticed(ben, ann);
    const device = await startPeer(deployment.apps[0], ben.userId);
    await device.join(callId);
    await expectMoved(ann, ben, device);
  });
});
