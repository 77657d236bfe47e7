import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { sendJson } from './health.ts';

/**
 * Whether a request came by a name that nobody else can point at this server: an address, `localhost`, or
 * the configured HOST. A page elsewhere whose name its owner lets resolve to this machine (DNS rebinding)
 * has this server's origin for the browser, and could read whatever is handed out without a token.
 */
export function isKnownHost(request: IncomingMessage, configured: string): boolean {
  const url = URL.parse(`http://${request.headers.host}`);
  if (url === null) return false;
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name === configured.toLowerCase() || isIP(name) !== 0;
}

export function refuseHost(response: ServerResponse): void {
  sendJson(response, 403, {
    error:
      'A demo hands out tokens, so it answers here by an IP address, as localhost, or by the name that ' +
      'HOST is set to: open it by one of these.',
  });
}
