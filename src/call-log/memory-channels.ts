import type { Channels } from './channels.ts';
import { Topics } from './topics.ts';

/** Channels of one instance, for a deployment without Redis. */
export class MemoryChannels implements Channels {
  readonly #topics = new Topics<string>();

  async publish(channel: string, message: string): Promise<void> {
    this.#topics.publish(channel, message);
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    return this.#topics.subscribe(channel, listener);
  }

  onHealth(): () => void {
    return () => {};
  }

  health(): 'up' {
    return 'up';
  }

  async close(): Promise<void> {
    this.#topics.clear();
  }
}
