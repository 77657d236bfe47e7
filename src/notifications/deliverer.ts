import { repeat, within } from '../background.ts';
import type { Call } from '../calls/call.ts';
import { TIMINGS } from '../config.ts';
import { type Channel, DeliveryFailed, type DeliveryOutcome, Undeliverable } from './channel.ts';
import { type Notice, stillTrue } from './notice.ts';
import type { NoticeQueue, TakenJob } from './notice-queue.ts';

/**
 * Takes the jobs of one channel and delivers them, so many side by side. What is settled goes to the queue
 * together with the next look for work, so that the busier it is the fewer statements a job costs.
 */

export interface DelivererDeps {
  readonly queue: NoticeQueue;
  readonly channel: Channel;
  /** The call as it is, and the database's time. */
  readonly readCall: (callId: string) => Promise<{ call: Call; now: number } | null>;
  /** `seconds`: since what it tells became true. */
  readonly onSettled: (outcome: DeliveryOutcome, seconds: number) => void;
  readonly onError: (what: string, error: unknown) => void;
  readonly now: () => number;
}

/** A hanging receiver takes 5 s a job: enough of them at once that the others' are not held up. */
const SIDE_BY_SIDE = 32;
/** Longest attempt of any channel, milliseconds: each has its own limits, and keeps to them. */
const LONGEST = 10_000;
/** Polls between two words about what is worked on, and two looks for what others lost. */
const HOLD_EVERY = 2;
/** Polls between two deletions of old dead letters: 10 min. */
const CLEAN_EVERY = 1_200;

/** What the queue is to be told of a job, and what is counted; a release counts as nothing. */
type Settled =
  | { readonly as: 'finished'; readonly outcome: DeliveryOutcome }
  | { readonly as: 'retry' | 'bury'; readonly error: string }
  | { readonly as: 'released' };

export class Deliverer {
  readonly #deps: DelivererDeps;
  /** By attempt: one that was lost to another may come back while it still runs. */
  readonly #inFlight = new Set<TakenJob>();
  #settled: { job: TakenJob; end: Settled }[] = [];
  readonly #leaving = new AbortController();
  #loop: { stop(): Promise<void> } | null = null;
  #turn: Promise<void> | null = null;
  #again = false;
  #stopped = false;
  #polls = 0;

  constructor(deps: DelivererDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loop = repeat(TIMINGS.noticePollMs, () => this.#poll());
  }

  /** There may be something to do: at the latest the next poll finds it. */
  wake(): void {
    this.#again = true;
    this.#turn ??= this.#turns().finally(() => {
      this.#turn = null;
      if (this.#again && !this.#stopped) this.wake();
    });
  }

  /** Waits for what is under way, `lastWorkMs` at most; what is left others may take at once. */
  async stop(lastWorkMs: number): Promise<void> {
    this.#stopped = true;
    await this.#loop?.stop();
    await within(lastWorkMs, this.#idle());
    this.#leaving.abort();
    for (const job of this.#inFlight) this.#settled.push({ job, end: { as: 'released' } });
    this.#inFlight.clear();
    await this.#turn;
    await this.#try('settle', () => this.#settle());
  }

  async #idle(): Promise<void> {
    while (this.#inFlight.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  async #poll(): Promise<void> {
    const { queue, channel } = this.#deps;
    if (this.#polls++ % HOLD_EVERY === 0) {
      await this.#try('hold', () => queue.hold(channel.name, [...this.#inFlight]));
      await this.#try('reclaim', () => queue.reclaim(channel.name));
    }
    if (this.#polls % CLEAN_EVERY === 1) await this.#try('clean', () => queue.clean());
    this.wake();
  }

  async #turns(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#try('look for notifications', async () => {
        await this.#settle();
        await this.#take();
      });
    }
  }

  async #settle(): Promise<void> {
    const { queue, channel } = this.#deps;
    const settled = this.#settled;
    this.#settled = [];
    const buried = new Set<TakenJob>();
    try {
      const of = (as: Settled['as']) => settled.filter(({ end }) => end.as === as).map(({ job }) => job);
      await queue.finish(channel.name, of('finished'));
      await queue.release(channel.name, of('released'));
      for (const { job, end } of settled) {
        if (end.as !== 'retry' && end.as !== 'bury') continue;
        if (end.as === 'retry' && (await queue.retry(job, end.error))) continue;
        await queue.bury(job, end.error);
        buried.add(job);
      }
    } catch (error) {
      // Settling twice is harmless: an attempt that is settled is nobody's any more.
      this.#settled.unshift(...settled);
      throw error;
    }
    for (const { job, end } of settled) {
      this.#inFlight.delete(job);
      if (end.as !== 'released') this.#count(job, buried.has(job) ? 'dead' : outcomeOf(end));
    }
  }

  #count(job: TakenJob, outcome: DeliveryOutcome): void {
    const { onSettled, now } = this.#deps;
    onSettled(outcome, Math.max(0, (now() - job.notice.at) / 1000));
  }

  async #take(): Promise<void> {
    const free = SIDE_BY_SIDE - this.#inFlight.size;
    if (this.#stopped || free === 0) return;
    const jobs = await this.#deps.queue.take(this.#deps.channel.name, free);
    for (const job of jobs) {
      this.#inFlight.add(job);
      void this.#attempt(job).then((end) => {
        if (!this.#inFlight.has(job)) return;
        this.#settled.push({ job, end });
        this.wake();
      });
    }
  }

  async #attempt(job: TakenJob): Promise<Settled> {
    const { channel, onError } = this.#deps;
    try {
      const notice = await this.#checked(job.notice);
      if (typeof notice === 'string') return { as: 'finished', outcome: notice };
      const signal = AbortSignal.any([this.#leaving.signal, AbortSignal.timeout(LONGEST)]);
      return { as: 'finished', outcome: await channel.deliver(notice, job.receiver, signal) };
    } catch (error) {
      if (this.#leaving.signal.aborted) return { as: 'released' };
      if (!(error instanceof DeliveryFailed)) onError('deliver', error);
      return { as: error instanceof Undeliverable ? 'bury' : 'retry', error: textOf(error) };
    }
  }

  /** Before a ring goes out its call is looked at again. */
  async #checked(notice: Notice): Promise<Notice | 'expired' | 'over'> {
    if (notice.kind !== 'incoming') return notice;
    const read = await this.#deps.readCall(notice.callId);
    if (read && notice.expiresAt !== null && notice.expiresAt <= read.now) return 'expired';
    return stillTrue(notice, read?.call ?? null, read?.now ?? 0) ?? 'over';
  }

  async #try(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.onError(what, error);
    }
  }
}

function outcomeOf(end: Exclude<Settled, { as: 'released' }>): DeliveryOutcome {
  return end.as === 'finished' ? end.outcome : 'retried';
}

/** Kept with the job and shown to operators: of what nobody foresaw the class alone. */
function textOf(error: unknown): string {
  if (error instanceof DeliveryFailed) return error.message;
  return error instanceof Error ? error.name : 'unknown';
}
