import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseIceServerUrl } from '../../src/ice-servers/ice-server-url.ts';
import { decodeMessage, encodeRequest, METHODS } from '../../src/ice-servers/stun-message.ts';
import { openStunSession } from '../../src/ice-servers/stun-socket.ts';
import { freePort } from '../support/free-port.ts';

/** The way to a STUN server, against servers that do what a real one does not. */

const ID = Buffer.from('0123456789ab');
const REQUEST = encodeRequest(METHODS.binding, ID, []);
/** A success without attributes, to this transaction. */
function answer(id: Buffer): Buffer {
  const bytes = encodeRequest(METHODS.binding, id, []);
  bytes[0]! |= 1;
  return bytes;
}

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0)) step();
});

async function udp(receive: (socket: Socket, reply: (bytes: Buffer) => void) => void): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  undo.push(() => socket.close());
  socket.on('message', (_bytes, { port, address }) =>
    receive(socket, (bytes) => socket.send(bytes, port, address)),
  );
  return socket.address().port;
}

async function tcp(answers: Buffer[]): Promise<number> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', async () => {
      for (const part of answers) {
        socket.write(part);
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (answers.length === 0) socket.end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function ask(url: string, limit = 5_000) {
  const signal = AbortSignal.timeout(limit);
  const session = await openStunSession(parseIceServerUrl(url), signal);
  try {
    return await session.request(REQUEST);
  } finally {
    session.close();
  }
}

describe('over UDP', () => {
  it('asks again where a datagram was lost, and passes over what is no answer to it', async () => {
    let received = 0;
    const port = await udp((_socket, reply) => {
      received++;
      if (received === 1) return;
      reply(Buffer.from('garbage'));
      reply(answer(Buffer.from('another-id-.')));
      reply(REQUEST);
      reply(answer(ID));
    });
    expect(await ask(`stun:127.0.0.1:${port}`)).toMatchObject({ class: 'success', transactionId: ID });
    expect(received).toBe(2);
  });

  it('gives up when its signal says so, and sends no more', async () => {
    const port = await udp(() => {});
    await expect(ask(`stun:127.0.0.1:${port}`, 50)).rejects.toMatchObject({ name: 'TimeoutError' });
  });

  it('notices that nobody listens', async () => {
    await expect(ask(`stun:127.0.0.1:${await freePort()}`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('fails where there is no such name, or where the signal says so before the answer of DNS', async () => {
    await expect(ask('stun:nowhere.invalid', 2_000)).rejects.toThrow();
    const aborted = AbortSignal.abort(new Error('stopped'));
    await expect(openStunSession(parseIceServerUrl('stun:localhost'), aborted)).rejects.toThrow('stopped');
  });

  it('has no DTLS', async () => {
    await expect(ask('turns:localhost?transport=udp')).rejects.toThrow('DTLS');
  });
});

describe('over TCP', () => {
  it('puts an answer together, however it is cut, and finds it behind another', async () => {
    const whole = Buffer.concat([answer(Buffer.from('another-id-.')), answer(ID)]);
    const port = await tcp([whole.subarray(0, 7), whole.subarray(7, 33), whole.subarray(33)]);
    const message = await ask(`turn:127.0.0.1:${port}?transport=tcp`);
    expect(message).toEqual(decodeMessage(answer(ID)));
  });

  it('fails where what comes is not STUN, where the connection is closed or was never made', async () => {
    const http = await tcp([Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')]);
    await expect(ask(`turn:127.0.0.1:${http}?transport=tcp`)).rejects.toThrow('not STUN');
    await expect(ask(`turns:127.0.0.1:${http}`)).rejects.toMatchObject({
      code: expect.stringMatching(/SSL|TLS/),
    });
    const closing = await tcp([]);
    await expect(ask(`turn:127.0.0.1:${closing}?transport=tcp`)).rejects.toThrow('closed the connection');
    const nobody = await freePort();
    await expect(ask(`turn:127.0.0.1:${nobody}?transport=tcp`)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  it('gives up a connection that is not made in time', async () => {
    const aborted = AbortSignal.abort(new Error('stopped'));
    const port = await tcp([]);
    for (const url of [`turn:127.0.0.1:${port}?transport=tcp`, `turns:127.0.0.1:${port}`]) {
      await expect(openStunSession(parseIceServerUrl(url), aborted)).rejects.toThrow('stopped');
    }
  });
});
