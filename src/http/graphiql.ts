import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { type ExampleUser, exampleOperations } from './example-operations.ts';

/** GraphiQL, with all of its 9 MB inline: it works without a network. Made at the first request. */

/** Nothing is loaded from anywhere, and nothing sent but to this server. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/**
 * The tabs can be dragged, and with more than a few of them they start with a shift left over from the
 * layout of the page's load: pressed, a tab jumps away from under the mouse, and the click is lost.
 */
const STILL_TABS = '.graphiql-tab { transform: none !important; }';

interface Page {
  readonly compressed: Buffer;
  readonly etag: string;
}

/** `users`: for whom `?user=<id>` has a token and fitting variables at hand; nobody outside a demo. */
export function createGraphiQL(users: readonly ExampleUser[]) {
  let page: Promise<Page> | null = null;
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    page ??= render(users);
    const { compressed, etag } = await page;
    response.setHeader('etag', etag);
    response.setHeader('cache-control', 'private, no-cache');
    response.setHeader('vary', 'accept-encoding');
    if (request.headers['if-none-match'] === etag) {
      response.writeHead(304).end();
      return;
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('referrer-policy', 'no-referrer');
    if (/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) {
      response.setHeader('content-encoding', 'gzip').end(compressed);
    } else {
      response.end(await promisify(gunzip)(compressed));
    }
  };
}

async function render(users: readonly ExampleUser[]): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql');
  const title = { title: 'Ringdown' };
  const html = renderGraphiQL(title);
  // The options stand at the end of the page as JSON; what takes their place can be code as well.
  const options = JSON.stringify(title);
  const at = html.lastIndexOf(options);
  if (at < 0) throw new Error('render-graphiql has another page than this was written for.');
  const own = `(${CHOOSE_OPTIONS})(${forScript(tabsByUser(users))})`;
  const whole = html.slice(0, at) + own + html.slice(at + options.length);
  const compressed = await promisify(gzip)(whole.replace('<style>', `<style>${STILL_TABS}`));
  return {
    compressed,
    etag: `"${createHash('sha256').update(compressed).digest('base64url').slice(0, 22)}"`,
  };
}

function tabsByUser(users: readonly ExampleUser[]) {
  const nobody = { id: 'me', token: '<your token>', conversationId: 'a conversation', others: ['a member'] };
  const entries = [nobody, ...users].map(({ token, ...user }) => {
    const headers = JSON.stringify({ Authorization: `Bearer ${token}` }, null, 2);
    const tabs = exampleOperations(user).map(({ query, variables }) => ({
      query,
      variables: JSON.stringify(variables, null, 2),
      headers,
    }));
    return [user === nobody ? '' : user.id, { headers, tabs }] as const;
  });
  return Object.fromEntries(entries);
}

/** JSON that can't end the script element it stands in. */
function forScript(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

/**
 * Runs in the page. Tabs are kept for each user and each tab of the browser, so that two users side by side
 * don't mix. GraphiQL sends its headers over HTTP alone; over WebSocket the token of the header editor goes
 * into `connection_init`. The query is kept out of the address, which holds whose page it is.
 */
const CHOOSE_OPTIONS = `function (pages) {
  const asked = new URLSearchParams(location.search).get('user') ?? '';
  const user = Object.hasOwn(pages, asked) ? asked : '';
  const { headers, tabs } = pages[user];
  const key = (name) => 'ringdown:' + user + ':' + name;
  const storage = {
    getItem: (name) => sessionStorage.getItem(key(name)),
    setItem: (name, value) => sessionStorage.setItem(key(name), value),
    removeItem: (name) => sessionStorage.removeItem(key(name)),
    clear: () => sessionStorage.clear(),
    get length() { return sessionStorage.length; },
  };
  const connectionParams = () => {
    try {
      const current = JSON.parse(storage.getItem('graphiql:headers') || headers);
      const name = Object.keys(current).find((name) => name.toLowerCase() === 'authorization');
      return name ? { authorization: current[name] } : {};
    } catch {
      return {};
    }
  };
  return {
    title: 'Ringdown',
    subscriptionsProtocol: 'WS',
    headers,
    defaultTabs: tabs,
    storage,
    connectionParams,
    onEditQuery: () => {},
  };
}`;
