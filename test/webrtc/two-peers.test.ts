import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import {
  closeAll,
  type Deployment,
  exchange,
  expectDelivered,
  signalsReceived,
  startOneInstance,
  startPair,
  startTwoInstances,
} from '../support/peer-calls.ts';

/** Fifty calls of two, with real WebRTC between them: every one of them has to come about. */

const ROUNDS = 50;
/** Calls at the same time. */
const AT_ONCE = 4;
const LIMIT = 120_000;

interface Round {
  readonly callId: string;
  /** Who hung up, and who was left. */
  readonly first: string;
  readonly second: string;
  /** From the ring to a message each way, milliseconds. */
  readonly took: number;
}

/** Ann rings Ben; they connect and talk; one of them hangs up. */
async function round(deployment: Deployment, annHangsUp: boolean): Promise<Round> {
  const { ann, ben, conversation } = await startPair(deployment);
  const start = performance.now();
  const [callId] = await Promise.all([ann.call(conversation, ben.userId), ben.answer()]);
  await exchange(ann, ben);
  const took = performance.now() - start;
  const [first, second] = annHangsUp ? [ann, ben] : [ben, ann];
  await first.leave();
  await Promise.all([ann.streamEnded, ben.streamEnded]);
  expect(ann.events.at(-1)?.__typename).toBe('CallEnded');
  expect(ben.events.at(-1)?.__typename).toBe('CallEnded');
  // Ben joined later, so he offers. Each trickles the candidate of loopback and the end of candidates.
  const kinds = signalsReceived(ann).map(({ signal }) => signal.__typename);
  expect(kinds).toEqual(['Offer', 'IceCandidates', 'IceCandidates']);
  await expectDelivered(ann, ben);
  await expectDelivered(ben, ann);
  await closeAll(ann, ben);
  return { callId, first: first.userId, second: second.userId, took };
}

async function rounds(deployment: Deployment): Promise<Round[]> {
  const done: Round[] = [];
  let started = 0;
  const lane = async () => {
    while (started < ROUNDS) done.push(await round(deployment, started++ % 2 === 0));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return done;
}

/** The figures of a run go to its log. */
function logTimes(done: readonly Round[]): void {
  const times = done.map(({ took }) => Math.round(took)).sort((a, b) => a - b);
  process.stdout.write(
    `${done.length} of ${ROUNDS} calls connected, ${AT_ONCE} at once, from the ring to a message each way: ` +
      `median ${times[times.length >> 1]} ms; ${times.join(' ')}\n`,
  );
}

describe('two peers on one instance without Postgres and Redis', () => {
  let deployment: Deployment;
  beforeAll(async () => {
    deployment = await startOneInstance();
  });
  afterAll(() => deployment.stop());

  it(`connect and talk, ${ROUNDS} times out of ${ROUNDS}`, { timeout: LIMIT }, async () => {
    const done = await rounds(deployment);
    logTimes(done);
    expect(done).toHaveLength(ROUNDS);
  });
});

describe('two peers on two instances', () => {
  let deployment: Awaited<ReturnType<typeof startTwoInstances>>;
  beforeAll(async () => {
    deployment = await startTwoInstances();
  });
  afterAll(() => deployment.stop());

  it(`connect and talk, ${ROUNDS} times out of ${ROUNDS}, and the database and the metrics tell it`, {
    timeout: LIMIT,
  }, async () => {
    const done = await rounds(deployment);
    logTimes(done);
    expect(done).toHaveLength(ROUNDS);

    const told = await callsOf(deployment.databaseUrl);
    expect(told.size).toBe(ROUNDS);
    for (const { callId, first, second } of done) {
      const { ms, ...rest } = told.get(callId)!;
      const left = { [first]: 'HANGUP', [second]: 'CALL_ENDED' };
      expect(rest).toEqual({ id: callId, status: 'ENDED', reason: 'HANGUP', endedBy: first, left });
      expect(ms).toBeGreaterThan(0);
      expect(ms).toBeLessThan(LIMIT);
    }
    for (const app of deployment.apps) {
      await expect
        .poll(() => gaugesOf(app))
        .toEqual({
          video_active_calls: 0,
          video_active_participants: 0,
          video_call_active_participants: 0,
          video_ws_connections_total: 0,
          video_ws_connections_by_call: 0,
        });
    }
  });
});

interface Told {
  readonly id: string;
  readonly status: string;
  readonly reason: string | null;
  readonly endedBy: string | null;
  /** From answer to end, milliseconds. */
  readonly ms: number;
  /** By user: how each left. */
  readonly left: Record<string, string>;
}

/** What the database says of each call. */
async function callsOf(databaseUrl: string): Promise<Map<string, Told>> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  const { rows } = await client.query(`
    select c.id, c.status, c.end_reason as reason,
      c.ended_by as "endedBy", extract(epoch from c.ended_at - c.answered_at)::float8 * 1000 as ms,
      (select json_object_agg(p.user_id, p.leave_reason) from call_participants p where p.call_id = c.id) as left
    from calls c`);
  await client.end();
  return new Map((rows as Told[]).map((told) => [told.id, told]));
}

const GAUGES = /^(video_(?:active_\w+|call_active_participants|ws_connections_\w+)) (\S+)$/gm;

/** The gauges of what is going on, as Prometheus reads them. */
async function gaugesOf(app: App): Promise<Record<string, number>> {
  const text = await (await fetch(`${app.metricsUrl}/metrics`)).text();
  return Object.fromEntries([...text.matchAll(GAUGES)].map(([, name, value]) => [name, Number(value)]));
}
