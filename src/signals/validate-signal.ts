import type { SignalInput } from '../graphql/services.ts';
import { checkCandidate } from './ice-candidate.ts';
import { checkDescription } from './session-description.ts';
import type { IceCandidate, Signal } from './signal.ts';

/** Candidates in a signal at most. */
export const MAX_CANDIDATES = 32;
/**
 * Where a link's generation may go at most. From 0: the contract counts from "the highest seen", and does not
 * say what stands before the first offer; the server never acts on the number.
 */
export const MAX_GENERATION = 1_000_000;

/**
 * The signal as it is stored, or what is wrong, with the path of the field: `signal.offer.sdp: no t= line`.
 * `valid` and `invalid` count the candidates that were looked at, for the metrics: one bad candidate refuses
 * the whole signal, and the others still count as valid.
 */
export type ValidatedSignal = ({ readonly signal: Signal } | { readonly problem: string }) & {
  readonly valid: number;
  readonly invalid: number;
};

/** Checks a signal as the client sent it. Pure, never throws, and its problems never quote the input. */
export function validateSignal(input: SignalInput): ValidatedSignal {
  const { offer, answer, candidates, renegotiate } = input;
  const given = [offer, answer, candidates, renegotiate].filter((field) => field != null).length;
  if (given === 1) {
    if (candidates != null) return validateCandidates(candidates);
    if (offer != null) return validateDescription('offer', offer);
    if (answer != null) return validateDescription('answer', answer);
    if (renegotiate != null) {
      const signal: Signal = { __typename: 'Renegotiate', iceRestart: renegotiate.iceRestart };
      return { signal, valid: 0, invalid: 0 };
    }
  }
  const problem = 'signal: exactly one of offer, answer, candidates and renegotiate must be there';
  return { problem, valid: 0, invalid: 0 };
}

function validateDescription(
  role: 'offer' | 'answer',
  input: NonNullable<SignalInput['offer']>,
): ValidatedSignal {
  const { sdp, generation } = input;
  const sdpProblem = checkDescription(sdp, role);
  const problem =
    checkGeneration(role, generation) ?? (sdpProblem === null ? null : `signal.${role}.sdp: ${sdpProblem}`);
  if (problem !== null) return { problem, valid: 0, invalid: 0 };
  const signal: Signal = { __typename: role === 'offer' ? 'Offer' : 'Answer', sdp, generation };
  return { signal, valid: 0, invalid: 0 };
}

function validateCandidates(input: NonNullable<SignalInput['candidates']>): ValidatedSignal {
  const { items, generation } = input;
  if (items.length < 1 || items.length > MAX_CANDIDATES) {
    const problem = `signal.candidates.items: not 1 to ${MAX_CANDIDATES} of them`;
    return { problem, valid: 0, invalid: 0 };
  }
  let problem = checkGeneration('candidates', generation);
  let invalid = 0;
  const kept: IceCandidate[] = [];
  for (let i = 0; i < items.length; i += 1) {
    const item = items[i]!;
    const itemProblem = checkCandidate(item);
    if (itemProblem !== null) {
      invalid += 1;
      problem ??= `signal.candidates.items[${i}].${itemProblem}`;
      continue;
    }
    kept.push({
      candidate: item.candidate,
      sdpMid: item.sdpMid ?? null,
      sdpMLineIndex: item.sdpMLineIndex ?? null,
      usernameFragment: item.usernameFragment ?? null,
    });
  }
  const valid = kept.length;
  if (problem !== null) return { problem, valid, invalid };
  return { signal: { __typename: 'IceCandidates', items: kept, generation }, valid, invalid };
}

function checkGeneration(field: 'offer' | 'answer' | 'candidates', generation: number): string | null {
  if (Number.isInteger(generation) && generation >= 0 && generation <= MAX_GENERATION) return null;
  return `signal.${field}.generation: not an integer from 0 to ${MAX_GENERATION}`;
}
