import { Recent } from '../graphql/recent.ts';
import { KEPT_DOCUMENTS, KEPT_LENGTH } from '../graphql/yoga.ts';

/**
 * graphql-ws keeps the message of a subscription for as long as that lives, and thousands of sockets send the same
 * document: so it gets the message read, with the one copy of the document that all share.
 */
export class SharedDocuments {
  readonly #texts = new Recent<string>(KEPT_DOCUMENTS, KEPT_LENGTH);

  /** What graphql-ws takes in a message's place; what is none is left to it as it is. */
  read(text: string): string {
    let message: { payload?: { query?: unknown } | null } | null;
    try {
      message = JSON.parse(text);
    } catch {
      return text;
    }
    const payload = message?.payload;
    if (typeof payload?.query === 'string') payload.query = this.#copyOf(payload.query);
    // It asks for text, and takes what has been read as well.
    return message as unknown as string;
  }

  #copyOf(document: string): string {
    const known = this.#texts.get(document);
    if (known !== undefined) return known;
    this.#texts.set(document, document);
    return document;
  }
}
