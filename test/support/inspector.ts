import { once } from 'node:events';
import { WebSocket } from 'ws';
import { freePort } from './free-port.ts';

/** What a Node process has in its memory, looked at from outside, by its inspector. */
export interface Inspector {
  /** Once what nobody needs any more is gone; bytes. */
  memory(): Promise<NodeJS.MemoryUsage>;
  /** The value of an expression there; it has to be JSON. */
  evaluate<Value>(expression: string): Promise<Value>;
  close(): void;
}

/** What a process is to be started with, and what looks into it once it runs. */
export async function inspectable(): Promise<{
  readonly env: { readonly NODE_OPTIONS: string };
  open(): Promise<Inspector>;
}> {
  const address = `127.0.0.1:${await freePort()}`;
  return { env: { NODE_OPTIONS: `--inspect=${address}` }, open: () => openInspector(address) };
}

async function openInspector(address: string): Promise<Inspector> {
  const [target] = (await (await fetch(`http://${address}/json/list`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const socket = new WebSocket((target as { webSocketDebuggerUrl: string }).webSocketDebuggerUrl);
  await once(socket, 'open');
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  socket.on('message', (message) => {
    const { id, result, error } = JSON.parse(String(message));
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error) asked?.reject(new Error(error.message));
    else asked?.resolve(result);
  });
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('The process has ended'));
  });
  let asked = 0;
  const ask = (method: string, params: object = {}): Promise<unknown> => {
    asked += 1;
    const answer = Promise.withResolvers<unknown>();
    waiting.set(asked, answer);
    socket.send(JSON.stringify({ id: asked, method, params }));
    return answer.promise;
  };
  async function evaluate<Value>(expression: string): Promise<Value> {
    const { result } = (await ask('Runtime.evaluate', { expression, returnByValue: true })) as {
      result: { value: Value };
    };
    return result.value;
  }
  return {
    async memory() {
      await ask('HeapProfiler.collectGarbage');
      return evaluate('process.memoryUsage()');
    },
    evaluate,
    close: () => socket.close(),
  };
}
