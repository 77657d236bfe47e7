/** A few figures of a link, from `getStats` (W3C WebRTC statistics). Pure. */

export interface LinkStats {
  /** Over a TURN server, on either side; null while no pair of candidates is chosen. */
  readonly relayed: boolean | null;
  /** Of the chosen pair, milliseconds. */
  readonly roundTripMs: number | null;
  /** Of what comes in, the mean over its tracks; null where nothing does (RFC 3550 section 6.4.1). */
  readonly jitterMs: number | null;
  /** Of the packets that should have come since the last summary; null where none should have. */
  readonly lossPercent: number | null;
  /** Kilobits a second since the last summary. */
  readonly receivedKbps: number;
  readonly sentKbps: number;
  /** `host`, `srflx`, `prflx` or `relay` (RFC 8445). */
  readonly localCandidateType: string | null;
  readonly remoteCandidateType: string | null;
}

/** What the next summary is counted from. */
export interface Counts {
  readonly at: number;
  /** Of which pair of candidates the bytes are. */
  readonly pair: unknown;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly packetsReceived: number;
  readonly packetsLost: number;
}

type Report = ReadonlyMap<string, Record<string, unknown>>;

export function summarise(report: Report, before: Counts | null): { stats: LinkStats; counts: Counts } {
  const entries = [...report.values()];
  const pair = chosenPair(report, entries);
  const inbound = entries.filter(({ type }) => type === 'inbound-rtp');
  const counts: Counts = {
    at: number(pair?.timestamp ?? entries[0]?.timestamp),
    pair: pair?.id ?? null,
    bytesReceived: number(pair?.bytesReceived),
    bytesSent: number(pair?.bytesSent),
    packetsReceived: sum(inbound, 'packetsReceived'),
    packetsLost: sum(inbound, 'packetsLost'),
  };
  // Another connection counts from 0 again; and another pair its bytes, but the tracks' packets go on.
  const isSamePair = before !== null && (before.pair === null || before.pair === counts.pair);
  const since = isSamePair ? before : null;
  const heard = before !== null && before.packetsReceived <= counts.packetsReceived ? before : null;
  const seconds = since === null ? 0 : (counts.at - since.at) / 1_000;
  const rate = (bytes: number) => (seconds > 0 ? Math.max(0, Math.round((bytes * 8) / 1_000 / seconds)) : 0);
  const lost = Math.max(0, counts.packetsLost - (heard?.packetsLost ?? 0));
  const came = Math.max(0, counts.packetsReceived - (heard?.packetsReceived ?? 0));
  const local = typeOf(report, pair?.localCandidateId);
  const remote = typeOf(report, pair?.remoteCandidateId);
  const roundTrip = pair?.currentRoundTripTime;
  return {
    counts,
    stats: {
      relayed: pair === null ? null : local === 'relay' || remote === 'relay',
      roundTripMs: typeof roundTrip === 'number' ? Math.round(roundTrip * 1_000) : null,
      jitterMs: jitterOf(inbound),
      lossPercent: lost + came === 0 ? null : Math.round((lost / (lost + came)) * 1_000) / 10,
      receivedKbps: rate(counts.bytesReceived - (since?.bytesReceived ?? 0)),
      sentKbps: rate(counts.bytesSent - (since?.bytesSent ?? 0)),
      localCandidateType: local,
      remoteCandidateType: remote,
    },
  };
}

/** The transport names it; in a Firefox that tells of no transport it is `selected`. */
function chosenPair(report: Report, entries: readonly Record<string, unknown>[]) {
  const transport = entries.find(({ type }) => type === 'transport');
  const named = report.get(String(transport?.selectedCandidatePairId));
  if (named) return named;
  const pairs = entries.filter(({ type }) => type === 'candidate-pair');
  return pairs.find(({ selected }) => selected === true) ?? null;
}

function jitterOf(inbound: readonly Record<string, unknown>[]): number | null {
  const known = inbound.filter(({ jitter }) => typeof jitter === 'number');
  return known.length === 0 ? null : Math.round((sum(known, 'jitter') / known.length) * 10_000) / 10;
}

function typeOf(report: Report, id: unknown): string | null {
  const type = report.get(String(id))?.candidateType;
  return typeof type === 'string' ? type : null;
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function sum(entries: readonly Record<string, unknown>[], name: string): number {
  return entries.reduce((total, entry) => total + number(entry[name]), 0);
}
