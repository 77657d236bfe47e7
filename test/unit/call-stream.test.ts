import { expect, it } from 'vitest';
import { CallFeed } from '../../src/call-log/feed.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';
import { CallStream } from '../../src/call-log/stream.ts';
import { activePair, type LiveCall } from '../support/call-states.ts';

/** Appends what the call's newest version changed, and lets the feed hear of it. */
async function publish(call: LiveCall, log: MemoryCallLog, feed: CallFeed): Promise<void> {
  const { version, id } = call.view;
  const outcome = await log.appendState(
    id,
    { version, at: call.now, ...call.lastChange },
    Date.now() + 60_000,
  );
  if (outcome.outcome !== 'appended') throw new Error(outcome.outcome);
  const [entry] = await log.read(id, outcome.position.seq, 1);
  feed.offer(entry!);
}

it('a stream that begins with a hole tells a change that comes while its snapshot is on its way', async () => {
  const call = activePair();
  const { id } = call.view;
  const { joinSeq, sessionId } = call.participant('ann');
  const log = new MemoryCallLog(Date.now);
  await log.create(id, { version: call.view.version, seats: {} }, Date.now() + 60_000);
  const feed = new CallFeed(id, log, (error) => {
    throw error;
  });
  feed.startAt((await log.head(id))!);

  const stream = await CallStream.open(
    { userId: 'ann', sessionId: sessionId!, joinSeq: joinSeq! },
    null,
    null,
    {
      log,
      feed,
      socket: { unsentBytes: () => 0, close() {} },
      async snapshot() {
        const read = { call: call.view, now: call.now };
        call.setMedia('bob', { muted: true });
        await publish(call, log, feed);
        return read;
      },
      onClose() {},
    },
  );
  const first = await stream.next();
  expect(first.value).toMatchObject({ __typename: 'CallSnapshot', recovered: false });
  const second = await stream.next();
  expect(second.value).toMatchObject({
    __typename: 'ParticipantChanged',
    participant: { userId: 'bob', media: { muted: true } },
  });
  await stream.return();
});

it('who has seen more than the feed, by another instance, is not told it again when it is repeated in an outage', async () => {
  const call = activePair();
  const { id } = call.view;
  const seat = (userId: string) => {
    const { joinSeq, sessionId } = call.participant(userId);
    return { userId, joinSeq: joinSeq!, sessionId: sessionId! };
  };
  const [ann, bob] = [seat('ann'), seat('bob')];
  const log = new MemoryCallLog(Date.now);
  await log.create(id, { version: call.view.version, seats: { ann, bob } }, Date.now() + 60_000);
  const feed = new CallFeed(id, log, (error) => {
    throw error;
  });
  feed.startAt((await log.head(id))!);
  // What is published does not reach this feed: its connection is gone, and it does not know that yet.
  const draft = {
    ...{ from: 'bob', sessionId: bob.sessionId, to: 'ann', toJoinSeq: ann.joinSeq, clientSeq: 1 },
    signal: { __typename: 'Renegotiate' as const, iceRestart: false },
  };
  const taken = await log.appendSignal(id, draft);
  if (taken.outcome !== 'appended') throw new Error(taken.outcome);

  const stream = await CallStream.open(ann, null, taken.entry, {
    log,
    feed,
    socket: { unsentBytes: () => 0, close() {} },
    snapshot: async () => ({ call: call.view, now: call.now }),
    onClose() {},
  });
  expect((await stream.next()).value).toMatchObject({ __typename: 'CallSnapshot', recovered: true });
  feed.degrade();
  expect((await stream.next()).value).toMatchObject({ __typename: 'SignalingDegraded' });
  expect(feed.appendLocally(draft, call.now)).toMatchObject({ outcome: 'duplicate' });
  expect(feed.appendLocally({ ...draft, clientSeq: 2 }, call.now)).toMatchObject({ outcome: 'appended' });
  expect((await stream.next()).value).toMatchObject({ __typename: 'SignalReceived' });
  await stream.return();
  feed.close();
});
