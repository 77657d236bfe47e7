import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Entry } from '../../src/call-log/call-log.ts';
import {
  openLog,
  type RedisInstance,
  readAll,
  redisInstance,
  signal,
  untilHealth,
} from '../support/call-logs.ts';
import { freePort } from '../support/free-port.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

/** What nobody but its appender would hear is not published; whoever begins to listen misses nothing by that. */

let redis: TestRedis;
let one: RedisInstance;
let other: RedisInstance;

beforeAll(async () => {
  redis = await startRedis();
  one = redisInstance(redis.url);
  other = redisInstance(redis.url);
  await Promise.all([untilHealth(one.log, 'up', 10_000), untilHealth(other.log, 'up', 10_000)]);
});
afterAll(async () => {
  await one?.log.close();
  await other?.log.close();
  await redis?.stop();
});

/** Messages that went out to anyone, by Redis' own count. */
async function published(): Promise<number> {
  const stats = await one.connection.commands.info('commandstats');
  return Number(/cmdstat_publish:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

describe('a signal in Redis', () => {
  it('is published only where another instance listens', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const undo = await one.log.subscribe(callId, () => {});
    const before = await published();
    for (let i = 1; i <= 5; i++) await one.log.appendSignal(callId, signal(i));
    expect(await published()).toBe(before);
    const heard: Entry[] = [];
    const undoOther = await other.log.subscribe(callId, (entry) => heard.push(entry));
    for (let i = 6; i <= 10; i++) await one.log.appendSignal(callId, signal(i));
    await expect.poll(() => heard.length).toBe(5);
    await Promise.all([undo(), undoOther()]);
  });

  it('reaches an instance that begins to listen while the appender stops to, its step still on the way', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const undo = await one.log.subscribe(callId, () => {});
    const { stream } = one.connection.commands;
    // The step is kept back; what goes over the other connection is not.
    stream.cork();
    const append = one.log.appendSignal(callId, signal(1));
    await new Promise(setImmediate);
    const leaving = undo();
    const heard: Entry[] = [];
    const undoOther = await other.log.subscribe(callId, (entry) => heard.push(entry));
    const before = await readAll(other.log, callId);
    stream.uncork();
    const outcome = await append;
    expect(outcome.outcome).toBe('appended');
    await expect.poll(() => heard).toEqual((await readAll(other.log, callId)).slice(before.length));
    expect(heard).toHaveLength(1);
    await Promise.all([leaving, undoOther()]);
  });

  it('reaches another instance also where the appender does not know yet that it hears nothing itself', async () => {
    const callId = await openLog(one.log, 'a', 'b');
    const undo = await one.log.subscribe(callId, () => {});
    const heard: Entry[] = [];
    const undoOther = await other.log.subscribe(callId, (entry) => heard.push(entry));
    const { commands, subscriber } = one.connection;
    const id = await subscriber.client('ID');
    const [killed, outcome] = await Promise.all([
      other.connection.commands.client('KILL', 'ID', id),
      commands.ping().then(() => one.log.appendSignal(callId, signal(1))),
    ]);
    expect(killed).toBe(1);
    expect(outcome.outcome).toBe('appended');
    await expect
      .poll(() => heard.map(({ seq }) => seq))
      .toContain(outcome.outcome === 'appended' ? outcome.entry.seq : 0);
    await untilHealth(one.log, 'up', 5_000);
    await Promise.all([undo(), undoOther()]);
  });
});

it('on a node in cluster mode the signals of each call go by themselves', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'ringdown-redis-'));
  const bus = String(await freePort());
  const node = await startRedis(['--cluster-enabled', 'yes', '--cluster-port', bus, '--dir', dir]);
  const admin = redisInstance(node.url);
  try {
    await expect.poll(() => admin.connection.commands.status).toBe('ready');
    await admin.connection.commands.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await expect
      .poll(() => admin.connection.commands.cluster('INFO'), { timeout: 10_000 })
      .toContain('cluster_state:ok');
    await untilHealth(admin.log, 'up', 10_000);
    const calls = await Promise.all([1, 2, 3, 4, 5].map(() => openLog(admin.log, 'a', 'b')));
    for (let round = 1; round <= 2; round++) {
      const outcomes = await Promise.all(
        calls.flatMap((callId) => [
          admin.log.appendSignal(callId, signal(round * 2 - 1)),
          admin.log.appendSignal(callId, signal(round * 2)),
        ]),
      );
      expect(outcomes.map(({ outcome }) => outcome)).toEqual(outcomes.map(() => 'appended'));
    }
    for (const callId of calls) {
      const signals = (await readAll(admin.log, callId)).flatMap((entry) =>
        entry.kind === 'signal' ? [entry.signal.clientSeq] : [],
      );
      expect(signals).toEqual([1, 2, 3, 4]);
    }
  } finally {
    await admin.log.close();
    await node.stop();
    await rm(dir, { recursive: true });
  }
});
