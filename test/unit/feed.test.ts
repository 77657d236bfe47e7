import { beforeEach, describe, expect, it, vi } from 'vitest';
import { LogUnavailable, type SignalDraft } from '../../src/call-log/call-log.ts';
import { CallFeed, FEED_LENGTH, type FeedReader, isLocal } from '../../src/call-log/feed.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';

/** A feed whose log is out of reach for a while: what it may take meanwhile, and what it tells afterwards. */

const CALL = 'call';
const SEATS = { ada: { joinSeq: 1, sessionId: 'ada' }, ben: { joinSeq: 2, sessionId: 'ben' } };

let log: MemoryCallLog;
let feed: CallFeed;

const draft = (clientSeq: number): SignalDraft => ({
  from: 'ada',
  sessionId: 'ada',
  to: 'ben',
  toJoinSeq: 2,
  clientSeq,
  signal: { __typename: 'Renegotiate', iceRestart: false },
});

/** Ben's stream, which has taken all items up to `index`. */
function benAt(index: number): FeedReader {
  const reader = { userId: 'ben', joinSeq: 2, index, wake() {}, fellBehind() {} };
  feed.addReader(reader);
  return reader;
}

/** The clientSeqs of the signals that the feed tells. */
function told(): number[] {
  const items = Array.from({ length: feed.end }, (_, index) => feed.item(index));
  return items.flatMap((item) =>
    item?.kind === 'entry' && item.entry.kind === 'signal' ? [item.entry.signal.clientSeq] : [],
  );
}

async function appendToLog(clientSeq: number) {
  const outcome = await log.appendSignal(CALL, draft(clientSeq));
  if (outcome.outcome !== 'appended') throw new Error(outcome.outcome);
  return outcome.entry;
}

beforeEach(async () => {
  log = new MemoryCallLog(Date.now);
  await log.create(CALL, { version: 1, seats: SEATS }, Date.now() + 60_000);
  feed = new CallFeed(CALL, log, (error) => {
    throw error;
  });
  feed.startAt((await log.head(CALL))!);
});

describe('a signal between two seats of this instance, while the log is out of reach', () => {
  it('is taken, and told once, although the log turns out to have it too', async () => {
    feed.degrade();
    benAt(feed.end);
    expect(feed.appendLocally(draft(1), Date.now())?.outcome).toBe('appended');
    // By way of another instance, whose append was stuck on its way.
    await appendToLog(1);
    await appendToLog(2);
    await feed.restore(async () => true);
    expect(told()).toEqual([1, 2]);
  });

  it('is in the log once that is back, for whoever comes back by another instance', async () => {
    feed.degrade();
    benAt(feed.end);
    feed.appendLocally(draft(1), Date.now());
    expect(feed.owes).toBe(true);
    await feed.restore(async () => true);
    expect(feed.owes).toBe(false);
    const entries = await log.read(CALL, 0, 10);
    expect(entries.flatMap((entry) => (entry.kind === 'signal' ? [entry.signal.clientSeq] : []))).toEqual([
      1,
    ]);
    feed.offer(await appendToLog(2));
    expect(told()).toEqual([1, 2]);
  });

  it('is followed by no place of the log before the log has it, or whoever comes back elsewhere gets it twice', async () => {
    feed.degrade();
    const ben = benAt(feed.end);
    feed.appendLocally(draft(1), Date.now());
    // By way of another instance, and read on the way back.
    const seats = { cleo: { joinSeq: 3, sessionId: 'cleo' } };
    const state = { version: 2, at: Date.now(), ended: false, seats, events: [] };
    await log.appendState(CALL, state, Date.now() + 60_000);
    const items = () =>
      Array.from({ length: feed.end }, (_, index) => feed.item(index)!).filter(
        (item) => item.kind === 'entry',
      );
    vi.spyOn(log, 'appendSignal').mockRejectedValueOnce(new LogUnavailable('Lost again'));
    await feed.restore(async () => true);
    expect(items().map(({ entry }) => entry.kind)).toEqual(['signal', 'state']);
    expect(items().every(({ place }) => isLocal(place))).toBe(true);
    expect(feed.indexAfter(items()[1]!.place)).toBe(feed.end);
    // Back at last: what is told from here on stands behind it.
    await feed.restore(async () => true);
    feed.removeReader(ben);
    const restored = feed.item(feed.end - 1)!;
    expect(restored).toMatchObject({ kind: 'restored', recovered: true, place: feed.logPosition });
    const has = (await log.read(CALL, 0, 10)).find(({ kind }) => kind === 'signal')!;
    expect(restored.place.seq).toBeGreaterThanOrEqual(has.seq);
  });

  it('is refused while the recipient’s stream has not heard of the outage', () => {
    const ben = benAt(feed.end);
    feed.degrade();
    expect(feed.appendLocally(draft(1), Date.now())).toBeNull();
    feed.removeReader(ben);
    benAt(feed.end);
    expect(feed.appendLocally(draft(1), Date.now())?.outcome).toBe('appended');
  });

  it('is refused while the recipient’s stream still reads the log', () => {
    feed.degrade();
    benAt(Number.POSITIVE_INFINITY);
    expect(feed.appendLocally(draft(1), Date.now())).toBeNull();
  });

  it('does not overtake one of its session that the log has and that can’t be told yet', async () => {
    feed.degrade();
    benAt(feed.end);
    feed.offer(await appendToLog(1));
    expect(feed.appendLocally(draft(2), Date.now())).toBeNull();
    await feed.restore(async () => true);
    expect(told()).toEqual([1]);
  });

  it('does not overtake an append that has no answer yet', () => {
    feed.appendBegins();
    feed.degrade();
    benAt(feed.end);
    expect(feed.appendLocally(draft(1), Date.now())).toBeNull();
    feed.appendEnds();
    expect(feed.appendLocally(draft(1), Date.now())?.outcome).toBe('appended');
  });

  it('is taken only after the one before it, which the log may have by way of another instance', async () => {
    feed.offer(await appendToLog(1));
    feed.degrade();
    benAt(feed.end);
    expect(feed.appendLocally(draft(3), Date.now())).toBeNull();
    expect(feed.appendLocally(draft(2), Date.now())?.outcome).toBe('appended');
    expect(feed.appendLocally(draft(3), Date.now())?.outcome).toBe('appended');
    expect(feed.appendLocally(draft(2), Date.now())?.outcome).toBe('duplicate');
  });

  it('is taken under any number where the feed has nothing of the log', () => {
    feed = new CallFeed(CALL, log, () => {});
    feed.startLocally(1, new Map(Object.entries(SEATS)));
    benAt(feed.end);
    expect(feed.appendLocally(draft(7), Date.now())?.outcome).toBe('appended');
    expect(feed.appendLocally(draft(9), Date.now())).toBeNull();
    expect(feed.appendLocally(draft(8), Date.now())?.outcome).toBe('appended');
  });

  it('is not held up by one to somebody elsewhere, which may come again', () => {
    feed = new CallFeed(CALL, log, () => {});
    feed.startLocally(1, new Map(Object.entries({ ...SEATS, cleo: { joinSeq: 3, sessionId: 'cleo' } })));
    benAt(feed.end);
    const toCleo = { ...draft(1), to: 'cleo', toJoinSeq: 3 };
    expect(feed.appendLocally(toCleo, Date.now())).toBeNull();
    expect(feed.appendLocally(draft(2), Date.now())?.outcome).toBe('appended');
    feed.addReader({ userId: 'cleo', joinSeq: 3, index: feed.end, wake() {}, fellBehind() {} });
    expect(feed.appendLocally(toCleo, Date.now())?.outcome).toBe('appended');
    expect(feed.appendLocally(draft(3), Date.now())?.outcome).toBe('appended');
  });

  it('does not overtake one to the same recipient of which nobody knows whether the log has it', () => {
    feed.doubt(draft(1));
    feed.degrade();
    benAt(feed.end);
    expect(feed.appendLocally(draft(2), Date.now())).toBeNull();
  });

  it('need not wait for one that was refused for good', () => {
    feed.degrade();
    benAt(feed.end);
    feed.refused(draft(1));
    expect(feed.appendLocally(draft(2), Date.now())?.outcome).toBe('appended');
  });

  it('may not be overtaken through the log while it is on its way there', async () => {
    feed.degrade();
    benAt(feed.end);
    feed.appendLocally(draft(1), Date.now());
    expect(feed.owesOf(draft(2))).toBe(true);
    expect(feed.owesOf({ ...draft(2), from: 'ben', sessionId: 'ben' })).toBe(false);
    await feed.restore(async () => true);
    expect(feed.owesOf(draft(2))).toBe(false);
  });
});

describe('what every stream has taken', () => {
  const offered = async (from: number, to: number) => {
    for (let clientSeq = from; clientSeq <= to; clientSeq++) feed.offer(await appendToLog(clientSeq));
  };

  it('is kept no longer, but for the newest', async () => {
    benAt(feed.end + 4);
    await offered(1, 4);
    expect(told()).toEqual([4]);
    expect(feed.item(feed.end - 2)).toBeNull();
  });

  it('is kept for one that has not, up to what it has', async () => {
    benAt(feed.end + 4);
    benAt(feed.end + 1);
    await offered(1, 4);
    expect(told()).toEqual([2, 3, 4]);
  });

  it('is kept for one that is about to come, from the newest on', async () => {
    await offered(1, 2);
    const hold = feed.hold();
    await offered(3, 5);
    expect(told()).toEqual([2, 3, 4, 5]);
    feed.letGo(hold);
    await offered(6, 6);
    expect(told()).toEqual([6]);
  });

  it('is gone before a burst is cut to length, which then cuts nothing', async () => {
    const start = feed.end;
    const entries = await Promise.all(Array.from({ length: FEED_LENGTH + 11 }, (_, n) => appendToLog(n + 1)));
    const last = entries.pop()!;
    const ben = { userId: 'ben', joinSeq: 2, index: start, wake() {}, fellBehind: vi.fn() };
    feed.addReader(ben);
    for (const entry of entries) feed.offer(entry);
    // Within the turn of the burst.
    ben.index = feed.end;
    feed.offer(last);
    await new Promise((resolve) => setImmediate(resolve));
    expect(feed.end).toBe(start + FEED_LENGTH + 11);
    expect(feed.item(feed.end - 1)).toMatchObject({ entry: { seq: last.seq } });
    expect(feed.item(feed.end)).toBeUndefined();
    expect(ben.fellBehind).not.toHaveBeenCalled();
  });

  it('is known as taken in an outage, so that a repeat is told so', async () => {
    benAt(feed.end + 4);
    await offered(1, 4);
    feed.degrade();
    benAt(feed.end);
    for (const clientSeq of [1, 3, 4]) {
      expect(feed.appendLocally(draft(clientSeq), Date.now())?.outcome).toBe('duplicate');
    }
    expect(feed.appendLocally(draft(5), Date.now())?.outcome).toBe('appended');
  });

  it('goes on from the newest in an outage, without a gap', async () => {
    benAt(feed.end + 4);
    await offered(1, 4);
    const place = feed.lastPlace;
    feed.degrade();
    // The word of the outage comes next.
    expect(feed.indexAfter(place)).toBe(feed.end - 1);
  });

  it('of an outage stays, for the log does not know its places', async () => {
    feed.degrade();
    benAt(feed.end);
    feed.appendLocally(draft(1), Date.now());
    const place = feed.lastPlace;
    await feed.restore(async () => true);
    await offered(2, 4);
    expect(feed.indexAfter(place)).toBeGreaterThan(0);
    expect(told()).toEqual([1, 2, 3, 4]);
  });
});

describe('a log that comes back as another one', () => {
  const state = (version: number) => ({ version, at: Date.now(), events: [], seats: {}, ended: false });
  const versions = () =>
    Array.from({ length: feed.end }, (_, index) => feed.item(index)).flatMap((item) =>
      item?.kind === 'entry' && item.entry.kind === 'state' ? [item.entry.state.version] : [],
    );
  const last = () => feed.item(feed.end - 1);

  it('is a hole, also where the way back fails after its head was read', async () => {
    feed.degrade();
    benAt(feed.end);
    feed.appendLocally(draft(1), Date.now());
    const emptied = new MemoryCallLog(Date.now);
    await emptied.create(CALL, { version: 3, seats: SEATS }, Date.now() + 60_000);
    log.head = (callId) => emptied.head(callId);
    log.read = (...args) => emptied.read(...args);
    log.appendSignal = async () => {
      throw new LogUnavailable('lost once more');
    };
    await feed.restore(async () => true);
    expect(feed.mode).toBe('local');
    // What the head had nobody was told of: the database tells all of it.
    for (const version of [2, 3]) feed.applyState(state(version));
    expect(versions()).toEqual([2, 3]);
    log.appendSignal = (...args) => emptied.appendSignal(...args);
    await feed.restore(async () => true);
    expect(last()).toMatchObject({ kind: 'restored', recovered: false });
  });
});

describe('a seat that was taken while the log is out of reach', () => {
  it('is new to the log, and one that was taken before is not', () => {
    expect(feed.isNewToLog('ben', 3)).toBe(false);
    feed.degrade();
    expect(feed.isNewToLog('ben', 2)).toBe(false);
    expect(feed.isNewToLog('ben', 3)).toBe(true);
    expect(feed.isNewToLog('cleo', 4)).toBe(true);
  });
});

it('the word of an outage has a place of its own, that this feed alone can go on from', async () => {
  feed.degrade();
  const degraded = feed.item(feed.end - 1);
  if (degraded?.kind !== 'degraded') throw new Error('There is no word of it');
  expect(isLocal(degraded.place)).toBe(true);
  expect(feed.indexAfter(degraded.place)).toBe(feed.end);
  await feed.restore(async () => true);
  expect(isLocal(feed.lastPlace)).toBe(false);
});
