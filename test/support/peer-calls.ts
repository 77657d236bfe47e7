import { v4 as uuid } from 'uuid';
import { expect, onTestFinished, vi } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from './app.ts';
import { createClient } from './client.ts';
import { createDatabase } from './database.ts';
import { PutConversation } from './operations.ts';
import { type CallEvent, Peer } from './peer.ts';
import { startRedis } from './redis.ts';

/** What the stories of test/webrtc have in common. */

/** How long peers may take to connect, milliseconds; a busy machine is slow at handshakes. */
const CONNECT_LIMIT = 15_000;

export interface Deployment {
  /** The instances; the first one again where there is but one. */
  readonly apps: readonly [App, App];
  stop(): Promise<void>;
}

/** One instance, on the embedded database and the log in memory. */
export async function startOneInstance(): Promise<Deployment> {
  const app = await startTestApp();
  return { apps: [app, app], stop: () => app.stop() };
}

/** Two instances that share one Postgres and one Redis. */
export async function startTwoInstances(): Promise<Deployment & { readonly databaseUrl: string }> {
  const database = await createDatabase();
  const redis = await startRedis();
  const env = { DATABASE_URL: database.url, REDIS_URL: redis.url };
  const apps = [await startTestApp(env), await startTestApp(env)] as const;
  return {
    apps,
    databaseUrl: database.url,
    async stop() {
      for (const app of apps) await app.stop();
      await redis.stop();
      await database.drop();
    },
  };
}

/** A conversation of these users, as the app's back end makes it. */
export async function conversationOf(url: string, ...memberIds: string[]): Promise<string> {
  const id = uuid();
  const client = createClient({ url, token: await tokenFor('back-end', 'service') });
  await client.mutate(PutConversation, { id, memberIds, version: null }, { over: 'http' });
  await client.dispose();
  return id;
}

/** A device of a user's, on this instance, that the end of the test closes where the test did not. */
export async function startPeer(app: App, userId: string): Promise<Peer> {
  const peer = await Peer.start(app.url, userId);
  onTestFinished(() => peer.close());
  return peer;
}

let pairs = 0;

/** Ann's device, on the first instance, and Ben's, on the second, who may call each other. */
export async function startPair({ apps: [a, b] }: Deployment): Promise<{
  ann: Peer;
  ben: Peer;
  conversation: string;
}> {
  const pair = ++pairs;
  const conversation = await conversationOf(a.url, `ann-${pair}`, `ben-${pair}`);
  const [ann, ben] = await Promise.all([startPeer(a, `ann-${pair}`), startPeer(b, `ben-${pair}`)]);
  return { ann, ben, conversation };
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const look = () => expect(condition(), what).toBe(true);
  await vi.waitFor(look, { timeout: CONNECT_LIMIT, interval: 5 });
}

/** Waits for the data channel between the two, and sends a new text each way. */
export async function exchange(a: Peer, b: Peer): Promise<void> {
  const linked = () => a.links.get(b.userId)?.open === true && b.links.get(a.userId)?.open === true;
  await until(linked, `a data channel between ${a.userId} and ${b.userId}`);
  const there = a.links.get(b.userId)!;
  const back = b.links.get(a.userId)!;
  const hello = `hello ${uuid()}`;
  const reply = `reply ${uuid()}`;
  there.say(hello);
  await until(() => back.messages.includes(hello), `${a.userId}'s message at ${b.userId}`);
  back.say(reply);
  await until(() => there.messages.includes(reply), `${b.userId}'s message at ${a.userId}`);
}

/** Closes all; fails where something went wrong in the background of one. */
export async function closeAll(...peers: Peer[]): Promise<void> {
  await Promise.all(peers.map((peer) => peer.close()));
  for (const peer of peers) expect(peer.failures, `failures of ${peer.userId}`).toEqual([]);
}

/** The server has noticed the loss of one's socket, and has told the other. */
export async function lossNoticed(of: Peer, by: Peer): Promise<void> {
  const told = () => by.participants.get(of.userId)?.status === 'RECONNECTING';
  await until(told, `the loss of ${of.userId}`);
}

export function signalsReceived(peer: Peer) {
  return peer.events.filter(
    (event): event is Extract<CallEvent, { __typename: 'SignalReceived' }> =>
      event.__typename === 'SignalReceived',
  );
}

/**
 * What the server took from one for the other arrived there: all of it, once, in the order in which it was
 * numbered. To be asked after the call's end, when nothing is on its way any more.
 */
export async function expectDelivered(from: Peer, to: Peer): Promise<void> {
  await until(() => from.unanswered === 0, `answers to ${from.userId}'s signals`);
  const sent = from.taken
    .filter((input) => input.to === to.userId && input.toJoinSeq === to.joinSeq)
    .sort((a, b) => a.clientSeq - b.clientSeq)
    .map(({ signal }) => textOf(signal.offer ?? signal.answer ?? signal.candidates));
  const received = signalsReceived(to)
    .filter((event) => event.from === from.userId && event.fromJoinSeq === from.joinSeq)
    .map(({ signal }) => textOf(signal.__typename === 'Renegotiate' ? undefined : signal));
  expect(received).toEqual(sent);
  const cursors = signalsReceived(to).map(({ cursor }) => cursor);
  expect(new Set(cursors).size).toBe(cursors.length);
}

/** What tells a description or candidates from others, as sent or as received. */
function textOf(
  body: { generation: number; sdp?: string; items?: readonly { candidate: string }[] } | undefined,
): string {
  return `${body?.generation} ${body?.sdp ?? body?.items?.map(({ candidate }) => candidate).join()}`;
}
