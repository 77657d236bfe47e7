import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { IceRecovery } from '../../client/src/links/ice-recovery.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A link that was connected once, and what was done about it since. */
function setUp() {
  const done: string[] = [];
  const world = { reachable: true };
  const recovery = new IceRecovery({
    restart: () => done.push('restart'),
    rebuild: () => done.push('rebuild'),
    reachable: () => world.reachable,
  });
  recovery.see('connected');
  return { world, recovery, done };
}

describe('a link without a connection', () => {
  it('is restarted at once where it failed', () => {
    const { recovery, done } = setUp();
    recovery.see('failed');
    expect(done).toEqual(['restart']);
  });

  it('is given 2 s to come back by itself where it is disconnected', () => {
    const { recovery, done } = setUp();
    recovery.see('disconnected');
    vi.advanceTimersByTime(1_999);
    expect(done).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(['restart']);
  });

  it('is left alone where it comes back within them', () => {
    const { recovery, done } = setUp();
    recovery.see('disconnected');
    vi.advanceTimersByTime(1_000);
    recovery.see('connected');
    vi.advanceTimersByTime(60_000);
    expect(done).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is built anew after 30 s, and again after another 30 s', () => {
    const { recovery, done } = setUp();
    recovery.see('disconnected');
    vi.advanceTimersByTime(29_999);
    expect(done).toEqual(['restart']);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(['restart', 'rebuild']);
    vi.advanceTimersByTime(30_000);
    expect(done).toEqual(['restart', 'rebuild', 'rebuild']);
  });

  it('counts the 30 s from the first trouble, whatever state follows', () => {
    const { recovery, done } = setUp();
    recovery.see('disconnected');
    vi.advanceTimersByTime(20_000);
    recovery.see('failed');
    vi.advanceTimersByTime(10_000);
    expect(done).toEqual(['restart', 'restart', 'rebuild']);
  });

  it('is built anew where it never was connected within 30 s', () => {
    const done: string[] = [];
    new IceRecovery({ restart: () => {}, rebuild: () => done.push('rebuild'), reachable: () => true });
    vi.advanceTimersByTime(30_000);
    expect(done).toEqual(['rebuild']);
  });

  it('waits while a signal would reach nobody, and is restarted as soon as one does', () => {
    const { world, recovery, done } = setUp();
    world.reachable = false;
    recovery.see('failed');
    recovery.check();
    vi.advanceTimersByTime(60_000);
    expect(done).toEqual([]);
    world.reachable = true;
    recovery.check();
    expect(done).toEqual(['restart']);
    // And another 30 s from then.
    vi.advanceTimersByTime(29_999);
    expect(done).toEqual(['restart']);
    vi.advanceTimersByTime(1);
    expect(done).toEqual(['restart', 'rebuild']);
  });

  it('is nobody’s concern any more once it is closed', () => {
    const { recovery, done } = setUp();
    recovery.see('disconnected');
    recovery.close();
    vi.advanceTimersByTime(60_000);
    expect(done).toEqual([]);
  });
});
