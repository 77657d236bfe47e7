import type { Tx } from '../calls/call.repository.ts';
import type { Call } from '../calls/call.ts';
import type { Channel } from './channel.ts';
import { narrowed, noticesBetween } from './notice.ts';
import type { NoticeJob, NoticeQueue } from './notice-queue.ts';

/** From a change of a call to jobs, in the transaction that makes it. Without channels nothing is done. */
export class Notices {
  readonly #queue: NoticeQueue;
  readonly #channels: readonly Channel[];

  constructor(queue: NoticeQueue, channels: readonly Channel[]) {
    this.#queue = queue;
    this.#channels = channels;
  }

  /** `after` has its new version. */
  async enqueue(tx: Tx, before: Call | null, after: Call, at: number): Promise<void> {
    if (this.#channels.length === 0) return;
    const jobs: NoticeJob[] = [];
    for (const notice of noticesBetween(before, after, at)) {
      for (const channel of this.#channels) {
        if (!channel.kinds.has(notice.kind)) continue;
        for (const receiver of await channel.receivers(tx, notice)) {
          const told = receiver.userId === null ? notice : narrowed(notice, [receiver.userId]);
          jobs.push({ channel: channel.name, notice: told, receiver });
        }
      }
    }
    if (jobs.length > 0) await this.#queue.enqueue(tx, jobs);
  }
}
