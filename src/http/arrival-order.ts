import type { Turn } from '../graphql/services.ts';

/**
 * graphql-ws runs the operations of a socket side by side, so two signals in flight can change places at
 * the first await. Each operation that sends one is given a place when its message arrives, before any
 * await, and goes on when those before it are done: appended, refused or failed, in whatever order they end.
 */
export class ArrivalOrder {
  /** The newest place; null where none waits or runs. */
  #last: Place | null = null;

  take(): Turn {
    const place = new Place(this.#last === null, () => {
      this.#last = null;
    });
    if (this.#last !== null) this.#last.next = place;
    this.#last = place;
    return place;
  }
}

/** A place; the one behind it is told when it and all before it are done. */
class Place implements Turn {
  next: Place | null = null;
  readonly #onEmpty: () => void;
  #first: boolean;
  #done = false;
  #ready: Promise<void> | null = null;
  #go: (() => void) | null = null;

  constructor(first: boolean, onEmpty: () => void) {
    this.#first = first;
    this.#onEmpty = onEmpty;
  }

  /** No promise is made where nobody has to wait: the usual case. */
  get ready(): Promise<void> | null {
    if (this.#first) return null;
    this.#ready ??= new Promise((resolve) => {
      this.#go = resolve;
    });
    return this.#ready;
  }

  done(): void {
    if (this.#done) return;
    this.#done = true;
    if (!this.#first) return;
    for (let next = this.next; next !== null; next = next.next) {
      // Those that ended early, an invalid one for instance, were waited for by nobody.
      if (!next.#done) {
        next.#goFirst();
        return;
      }
    }
    this.#onEmpty();
  }

  #goFirst(): void {
    this.#first = true;
    this.#go?.();
  }
}

/** A turn that is over only with its operation: for one that sends several signals. */
export function keptToTheEnd(turn: Turn): Turn {
  return {
    get ready() {
      return turn.ready;
    },
    done() {},
  };
}
