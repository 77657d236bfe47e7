import type { IncomingMessage } from 'node:http';

/**
 * Whether a page of this origin may use the API: the server's own, and those of ALLOWED_ORIGINS. What is
 * no browser sends no `Origin` (RFC 6454 section 7.3) and may too: it is the token that opens the API.
 */
export function isAllowedOrigin(request: IncomingMessage, allowed: readonly string[]): boolean {
  const { origin, host } = request.headers;
  if (origin === undefined || allowed.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
