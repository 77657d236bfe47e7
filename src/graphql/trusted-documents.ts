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
    try {
      const list = name === 'sdk' ? ofSdk : readList(name);
      for (const [id, document] of Object.entries(list)) addTo(documents, id, document);
    } catch (error) {
      if (!(error instanceof BadList)) throw error;
      problems.push(`names ${name}, ${error.message}`);
    }
  }
  return problems.length === 0 ? { documents } : { problems };
}

/** Its message goes on from the name of the list. */
class BadList extends Error {}

function readList(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error';
    throw new BadList(`which can't be read (${code})`);
  }
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    throw new BadList('which is not JSON');
  }
  const isObject = typeof list === 'object' && list !== null && !Array.isArray(list);
  if (isObject && Object.keys(list as object).length > 0) return list as object;
  throw new BadList('which is not a JSON object from id to document, with one of them at least');
}

function addTo(documents: Map<string, string>, id: string, document: unknown): void {
  const shown = JSON.stringify(id.slice(0, 80));
  if (!isDocument(document)) throw new BadList(`in which the document of the id ${shown} is not GraphQL`);
  if ((documents.get(id) ?? document) !== document) {
    throw new BadList(`in which the id ${shown} is another document than in a list before it`);
  }
  documents.set(id, document);
}

function isDocument(value: unknown): value is string {
  try {
    parse(value as string, { noLocation: true });
    return typeof value === 'string';
  } catch {
    return false;
  }
}
