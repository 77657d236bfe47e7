import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { IceCandidateInput } from '../../client/src/generated/graphql.ts';
import { CandidateBatch } from '../../client/src/links/candidate-batch.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const candidate = (port: number): IceCandidateInput => ({
  candidate: `candidate:1 1 udp 2122260223 192.0.2.1 ${port} typ host`,
  sdpMid: '0',
});
const END = { candidate: '', sdpMLineIndex: 0 };

function setUp() {
  const sent: { readonly items: IceCandidateInput[]; readonly generation: number }[] = [];
  const batch = new CandidateBatch((items, generation) => sent.push({ items, generation }));
  batch.hold(1);
  batch.release();
  return { batch, sent };
}

describe('candidates on their way out', () => {
  it('that come while their description is being made stand in its SDP, and are not sent', () => {
    const { batch, sent } = setUp();
    batch.hold(2);
    batch.add(candidate(1));
    batch.release();
    vi.runAllTimers();
    expect(sent).toEqual([]);
  });

  it('wait 100 ms for more after the description, then half a second', () => {
    const { batch, sent } = setUp();
    batch.add(candidate(1));
    vi.advanceTimersByTime(60);
    batch.add(candidate(2));
    vi.advanceTimersByTime(39);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(sent).toEqual([{ items: [candidate(1), candidate(2)], generation: 1 }]);
    batch.add(candidate(3));
    vi.advanceTimersByTime(499);
    expect(sent.length).toBe(1);
    vi.advanceTimersByTime(1);
    expect(sent[1]).toEqual({ items: [candidate(3)], generation: 1 });
  });

  it('go at once with the end of the candidates (RFC 8838)', () => {
    const { batch, sent } = setUp();
    batch.add(candidate(1));
    batch.end();
    expect(sent).toEqual([{ items: [candidate(1), END], generation: 1 }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('go at once where they are as many as a signal may hold', () => {
    const { batch, sent } = setUp();
    for (let port = 1; port <= 33; port++) batch.add(candidate(port));
    expect(sent.map(({ items }) => items.length)).toEqual([32]);
    vi.runAllTimers();
    expect(sent.map(({ items }) => items.length)).toEqual([32, 1]);
  });

  it('keep the generation of their own description when the next one is begun', () => {
    const { batch, sent } = setUp();
    batch.add(candidate(1));
    batch.hold(2);
    expect(sent).toEqual([{ items: [candidate(1)], generation: 1 }]);
  });

  it('are dropped with their link', () => {
    const { batch, sent } = setUp();
    batch.add(candidate(1));
    batch.close();
    vi.runAllTimers();
    expect(sent).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
