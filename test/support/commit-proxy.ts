import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** When a connection to Postgres is lost: before the server has the COMMIT, on its way, or with the answer. */
export type Moment = 'before' | 'in' | 'after';

/** A proxy before a Postgres that cuts connections at their COMMIT. */
export interface CommitProxy {
  /** The database's, by way of the proxy. */
  readonly url: string;
  /** Cuts the connection of the next transaction that has `mark` in it; resolves once it is cut. */
  cutAt(moment: Moment, mark: string): Promise<void>;
  close(): Promise<void>;
}

/** As simple queries (PostgreSQL manual, "Message Formats"); what is between them comes with its parameters as text. */
const BEGIN = 'begin isolation level';
const COMMIT = Buffer.from('Q\0\0\0\x0bcommit\0', 'latin1');
/** The answer to it, "CommandComplete". */
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

interface Plan {
  readonly moment: Moment;
  readonly mark: string;
  readonly cut: () => void;
}

export async function startCommitProxy(databaseUrl: string): Promise<CommitProxy> {
  const { hostname, port } = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const plans = new Set<Plan>();

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    let inTransaction = false;
    let plan: Plan | undefined;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    const lose = ({ cut }: Plan) => {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
      cut();
    };
    upstream.on('data', (answer) => void client.write(answer));
    client.on('data', (message) => {
      if (message.includes(BEGIN)) inTransaction = true;
      if (inTransaction) plan ??= [...plans].find(({ mark }) => message.includes(mark));
      if (plan) plans.delete(plan);
      const commits = message.includes(COMMIT);
      if (commits) inTransaction = false;
      if (!plan || !commits) {
        upstream.write(message);
        return;
      }
      const { moment } = plan;
      if (moment === 'before') {
        // What is sent with it arrives.
        upstream.write(message.subarray(0, message.indexOf(COMMIT)), () => lose(plan as Plan));
        return;
      }
      if (moment === 'after') {
        upstream.removeAllListeners('data').on('data', (answer) => {
          if (answer.includes(COMMITTED)) lose(plan as Plan);
        });
      }
      // The reset may overtake what the server has not read yet: either may come of it.
      upstream.write(message, () => {
        if (moment === 'in') lose(plan as Plan);
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const url = new URL(databaseUrl);
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    cutAt: (moment, mark) =>
      new Promise((resolve) => {
        plans.add({ moment, mark, cut: resolve });
      }),
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
