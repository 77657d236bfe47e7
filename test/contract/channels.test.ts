import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LogUnavailable } from '../../src/call-log/call-log.ts';
import type { Channels } from '../../src/call-log/channels.ts';
import { MemoryChannels } from '../../src/call-log/memory-channels.ts';
import { type RedisInstance, redisInstance, untilHealth } from '../support/call-logs.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

let redis: TestRedis;
let first: RedisInstance;
let second: RedisInstance;
const memory = new MemoryChannels();

beforeAll(async () => {
  redis = await startRedis();
  first = redisInstance(redis.url);
  second = redisInstance(redis.url);
  await untilHealth(first.log, 'up', 10_000);
  await untilHealth(second.log, 'up', 10_000);
});
afterAll(async () => {
  await first?.channels.close();
  await second?.channels.close();
  await redis?.stop();
});

let channels = 0;
const aChannel = () => `ringdown:test:${++channels}`;

/** What a listener heard. */
function listener(): { readonly heard: string[]; readonly hear: (message: string) => void } {
  const heard: string[] = [];
  return { heard, hear: (message) => void heard.push(message) };
}

describe.each([
  { name: 'memory', here: (): Channels => memory, there: (): Channels => memory },
  { name: 'redis', here: (): Channels => first.channels, there: (): Channels => second.channels },
])('channels: $name', ({ here, there }) => {
  it('carries any text, in order, to the listeners of all instances', async () => {
    const channel = aChannel();
    const [a, b, c] = [listener(), listener(), listener()];
    const undo = [
      await here().subscribe(channel, a.hear),
      await here().subscribe(channel, b.hear),
      await there().subscribe(channel, c.hear),
      await here().subscribe(aChannel(), () => expect.unreachable('another channel')),
    ];
    const texts = ['', 'null', '12', '{"a":1}', '{', 'ünï🙂\r\n\0', 'x'.repeat(100_000)];
    await Promise.all(texts.map((text) => there().publish(channel, text)));
    for (const { heard } of [a, b, c]) await expect.poll(() => heard).toEqual(texts);
    await Promise.all(undo.map((stop) => stop()));
  });

  it('hears as often as it was subscribed, and stops one at a time', async () => {
    const channel = aChannel();
    const { heard, hear } = listener();
    const undoOne = await here().subscribe(channel, hear);
    const undoOther = await here().subscribe(channel, hear);
    await there().publish(channel, '1');
    await expect.poll(() => heard).toEqual(['1', '1']);
    await undoOne();
    await undoOne();
    await there().publish(channel, '2');
    await expect.poll(() => heard).toEqual(['1', '1', '2']);
    await undoOther();
    const after = listener();
    const undo = await here().subscribe(channel, after.hear);
    await there().publish(channel, '3');
    await expect.poll(() => after.heard).toEqual(['3']);
    expect(heard).toHaveLength(3);
    await undo();
  });

  it('ends up subscribed where a first subscribe races the last leave', async () => {
    const names = [aChannel(), aChannel()];
    for (let round = 0; round < 500; round++) {
      const channel = names[round % 2]!;
      const live = new Set<string[]>();
      const gone = new Set<string[]>();
      const undos: (() => Promise<void>)[] = [];
      const work: Promise<unknown>[] = [];
      const steps = 2 + Math.floor(Math.random() * 5);
      for (let step = 0; step < steps; step++) {
        const { heard, hear } = listener();
        const leaves = Math.random() < 0.6;
        (leaves ? gone : live).add(heard);
        const waits = Math.floor(Math.random() * 3);
        work.push(
          here()
            .subscribe(channel, hear)
            .then(async (undo) => {
              for (let i = 0; i < waits; i++) await setImmediate();
              if (leaves) await undo();
              else undos.push(undo);
            }),
        );
        if (Math.random() < 0.5) await setImmediate();
      }
      await Promise.all(work);
      const probe = `probe ${round}`;
      await there().publish(channel, probe);
      // The first that hears it proves that it has come; the others hear it in the same breath.
      for (const heard of live) await expect.poll(() => heard, { interval: 1 }).toEqual([probe]);
      for (const heard of gone) expect(heard).not.toContain(probe);
      await Promise.all(undos.map((undo) => undo()));
    }
  });
});

describe('channels: redis alone', () => {
  const subscribed = (pattern: string) => first.connection.commands.pubsub('CHANNELS', pattern);

  it('subscribes a channel once for all its listeners, and leaves it with the last', async () => {
    const channel = aChannel();
    const undos = await Promise.all([1, 2, 3].map(() => first.channels.subscribe(channel, () => {})));
    expect(await first.connection.commands.pubsub('NUMSUB', channel)).toEqual([channel, 1]);
    for (const undo of undos) await undo();
    await expect.poll(() => subscribed(channel)).toEqual([]);
  });

  it('rejects what Redis refuses, counts it, and leaves nothing behind', async () => {
    const { commands } = first.connection;
    await commands.acl(
      'SETUSER',
      'limited',
      'on',
      '>secret',
      '+@all',
      '~*',
      'resetchannels',
      '&open:*',
      '&ringdown:*',
    );
    const limited = redisInstance(`redis://limited:secret@127.0.0.1:${redis.port}`);
    await untilHealth(limited.log, 'up');
    const { heard, hear } = listener();
    const attempts = await Promise.allSettled([
      limited.channels.subscribe('closed:1', hear),
      limited.channels.subscribe('closed:1', hear),
    ]);
    for (const attempt of attempts) {
      expect(attempt).toMatchObject({ status: 'rejected', reason: expect.any(LogUnavailable) });
    }
    expect(limited.counted).toEqual({ subscribeFailed: 1, pubSubErrors: [] });
    await expect(limited.channels.publish('closed:1', 'secret text')).rejects.toThrow(LogUnavailable);
    expect(limited.counted.pubSubErrors).toHaveLength(1);
    expect(limited.counted.pubSubErrors[0]).not.toContain('secret text');

    const undoOpen = await limited.channels.subscribe('open:1', hear);
    await commands.acl('SETUSER', 'limited', '&closed:*');
    const undo = await limited.channels.subscribe('closed:1', hear);
    await first.channels.publish('closed:1', 'a');
    await first.channels.publish('open:1', 'b');
    await expect.poll(() => heard).toEqual(['a', 'b']);
    await Promise.all([undo(), undoOpen()]);
    await expect.poll(() => subscribed('*:1')).toEqual([]);
    await limited.channels.close();
  });
});
