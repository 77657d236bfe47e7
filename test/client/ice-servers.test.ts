import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type FetchedIceServers, IceServers } from '../../client/src/ice-servers.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const MINUTE = 60_000;

/** The servers of a call, and a server that gives those of version 1, 2 … when a test lets it. */
function setUp(first: 'fetched' | 'failed' = 'fetched') {
  const renewed: string[] = [];
  const failed: string[] = [];
  const asked: PromiseWithResolvers<FetchedIceServers>[] = [];
  const version = (number: number): FetchedIceServers => ({
    servers: [{ urls: `turn:v${number}.example` }],
    refreshMs: 30 * MINUTE,
  });
  const servers = new IceServers(
    () => {
      asked.push(Promise.withResolvers());
      return asked.at(-1)!.promise;
    },
    first === 'fetched' ? version(0) : null,
    {
      renewed: ([server], late) => renewed.push(`${server?.urls}${late ? ' late' : ''}`),
      failed: (error) => failed.push(error.message),
    },
  );
  return {
    ...{ servers, renewed, failed, asked },
    give: () => asked.at(-1)!.resolve(version(asked.length)),
    refuse: () => asked.at(-1)!.reject(new Error('no')),
    /** The device sleeps: time goes on, and no timer does. */
    sleep: (ms: number) => void vi.setSystemTime(Date.now() + ms),
  };
}

/** Whether it has resolved. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  return done;
}

describe('the ICE servers of a call', () => {
  it('are fetched again when they are to be, and then again', async () => {
    const { asked, give, renewed, servers } = setUp();
    await vi.advanceTimersByTimeAsync(30 * MINUTE - 1);
    expect(asked).toHaveLength(0);
    await vi.advanceTimersByTimeAsync(1);
    give();
    await vi.advanceTimersByTimeAsync(30 * MINUTE);
    give();
    await vi.advanceTimersByTimeAsync(0);
    expect(renewed).toEqual(['turn:v1.example', 'turn:v2.example']);
    servers.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('are asked for every 5 s where they could not be had', async () => {
    const { asked, give, refuse, renewed, failed, servers } = setUp('failed');
    await vi.advanceTimersByTimeAsync(5_000);
    refuse();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(asked).toHaveLength(2);
    give();
    await vi.advanceTimersByTimeAsync(0);
    expect({ renewed, failed }).toEqual({ renewed: ['turn:v2.example late'], failed: ['no'] });
    servers.close();
  });
});

describe('before an ICE restart they', () => {
  it('are taken as they are while they are fresh', async () => {
    const { asked, servers, sleep } = setUp();
    sleep(30 * MINUTE - 1);
    expect(await isDone(servers.fresh())).toBe(true);
    expect(asked).toHaveLength(0);
    servers.close();
  });

  it('are renewed where a device slept past the time, once for all links, and applied before', async () => {
    const { asked, give, servers, renewed, sleep } = setUp();
    sleep(30 * MINUTE);
    const waiting = [servers.fresh(), servers.fresh()];
    expect(await isDone(Promise.race(waiting))).toBe(false);
    expect(asked).toHaveLength(1);
    give();
    await waiting[0];
    expect(renewed).toEqual(['turn:v1.example']);
    await waiting[1];
    // The timer begins anew with them.
    await vi.advanceTimersByTimeAsync(30 * MINUTE - 1);
    expect(asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toHaveLength(2);
    servers.close();
  });

  it('are used as they are where they can not be renewed, and asked for again', async () => {
    const { asked, refuse, servers, failed, sleep } = setUp();
    sleep(30 * MINUTE);
    const waiting = servers.fresh();
    refuse();
    await waiting;
    expect(failed).toEqual(['no']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(asked).toHaveLength(2);
    servers.close();
  });

  it('are of no interest once the call is over', async () => {
    const { asked, give, servers, renewed, sleep } = setUp();
    sleep(30 * MINUTE);
    const waiting = servers.fresh();
    servers.close();
    give();
    await waiting;
    await servers.fresh();
    expect(asked).toHaveLength(1);
    expect(renewed).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
