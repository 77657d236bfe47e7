import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import {
  type ClientRequestArgs,
  Agent as HttpAgent,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { DeliveryFailed } from './channel.ts';
import { whyNotTo } from './outside-address.ts';

/**
 * POST to a server that is not trusted. The address that was checked is the one that is connected to: the name
 * is resolved for each connection by the connection itself, so nothing can change in between. Redirects are
 * not followed. Of the answer the status counts, and no more than a little is read.
 */

/** @throws DeliveryFailed where there was no answer, with a word that names neither address nor URL */
export type OutsidePost = (
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
  signal: AbortSignal,
) => Promise<{ readonly status: number }>;

export interface OutsidePostOptions {
  readonly allowHttp: boolean;
  readonly allowPrivate: boolean;
  /** Milliseconds for all of it: the name, the connection, the request, the answer. */
  readonly timeoutMs: number;
  /** The system's resolver, unless given. */
  readonly lookUp?: LookUp;
}

type LookUp = (
  name: string,
  options: LookupOptions & { all: true },
  answer: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Bytes of an answer's body that are read, so that its connection can be used again; past them it is cut. */
const ENOUGH = 16_384;

class Refused extends DeliveryFailed {}

export function createOutsidePost(options: OutsidePostOptions): OutsidePost & { close(): void } {
  const { allowHttp, allowPrivate, timeoutMs, lookUp = lookup } = options;
  const connection = { keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 30_000 };
  const agents = { http: new HttpAgent(connection), https: new HttpsAgent(connection) };

  /** Every address of the name has to be one to go to, so that none depends on which is tried first. */
  const checkedLookup: LookupFunction = (hostname, given, answer) => {
    lookUp(hostname, { ...given, all: true }, (error, addresses) => {
      if (error) return answer(error, []);
      const refusal = addresses
        .map(({ address }) => whyNotTo(address, allowPrivate))
        .find((why) => why !== null);
      if (refusal !== undefined) return answer(new Refused(`The address of the receiver ${refusal}`), []);
      const [first] = addresses;
      if (given.all || first === undefined) return answer(null, addresses);
      answer(null, first.address, first.family);
    });
  };

  const post: OutsidePost = async (url, headers, body, signal) => {
    if (url.protocol !== 'https:' && !(allowHttp && url.protocol === 'http:')) {
      throw new Refused('The receiver is not reached over https');
    }
    // An address needs no look-up, and gets none.
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const refusal = isIP(host) === 0 ? null : whyNotTo(host, allowPrivate);
    if (refusal !== null) throw new Refused(`The address of the receiver ${refusal}`);
    const deadline = AbortSignal.timeout(timeoutMs);
    const given: ClientRequestArgs = {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      lookup: checkedLookup,
      signal: AbortSignal.any([signal, deadline]),
    };
    try {
      return await exchange(url, given, body);
    } catch (error) {
      if (error instanceof Refused) throw error;
      throw new DeliveryFailed(deadline.aborted ? `No answer within ${timeoutMs} ms` : wordFor(error));
    }
  };

  const exchange = (
    url: URL,
    given: ClientRequestArgs,
    body: string | Buffer,
  ): Promise<{ readonly status: number }> =>
    new Promise((resolve, reject) => {
      const request =
        url.protocol === 'https:'
          ? requestHttps(url, { ...given, agent: agents.https })
          : requestHttp(url, { ...given, agent: agents.http });
      request.on('error', (error) => {
        // The other end closed the idle connection in the moment in which it was to be used again.
        const stale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
        if (stale) exchange(url, given, body).then(resolve, reject);
        else reject(error);
      });
      request.on('response', (response) => {
        readALittle(response);
        resolve({ status: response.statusCode ?? 0 });
      });
      request.end(body);
    });

  return Object.assign(post, {
    close() {
      agents.http.destroy();
      agents.https.destroy();
    },
  });
}

function readALittle(response: IncomingMessage): void {
  let left = ENOUGH;
  response.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) response.destroy();
  });
  // The status was there: what becomes of the rest matters to nobody.
  response.on('error', () => {});
}

/** Node's codes, such as ECONNREFUSED or CERT_HAS_EXPIRED: the messages have addresses in them. */
function wordFor(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? `No answer: ${code}` : 'No answer';
}
