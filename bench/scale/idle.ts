import { setTimeout as sleep } from 'node:timers/promises';
import { tokenFor } from '../../test/support/app.ts';
import { freePort } from '../../test/support/free-port.ts';
import { type Inspector, inspectable } from '../../test/support/inspector.ts';
import { type Instance, startInstance } from '../../test/support/instance.ts';
import { cpuSeconds } from '../measure.ts';
import { ScaleSocket } from './socket.ts';
import { later, memoryOf, pin, print, SERVER_CORE, type Stage, stage, verdict } from './stage.ts';

/**
 * Sockets that hold a seat and hear nothing: what each costs the instance in memory, and how soon all are back after
 * it was restarted.
 */

/** Bytes of heap and native memory together. */
const GOAL_BYTES = 15 * 1024;
const GOAL_SECONDS = 20;
/** Calls that are opened and let go before, so that the code itself is not counted. */
const WARM_UP = 200;
/** Sockets that are opened at once. */
const AT_ONCE = 10;
/** Between two attempts of one client, at most; by chance, and twice as long each time, as the SDK does. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 4_000;

/** Nobody came back in time. */
class CallOver extends Error {}

const EVENTS = `subscription Events($callId: ID!, $sessionId: ID!, $after: Cursor) {
  callEvents(callId: $callId, sessionId: $sessionId, after: $after) {
    __typename
    cursor
    ... on SignalReceived { from fromJoinSeq signal { __typename ... on Renegotiate { iceRestart } } }
    ... on CallSnapshot { recovered call { ...CallParts } }
    ... on CallChanged { call { ...CallParts } }
    ... on CallEnded { call { ...CallParts } }
    ... on ParticipantChanged { version participant { ...ParticipantParts } }
  }
}
fragment CallParts on Call { id status version endReason participants { ...ParticipantParts } }
fragment ParticipantParts on Participant { userId status sessionId joinSeq media { muted videoOn screenOn } }`;
const INITIATE = `mutation Initiate($input: InitiateCallInput!) {
  initiateCall(input: $input) { ... on InitiateCallSuccess { call { id } } ... on Rejection { code } }
}`;
const JOIN = `mutation Join($input: JoinCallInput!) {
  joinCall(input: $input) { ... on JoinCallSuccess { call { id } } ... on Rejection { code } }
}`;

/** One client: a socket that is subscribed to its call, and comes back when it is closed. */
class Client {
  readonly #url: string;
  readonly #token: string;
  readonly #sessionId: string;
  callId = '';
  socket: ScaleSocket | null = null;
  #cursor: string | undefined;
  #stopped = false;
  #isComingBack = false;
  recovered = 0;
  onBack: (how: 'back' | 'lost') => void = () => {};

  constructor(url: string, token: string, sessionId: string) {
    this.#url = url;
    this.#token = token;
    this.#sessionId = sessionId;
  }

  async open(): Promise<void> {
    this.socket = await ScaleSocket.open(this.#url, this.#token);
    this.socket.onEnd(() => {
      // An attempt that fails closes its socket, and the next one is on its way already.
      if (!this.#isComingBack) void this.#comeBack();
    });
  }

  async start(query: string, input: object): Promise<string> {
    const answer = await this.socket!.ask(query, { input: { ...input, sessionId: this.#sessionId } });
    const id = /"call":\{"id":"([^"]+)"/.exec(answer)?.[1];
    if (id === undefined) throw new Error(`Refused: ${answer}`);
    return id;
  }

  async subscribe(): Promise<void> {
    const { callId } = this;
    const sessionId = this.#sessionId;
    const first = await this.socket!.ask(EVENTS, { callId, sessionId, after: this.#cursor });
    if (first.includes('"CallEnded"')) throw new CallOver();
    const cursor = /"cursor":"([^"]+)"/.exec(first)?.[1];
    if (!first.includes('"CallSnapshot"') || cursor === undefined) throw new Error(`Not resumed: ${first}`);
    if (this.#cursor !== undefined && first.includes('"recovered":true')) this.recovered++;
    this.#cursor = cursor;
  }

  async #comeBack(): Promise<void> {
    this.#isComingBack = true;
    for (let most = FIRST_RETRY_MS; !this.#stopped; most = Math.min(2 * most, LAST_RETRY_MS)) {
      this.socket = null;
      await sleep(Math.random() * most);
      try {
        await this.open();
        await this.subscribe();
        this.#isComingBack = false;
        this.onBack('back');
        return;
      } catch (error) {
        (this.socket as ScaleSocket | null)?.close();
        if (error instanceof CallOver) return this.onBack('lost');
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.socket?.close();
  }
}

/** `args`: how many sockets, where not ten thousand. */
export async function idle([sockets = '10000']: readonly string[]): Promise<void> {
  const count = Number(sockets);
  const set = await stage();
  const port = await freePort();
  const env = {
    DATABASE_URL: set.databaseUrl,
    REDIS_URL: set.redis.url,
    NODE_ENV: 'production',
    PORT: String(port),
    DISCONNECT_GRACE: '60s',
    // A busy machine is not what is measured.
    DATABASE_TIMEOUT: '60s',
  };
  const inspected = await inspectable();
  let instance = await startInstance({ ...env, ...inspected.env });
  later(() => {
    instance.signal('SIGKILL');
    return instance.ended;
  });
  pin(instance.pid, SERVER_CORE);
  const inspector = await inspected.open();

  for (const client of await pairs(set, instance.url, WARM_UP, 'warm')) client.stop();
  await sleep(2_000);
  const before = await memory(inspector, instance);
  const clients = await pairs(set, instance.url, count / 2, 'idle');
  await sleep(2_000);
  const after = await memory(inspector, instance);
  inspector.close();
  const each = (bytes: number) => `${(bytes / count / 1024).toFixed(1)} KB`;
  const all = after.anonymous - before.anonymous;
  print(
    `${count.toLocaleString('en')} sockets, subscribed and idle: ${each(all)} each in memory (goal 15 KB or less: ${verdict(all / count <= GOAL_BYTES)}), ` +
      `of it heap ${each(after.heapUsed - before.heapUsed)}, buffers ${each(after.external - before.external)}`,
  );
  const start = cpuSeconds(instance.pid);
  await sleep(20_000);
  print(
    `They cost ${(5 * (cpuSeconds(instance.pid) - start)).toFixed(1)} % of a core while nothing happens.`,
  );

  const back = Promise.all(
    clients.map((client) => {
      return new Promise<'back' | 'lost'>((resolve) => {
        client.onBack = resolve;
      });
    }),
  );
  const stoppedAt = performance.now();
  instance.signal('SIGTERM');
  await instance.ended;
  const goneAt = performance.now();
  instance = await startInstance(env);
  pin(instance.pid, SERVER_CORE);
  const readyAt = performance.now();
  const lost = (await back).filter((how) => how === 'lost').length;
  const seconds = (from: number) => (performance.now() - from) / 1000;
  const took = seconds(stoppedAt);
  const recovered = clients.filter((client) => client.recovered > 0).length;
  print(
    `${lost === 0 ? 'All resumed' : `All but ${lost} resumed`} ${took.toFixed(1)} s after the restart began (goal ${GOAL_SECONDS} s: ${verdict(lost === 0 && took <= GOAL_SECONDS)}); ` +
      `the old one stopped within ${((goneAt - stoppedAt) / 1000).toFixed(1)} s, the new one was ready ${((readyAt - goneAt) / 1000).toFixed(1)} s later, ` +
      `and then took ${seconds(readyAt).toFixed(1)} s, ${cpuSeconds(instance.pid).toFixed(1)} s of its core. ${recovered} without a gap.`,
  );
}

/** Both ends of so many calls, subscribed. */
async function pairs(set: Stage, url: string, count: number, name: string): Promise<Client[]> {
  await set.sql.query(
    `insert into conversations (id, version) select '${name}-' || n, 1 from generate_series(1, ${count}) n`,
  );
  await set.sql.query(
    `insert into conversation_members (conversation_id, user_id)
      select '${name}-' || n, '${name}-' || n || who from generate_series(1, ${count}) n, unnest(array['a', 'b']) who`,
  );
  const clients: Client[] = [];
  // First of all, or they would come back to whatever is still there.
  later(() => {
    for (const client of clients) client.stop();
  });
  let next = 1;
  const one = async (n: number) => {
    const users = [`${name}-${n}a`, `${name}-${n}b`] as const;
    const tokens = await Promise.all(users.map((user) => tokenFor(user, '', 3_600_000)));
    const [caller, callee] = users.map((user, i) => new Client(url, tokens[i]!, `session-of-${user}`));
    await caller!.open();
    const input = { conversationId: `${name}-${n}`, calleeIds: [users[1]], type: 'VIDEO' };
    caller!.callId = await caller!.start(INITIATE, input);
    await caller!.subscribe();
    await callee!.open();
    callee!.callId = await callee!.start(JOIN, { callId: caller!.callId });
    await callee!.subscribe();
    clients.push(caller!, callee!);
  };
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next <= count) await one(next++);
    }),
  );
  return clients;
}

async function memory(inspector: Inspector, { pid }: Instance) {
  await inspector.memory();
  await sleep(1_000);
  const { heapUsed, external } = await inspector.memory();
  await sleep(1_000);
  return { heapUsed, external, anonymous: memoryOf(pid) };
}
