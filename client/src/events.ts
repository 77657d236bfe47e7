/** Typed events: what every part of the SDK tells, and all that parts know of each other. */

type Listener<Event> = (event: Event) => void;

/** What everything in the SDK that has events can do: `on`, and nothing else from outside. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never>>>();

  /** Returns what takes the listener away again. */
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    // Its own, so that one function can listen twice and be taken away once.
    const own: Listener<Events[Name]> = (event) => listener(event);
    listeners.add(own as Listener<never>);
    return () => void listeners.delete(own as Listener<never>);
  }

  /** A listener that throws keeps nothing from the others: its error is the page's. */
  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])] as Listener<Events[Name]>[]) {
      try {
        listener(event);
      } catch (error) {
        // As `reportError` does, which Node does not have.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
