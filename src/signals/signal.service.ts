import type { Viewer } from '../auth/viewer.ts';
import {
  type CallLog,
  type Entry,
  LogUnavailable,
  type SignalDraft,
  type SignalOutcome,
  type SignalRefusal,
} from '../call-log/call-log.ts';
import type { CallFeed } from '../call-log/feed.ts';
import type { Feeds } from '../call-log/feeds.ts';
import { type Rejection, type RejectionCode, reject } from '../errors.ts';
import type { SendSignalInput, SignalService, Turn } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { Rate } from '../rate-limits/rates.ts';
import { validateSignal } from './validate-signal.ts';

/**
 * The way of a signal: is it valid (pure), append (one step, which checks the seats), hand it to the
 * streams of this instance. No SQL, unless the log says no or is not there.
 */

export interface SignalServiceDeps {
  readonly log: CallLog;
  readonly feeds: Feeds;
  readonly rate: Rate;
  readonly metrics: Metrics;
  /** Makes the call's log from the database; false where the call is over or is none. */
  readonly createLog: (callId: string) => Promise<boolean>;
  /** What the viewer is told who has no seat, from the database. */
  readonly whyNoSeat: (callId: string, userId: string) => Promise<Rejection | null>;
  readonly now: () => number;
  /** Of each, when the log has it. */
  readonly onTaken: (callId: string, entry: Entry & { readonly kind: 'signal' }) => void;
}

/** What a client is told to wait while signals can't be carried, milliseconds. */
const RETRY_AFTER_OUTAGE = 500;
const NOT_NOW = Promise.resolve(null);
const LARGEST_CLIENT_SEQ = Number.MAX_SAFE_INTEGER;

const CODES: Record<Exclude<SignalRefusal, 'NO_SEAT' | 'ABSENT'>, [RejectionCode, string?]> = {
  STALE_SESSION: ['STALE_SESSION'],
  NO_RECIPIENT: ['RECIPIENT_NOT_IN_CALL'],
  AMBIGUOUS: ['INVALID_SIGNAL', 'input.to: name the recipient; more than one other is in the call.'],
  TOO_OLD: [
    'INVALID_SIGNAL',
    'input.clientSeq: is far below those already taken; count on from the highest.',
  ],
};

export function createSignalService(deps: SignalServiceDeps): SignalService {
  const { log, feeds, rate, metrics, now } = deps;

  /** Null where the signal can't be carried now. Issued before it returns. */
  function append(callId: string, draft: SignalDraft): Promise<SignalOutcome | null> {
    const feed = feeds.get(callId);
    if (log.health() === 'down') return feed ? appendLocally(feed, draft) : NOT_NOW;
    if (feed?.tookLocally(draft)) return Promise.resolve({ outcome: 'duplicate', at: now() });
    if (feed?.owesOf(draft)) return NOT_NOW;
    feed?.appendBegins();
    const startedAt = performance.now();
    const ended = (outcome: 'ok' | 'failed') => {
      feed?.appendEnds();
      metrics.logAppended('signal', outcome, (performance.now() - startedAt) / 1000);
    };
    return log.appendSignal(callId, draft).then(
      (outcome) => {
        ended('ok');
        // The feed of now: one that began meanwhile does not hear of it by the log.
        if (outcome.outcome === 'appended') feeds.get(callId)?.offer(outcome.entry);
        return outcome;
      },
      (error: unknown) => {
        ended('failed');
        feed?.doubt(draft);
        throw error;
      },
    );
  }

  async function appendLocally(feed: CallFeed, draft: SignalDraft): Promise<SignalOutcome | null> {
    const outcome = feed.appendLocally(draft, now());
    const stale = outcome?.outcome === 'refused' && outcome.why !== 'AMBIGUOUS';
    if (!stale) return outcome;
    // By itself a feed knows the seats of a moment ago.
    await feeds.pollState(feed.callId);
    return feed.appendLocally(draft, now());
  }

  async function send(viewer: Viewer, input: SendSignalInput, turn: Turn | null) {
    // Before it is looked at, which costs the most of an invalid one. It keeps its turn while it waits: those
    // behind it must not overtake it.
    const taken = rate.take(viewer);
    const take = taken instanceof Promise ? await taken : taken;
    if (!take.allowed) return refused('RATE_LIMITED', undefined, take.retryAfterMs);
    const checked = validateSignal(input.signal);
    metrics.candidatesChecked(checked.valid, checked.invalid);
    if ('problem' in checked) return refused('INVALID_SIGNAL', `input.${checked.problem}`);
    const problem = checkEnvelope(viewer, input);
    if (problem) return { rejection: problem };
    if (!isCallId(input.callId)) return refused('CALL_NOT_FOUND');
    const { callId, sessionId, to, toJoinSeq, clientSeq } = input;
    const draft = { from: viewer.userId, sessionId, to, toJoinSeq, clientSeq, signal: checked.signal };
    if (turn?.ready) await turn.ready;
    const appending = append(callId, draft);
    // The append is issued: the next signal of this session can't overtake it any more.
    turn?.done();
    let outcome = await appending;
    if (outcome?.outcome === 'refused' && outcome.why === 'ABSENT' && (await deps.createLog(callId))) {
      outcome = await append(callId, draft);
    }
    if (!outcome) return noSeatOrUnavailable(callId, viewer);
    if (outcome.outcome === 'duplicate') {
      rate.giveBack(viewer, take);
      return { at: outcome.at, duplicate: true };
    }
    if (outcome.outcome === 'appended') {
      metrics.signalTaken(checked.signal.__typename);
      deps.onTaken(callId, outcome.entry);
      return { at: outcome.entry.at, duplicate: false };
    }
    // With a seat after all, of which the log has not heard yet.
    if (outcome.why === 'NO_SEAT' || outcome.why === 'ABSENT') return noSeatOrUnavailable(callId, viewer);
    feeds.get(callId)?.refused(draft);
    return refused(...CODES[outcome.why]);
  }

  async function noSeatOrUnavailable(callId: string, viewer: Viewer) {
    return { rejection: (await deps.whyNoSeat(callId, viewer.userId)) ?? unavailable() };
  }

  return {
    async sendSignal(viewer, input, turn) {
      try {
        return await send(viewer, input, turn);
      } catch (error) {
        if (!(error instanceof LogUnavailable)) throw error;
        return { rejection: unavailable() };
      } finally {
        turn?.done();
      }
    },
  };
}

function refused(...why: Parameters<typeof reject>): { readonly rejection: Rejection } {
  return { rejection: reject(...why) };
}

function unavailable(): Rejection {
  return reject('SIGNALING_UNAVAILABLE', undefined, RETRY_AFTER_OUTAGE);
}

function checkEnvelope(viewer: Viewer, input: SendSignalInput): Rejection | null {
  const { clientSeq, to, toJoinSeq } = input;
  if (!Number.isInteger(clientSeq) || clientSeq < 1 || clientSeq > LARGEST_CLIENT_SEQ) {
    return reject('INVALID_SIGNAL', 'input.clientSeq: count from 1.');
  }
  if (to === viewer.userId) return reject('INVALID_SIGNAL', 'input.to: is yourself.');
  if (to === null && toJoinSeq !== null) return reject('INVALID_SIGNAL', 'input.toJoinSeq: goes with `to`.');
  return null;
}
