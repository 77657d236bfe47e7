import { describe, expect, it } from 'vitest';
import { summarise } from '../../client/src/links/link-stats.ts';

/** What `getStats` gives, with what the summary looks at and some of what it does not. */

type Entry = Record<string, unknown> & { readonly id: string; readonly type: string };
type News = Partial<Record<'at' | 'received' | 'sent' | 'packets' | 'lost', number>>;

const reportOf = (...entries: Entry[]) => new Map(entries.map((entry) => [entry.id, entry]));

const candidates = (local: string, remote: string): Entry[] => [
  { id: 'L', type: 'local-candidate', candidateType: local },
  { id: 'R', type: 'remote-candidate', candidateType: remote },
];

const pairOf = ({ at = 1_000, received = 0, sent = 0 }: News = {}, more = {}): Entry => ({
  id: 'P',
  type: 'candidate-pair',
  timestamp: at,
  localCandidateId: 'L',
  remoteCandidateId: 'R',
  bytesReceived: received,
  bytesSent: sent,
  ...more,
});

/** Of two tracks, some of each. */
const inbound = ({ at = 1_000, packets = 0, lost = 0 }: News = {}): Entry[] => [
  { id: 'IA', type: 'inbound-rtp', timestamp: at, packetsReceived: packets >> 1, packetsLost: lost >> 1 },
  {
    id: 'IV',
    type: 'inbound-rtp',
    timestamp: at,
    packetsReceived: packets - (packets >> 1),
    packetsLost: lost - (lost >> 1),
  },
  // What the other end says of what this one sends: not what is lost on the way here.
  { id: 'RI', type: 'remote-inbound-rtp', timestamp: at, packetsReceived: 9, packetsLost: 99 },
];

/** Chromium's: the transport names the pair, and others were tried. */
const chromium = (news: News = {}, local = 'host', remote = 'host', id = 'P') =>
  reportOf(
    { id: 'CERT', type: 'certificate', timestamp: 1 },
    pairOf({}, { id: 'TRIED', localCandidateId: 'X', remoteCandidateId: 'X', currentRoundTripTime: 9 }),
    { id: 'T', type: 'transport', timestamp: 1, selectedCandidatePairId: id },
    pairOf(news, { id, nominated: true, state: 'succeeded', currentRoundTripTime: 0.0124 }),
    ...candidates(local, remote),
    ...inbound(news),
  );

/** Firefox's, before it had a transport as Chromium has: the pair itself says that it is chosen. */
const firefox = (news: News = {}) =>
  reportOf(
    pairOf({}, { id: 'TRIED', localCandidateId: 'X', remoteCandidateId: 'X', selected: false }),
    pairOf(news, { nominated: true, selected: true }),
    ...candidates('srflx', 'prflx'),
    ...inbound(news),
  );

const first = (report: ReturnType<typeof reportOf>) => summarise(report, null).stats;
/** The second of two. */
function second(before: ReturnType<typeof reportOf>, after: ReturnType<typeof reportOf>) {
  return summarise(after, summarise(before, null).counts).stats;
}

describe('the figures of a link', () => {
  it('are of the pair that Chromium’s transport names', () => {
    expect(first(chromium())).toEqual({
      relayed: false,
      roundTripMs: 12,
      lossPercent: null,
      jitterMs: null,
      receivedKbps: 0,
      sentKbps: 0,
      localCandidateType: 'host',
      remoteCandidateType: 'host',
    });
  });

  it('are of the pair that is `selected` in an older Firefox, which need not tell a round trip', () => {
    expect(first(firefox())).toMatchObject({
      relayed: false,
      roundTripMs: null,
      localCandidateType: 'srflx',
      remoteCandidateType: 'prflx',
    });
  });

  it.each([
    ['relay', 'host', true],
    ['host', 'relay', true],
    ['relay', 'relay', true],
    ['srflx', 'prflx', false],
  ])('say whether a TURN server is between them: %s here, %s there', (local, remote, relayed) => {
    expect(first(chromium({}, local, remote))).toMatchObject({
      relayed,
      localCandidateType: local,
      remoteCandidateType: remote,
    });
  });

  it.each([
    ['nothing at all', reportOf()],
    ['a transport that has chosen none', reportOf({ id: 'T', type: 'transport' }, pairOf())],
    [
      'pairs of which none is chosen',
      reportOf(pairOf({}, { nominated: true }), ...candidates('relay', 'host')),
    ],
  ])('say nothing of the way while there is %s', (_, report) => {
    expect(first(report)).toEqual({
      relayed: null,
      roundTripMs: null,
      lossPercent: null,
      jitterMs: null,
      receivedKbps: 0,
      sentKbps: 0,
      localCandidateType: null,
      remoteCandidateType: null,
    });
  });

  it.each([
    ['Chromium', chromium],
    ['Firefox', firefox],
  ])('have rates and losses since the last time, by the clock of the statistics: %s', (_, reports) => {
    const before = reports({ at: 1_000, received: 10_000, sent: 20_000, packets: 1_000, lost: 500 });
    const after = reports({ at: 3_000, received: 260_000, sent: 145_000, packets: 1_190, lost: 510 });
    // 250 000 bytes in two seconds, 125 000 bytes in two seconds, 10 packets of 200.
    expect(second(before, after)).toMatchObject({ receivedKbps: 1_000, sentKbps: 500, lossPercent: 5 });
  });

  it('have a loss of a tenth of a percent, and of all', () => {
    const before = chromium();
    expect(second(before, chromium({ at: 2_000, packets: 999, lost: 1 })).lossPercent).toBe(0.1);
    expect(second(before, chromium({ at: 2_000, packets: 0, lost: 8 })).lossPercent).toBe(100);
    expect(second(before, chromium({ at: 2_000, packets: 8, lost: 0 })).lossPercent).toBe(0);
  });

  it('have no loss where nothing came, nor where what was counted as lost came after all', () => {
    const before = chromium({ packets: 10, lost: 5 });
    expect(second(before, before).lossPercent).toBeNull();
    expect(second(before, chromium({ at: 2_000, packets: 20, lost: 2 })).lossPercent).toBe(0);
  });

  it('are no rates the first time: since when, nobody knows', () => {
    const stats = first(chromium({ received: 1_000_000, sent: 1_000_000, packets: 90, lost: 10 }));
    expect(stats).toMatchObject({ receivedKbps: 0, sentKbps: 0, lossPercent: 10 });
  });

  it('are none twice for one reading', () => {
    const report = chromium({ received: 1_000, sent: 1_000 });
    expect(second(report, report)).toMatchObject({ receivedKbps: 0, sentKbps: 0 });
  });

  it('count from zero for a new connection', () => {
    const before = chromium({ at: 9_000, received: 900_000, sent: 900_000, packets: 900, lost: 90 });
    const news = { at: 10_000, received: 1_000, sent: 1_000, packets: 30, lost: 10 };
    const after = chromium(news, 'host', 'host', 'Q');
    expect(second(before, after)).toMatchObject({ receivedKbps: 0, sentKbps: 0, lossPercent: 25 });
  });

  it('have the loss since the last time where the way has changed under the same tracks', () => {
    const before = chromium({ at: 9_000, received: 900_000, sent: 900_000, packets: 900, lost: 300 });
    const news = { at: 10_000, received: 1_000, sent: 1_000, packets: 999, lost: 301 };
    const after = chromium(news, 'relay', 'host', 'Q');
    // The bytes are the pair's, and begin anew; the packets are the tracks', and go on.
    expect(second(before, after)).toMatchObject({ receivedKbps: 0, sentKbps: 0, lossPercent: 1 });
  });

  it('have no rates where another pair is chosen over which more had gone than over the last one', () => {
    const before = chromium({ at: 9_000, received: 1_000, sent: 1_000 });
    const after = chromium({ at: 10_000, received: 501_000, sent: 501_000 }, 'host', 'host', 'Q');
    expect(second(before, after)).toMatchObject({ receivedKbps: 0, sentKbps: 0 });
  });

  it('have rates from the time of the pair on where there was none the last time', () => {
    const before = reportOf({ id: 'T', type: 'transport', timestamp: 1_000 });
    const after = chromium({ at: 3_000, received: 250_000, sent: 125_000 });
    expect(second(before, after)).toMatchObject({ receivedKbps: 1_000, sentKbps: 500 });
  });
});
