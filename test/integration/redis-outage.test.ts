import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Entry, LogUnavailable } from '../../src/call-log/call-log.ts';
import {
  aCall,
  expiresAt,
  openLog,
  type RedisInstance,
  redisInstance,
  seatsOf,
  signal,
  untilHealth,
} from '../support/call-logs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

/** Within these, milliseconds, an outage is known, every append is answered, and all works again. */
const KNOWN = 2_000;
const ANSWERED = 2_000;
const HEALED = 3_000;

let redis: TestRedis;
let one: RedisInstance;
let other: RedisInstance;
const unhandled: unknown[] = [];
const note = (reason: unknown) => void unhandled.push(reason);

beforeAll(() => void process.on('unhandledRejection', note));
afterAll(() => void process.off('unhandledRejection', note));
beforeEach(async () => {
  redis = await startRedis();
  one = redisInstance(redis.url);
  other = redisInstance(redis.url);
  await untilHealth(one.log, 'up', 10_000);
  await untilHealth(other.log, 'up', 10_000);
});
afterEach(async () => {
  await one.log.close();
  await other.log.close();
  await redis.stop();
  expect(unhandled).toEqual([]);
});

/** Appends signals all the time, and knows how each was answered and after how many milliseconds. */
function pump(callId: string) {
  const answers: { outcome: string; after: number }[] = [];
  let stopped = false;
  const pending: Promise<void>[] = [];
  const done = (async () => {
    for (let clientSeq = 1; !stopped; clientSeq++) {
      const start = performance.now();
      const answer = one.log.appendSignal(callId, signal(clientSeq)).then(
        ({ outcome }) => outcome,
        (error: unknown) => (error instanceof LogUnavailable ? 'unavailable' : String(error)),
      );
      pending.push(
        answer.then((outcome) => void answers.push({ outcome, after: performance.now() - start })),
      );
      await sleep(1);
    }
  })();
  return {
    answers,
    async stop() {
      stopped = true;
      await done;
      await Promise.all(pending);
      return answers;
    },
  };
}

/** An entry appended by either instance is heard by the other, once; what itself appended it knows. Of `one`, then of `other`. */
async function worksAgain(callId: string, heard: Entry[][]): Promise<void> {
  for (const instance of [one, other]) {
    await instance.log.create(callId, { version: 1, seats: seatsOf('a', 'b') }, expiresAt());
    const clientSeq = 1_000_000 + Math.floor(performance.now() * 1000);
    const outcome = await instance.log.appendSignal(callId, signal(clientSeq));
    if (outcome.outcome !== 'appended') throw new Error(outcome.outcome);
    for (const [i, entries] of heard.entries()) {
      const times = () => entries.filter(({ token }) => token === outcome.entry.token).length;
      if ([one, other][i] === instance) expect(times()).toBeLessThanOrEqual(1);
      else await expect.poll(times).toBe(1);
    }
  }
}

async function subscribeBoth(callId: string): Promise<Entry[][]> {
  const heard: Entry[][] = [[], []];
  await one.log.subscribe(callId, (entry) => heard[0]!.push(entry));
  await other.log.subscribe(callId, (entry) => heard[1]!.push(entry));
  return heard;
}

const OUTAGES = [
  { name: 'killed', begin: () => redis.kill(), end: () => redis.restart() },
  {
    name: 'standing still, its connections half-open',
    begin: async () => redis.pause(),
    end: async () => redis.resume(),
  },
];

describe.each(OUTAGES)('Redis $name', ({ begin, end }) => {
  it('answers every append in time, says so, and heals with its subscriptions', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const heard = await subscribeBoth(callId);
    const changes: string[] = [];
    one.log.onHealth((health) => changes.push(health));
    const appends = pump(callId);
    await expect.poll(() => appends.answers.length).toBeGreaterThan(50);

    await begin();
    await Promise.all([untilHealth(one.log, 'down', KNOWN), untilHealth(other.log, 'down', KNOWN)]);
    const before = appends.answers.length;
    await expect.poll(() => appends.answers.length).toBeGreaterThan(before + 20);

    await end();
    await Promise.all([untilHealth(one.log, 'up', HEALED), untilHealth(other.log, 'up', HEALED)]);
    await worksAgain(callId, heard);

    const answers = await appends.stop();
    expect(Math.max(...answers.map(({ after }) => after))).toBeLessThan(ANSWERED);
    expect(new Set(answers.map(({ outcome }) => outcome))).toContain('unavailable');
    for (const { outcome } of answers) expect(['appended', 'unavailable', 'refused']).toContain(outcome);
    expect(changes).toEqual(['down', 'up']);
    expect(one.counted.pubSubErrors.length).toBeGreaterThan(0);
  });

  it('refuses to subscribe in time, before and after it knows, and leaves nothing behind', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    await begin();
    const attempt = async () => {
      const start = performance.now();
      const heard: Entry[] = [];
      await expect(one.log.subscribe(callId, (entry) => heard.push(entry))).rejects.toThrow(LogUnavailable);
      expect(performance.now() - start).toBeLessThan(ANSWERED);
      return heard;
    };
    const early = await Promise.all([attempt(), attempt()]);
    await untilHealth(one.log, 'down', KNOWN);
    const late = await attempt();
    // The two early ones were one SUBSCRIBE, unless the loss was known before they began.
    expect([2, 3]).toContain(one.counted.subscribeFailed);
    await expect(one.log.read(callId, 0, 1)).rejects.toThrow(LogUnavailable);
    await expect(one.log.head(callId)).rejects.toThrow(LogUnavailable);
    await expect(one.log.create(callId, { version: 1, seats: {} }, 0)).rejects.toThrow(LogUnavailable);
    await expect(one.channels.publish('x', 'y')).rejects.toThrow(LogUnavailable);

    await end();
    await untilHealth(one.log, 'up', HEALED);
    await untilHealth(other.log, 'up', HEALED);
    await worksAgain(callId, await subscribeBoth(callId));
    expect([...early, late].flat()).toEqual([]);
  });

  it('lets a listener leave meanwhile', async () => {
    const [left, kept] = [aCall(), aCall()];
    const undoLeft = await one.log.subscribe(left, () => expect.unreachable('left'));
    const undoNow = await one.log.subscribe(left, () => expect.unreachable('left'));
    const heard: Entry[] = [];
    await one.log.subscribe(kept, (entry) => heard.push(entry));
    await begin();
    await undoNow();
    await untilHealth(one.log, 'down', KNOWN);
    await undoLeft();
    await end();
    await untilHealth(one.log, 'up', HEALED);
    await expect
      .poll(async () => one.connection.commands.pubsub('CHANNELS', 'call:*').catch(() => null))
      .toEqual([`call:${kept}`]);
    await untilHealth(other.log, 'up', HEALED);
    await worksAgain(kept, [heard]);
  });
});

describe('Redis', () => {
  it('that drops the subscriber connection alone is down and up again', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const heard = await subscribeBoth(callId);
    const changes: string[] = [];
    one.log.onHealth((health) => changes.push(health));
    expect(await other.connection.commands.call('CLIENT', 'KILL', 'TYPE', 'pubsub')).toBe(2);
    await expect.poll(() => changes, { timeout: HEALED, interval: 5 }).toEqual(['down', 'up']);
    await untilHealth(other.log, 'up', HEALED);
    await worksAgain(callId, heard);
  });

  it('that drops the command connection alone is down and up again', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const heard = await subscribeBoth(callId);
    const changes: string[] = [];
    one.log.onHealth((health) => changes.push(health));
    const id = await one.connection.commands.client('ID');
    await other.connection.commands.client('KILL', 'ID', id);
    await expect.poll(() => changes, { timeout: HEALED, interval: 5 }).toEqual(['down', 'up']);
    await worksAgain(callId, heard);
  });

  it('that comes after the server is found', async () => {
    await redis.kill();
    const late = redisInstance(redis.url);
    expect(late.log.health()).toBe('down');
    await expect(late.log.head(aCall())).rejects.toThrow(LogUnavailable);
    await redis.restart();
    await untilHealth(late.log, 'up', HEALED);
    expect(await late.log.head(aCall())).toBeNull();
    await late.log.close();
  });

  it('that comes and goes leaves every subscription as it should be', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const heard = await subscribeBoth(callId);
    for (let round = 0; round < 5; round++) {
      await redis.restart();
      // Cut again in the middle of healing, at another moment each time.
      await sleep(round * 60);
      await redis.restart();
      await untilHealth(one.log, 'up', HEALED);
    }
    await untilHealth(other.log, 'up', HEALED);
    await worksAgain(callId, heard);
  });
});
