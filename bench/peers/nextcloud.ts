import { createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What Nextcloud's signaling server (Debian: nextcloud-spreed-signaling) needs around it: a back end that says yes to
 * every user and every room, in the words of Nextcloud Talk, and a configuration.
 */

export interface BackEnd {
  readonly url: string;
  readonly secret: string;
  stop(): void;
}

export async function startBackEnd(): Promise<BackEnd> {
  const secret = secretText();
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const random = request.headers['spreed-signaling-random'];
    const checksum = createHmac('sha256', secret).update(`${random}${body}`).digest('hex');
    const isQuestion = request.method === 'POST';
    if (isQuestion && request.headers['spreed-signaling-checksum'] !== checksum) {
      response.writeHead(403).end();
      return;
    }
    const data = isQuestion ? answerTo(JSON.parse(body)) : { capabilities: {} };
    const meta = { status: 'ok', statuscode: 200, message: 'OK' };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ocs: { meta, data } }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    secret,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

interface Question {
  readonly type: string;
  readonly auth?: { readonly params: { readonly user: string } };
  readonly room?: { readonly roomid: string };
}

function answerTo({ type, auth, room }: Question): object {
  if (type === 'auth') return { type, auth: { version: '1.0', userid: auth?.params.user, user: {} } };
  if (type === 'room') return { type, room: { version: '1.0', roomid: room?.roomid, properties: {} } };
  return { type, [type]: { version: '1.0' } };
}

/** One instance alone: its bus is a loop in the process. No media server, no TURN. */
export function configuration(port: number, { url, secret }: BackEnd): string {
  return `[http]
listen = 127.0.0.1:${port}
[sessions]
hashkey = ${secretText()}
blockkey = ${secretText()}
[clients]
internalsecret = ${secretText()}
[backend]
backends = bench
[bench]
url = ${url}
secret = ${secret}
[nats]
url = :loopback:
`;
}

/** 32 characters. */
function secretText(): string {
  return randomBytes(16).toString('hex');
}
