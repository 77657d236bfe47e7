import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Callers, numbered, numbersOf, type Peer, RENEGOTIATE } from '../../support/callers.ts';
import * as operations from '../../support/operations.ts';
import { codeOf, createWorld, join, type World } from '../../support/world.ts';

/** Whoever loses the seat hears of that, and of nothing after it, whatever is under way on which instance. */

let world: World;
let callers: Callers;
beforeAll(async () => {
  world = await createWorld({ instances: 2 });
  callers = new Callers(world);
});
afterAll(() => world?.close());
afterEach(() => callers.goAway());

interface Scene {
  readonly callId: string;
  readonly conversationId: string;
  readonly host: Peer;
  readonly victim: Peer;
}

/** How a seat is lost; each resolves when its mutation is answered. */
const LOSSES: Record<string, { reason: string; lose: (scene: Scene) => Promise<unknown> }> = {
  'the host removes': {
    reason: 'REMOVED',
    lose: ({ host, callId, victim }) =>
      host.client.mutate(operations.RemoveParticipant, { callId, userId: victim.userId }),
  },
  'the back end takes out of the conversation': {
    reason: 'MEMBERSHIP_LOST',
    lose: async ({ conversationId, victim }) => {
      const service = await callers.client('back-end', 0, 'service');
      await service.mutate(operations.RemoveMembers, { conversationId, userIds: [victim.userId] });
    },
  },
  'another device replaces': {
    reason: 'taken over',
    lose: async ({ callId, victim }) => {
      const tablet = await callers.client(victim.userId, 0);
      await join(tablet, callId, `${victim.userId}-tablet`, true);
    },
  },
};

it.each(
  Object.entries(LOSSES).flatMap(([how, { reason, lose }]) =>
    [1, 2].map((index) => [how, index === 1 ? 'the other' : 'the same', { reason, lose, index }] as const),
  ),
)('someone whom %s, on %s instance, hears that as the last event, within 2 s', async (_how, _where, loss) => {
  const { callId, conversationId, peers } = await callers.call(4);
  const [host, , , other] = peers as [Peer, Peer, Peer, Peer];
  const victim = peers[loss.index] as Peer;
  // Signals to the victim and to all, from both instances, without a pause, before, while and after.
  let over = false;
  let number = 0;
  const accepted: number[] = [];
  const refusals = new Set<string>();
  const flood = async (peer: Peer) => {
    while (!over) {
      const mine = ++number;
      const to = { to: victim.userId, toJoinSeq: victim.joinSeq };
      const [direct] = await Promise.all([peer.send(numbered(mine), to), peer.send(RENEGOTIATE)]);
      if (direct.__typename === 'SendSignalSuccess') accepted.push(mine);
      else refusals.add(codeOf(direct));
    }
  };
  const floods = [flood(host), flood(other)];
  await victim.stream.next((event) => event.__typename === 'SignalReceived');

  await loss.lose({ callId, conversationId, host, victim });
  const answeredAt = Date.now();
  await victim.stream.ended;
  expect(Date.now() - answeredAt).toBeLessThan(2_000);
  // Sent when everybody could know that the seat is gone.
  const target = number + 20;
  while (number < target) await new Promise((resolve) => setImmediate(resolve));
  over = true;
  await Promise.all(floods);

  const { events } = victim.stream;
  const last = events.at(-1);
  expect(last).toMatchObject({ __typename: 'ParticipantChanged', participant: { userId: victim.userId } });
  expect(last).toMatchObject({
    participant:
      loss.reason === 'taken over'
        ? { sessionId: `${victim.userId}-tablet` }
        : { status: 'LEFT', leaveReason: loss.reason },
  });
  // It was told all that was taken before it lost the seat; whoever sent after that was told so.
  expect(numbersOf(victim.stream).sort((one, next) => one - next)).toEqual(
    accepted.sort((one, next) => one - next),
  );
  expect([...refusals]).toEqual(['RECIPIENT_NOT_IN_CALL']);
});
