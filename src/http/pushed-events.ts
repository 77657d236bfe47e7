import type { CompiledOperation } from '../graphql/compiled/compiled-operation.ts';
import type { Context } from '../graphql/context.ts';
import type { MaskError } from '../graphql/errors.ts';

/** Answers with a promise where it can't take more for now. */
type Sink = (event: unknown) => Promise<void> | undefined;

/** A stream that hands its events over by itself, those that are there without a wait between. */
export interface Pushing {
  /** Resolves when the stream has ended. */
  pushTo(sink: Sink): Promise<void>;
}

/**
 * A subscription whose events go straight to the socket, as messages of `graphql-transport-ws`. For graphql-ws, which
 * opened it and ends it, it is a stream without an event: it tells of the end alone.
 */
export class PushedEvents implements AsyncGenerator<never, undefined> {
  readonly #source: AsyncIterableIterator<unknown> & Partial<Pushing>;
  readonly #sink: Sink;
  readonly #mask: MaskError;

  /** `mask`: makes of an error that ends the stream what the client may see of it. */
  constructor(source: AsyncIterableIterator<unknown>, sink: Sink, mask: MaskError) {
    this.#source = source;
    this.#sink = sink;
    this.#mask = mask;
  }

  /** Asked once: what it answers is the end. Until then nothing of it waits but this one promise. */
  next(): Promise<IteratorResult<never, undefined>> {
    const pushed = this.#source.pushTo?.(this.#sink) ?? this.#pull();
    return pushed.then(end, (error: unknown) => {
      throw this.#mask(error);
    });
  }

  async #pull(): Promise<void> {
    for await (const event of this.#source) await this.#sink(event);
  }

  async return(): Promise<IteratorResult<never, undefined>> {
    await this.#source.return?.();
    return end();
  }

  async throw(error: unknown): Promise<IteratorResult<never, undefined>> {
    await this.#source.return?.();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

function end(): IteratorResult<never, undefined> {
  return { value: undefined, done: true };
}

/** The root field's answer to an event, as text. */
export function writeEvent({ field, write }: CompiledOperation, event: unknown, context: Context): string {
  return write(field.resolve ? field.resolve(event, {}, context, undefined as never) : event);
}
