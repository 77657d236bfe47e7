import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** Serves a page with one script, as an app would. */
export interface PageServer {
  /** `http://127.0.0.1:port` */
  readonly origin: string;
  close(): Promise<void>;
}

const PHONE = fileURLToPath(new URL('page/phone.ts', import.meta.url));
let phone: Promise<string> | null = null;

/** `more`: text that is answered at other paths, by the query. Without a script: the phone of page/phone.ts. */
export async function servePage(
  script?: string,
  more: Readonly<Record<string, (query: URLSearchParams) => Promise<string>>> = {},
): Promise<PageServer> {
  if (script === undefined) phone ??= bundle(PHONE);
  const code = script ?? (await phone);
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url as string, 'http://localhost');
    if (pathname === '/script.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8').end(code);
    } else if (more[pathname]) {
      response.setHeader('content-type', 'text/plain; charset=utf-8').end(await more[pathname](searchParams));
    } else {
      response.setHeader('content-type', 'text/html; charset=utf-8').end(HTML);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const HTML = `<!doctype html>
<link rel="icon" href="data:,">
<video autoplay playsinline></video>
<script type="module" src="/script.js"></script>`;

/** One file and all that it imports, as an app's bundler makes it. */
export async function bundle(script: string): Promise<string> {
  const output = await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      modulePreload: false,
      rolldownOptions: { input: script, output: { format: 'es', codeSplitting: false } },
    },
  });
  const [first] = Array.isArray(output) ? output : [output];
  if (!first || !('output' in first)) throw new Error('Nothing was built');
  return first.output[0].code;
}
