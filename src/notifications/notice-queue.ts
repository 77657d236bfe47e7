import type { Tx } from '../calls/call.repository.ts';
import type { Receiver } from './channel.ts';
import type { Notice, NoticeKind } from './notice.ts';

/**
 * Jobs that bring a notice to a receiver, in a queue for each channel. The port; what is in it outlives any
 * instance. Jobs of one call and one receiver are taken one after the other, in the order of their notices.
 */

export interface NoticeJob {
  readonly channel: string;
  readonly notice: Notice;
  readonly receiver: Receiver;
}

/** A job that this instance has. Whoever loses it to another one settles nothing with it any more. */
export interface TakenJob extends NoticeJob {
  readonly id: string;
  /** Attempts before this one. */
  readonly attempts: number;
}

export interface DeadLetter {
  readonly id: string;
  readonly channel: string;
  readonly receiver: string;
  readonly noticeId: string;
  readonly kind: NoticeKind;
  readonly callId: string;
  readonly sequence: number;
  /** Of the notice. Milliseconds since the epoch, as the next one. */
  readonly at: number;
  readonly failedAt: number;
  readonly attempts: number;
  /** Of the last attempt; nothing secret. */
  readonly error: string;
}

export interface NoticeQueue {
  /** Makes the queues of these channels where they are missing. */
  open(channels: readonly string[]): Promise<void>;
  /** In the transaction that makes the notices true. */
  enqueue(tx: Tx, jobs: readonly NoticeJob[]): Promise<void>;
  /** Jobs that are due; they are this instance's until it settles them, or falls silent. */
  take(channel: string, limit: number): Promise<TakenJob[]>;
  /** There is no more to do for them. */
  finish(channel: string, jobs: readonly TakenJob[]): Promise<void>;
  /** Once more, after a pause that grows with the attempts. False where those were too many: then see `bury`. */
  retry(job: TakenJob, error: string): Promise<boolean>;
  /** To the dead letters. */
  bury(job: TakenJob, error: string): Promise<void>;
  /** Somebody else may take them at once; for the end of an instance. */
  release(channel: string, jobs: readonly TakenJob[]): Promise<void>;
  /** Says that they are still worked on. */
  hold(channel: string, jobs: readonly TakenJob[]): Promise<void>;
  /** Frees the jobs of those who have fallen silent. Returns how many. */
  reclaim(channel: string): Promise<number>;
  /** The oldest first. `after`: the id of the last one that is known; null where there is none such. */
  deadLetters(page: { first: number; after: string | null }): Promise<DeadLetter[] | null>;
  /** Back into their queues, 1,000 at most; all, the oldest first, where none are named. Returns how many. */
  redeliver(ids: readonly string[] | null): Promise<number>;
  /** Forgets what is too old: dead letters, and jobs that nobody takes any more. */
  clean(): Promise<void>;
}
