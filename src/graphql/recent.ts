/**
 * A bounded map that keeps what was asked for lately: two generations, of which the older goes when the
 * newer is full. A hit in the newer one, the usual case, moves nothing. Long keys are not kept at all.
 */
export class Recent<Value> {
  readonly #size: number;
  readonly #longestKey: number;
  #newer = new Map<string, Value>();
  #older = new Map<string, Value>();

  /** Holds from `size` to twice as many entries. */
  constructor(size: number, longestKey: number) {
    this.#size = size;
    this.#longestKey = longestKey;
  }

  get(key: string): Value | undefined {
    const value = this.#newer.get(key);
    if (value !== undefined) return value;
    const old = this.#older.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    if (key.length > this.#longestKey) return;
    if (this.#newer.size >= this.#size) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(key, value);
  }
}
