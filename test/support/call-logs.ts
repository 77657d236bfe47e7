import { vi } from 'vitest';
import type { CallLog, Entry, SignalDraft, StateRecord } from '../../src/call-log/call-log.ts';
import { RedisCallLog } from '../../src/call-log/redis.ts';
import { RedisChannels } from '../../src/call-log/redis-channels.ts';
import { RedisConnection } from '../../src/call-log/redis-connection.ts';

/** What one instance has of Redis, and what it counted. */
export interface RedisInstance {
  readonly connection: RedisConnection;
  readonly channels: RedisChannels;
  readonly log: RedisCallLog;
  readonly counted: { subscribeFailed: number; pubSubErrors: string[] };
}

/** Connected where `url` answers; see `untilHealth`. */
export function redisInstance(url: string): RedisInstance {
  const counted = { subscribeFailed: 0, pubSubErrors: [] as string[] };
  const connection = new RedisConnection(url, {
    onSubscribeFailed: () => void counted.subscribeFailed++,
    onPubSubError: (reason) => void counted.pubSubErrors.push(reason),
  });
  const channels = new RedisChannels(connection);
  return { connection, channels, log: new RedisCallLog(connection, channels), counted };
}

/** Waits for a health, and answers the milliseconds that it took; fails after `limit` of them. */
export async function untilHealth(
  port: Pick<CallLog, 'health'>,
  health: 'up' | 'down',
  limit = 3_000,
): Promise<number> {
  const start = performance.now();
  const look = () => {
    if (port.health() !== health) throw new Error(`not ${health} within ${limit} ms`);
  };
  await vi.waitFor(look, { timeout: limit, interval: 5 });
  return performance.now() - start;
}

let calls = 0;
export const aCall = () => `call-${process.pid}-${++calls}`;

/** When the logs of these tests may go. */
export const expiresAt = () => Date.now() + 3_600_000;

/** A change of state that gives the named seats. */
export function state(version: number, seats: StateRecord['seats'] = {}, ended = false): StateRecord {
  return { version, at: 1_700_000_000_000 + version, events: [], seats, ended };
}

/** Users a, b, …, each with joinSeq 1, 2, … and the session `<user>1`. */
export function seatsOf(...users: string[]): Record<string, { joinSeq: number; sessionId: string }> {
  return Object.fromEntries(users.map((user, i) => [user, { joinSeq: i + 1, sessionId: `${user}1` }]));
}

/** From a's session `a1` to b, an ICE restart's request, unless said otherwise. */
export function signal(clientSeq: number, over: Partial<SignalDraft> = {}): SignalDraft {
  return {
    from: 'a',
    sessionId: 'a1',
    to: 'b',
    toJoinSeq: null,
    clientSeq,
    signal: { __typename: 'Renegotiate', iceRestart: false },
    ...over,
  };
}

/** A log whose first entry seats the users. */
export async function openLog(log: CallLog, ...users: string[]): Promise<string> {
  const callId = aCall();
  await log.appendState(callId, state(1, seatsOf(...users)), expiresAt());
  return callId;
}

/** Every entry of a log, read in pages. */
export async function readAll(log: CallLog, callId: string): Promise<Entry[]> {
  const all: Entry[] = [];
  for (;;) {
    const page = await log.read(callId, (all.at(-1)?.seq ?? -1) + 1, 64);
    all.push(...page);
    if (page.length < 64) return all;
  }
}

/** What was heard and what the appends answered, each entry once: together they are the log. */
export function withAnswers(heard: readonly Entry[], answered: readonly Entry[]): Entry[] {
  const bySeq = new Map([...answered, ...heard].map((entry) => [entry.seq, entry]));
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq);
}
