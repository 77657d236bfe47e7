import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CallLog, Entry } from '../../src/call-log/call-log.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';
import {
  aCall,
  expiresAt,
  type RedisInstance,
  readAll,
  redisInstance,
  state,
  untilHealth,
  withAnswers,
} from '../support/call-logs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

// MemoryCallLog is the model: whatever is asked of a log, in whatever order, Redis answers as it does.

let redis: TestRedis;
let instance: RedisInstance;
const memory = new MemoryCallLog(Date.now);

beforeAll(async () => {
  redis = await startRedis();
  instance = redisInstance(redis.url);
  await untilHealth(instance.log, 'up', 10_000);
});
afterAll(async () => {
  await instance?.log.close();
  await redis?.stop();
});

const users = fc.constantFrom('a', 'b', 'c');
const sessions = fc.constantFrom('s1', 's2');
const holder = fc.record({ joinSeq: fc.integer({ min: 1, max: 3 }), sessionId: sessions });
const operation = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('state' as const),
      ahead: fc.constantFrom(1, 1, 1, 1, 0, -1, 2),
      seats: fc.dictionary(users, fc.option(holder), { maxKeys: 3, noNullPrototype: true }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('signal' as const),
      from: users,
      sessionId: sessions,
      to: fc.option(users),
      toJoinSeq: fc.option(fc.integer({ min: 1, max: 3 })),
      clientSeq: fc.constantFrom(1, 2, 3, 255, 256, 257, 258, 513),
      renegotiate: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('create' as const),
      version: fc.integer({ min: 0, max: 3 }),
      seats: fc.dictionary(users, holder, { maxKeys: 3, noNullPrototype: true }),
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** What a log did, with its numbers counted from its first one, and without tokens and times. */
async function story(log: CallLog, operations: readonly Operation[]): Promise<unknown[]> {
  const callId = aCall();
  const told: unknown[] = [];
  const heard: Entry[] = [];
  const answered: Entry[] = [];
  const undo = await log.subscribe(callId, (entry) => heard.push(entry));
  let version = 0;
  for (const each of operations) {
    if (each.op === 'state') {
      const outcome = await log.appendState(callId, state(version + each.ahead, each.seats), expiresAt());
      if (outcome.outcome === 'appended') version += each.ahead;
      told.push(outcome);
    } else if (each.op === 'create') {
      const before = await log.head(callId);
      await log.create(callId, each, expiresAt());
      if (!before) version = each.version;
      told.push(await log.head(callId));
    } else {
      const { renegotiate, op: _, ...draft } = each;
      const what = renegotiate
        ? ({ __typename: 'Renegotiate', iceRestart: true } as const)
        : ({ __typename: 'Answer', sdp: 'v=0', generation: 1 } as const);
      const outcome = await log.appendSignal(callId, { ...draft, signal: what });
      told.push(outcome);
      if (outcome.outcome === 'appended') answered.push(outcome.entry);
    }
  }
  const entries = await readAll(log, callId);
  told.push(await log.head(callId), entries);
  await expect.poll(() => withAnswers(heard, answered), { interval: 2 }).toEqual(entries);
  await undo();
  const base = entries[0]?.seq ?? 0;
  return JSON.parse(
    JSON.stringify(told, (key, value) => {
      if (key === 'seq') return value - base;
      if (key === 'token' || key === 'at') return null;
      return value instanceof Map ? [...value].sort() : value;
    }),
  ) as unknown[];
}

it('call log: redis does as memory does, whatever it is asked', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 60, size: 'max' }), async (operations) => {
      expect(await story(instance.log, operations)).toEqual(await story(memory, operations));
    }),
    { numRuns: 150 },
  );
});
