import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type CallLog,
  CLIENT_SEQ_WINDOW,
  type Entry,
  LOG_KEPT_AFTER_END,
  LOG_KEPT_PAST_EXPIRY,
  LOG_LENGTH,
  type SignalDraft,
  type SignalOutcome,
} from '../../src/call-log/call-log.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';
import {
  aCall,
  expiresAt,
  openLog,
  type RedisInstance,
  readAll,
  redisInstance,
  seatsOf,
  signal,
  state,
  untilHealth,
  withAnswers,
} from '../support/call-logs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let first: RedisInstance;
let second: RedisInstance;
let clockAhead = 0;
const memory = new MemoryCallLog(() => Date.now() + clockAhead);

beforeAll(async () => {
  redis = await startRedis();
  first = redisInstance(redis.url);
  second = redisInstance(redis.url);
  await untilHealth(first.log, 'up', 10_000);
  await untilHealth(second.log, 'up', 10_000);
});
afterAll(async () => {
  await first?.log.close();
  await second?.log.close();
  await redis?.stop();
});

const taken = (outcome: SignalOutcome): Entry & { kind: 'signal' } => {
  if (outcome.outcome !== 'appended') throw new Error(`not appended: ${JSON.stringify(outcome)}`);
  return outcome.entry;
};

describe.each([
  {
    name: 'memory',
    log: (): CallLog => memory,
    other: (): CallLog => memory,
    /** Milliseconds until the log goes. */
    async remaining(callId: string): Promise<number> {
      // Bisects: the log is there before, and not after.
      let [there, gone] = [0, 100 * 3_600_000];
      while (gone - there > 1) {
        clockAhead = Math.floor((there + gone) / 2);
        if (await memory.head(callId)) there = clockAhead;
        else gone = clockAhead;
      }
      clockAhead = 0;
      return gone;
    },
  },
  {
    name: 'redis',
    log: (): CallLog => first.log,
    other: (): CallLog => second.log,
    async remaining(callId: string): Promise<number> {
      const keys = await first.connection.commands.keys(`ringdown:{${callId}}:*`);
      const left = await Promise.all(keys.map((key) => first.connection.commands.pttl(key)));
      expect(Math.max(...left) - Math.min(...left)).toBeLessThan(100);
      return Math.max(...left);
    },
  },
])('call log: $name', ({ log, other, remaining }) => {
  it('numbers entries without a gap, from the clock, each with a token of its own', async () => {
    const before = Date.now() * 1000 - 1000;
    const callId = await openLog(log(), 'a', 'b');
    for (let i = 1; i <= 100; i++) await log().appendSignal(callId, signal(i));
    await log().appendState(callId, state(2), expiresAt());
    const entries = await readAll(log(), callId);
    expect(entries).toHaveLength(102);
    expect(entries[0]!.seq).toBeGreaterThanOrEqual(before);
    expect(entries[0]!.seq).toBeLessThanOrEqual((Date.now() + 1) * 1000);
    expect(entries.map((entry) => entry.seq)).toEqual(entries.map((_, i) => entries[0]!.seq + i));
    expect(new Set(entries.map((entry) => entry.token)).size).toBe(102);
    for (const { token } of entries) expect(token).toMatch(/^[\w-]{8}$/);
  });

  it('gives back what was appended', async () => {
    const callId = aCall();
    const opening = { ...state(1, seatsOf('a', 'b|ü'), false), events: [] };
    const opened = await log().appendState(callId, opening, expiresAt());
    const sdp = 'v=0\r\no=- "ümläut" \u2028 🙂 %s %d\0\r\n';
    const draft = signal(1, { to: 'b|ü', toJoinSeq: 2, signal: { __typename: 'Offer', sdp, generation: 3 } });
    const entry = taken(await log().appendSignal(callId, draft));
    expect(entry).toMatchObject({
      kind: 'signal',
      signal: {
        from: 'a',
        fromJoinSeq: 1,
        to: 'b|ü',
        toJoinSeq: 2,
        kind: 'Offer',
        json: JSON.stringify(draft.signal),
      },
    });
    expect(Math.abs(entry.at - Date.now())).toBeLessThan(1000);
    const [state1, signal1, ...rest] = await readAll(other(), callId);
    expect(state1).toEqual({
      ...(opened.outcome === 'appended' && opened.position),
      at: opening.at,
      kind: 'state',
      state: opening,
    });
    expect(signal1).toEqual(entry);
    expect(rest).toEqual([]);
  });

  it('takes versions one after another', async () => {
    const callId = aCall();
    const append = (version: number) => log().appendState(callId, state(version), expiresAt());
    expect(await append(2)).toEqual({ outcome: 'absent' });
    expect(await append(1)).toMatchObject({ outcome: 'appended' });
    expect(await append(1)).toEqual({ outcome: 'known' });
    expect(await append(4)).toEqual({ outcome: 'gap', version: 1 });
    expect(await append(2)).toMatchObject({ outcome: 'appended' });
    expect(await append(1)).toEqual({ outcome: 'known' });
    for (let version = 3; version <= 12; version++) await append(version);
    expect(await append(10)).toEqual({ outcome: 'known' });
    expect(await append(14)).toEqual({ outcome: 'gap', version: 12 });
    expect(await log().head(callId)).toMatchObject({ version: 12 });
    expect(await readAll(log(), callId)).toHaveLength(12);
  });

  it('takes a version once from two instances that append it at once', async () => {
    const callId = aCall();
    const outcomes = await Promise.all(
      [log(), other(), log(), other()].map((one) => one.appendState(callId, state(1), expiresAt())),
    );
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['appended', 'known', 'known', 'known']);
  });

  it('checks the seat of the sender', async () => {
    const nowhere = aCall();
    expect(await log().appendSignal(nowhere, signal(1))).toEqual({ outcome: 'refused', why: 'ABSENT' });
    const callId = await openLog(log(), 'a', 'b');
    const refused = (why: string) => ({ outcome: 'refused', why });
    const from = (user: string, sessionId: string) =>
      log().appendSignal(callId, signal(1, { from: user, sessionId, to: 'b' }));
    expect(await from('x', 'x1')).toEqual(refused('NO_SEAT'));
    expect(await from('a', 'a2')).toEqual(refused('STALE_SESSION'));
    expect(await from('a', 'a')).toEqual(refused('STALE_SESSION'));
    await log().appendState(
      callId,
      state(2, { a: { joinSeq: 3, sessionId: 'a2' }, b: { joinSeq: 4, sessionId: 'b|2\n' } }),
      expiresAt(),
    );
    expect(await from('a', 'a1')).toEqual(refused('STALE_SESSION'));
    expect(taken(await from('a', 'a2')).signal).toMatchObject({ fromJoinSeq: 3, toJoinSeq: 4 });
    expect(
      await log().appendSignal(callId, signal(1, { from: 'b', sessionId: 'b|2\n', to: 'a' })),
    ).toMatchObject({ outcome: 'appended' });
    await log().appendState(callId, state(3, { a: null }), expiresAt());
    expect(await from('a', 'a2')).toEqual(refused('NO_SEAT'));
    await log().appendState(callId, state(4, { b: null }), expiresAt());
    expect(await from('a', 'a2')).toEqual(refused('NO_SEAT'));
  });

  it('checks the seat of the recipient', async () => {
    const callId = await openLog(log(), 'a', 'b');
    let clientSeq = 0;
    const to = (user: string | null, toJoinSeq: number | null = null) =>
      log().appendSignal(callId, signal(++clientSeq, { to: user, toJoinSeq }));
    const refused = { outcome: 'refused', why: 'NO_RECIPIENT' };
    expect(await to('x')).toEqual(refused);
    expect(await to('')).toEqual(refused);
    expect(await to('a')).toEqual(refused);
    expect(await to('b', 1)).toEqual(refused);
    expect(await to('b', 2)).toMatchObject({ outcome: 'appended' });
    expect(taken(await to('b')).signal.toJoinSeq).toBe(2);
    await log().appendState(callId, state(2, { b: { joinSeq: 12, sessionId: 'b2' } }), expiresAt());
    expect(await to('b', 2)).toEqual(refused);
    expect(await to('b', 1)).toEqual(refused);
    expect(taken(await to('b', 12)).signal.toJoinSeq).toBe(12);
    await log().appendState(callId, state(3, { b: null }), expiresAt());
    expect(await to('b')).toEqual(refused);
    expect(await to(null)).toEqual(refused);
  });

  it('takes without a recipient only what goes to everyone, or where there is but one', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const offer = { __typename: 'Offer', sdp: 'v=0', generation: 1 } as const;
    const toAll = (clientSeq: number, what: SignalDraft['signal']) =>
      log().appendSignal(callId, signal(clientSeq, { to: null, signal: what }));
    const renegotiate = { __typename: 'Renegotiate', iceRestart: true } as const;
    expect(taken(await toAll(1, offer)).signal).toMatchObject({ to: null, toJoinSeq: null });
    await log().appendState(callId, state(2, { c: { joinSeq: 3, sessionId: 'c1' } }), expiresAt());
    expect(await toAll(2, offer)).toEqual({ outcome: 'refused', why: 'AMBIGUOUS' });
    expect(taken(await toAll(2, renegotiate)).signal).toMatchObject({ to: null, toJoinSeq: null });
    expect((await readAll(other(), callId)).at(-1)).toMatchObject({
      signal: { to: null, toJoinSeq: null, kind: 'Renegotiate', json: JSON.stringify(renegotiate) },
    });
  });

  it('takes a repeated clientSeq once, and tells when it was', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const { at } = taken(await log().appendSignal(callId, signal(7)));
    await expect.poll(() => Date.now()).toBeGreaterThan(at);
    expect(await other().appendSignal(callId, signal(7))).toEqual({ outcome: 'duplicate', at });
    // Its recipient may have left since: it was taken all the same.
    await log().appendState(callId, state(2, { b: null, c: { joinSeq: 3, sessionId: 'c1' } }), expiresAt());
    expect(await log().appendSignal(callId, signal(7))).toEqual({ outcome: 'duplicate', at });
    expect(await readAll(log(), callId)).toHaveLength(3);
    // Sessions count for themselves.
    const ofC = signal(7, { from: 'c', sessionId: 'c1', to: 'a' });
    expect(await log().appendSignal(callId, ofC)).toMatchObject({ outcome: 'appended' });
  });

  it('remembers the last 256 clientSeqs of a session', async () => {
    const callId = await openLog(log(), 'a', 'b');
    for (let i = 1; i <= CLIENT_SEQ_WINDOW + 1; i++) {
      if (i !== 5) taken(await log().appendSignal(callId, signal(i)));
    }
    const again = (clientSeq: number) => log().appendSignal(callId, signal(clientSeq));
    expect(await again(1)).toEqual({ outcome: 'refused', why: 'TOO_OLD' });
    expect(await again(2)).toMatchObject({ outcome: 'duplicate' });
    expect(await again(CLIENT_SEQ_WINDOW + 1)).toMatchObject({ outcome: 'duplicate' });
    expect(await again(5)).toMatchObject({ outcome: 'appended' });
    expect(await again(5)).toMatchObject({ outcome: 'duplicate' });
    expect(await again(5000)).toMatchObject({ outcome: 'appended' });
    expect(await again(CLIENT_SEQ_WINDOW)).toEqual({ outcome: 'refused', why: 'TOO_OLD' });
    expect(await again(5000 - CLIENT_SEQ_WINDOW)).toEqual({ outcome: 'refused', why: 'TOO_OLD' });
    expect(await again(5001 - CLIENT_SEQ_WINDOW)).toMatchObject({ outcome: 'appended' });
  });

  it('counts for a user and a session together: nobody can use up another’s clientSeqs', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const record = state(2, { mallory: { joinSeq: 9, sessionId: 'a1' } });
    expect(await log().appendState(callId, record, expiresAt())).toMatchObject({ outcome: 'appended' });
    const asMallory = signal(5000, { from: 'mallory', sessionId: 'a1', to: 'b' });
    expect(await log().appendSignal(callId, asMallory)).toMatchObject({ outcome: 'appended' });
    expect(await log().appendSignal(callId, signal(1))).toMatchObject({ outcome: 'appended' });
  });

  it('consumes nothing where it refuses', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const before = await log().head(callId);
    await log().appendSignal(callId, signal(1, { to: 'x' }));
    await log().appendSignal(callId, signal(1, { toJoinSeq: 9 }));
    await log().appendSignal(callId, signal(1, { sessionId: 'a2' }));
    await log().appendState(callId, state(7), expiresAt());
    expect(await log().head(callId)).toEqual(before);
    expect(taken(await log().appendSignal(callId, signal(1))).seq).toBe(before!.seq + 1);
  });

  it('appends what is issued in a row in that order', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const outcomes = await Promise.all(
      Array.from({ length: 300 }, (_, i) => log().appendSignal(callId, signal(i + 1))),
    );
    const seqs = outcomes.map((outcome) => taken(outcome).seq);
    expect(seqs).toEqual(seqs.map((_, i) => seqs[0]! + i));
    const signals = (await readAll(log(), callId)).slice(1);
    expect(signals).toEqual(outcomes.map(taken));
  });

  it('orders the appends of two instances totally, and every subscriber hears the same', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const heard: Entry[][] = [[], [], []];
    const undo = await Promise.all([
      log().subscribe(callId, (entry) => heard[0]!.push(entry)),
      log().subscribe(callId, (entry) => heard[1]!.push(entry)),
      other().subscribe(callId, (entry) => heard[2]!.push(entry)),
    ]);
    const answered: Entry[][] = [[], []];
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const fromB = { from: 'b', sessionId: 'b1', to: 'a' };
        await Promise.all([
          log()
            .appendSignal(callId, signal(i + 1))
            .then((outcome) => answered[0]!.push(taken(outcome))),
          other()
            .appendSignal(callId, signal(i + 1, fromB))
            .then((outcome) => answered[1]!.push(taken(outcome))),
          i % 10 === 0 && log().appendState(callId, state(i / 10 + 2), expiresAt()),
        ]);
      }),
    );
    const entries = (await readAll(log(), callId)).slice(1);
    expect(entries).toHaveLength(210);
    expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => entries[0]!.seq + i));
    for (const [i, one] of heard.entries()) {
      await expect.poll(() => withAnswers(one, answered[i === 2 ? 1 : 0]!)).toEqual(entries);
      expect(one).toEqual(one.toSorted((a, b) => a.seq - b.seq));
    }
    await Promise.all(undo.map((stop) => stop()));
  });

  it('keeps the newest 500 entries', async () => {
    const callId = await openLog(log(), 'a', 'b');
    const sent = Promise.all(
      Array.from({ length: LOG_LENGTH + 20 }, (_, i) => log().appendSignal(callId, signal(i + 1))),
    );
    const outcomes = await sent;
    const entries = await readAll(log(), callId);
    expect(entries).toHaveLength(LOG_LENGTH);
    expect(entries.at(-1)).toEqual(taken(outcomes.at(-1)!));
  });

  it('reads from a number on, in pages', async () => {
    const callId = await openLog(log(), 'a', 'b');
    for (let i = 1; i <= 9; i++) await log().appendSignal(callId, signal(i));
    const all = await log().read(callId, 0, 100);
    expect(all).toHaveLength(10);
    expect(await log().read(callId, all[3]!.seq, 1)).toEqual([all[3]]);
    expect(await log().read(callId, all[3]!.seq, 4)).toEqual(all.slice(3, 7));
    expect(await log().read(callId, all[8]!.seq, 4)).toEqual(all.slice(8));
    expect(await log().read(callId, all[9]!.seq + 1, 4)).toEqual([]);
    expect(await log().read(aCall(), 0, 4)).toEqual([]);
  });

  it('makes a log anew from what the database knows, and leaves a live one alone', async () => {
    const callId = aCall();
    const heard: Entry[] = [];
    const undo = await other().subscribe(callId, (entry) => heard.push(entry));
    await log().create(callId, { version: 7, seats: seatsOf('a', 'b') }, expiresAt());
    const [origin, ...rest] = await readAll(log(), callId);
    expect(origin).toEqual({
      kind: 'origin',
      seq: expect.any(Number),
      token: expect.any(String),
      at: expect.any(Number),
    });
    expect(rest).toEqual([]);
    await expect.poll(() => heard).toEqual([origin]);
    const since = { seq: origin!.seq, token: origin!.token };
    expect(await log().head(callId)).toEqual({
      ...since,
      version: 7,
      seats: new Map([
        ['a', { joinSeq: 1, sessionId: 'a1', since }],
        ['b', { joinSeq: 2, sessionId: 'b1', since }],
      ]),
    });
    const head = await log().head(callId);
    await log().create(callId, { version: 9, seats: seatsOf('x') }, expiresAt());
    expect(await log().head(callId)).toEqual(head);
    expect(await log().appendState(callId, state(7), expiresAt())).toEqual({ outcome: 'known' });
    expect(await log().appendState(callId, state(8), expiresAt())).toMatchObject({ outcome: 'appended' });
    expect(taken(await log().appendSignal(callId, signal(1))).seq).toBe(origin!.seq + 2);
    await undo();
  });

  it('knows its head: newest place, version, seats with the place that gave them', async () => {
    const callId = aCall();
    expect(await log().head(callId)).toBeNull();
    const places: { seq: number; token: string }[] = [];
    const append = async (version: number, seats: Parameters<typeof state>[1]) => {
      const outcome = await log().appendState(callId, state(version, seats), expiresAt());
      if (outcome.outcome === 'appended') places.push(outcome.position);
    };
    await append(1, seatsOf('a', 'b'));
    await append(2, { b: null, c: { joinSeq: 3, sessionId: 'c1' } });
    await append(3, { b: { joinSeq: 4, sessionId: '' } });
    const { seq, token } = taken(await log().appendSignal(callId, signal(1)));
    const head = await other().head(callId);
    expect(head).toEqual({
      seq,
      token,
      version: 3,
      seats: new Map([
        ['a', { joinSeq: 1, sessionId: 'a1', since: places[0] }],
        ['c', { joinSeq: 3, sessionId: 'c1', since: places[1] }],
        ['b', { joinSeq: 4, sessionId: '', since: places[2] }],
      ]),
    });
  });

  it('hears every entry once the subscription has resolved, and none after it was undone', async () => {
    for (let round = 0; round < 20; round++) {
      const callId = await openLog(log(), 'a', 'b');
      const heard: number[] = [];
      const undo = await log().subscribe(callId, (entry) => heard.push(entry.seq));
      const sent: number[] = [];
      for (let i = 1; i <= 5; i++) sent.push(taken(await other().appendSignal(callId, signal(i))).seq);
      await expect.poll(() => heard, { interval: 2 }).toEqual(sent);
      await undo();
      await undo();
      const again: number[] = [];
      const undoAgain = await log().subscribe(callId, (entry) => again.push(entry.seq));
      const last = taken(await other().appendSignal(callId, signal(6))).seq;
      await expect.poll(() => again, { interval: 2 }).toEqual([last]);
      expect(heard).toEqual(sent);
      await undoAgain();
    }
  });

  it('keeps the log of a live call past its expiry, and of an ended one for a minute', async () => {
    const expires = expiresAt();
    const callId = aCall();
    await log().appendState(callId, state(1, seatsOf('a', 'b')), expires);
    await log().appendSignal(callId, signal(1));
    await log().appendSignal(callId, signal(1, { from: 'b', sessionId: 'b1', to: 'a' }));
    const live = await remaining(callId);
    expect(Math.abs(live - (expires + LOG_KEPT_PAST_EXPIRY - Date.now()))).toBeLessThan(1000);
    await log().appendState(callId, state(2, { a: null, b: null }, true), expires);
    expect(await readAll(log(), callId)).toHaveLength(4);
    const ended = await remaining(callId);
    expect(ended).toBeGreaterThan(LOG_KEPT_AFTER_END - 5000);
    expect(ended).toBeLessThanOrEqual(LOG_KEPT_AFTER_END);
  });

  it('does not lose the log of a call that is past its expiry at once', async () => {
    const callId = aCall();
    await log().appendState(callId, state(1, seatsOf('a', 'b')), Date.now() - 2 * LOG_KEPT_PAST_EXPIRY);
    expect(await log().appendSignal(callId, signal(1))).toMatchObject({ outcome: 'appended' });
    const left = await remaining(callId);
    expect(left).toBeGreaterThan(LOG_KEPT_AFTER_END - 5000);
    expect(left).toBeLessThanOrEqual(LOG_KEPT_AFTER_END);
  });
});

describe('call log: redis alone', () => {
  it('goes on where Redis has forgotten its scripts', async () => {
    const callId = await openLog(first.log, 'a', 'b');
    await first.log.appendSignal(callId, signal(1));
    await first.connection.commands.script('FLUSH');
    const outcomes = await Promise.all([2, 3, 4].map((i) => first.log.appendSignal(callId, signal(i))));
    expect(outcomes.map((outcome) => taken(outcome).seq)).toEqual(
      outcomes.map((_, i) => taken(outcomes[0]!).seq + i),
    );
  });

  it('makes a log anew of which an eviction took a part', async () => {
    for (const part of ['log', 'meta']) {
      const callId = await openLog(first.log, 'a', 'b', 'c');
      await first.connection.commands.del(`ringdown:{${callId}}:${part}`);
      expect(await first.log.head(callId)).toBeNull();
      await first.log.create(callId, { version: 1, seats: seatsOf('a', 'b') }, expiresAt());
      expect((await first.log.head(callId))!.seats.size).toBe(2);
      expect(await readAll(first.log, callId)).toHaveLength(1);
    }
  });
});
