/**
 * Listeners by topic, within one process. Delivery is a microtask after the publishing, so that a listener
 * that publishes itself can't put its own message before the one it is hearing.
 */
export class Topics<Message> {
  readonly #topics = new Map<string, Set<(message: Message) => void>>();

  publish(topic: string, message: Message): void {
    if (!this.#topics.has(topic)) return;
    queueMicrotask(() => {
      for (const listener of this.#topics.get(topic) ?? []) listener(message);
    });
  }

  subscribe(topic: string, listener: (message: Message) => void): () => Promise<void> {
    // A function of its own: the same listener may be given twice.
    const hear = (message: Message) => listener(message);
    const listeners = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, listeners.add(hear));
    return async () => {
      listeners.delete(hear);
      if (listeners.size === 0 && this.#topics.get(topic) === listeners) this.#topics.delete(topic);
    };
  }

  clear(): void {
    this.#topics.clear();
  }
}
