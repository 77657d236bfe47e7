/** How many there are of each key, now. A key of which there is none takes no memory. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** One more of it, unless there are `most` already. */
  add(key: string, most: number): boolean {
    const count = this.#counts.get(key) ?? 0;
    if (count >= most) return false;
    this.#counts.set(key, count + 1);
    return true;
  }

  remove(key: string): void {
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}
