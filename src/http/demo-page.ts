import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sendJson } from './health.ts';
import { isKnownHost, refuseHost } from './known-host.ts';

/**
 * What a demo serves beside the API: the page that `npm run build:demo` makes, and whom one can be on it.
 * Its few files are kept in memory, by the path at which they are: nothing else can be asked for.
 */

export interface DemoUser {
  readonly id: string;
  readonly name: string;
  readonly token: string;
}

export interface Demo {
  /** Members of one conversation. Whoever opens the page may be any of them. */
  readonly users: readonly DemoUser[];
  /** With the scopes `service` and `admin`. */
  readonly operatorToken: string;
  readonly conversationId: string;
  /** Where the built page is, or will be. */
  readonly folder: URL;
  /** HOST, as it is configured. */
  readonly host: string;
}

interface File {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Gives what answers at a path, or null where the demo has nothing. */
export function createDemoPage(demo: Demo): (path: string) => Promise<Answer | null> {
  const { users, operatorToken, conversationId } = demo;
  let files: ReadonlyMap<string, File> | null = null;

  return async (path) => {
    if (path === '/demo.json') {
      return (request, response) => {
        if (!isKnownHost(request, demo.host)) return refuseHost(response);
        response.setHeader('cross-origin-resource-policy', 'same-origin');
        sendJson(response, 200, { users, operatorToken, conversationId });
      };
    }
    // A page that is not built yet is looked for again: it can be built while the server runs.
    files ??= await readFiles(demo.folder);
    const file = files?.get(path);
    if (file) return (request, response) => send(file, request, response);
    return path === '/' && files === null ? sayHowToBuild : null;
  };
}

function send({ body, headers }: File, request: IncomingMessage, response: ServerResponse): void {
  const isKept = request.headers['if-none-match'] === headers.etag;
  response.writeHead(isKept ? 304 : 200, { ...PAGE_HEADERS, ...headers });
  response.end(isKept ? undefined : body);
}

function sayHowToBuild(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(503, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end('The page of the demo is not built. Run `npm run build:demo`, then load this page again.\n');
}

/** Null where there is no built page. */
async function readFiles(folder: URL): Promise<Map<string, File> | null> {
  const root = fileURLToPath(folder);
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = new Map<string, File>();
  for (const entry of entries) {
    if (!entry.isFile() || entry.name.startsWith('.')) continue;
    const path = join(entry.parentPath, entry.name);
    const name = `/${relative(root, path).split(sep).join('/')}`;
    files.set(name === '/index.html' ? '/' : encodeURI(name), toFile(name, await readFile(path)));
  }
  return files.has('/') ? files : null;
}

function toFile(name: string, body: Buffer): File {
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  const headers = {
    'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
    // What Vite puts into assets/ has a hash of its content in its name.
    'cache-control': name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    'content-length': String(body.length),
    etag,
  };
  return { body, headers };
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};

/** Nothing is loaded from elsewhere, and nothing sent but to this server: 'self' is its WebSocket too. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob: mediastream:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const PAGE_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'permissions-policy': 'camera=(self), microphone=(self), display-capture=(self)',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};
