import type { Tx } from '../calls/call.repository.ts';
import type { Notice, NoticeKind } from './notice.ts';

/**
 * A way in which notices reach people. The port: the app's webhook is one, browsers' push another. Each
 * receiver of a notice has a job of its own, with its own retries; one that fails holds up no other.
 */
export interface Channel {
  /** Lower case letters: its queue and its metrics bear it. */
  readonly name: string;
  /** What it tells; it is not asked about other kinds. */
  readonly kinds: ReadonlySet<NoticeKind>;
  /**
   * Who is to get a notice, in the transaction that makes it true: keep it to one look at most. None is
   * fine, and costs no job.
   */
  receivers(tx: Tx, notice: Notice): readonly Receiver[] | Promise<readonly Receiver[]>;
  /**
   * One attempt. The notice names only users who are still concerned: a ring has been looked at again, and
   * is not delivered past its expiry. At least once: it may come again after an attempt whose end nobody saw.
   * What it throws is tried again later; of an Undeliverable and a DeliveryFailed the message is kept and
   * shown to operators, of others the class alone. `signal` fires where nobody waits for it any more.
   */
  deliver(notice: Notice, receiver: Receiver, signal: AbortSignal): Promise<Delivered>;
}

/** Stands in the job: nothing secret. */
export interface Receiver {
  /** Unique in its channel, and the same for each notice: the order of a call is kept for each of them. */
  readonly id: string;
  /** Whose it is: of a notice it gets his part alone. Null: everyone's. */
  readonly userId: string | null;
}

/** `gone`: there is no such receiver any more, and nothing to try again. */
export type Delivered = 'delivered' | 'gone';

/**
 * How a job ended, or an attempt. `over`: the ring was; `expired`: nobody would have heard of it in time;
 * `retried`: it failed and is made again; `dead`: it is among the dead letters.
 */
export const DELIVERY_OUTCOMES = ['delivered', 'gone', 'over', 'expired', 'retried', 'dead'] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

/** It did not work now. The message names no secret, address or person. */
export class DeliveryFailed extends Error {
  override readonly name: string = 'DeliveryFailed';
}

/** It will not work later either: a dead letter at once. */
export class Undeliverable extends DeliveryFailed {
  override readonly name = 'Undeliverable';
}
