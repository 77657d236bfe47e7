import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionError, RequestError } from '../../client/src/errors.ts';
import type {
  RejectionCode,
  SendSignalInput,
  SendSignalMutation,
} from '../../client/src/generated/graphql.ts';
import { SignalOutbox } from '../../client/src/signal-outbox.ts';

type Answer = SendSignalMutation['sendSignal'];
const SIGNAL = { renegotiate: { iceRestart: false } };
const taken: Answer = { __typename: 'SendSignalSuccess', at: '2026-01-01T00:00:00.000Z', duplicate: false };
const no = (code: RejectionCode, retryAfterMs: number | null = null): Answer => ({
  __typename: 'Rejection',
  code,
  message: `No: ${code}`,
  retryAfterMs,
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function outbox(answer: (input: SendSignalInput, nth: number) => Answer | Error) {
  const sent: number[] = [];
  const failures: Error[] = [];
  const box = new SignalOutbox({
    callId: 'call',
    sessionId: 'session',
    async send(input) {
      sent.push(input.clientSeq);
      const result = answer(input, sent.length);
      if (result instanceof Error) throw result;
      return result;
    },
    failed: (error) => failures.push(error),
  });
  return { box, sent, failures };
}

describe('the signals of a page', () => {
  it('are numbered from 1 and sent without waiting for one another', () => {
    const { box, sent } = outbox(() => taken);
    for (let i = 0; i < 3; i++) box.push('ben', 2, SIGNAL);
    expect(sent).toEqual([1, 2, 3]);
  });

  it.each(['SIGNALING_UNAVAILABLE', 'RATE_LIMITED', 'TIMEOUT'] as const)(
    'are sent again under their number after %s, and what is new waits behind them',
    async (code) => {
      const { box, sent, failures } = outbox((_, nth) => (nth <= 2 ? no(code) : taken));
      box.push('ben', 2, SIGNAL);
      box.push('ben', 2, SIGNAL);
      await vi.advanceTimersByTimeAsync(1);
      box.push('ben', 2, SIGNAL);
      expect(sent).toEqual([1, 2]);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(sent).toEqual([1, 2, 1, 2, 3]);
      expect(failures).toEqual([]);
    },
  );

  it('wait as long as the server says', async () => {
    const { box, sent } = outbox((_, nth) => (nth === 1 ? no('RATE_LIMITED', 30_000) : taken));
    box.push('ben', 2, SIGNAL);
    await vi.advanceTimersByTimeAsync(29_999);
    expect(sent).toEqual([1]);
    await vi.advanceTimersByTimeAsync(1);
    expect(sent).toEqual([1, 1]);
  });

  it.each(['INTERNAL_SERVER_ERROR', 'TIMEOUT', 'RATE_LIMITED'])(
    'are sent again after the error %s, which may pass',
    async (code) => {
      const fault = new RequestError(code, 'Oh');
      const { box, sent, failures } = outbox((_, nth) => (nth === 1 ? fault : taken));
      box.push('ben', 2, SIGNAL);
      await vi.advanceTimersByTimeAsync(1_000);
      expect(sent).toEqual([1, 1]);
      expect(failures).toEqual([]);
    },
  );

  it.each(['RECIPIENT_NOT_IN_CALL', 'STALE_SESSION', 'NOT_IN_CALL', 'CALL_ENDED'] as const)(
    'are given up without a word after %s: the events of the call say it',
    async (code) => {
      const { box, sent, failures } = outbox(() => no(code));
      box.push('ben', 2, SIGNAL);
      await vi.advanceTimersByTimeAsync(60_000);
      expect(sent).toEqual([1]);
      expect(failures).toEqual([]);
    },
  );

  it('that are refused for what they are become an error', async () => {
    const { box, sent, failures } = outbox(() => no('INVALID_SIGNAL'));
    box.push('ben', 2, SIGNAL);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toEqual([1]);
    expect(failures).toMatchObject([{ code: 'INVALID_SIGNAL' }]);
  });

  it('wait for the app to connect again where the connection is closed for good', async () => {
    let away = true;
    const { box, sent, failures } = outbox(() =>
      away ? new ConnectionError('REFUSED', 'Unauthorized', 4401) : taken,
    );
    box.push('ben', 2, SIGNAL);
    box.push('ben', 2, SIGNAL);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toEqual([1, 2]);
    away = false;
    box.resume();
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toEqual([1, 2, 1, 2]);
    expect(failures).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stop when it is closed', async () => {
    const { box, sent } = outbox(() => no('TIMEOUT'));
    box.push('ben', 2, SIGNAL);
    await vi.advanceTimersByTimeAsync(1);
    box.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(sent).toEqual([1]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('go no further ahead of one that is refused than the server remembers', async () => {
    // The first one is refused three times, the others are taken meanwhile.
    let highest = 0;
    const got = new Set<number>();
    let refusals = 3;
    const { box, failures } = outbox(({ clientSeq }) => {
      if (clientSeq === 1 && refusals-- > 0) return no('RATE_LIMITED', 100);
      highest = Math.max(highest, clientSeq);
      if (clientSeq <= highest - 256) return no('INVALID_SIGNAL');
      got.add(clientSeq);
      return taken;
    });
    for (let i = 0; i < 1_000; i++) box.push('ben', 2, SIGNAL);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(failures).toEqual([]);
    expect(got.size).toBe(1_000);
  });

  it('all get through a limit a minute, each once, and in their order where none was under way', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20, max: 300 }), fc.nat(600), async (limit, count) => {
        let ends = 0;
        let left = 0;
        const got: number[] = [];
        const { box, failures } = outbox(({ clientSeq }) => {
          if (Date.now() >= ends) [ends, left] = [Date.now() + 60_000, limit];
          if (left === 0) return no('RATE_LIMITED', ends - Date.now());
          left--;
          got.push(clientSeq);
          return taken;
        });
        for (let i = 0; i < count; i++) box.push('ben', 2, SIGNAL);
        await vi.advanceTimersByTimeAsync(60_000 * (count / limit + 1));
        expect(failures).toEqual([]);
        expect(got).toEqual(Array.from({ length: count }, (_, i) => i + 1));
        box.close();
      }),
      { numRuns: 30 },
    );
  });

  it('all get through in the end, however often each is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 30 }), async (refusals) => {
        const left = [...refusals];
        const got = new Set<number>();
        const { box } = outbox(({ clientSeq }) => {
          const more = left[clientSeq - 1] ?? 0;
          left[clientSeq - 1] = more - 1;
          if (more > 0) return no('SIGNALING_UNAVAILABLE');
          got.add(clientSeq);
          return taken;
        });
        for (const _ of refusals) box.push('ben', 2, SIGNAL);
        // Each refusal costs a pause of 2 s at most.
        await vi.advanceTimersByTimeAsync(8_000);
        expect([...got].sort((a, b) => a - b)).toEqual(refusals.map((_, i) => i + 1));
        box.close();
      }),
    );
  });
});
