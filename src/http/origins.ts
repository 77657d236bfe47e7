import type { IncomingMessage } from 'node:http';

/**
 * Whether a page of this origin may use the API: the server's own, and those of ALLOWED_ORIGINS. What is
 * no browser sends no `Origin` (RFC 6454 section 7.3) and may too: it is the token that opens the API.
 */
export function isAllowedOrigin(request: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin } = request.headers;
  return origin === undefined || allowed.includes(origin) || isOwn(origin, request);
}

/**
 * Scheme, host and port (RFC 6454 section 5). TLS ends in front of this server, so only the proxy knows the
 * scheme, and may tell it: then a page that came without TLS, which anyone on its way may have written, is not
 * one of ours. Whoever makes up the header is no page.
 */
function isOwn(origin: string, { headers }: IncomingMessage): boolean {
  const [, scheme, host] = /^(https?):\/\/([^/?#@]+)$/.exec(origin) ?? [];
  if (host === undefined || host !== headers.host) return false;
  // The first proxy, which the browser talks to, comes first; of a WebSocket some say `wss`.
  const [told] = String(headers['x-forwarded-proto'] ?? scheme).split(',');
  return told?.trim().replace(/^ws/, 'http') === scheme;
}
