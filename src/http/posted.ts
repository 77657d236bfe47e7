import type { IncomingMessage, ServerResponse } from 'node:http';
import { MAX_BODY } from '../graphql/limits.ts';
import { sendJson } from './health.ts';

/**
 * What a request to the API has to look like before anything of its body is read: a POST of JSON. Of all that
 * a page elsewhere can send without being asked (a form, a link, `text/plain`) nothing does, so no page can
 * have its visitor's browser do something here.
 */

export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const FOREIGN_ORIGIN: Refusal = {
  status: 403,
  message: 'Pages of this origin may not use the API. The setting ALLOWED_ORIGINS lets them in.',
};

/** JSON is UTF-8 (RFC 8259, section 8.1), also where the header says so. */
const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*(?:charset="?utf-8"?[ \t]*)?)?$/i;

/** Null where it may be read. How long a body of unknown length is, is counted as it comes. */
export function whyNotPosted({ method, headers }: IncomingMessage): Refusal | null {
  if (method !== 'POST') {
    const message = 'Operations are sent with POST; there is nothing else here.';
    return { status: 405, message, headers: { allow: 'POST' } };
  }
  if (!JSON_TYPE.test(headers['content-type'] ?? '')) {
    return { status: 415, message: 'The body wants the content type application/json, in UTF-8.' };
  }
  // A small one can be huge when it is unpacked, and no request is so long that it had to be packed.
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    const message = 'Send the body as it is, without a content encoding.';
    return { status: 415, message, headers: { 'accept-encoding': 'identity' } };
  }
  if (Number(headers['content-length'] ?? 0) > MAX_BODY) {
    const message = `The body is larger than ${MAX_BODY} bytes.`;
    return { status: 413, message, headers: { connection: 'close' } };
  }
  return null;
}

/** A GraphQL-shaped answer to what never gets as far as GraphQL. */
export function refuse(response: ServerResponse, { status, message, headers = {} }: Refusal): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendJson(response, status, { errors: [{ message, extensions: { code: 'BAD_USER_INPUT' } }] });
}
