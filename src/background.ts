/**
 * Work that has to come about although nobody waits for it: tried again, with growing pauses, until it is
 * done. If this process dies before, deadlines in the database are the backstop.
 */

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5_000;

export class Background {
  readonly #onError: (what: string, error: unknown) => void;
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  constructor(onError: (what: string, error: unknown) => void) {
    this.#onError = onError;
  }

  untilDone = (what: string, work: () => Promise<void>, onFailure?: () => void): void => {
    const run = this.#run(what, work, onFailure);
    this.#running.add(run);
    void run.finally(() => this.#running.delete(run));
  };

  async #run(what: string, work: () => Promise<void>, onFailure?: () => void): Promise<void> {
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        return await work();
      } catch (error) {
        onFailure?.();
        this.#onError(what, error);
        if (this.#closing) return;
        await new Promise<void>((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)).unref());
      }
    }
  }

  /** Waits for what is under way; a failure from now on is the last. */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    await within(timeoutMs, Promise.all(this.#running));
  }
}

/** Resolves when the work is done, or the time is over: then false, and the work goes on. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), over]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs `work` every `ms` milliseconds, one run after the other: a run that takes longer delays the next one,
 * and none is made up for. The first comes after `firstMs`. `work` must not reject.
 */
export function repeat(ms: number, work: () => Promise<void>, firstMs = ms): { stop(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined;
  let run: Promise<void> = Promise.resolve();
  let stopped = false;
  const schedule = (wait: number) => {
    timer = setTimeout(() => {
      const startedAt = performance.now();
      run = work().finally(() => {
        if (!stopped) schedule(Math.max(0, ms - (performance.now() - startedAt)));
      });
    }, wait);
  };
  schedule(firstMs);
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await run;
    },
  };
}
