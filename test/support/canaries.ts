import { randomBytes } from 'node:crypto';

/** Words that nobody else uses, planted in what is secret, and the places in which they are looked for. */
export class Canaries {
  readonly #planted = new Map<string, string>();
  readonly #places = new Map<string, () => string | Promise<string>>();

  /** A new word of 26 letters and digits; what it stands for is told when it is found. */
  word(what: string): string {
    return this.plant(what, `cNry${randomBytes(11).toString('hex')}`);
  }

  plant(what: string, text: string): string {
    this.#planted.set(what, text);
    return text;
  }

  /** Where none may be: logs, metrics, spans … Asked for its text when the search begins. */
  place(name: string, text: () => string | Promise<string>): void {
    this.#places.set(name, text);
  }

  /** Each canary that got out, and where: `ICE password in logs`. */
  async escaped(): Promise<string[]> {
    const found: string[] = [];
    for (const [name, read] of this.#places) {
      const text = await read();
      if (text === '') throw new Error(`Nothing is to be searched in ${name}`);
      for (const what of this.foundIn(text)) {
        const at = text.toLowerCase().indexOf((this.#planted.get(what) as string).toLowerCase());
        found.push(`${what} in ${name}: …${text.slice(Math.max(0, at - 120), at + 60)}…`);
      }
    }
    return found;
  }

  /** What of the planted is in a text, in whatever case. */
  foundIn(text: string): string[] {
    const searched = text.toLowerCase();
    return [...this.#planted]
      .filter(([, word]) => searched.includes(word.toLowerCase()))
      .map(([what]) => what);
  }
}
