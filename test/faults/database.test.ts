import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { TIMINGS } from '../../src/config.ts';
import {
  believed,
  inCall,
  leave,
  next,
  numbers,
  of,
  type Peer,
  resume,
  send,
  setMuted,
  told,
} from '../support/in-call.ts';
import * as operations from '../support/operations.ts';
import { codeOf, createWorld, eventually, metricOf, success, type World } from '../support/world.ts';

/** Milliseconds: DATABASE_TIMEOUT here, and what a busy machine may add to it. */
const DEADLINE = 1_000;
const SLACK = 500;
/** Until all works again after connections were lost. */
const HEALED = 5_000;
const POOL_SIZE = 4;

let world: World;
/** Connections of somebody else's: one takes locks, one looks on. In a transaction one would see only its start. */
let holder: pg.Client;
let onlooker: pg.Client;

afterEach(async () => {
  await Promise.all([holder.end(), onlooker.end()]);
  await world.close();
});

async function start(instances: number, env: Record<string, string> = {}): Promise<void> {
  world = await createWorld({
    instances,
    env: { DATABASE_TIMEOUT: `${DEADLINE}ms`, DATABASE_POOL_SIZE: String(POOL_SIZE), ...env },
  });
  const connection = { connectionString: world.databaseUrl, application_name: 'other' };
  [holder, onlooker] = [new pg.Client(connection), new pg.Client(connection)];
  await Promise.all([holder.connect(), onlooker.connect()]);
}

async function threeInCall() {
  await start(1);
  return inCall(world, {
    ada: await world.client('ada'),
    ben: await world.client('ben'),
    cleo: await world.client('cleo'),
  });
}

async function holdCall(callId: string): Promise<void> {
  await holder.query('begin');
  await holder.query('select from calls where id = $1 for update', [callId]);
}

const releaseCall = () => holder.query('rollback');

/** The instance's connections, by what they are at; the test's own are not among them. */
async function backends(): Promise<string[]> {
  const { rows } = await onlooker.query<{ state: string }>(
    `select state from pg_stat_activity
     where datname = current_database() and application_name = 'ringdown'`,
  );
  return rows.map(({ state }) => state);
}

async function terminateBackends(): Promise<void> {
  await onlooker.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'ringdown'`,
  );
}

/** More commands at once than the pool has connections: all are answered, and every connection comes back. */
async function expectWholePool(peer: Peer): Promise<void> {
  const commands = Array.from({ length: 2 * POOL_SIZE }, async (_, i) =>
    codeOf(await setMuted(peer, i % 2 === 0)),
  );
  expect(new Set(await Promise.all(commands))).toEqual(new Set(['CallSuccess']));
  expect((await backends()).length).toBeLessThanOrEqual(POOL_SIZE + 1);
  await eventually(async () => (await backends()).every((state) => state === 'idle'));
}

describe("M4: somebody holds the call's row", () => {
  it('a leave is answered in time, and brought about once the row is free', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    await holdCall(callId);
    const startedAt = performance.now();
    const answer = await leave(ben);
    expect(performance.now() - startedAt).toBeLessThan(DEADLINE + SLACK);
    expect(answer).toMatchObject({ code: 'TIMEOUT', retryAfterMs: expect.any(Number) });
    expect(await metricOf(world.apps[0]!, 'video_call_end_timeout_total')).toBe(1);
    expect(believed(ada).get('ben')?.status).toBe('CONNECTED');

    await releaseCall();
    for (const peer of [ada, cleo]) {
      await eventually(() => told(peer, 'ben', 'LEFT').length === 1, HEALED);
      expect(told(peer, 'ben', 'LEFT')[0]).toMatchObject({ leaveReason: 'HANGUP' });
    }
    // His own stream ends with it, and his late retry is harmless.
    await ben.stream.ended;
    expect(codeOf(await leave(ben))).toBe('CallSuccess');
    expect(told(ada, 'ben', 'LEFT')).toHaveLength(1);
    expect(await metricOf(world.apps[0]!, 'video_call_end_timeout_total')).toBe(1);
    await expectWholePool(ada);
  });

  it('an end is answered in time, and brought about once the row is free', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    await holdCall(callId);
    const { endCall } = await ada.client.mutate(operations.EndCall, { callId });
    expect(endCall).toMatchObject({ code: 'TIMEOUT', retryAfterMs: expect.any(Number) });
    await releaseCall();
    for (const peer of [ada, ben, cleo]) {
      expect((await next('CallEnded', peer, HEALED)).call).toMatchObject({
        endReason: 'ENDED_BY_HOST',
        endedBy: 'ada',
      });
      await peer.stream.ended;
    }
    expect(await metricOf(world.apps[0]!, 'video_call_end_timeout_total')).toBe(1);
  });

  it('signals and other calls go on meanwhile', async () => {
    const { ada, ben, callId } = await threeInCall();
    const elsewhere = await inCall(world, { dan: await world.client('dan'), eve: await world.client('eve') });
    await holdCall(callId);
    const waiting = setMuted(ben, true);
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(1), DEADLINE);
    success(await setMuted(elsewhere.dan, true));
    await eventually(() => believed(elsewhere.eve).get('dan')?.media.muted, DEADLINE);
    expect(codeOf(await waiting)).toBe('TIMEOUT');
    await releaseCall();
  });
});

describe('M4: Postgres ends every connection of an instance in mid-call', () => {
  it('commands work again, the streams go on, and no connection is lost to the pool', async () => {
    const { ada, ben, cleo, callId } = await threeInCall();
    // Some in the midst of a command, the others idle.
    await holdCall(callId);
    const cut = [ada, ben].map((peer) => setMuted(peer, true).then(codeOf, (error) => error.code));
    await eventually(
      async () => (await backends()).filter((state) => state === 'active').length >= 2,
      DEADLINE,
    );
    await terminateBackends();
    for (const code of await Promise.all(cut)) expect(['INTERNAL_SERVER_ERROR', 'TIMEOUT']).toContain(code);
    await releaseCall();

    const healedBy = Date.now() + HEALED;
    await eventually(
      async () => (await setMuted(cleo, true).catch(() => null))?.__typename === 'CallSuccess',
      HEALED,
    );
    for (const peer of [ada, ben, cleo]) {
      await eventually(() => believed(peer).get('cleo')?.media.muted, healedBy - Date.now());
      expect([of('CallEnded', peer), told(peer, 'ben', 'RECONNECTING')]).toEqual([[], []]);
    }
    expect(codeOf(await send(ada, cleo, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(cleo).includes(1));
    await expectWholePool(ada);
  });
});

describe('M4: a database that is away for longer than an instance may be silent', () => {
  const GRACE = 3_000;

  /** Nothing that the instances ask is answered, until it is over; each of them runs into its deadlines. */
  async function away(isOver: () => boolean): Promise<void> {
    await holder.query('begin');
    await holder.query(
      'lock table calls, call_participants, call_events, instances in access exclusive mode',
    );
    const since = Date.now();
    await eventually(() => Date.now() - since > TIMINGS.deadAfterMs + 1_000 && isOver(), 15_000);
    await holder.query('rollback');
  }

  async function twoInstances() {
    await start(2, { DISCONNECT_GRACE: `${GRACE}ms` });
    return inCall(world, {
      ada: await world.client('ada', 0),
      ben: await world.client('ben', 1),
      cleo: await world.client('cleo', 0),
    });
  }

  it('costs nobody the seat whose stream is there', async () => {
    const { ada, ben, cleo } = await twoInstances();
    await away(() => true);
    // Past the moment in which either instance may have taken the other for dead, and the grace.
    const clock = Date.now();
    await eventually(() => Date.now() - clock > GRACE + 2_000, 3 * GRACE);
    for (const peer of [ada, ben, cleo]) {
      for (const userId of ['ada', 'ben', 'cleo']) {
        expect(told(peer, userId, 'LEFT')).toEqual([]);
        expect(believed(peer).get(userId)?.status).toBe('CONNECTED');
      }
    }
    expect(codeOf(await send(ada, ben, 1))).toBe('SendSignalSuccess');
    await eventually(() => numbers(ben).includes(1));
  });

  it('gives one more grace to a seat whose deadline passed meanwhile', async () => {
    const { ada, ben } = await twoInstances();
    ben.client.terminate();
    await eventually(() => told(ada, 'ben', 'RECONNECTING').length === 1);
    const lostAt = Date.now();
    await away(() => Date.now() - lostAt > GRACE + 500);
    const again = await resume(ben, await world.client('ben', 1));
    await next('CallSnapshot', again);
    await eventually(() => believed(ada).get('ben')?.status === 'CONNECTED');
    expect(told(ada, 'ben', 'LEFT')).toEqual([]);
  });
});
