import { describe, expect, it } from 'vitest';
import type { CallLog, SignalDraft } from '../../src/call-log/call-log.ts';
import type { Feeds } from '../../src/call-log/feeds.ts';
import { ArrivalOrder } from '../../src/http/arrival-order.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { ALLOWED, type Allowed, type Take } from '../../src/rate-limits/rate-limiter.ts';
import { createSignalService } from '../../src/signals/signal.service.ts';
import { UNLIMITED } from '../support/unlimited.ts';

const VIEWER = { userId: 'ada', scopes: new Set<string>(), tokenExpiresAt: Number.POSITIVE_INFINITY };

/** The real service on a FAKE log that takes every number once. */
function start(take: () => Take | Promise<Take>) {
  const appended: number[] = [];
  const returned: Allowed[] = [];
  const log = {
    health: () => 'up',
    async appendSignal(_callId: string, { clientSeq }: SignalDraft) {
      if (appended.includes(clientSeq)) return { outcome: 'duplicate', at: 1 };
      appended.push(clientSeq);
      return { outcome: 'appended', entry: { at: 1 } };
    },
  } as unknown as CallLog;
  const signals = createSignalService({
    log,
    feeds: { get: () => null } as unknown as Feeds,
    rate: { ...UNLIMITED.signal, take, giveBack: (_, taken) => returned.push(taken) },
    metrics: createMetrics({ perCall: false }),
    createLog: async () => true,
    whyNoSeat: async () => null,
    now: () => 1,
    onTaken() {},
  });
  const order = new ArrivalOrder();
  const send = (clientSeq: number) =>
    signals.sendSignal(
      VIEWER,
      {
        callId: '01234567-89ab-cdef-0123-456789abcdef',
        sessionId: 's',
        to: null,
        toJoinSeq: null,
        clientSeq,
        signal: { renegotiate: { iceRestart: false } },
      },
      order.take(),
    );
  return { appended, returned, send };
}

describe('a signal that is limited', () => {
  it('is not overtaken by those behind it while it waits for a portion', async () => {
    const portion = Promise.withResolvers<Take>();
    let first = true;
    const { appended, send } = start(() => {
      if (!first) return ALLOWED;
      first = false;
      return portion.promise;
    });
    const answers = [1, 2, 3].map(send);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(appended).toEqual([]);
    portion.resolve(ALLOWED);
    await Promise.all(answers);
    expect(appended).toEqual([1, 2, 3]);
  });

  it('is appended in the turn in which it comes where nothing has to be waited for', () => {
    const { appended, send } = start(() => ALLOWED);
    void send(1);
    expect(appended).toEqual([1]);
  });

  it('that is refused leaves its number free and lets the next one go', async () => {
    let left = 0;
    const { appended, send } = start(() => {
      return left-- > 0 ? ALLOWED : { allowed: false, retryAfterMs: 700 };
    });
    expect(await send(1)).toMatchObject({ rejection: { code: 'RATE_LIMITED', retryAfterMs: 700 } });
    left = 2;
    expect(await Promise.all([send(1), send(2)])).toEqual([
      { at: 1, duplicate: false },
      { at: 1, duplicate: false },
    ]);
    expect(appended).toEqual([1, 2]);
  });

  it('is given back where it is a repeat', async () => {
    const takes: Allowed[] = [{ allowed: true }, { allowed: true }];
    let next = 0;
    const { returned, send } = start(() => takes[next++]!);
    await send(1);
    expect(await send(1)).toEqual({ at: 1, duplicate: true });
    expect(returned).toEqual([takes[1]]);
    expect(returned[0]).toBe(takes[1]);
  });
});
