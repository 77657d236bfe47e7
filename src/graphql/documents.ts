import { stripIgnoredCharacters } from 'graphql';
import { CodedError } from '../errors.ts';

/**
 * Which document a request means, over every transport: the one that it sends, or one that it names by id from
 * the list of TRUSTED_DOCUMENTS. With such a list nothing else is run.
 */

/** What a request may say of its document. Nothing of it has been checked. */
export interface DocumentParams {
  readonly query?: unknown;
  /** GraphQL over HTTP, appendix A. */
  readonly documentId?: unknown;
  /** `persistedQuery.sha256Hash`: Apollo's form. */
  readonly extensions?: unknown;
}

export interface Documents {
  /**
   * The text to run; undefined where the request has neither a text nor an id. Errors: BAD_USER_INPUT for a
   * text that is not in the list, PERSISTED_QUERY_NOT_FOUND for an id that is not,
   * PERSISTED_QUERY_NOT_SUPPORTED for an id where there is no list.
   */
  textOf(params: DocumentParams): string | undefined;
}

/** `trusted`: by id; null where any document may be sent. */
export function createDocuments(trusted: ReadonlyMap<string, string> | null): Documents {
  const byId = new Map<string, string>();
  const texts = new Set<string>();
  for (const [id, text] of trusted ?? []) {
    byId.set(plain(id), text);
    texts.add(text).add(stripIgnoredCharacters(text));
  }

  function isTrusted(text: string): boolean {
    if (texts.has(text)) return true;
    try {
      // A client may print its documents with other spaces.
      return texts.has(stripIgnoredCharacters(text));
    } catch {
      return false;
    }
  }

  return {
    textOf(params) {
      const { query } = params;
      // Apollo's clients send both when they are told that an id is not known: it is the text that runs.
      if (query !== undefined && query !== null && query !== '') {
        if (trusted !== null && typeof query === 'string' && !isTrusted(query)) throw notTrusted();
        return query as string;
      }
      const id = idOf(params);
      if (id === null) return query as string | undefined;
      if (trusted === null) throw notSupported();
      const text = byId.get(plain(id));
      if (text === undefined) throw notFound();
      return text;
    },
  };
}

function idOf({ documentId, extensions }: DocumentParams): string | null {
  if (typeof documentId === 'string') return documentId;
  const { persistedQuery } = (extensions ?? {}) as { persistedQuery?: { sha256Hash?: unknown } | null };
  const hash = persistedQuery?.sha256Hash;
  return typeof hash === 'string' ? hash : null;
}

/** `sha256:` says how an id was made (GraphQL over HTTP, appendix A); Apollo's clients leave it out. */
function plain(id: string): string {
  return id.replace(/^sha256:/, '');
}

function notTrusted(): CodedError {
  return new CodedError(
    'BAD_USER_INPUT',
    'The document is not one of those that this server takes. Send one of its TRUSTED_DOCUMENTS, or add yours there.',
    'query',
  );
}

function notFound(): CodedError {
  return new CodedError('PERSISTED_QUERY_NOT_FOUND', 'There is no document of that id in TRUSTED_DOCUMENTS.');
}

function notSupported(): CodedError {
  return new CodedError(
    'PERSISTED_QUERY_NOT_SUPPORTED',
    'This server has no list of documents: send the text of yours as `query`.',
  );
}
