import { readFileSync } from 'node:fs';
import { parse } from 'graphql';
import ofSdk from './sdk-documents.json' with { type: 'json' };

/**
 * The lists that TRUSTED_DOCUMENTS names, as one: from id to document. Whether a document fits the schema is not
 * looked at: a list of an older client may have one that no longer does, and is told so when it sends it.
 */
export function readTrustedDocuments(
  names: readonly string[],
): { readonly documents: ReadonlyMap<string, string> } | { readonly problems: readonly string[] } {
  const documents = new Map<string, string>();
  const problems: string[] = [];
  for (const name of names) {
    const list = name === 'sdk' ? ofSdk : readList(name);
    const problem =
      typeof list === 'string' ? list : (problemOf(list) ?? addTo(documents, Object.entries(list as Lists)));
    if (problem !== null) problems.push(`names ${name}, ${problem}`);
  }
  return problems.length === 0 ? { documents } : { problems };
}

type Lists = Record<string, string>;

function readList(path: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    return `which can't be read (${error instanceof Error && 'code' in error ? error.code : 'unknown error'})`;
  }
  try {
    // A text would be taken for a problem.
    return Object(JSON.parse(text));
  } catch {
    return 'which is not JSON';
  }
}

function problemOf(list: unknown): string | null {
  if (Array.isArray(list) || list instanceof String || Object.keys(list as object).length === 0) {
    return 'which is not a JSON object from id to document, with one of them at least';
  }
  for (const [id, document] of Object.entries(list as object)) {
    try {
      if (typeof document !== 'string') throw new TypeError();
      parse(document, { noLocation: true });
    } catch {
      return `in which the document of the id ${JSON.stringify(id.slice(0, 80))} is not GraphQL`;
    }
  }
  return null;
}

function addTo(
  documents: Map<string, string>,
  entries: readonly (readonly [string, string])[],
): string | null {
  for (const [id, document] of entries) {
    if ((documents.get(id) ?? document) !== document) {
      return `in which the id ${JSON.stringify(id.slice(0, 80))} is another document than in a list before it`;
    }
    documents.set(id, document);
  }
  return null;
}
