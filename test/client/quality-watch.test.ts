import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LinkQualityInput } from '../../client/src/generated/graphql.ts';
import type { LinkStats } from '../../client/src/links/link-stats.ts';
import { QualityWatch } from '../../client/src/quality-watch.ts';

const STATS: LinkStats = {
  relayed: false,
  roundTripMs: 40,
  jitterMs: 4,
  lossPercent: 1,
  receivedKbps: 0,
  sentKbps: 0,
  localCandidateType: 'host',
  remoteCandidateType: 'srflx',
};

let sent: LinkQualityInput[][];
let watch: QualityWatch;
beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  watch = new QualityWatch({ send: (links) => sent.push(links), now: Date.now });
});
afterEach(() => void vi.useRealTimers());
const pass = (ms: number) => vi.advanceTimersByTime(ms);

describe('what is told of a call’s links', () => {
  it('at its end is how each did, in means over the whole of it', () => {
    watch.see('ben', 'connecting');
    pass(700);
    watch.see('ben', 'connected');
    watch.measure('ben', STATS);
    watch.measure('ben', { ...STATS, roundTripMs: 60, lossPercent: null, jitterMs: 5 });
    watch.see('ben', 'reconnecting');
    watch.see('ben', 'connected');
    watch.finish();
    const ben: LinkQualityInput = {
      userId: 'ben',
      outcome: 'CONNECTED',
      connectedAfterMs: 700,
      localCandidate: 'HOST',
      remoteCandidate: 'SRFLX',
      lossPercent: 1,
      jitterMs: 4.5,
      roundTripMs: 50,
      reconnects: 1,
    };
    expect(sent).toEqual([[ben]]);
    pass(60_000);
    expect(sent).toHaveLength(1);
  });

  it('is that it failed, as soon as it should have connected', () => {
    watch.see('ben', 'connecting');
    pass(14_999);
    expect(sent).toEqual([]);
    pass(1);
    expect(sent).toMatchObject([[{ userId: 'ben', outcome: 'FAILED', connectedAfterMs: null }]]);
    watch.finish();
    expect(sent[1]).toMatchObject([{ outcome: 'FAILED' }]);
  });

  it('is that it was lost, once for each time that it does not come back', () => {
    watch.see('ben', 'connecting');
    watch.see('ben', 'connected');
    watch.see('ben', 'reconnecting');
    pass(20_000);
    expect(sent).toMatchObject([[{ outcome: 'LOST', reconnects: 1 }]]);
    watch.see('ben', 'connected');
    watch.see('ben', 'reconnecting');
    pass(20_000);
    expect(sent[1]).toMatchObject([{ outcome: 'LOST', reconnects: 2 }]);
  });

  it('has those who left before, and nobody who was never there or only for a moment', () => {
    watch.see('ben', 'connecting');
    watch.see('ben', 'connected');
    watch.see('ben', null);
    watch.see('cleo', 'connecting');
    pass(1_000);
    watch.finish();
    expect(sent).toMatchObject([[{ userId: 'ben', outcome: 'CONNECTED' }]]);
    expect(sent[0]).toHaveLength(1);
  });

  it('is nothing for a call that nobody answered', () => {
    watch.finish();
    expect(sent).toEqual([]);
  });

  it('ends with eight failures, whatever a bad network does', () => {
    watch.see('ben', 'connecting');
    for (let n = 0; n < 20; n++) {
      watch.see('ben', 'connected');
      watch.see('ben', 'reconnecting');
      pass(20_000);
    }
    expect(sent).toHaveLength(8);
  });
});
