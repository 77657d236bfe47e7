/** What a participant measured of a call, and what of it is taken. Pure. */

export const CANDIDATE_TYPES = ['HOST', 'SRFLX', 'PRFLX', 'RELAY'] as const;
export type CandidateType = (typeof CANDIDATE_TYPES)[number];

export const LINK_OUTCOMES = ['CONNECTED', 'LOST', 'FAILED'] as const;
export type LinkOutcome = (typeof LINK_OUTCOMES)[number];

/** The link to one other participant. */
export interface LinkQuality {
  readonly userId: string;
  readonly outcome: LinkOutcome;
  readonly connectedAfterMs: number | null;
  readonly localCandidate: CandidateType | null;
  readonly remoteCandidate: CandidateType | null;
  readonly lossPercent: number | null;
  readonly jitterMs: number | null;
  readonly roundTripMs: number | null;
  readonly reconnects: number;
}

export interface QualityReport {
  readonly callId: string;
  readonly reportId: string;
  readonly links: readonly LinkQuality[];
  readonly rating: number | null;
}

/** Reports of one participant about one call. */
export const MOST_REPORTS = 20;
/** Links of one report: more than a call has seats in any sensible deployment. */
export const MOST_LINKS = 32;
/** The largest of each number; `loss` in percent, the times in milliseconds. */
export const MOST = {
  connectedAfter: 600_000,
  loss: 100,
  jitter: 60_000,
  roundTrip: 60_000,
  reconnects: 10_000,
};

/** What is wrong with a report, as the argument's path and a sentence; null where nothing is. */
export function reportProblem({ links, rating }: QualityReport): string | null {
  if (links.length === 0 && rating === null) return 'input: give links, a rating, or both.';
  if (links.length > MOST_LINKS) return `input.links: has more than ${MOST_LINKS}.`;
  if (rating !== null && !(Number.isInteger(rating) && rating >= 1 && rating <= 5)) {
    return 'input.rating: give a whole number from 1 to 5.';
  }
  const seen = new Set<string>();
  for (const [index, link] of links.entries()) {
    const problem = linkProblem(link);
    if (problem !== null) return `input.links.${index}.${problem}`;
    if (seen.has(link.userId)) return `input.links.${index}.userId: is there twice.`;
    seen.add(link.userId);
  }
  return null;
}

function linkProblem(link: LinkQuality): string | null {
  const { outcome, connectedAfterMs, lossPercent, jitterMs, roundTripMs, reconnects } = link;
  const numbers = [
    ['connectedAfterMs', connectedAfterMs, MOST.connectedAfter],
    ['lossPercent', lossPercent, MOST.loss],
    ['jitterMs', jitterMs, MOST.jitter],
    ['roundTripMs', roundTripMs, MOST.roundTrip],
    ['reconnects', reconnects, MOST.reconnects],
  ] as const;
  for (const [field, value, most] of numbers) {
    if (value !== null && !(value >= 0 && value <= most)) return `${field}: give a number from 0 to ${most}.`;
  }
  if ((outcome === 'FAILED') === (connectedAfterMs === null)) return null;
  return 'connectedAfterMs: is null for a link that FAILED, and for no other.';
}

/** Null while no pair of candidates was chosen. */
export function isRelayed({ localCandidate, remoteCandidate }: Omit<LinkQuality, 'userId'>): boolean | null {
  if (localCandidate === null && remoteCandidate === null) return null;
  return localCandidate === 'RELAY' || remoteCandidate === 'RELAY';
}
