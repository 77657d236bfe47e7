import type { ResultOf } from '@graphql-typed-document-node/core';
import type { App } from '../../src/app.ts';
import type { Config } from '../../src/config.ts';
import { type Database, openDatabase } from '../../src/database/open.ts';
import { startTestApp, tokenFor } from './app.ts';
import { type Client, createClient } from './client.ts';
import { createDatabase } from './database.ts';
import * as operations from './operations.ts';
import { startRedis, type TestRedis } from './redis.ts';

/** Some instances on one real Postgres and one real Redis, and the people who use them. */

export interface World {
  readonly apps: readonly App[];
  readonly redis: TestRedis;
  readonly databaseUrl: string;
  /** Straight to the tables, to see what the API does not show. */
  readonly database: Database;
  /** A client of its own, of this user on that instance. Closed with the world. */
  client(userId: string, instance?: number, scope?: string): Promise<Client>;
  /** A conversation with these members, under a new id. */
  conversation(memberIds: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

export async function createWorld(
  options: { instances?: number; env?: Record<string, string>; change?: (config: Config) => Config } = {},
): Promise<World> {
  const { instances = 1, env = {}, change } = options;
  const undo: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const redis = await startRedis();
    undo.push(() => redis.stop());
    const database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 4, timeoutMs: 20_000 });
    undo.push(() => database.close());
    const apps: App[] = [];
    for (let i = 0; i < instances; i++) {
      const app = await startTestApp({ DATABASE_URL: stored.url, REDIS_URL: redis.url, ...env }, change);
      undo.push(() => app.stop());
      apps.push(app);
    }
    const client: World['client'] = async (userId, instance = 0, scope = '') => {
      const url = (apps[instance] as App).url;
      const made = createClient({ url, token: await tokenFor(userId, scope) });
      undo.push(() => made.dispose());
      return made;
    };
    const service = await client('back-end', 0, 'service');
    let conversations = 0;
    return {
      apps,
      redis,
      databaseUrl: stored.url,
      database,
      client,
      async conversation(memberIds) {
        const id = `conversation-${++conversations}`;
        await service.mutate(operations.PutConversation, { id, memberIds: [...memberIds] });
        return id;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A Rejection where a success was expected. */
export class Rejected extends Error {
  readonly code: string;

  constructor(rejection: { readonly code: string; readonly message: string }) {
    super(`${rejection.code}: ${rejection.message}`);
    this.code = rejection.code;
  }
}

/** The success of a result, or a Rejected. */
export function success<T extends { readonly __typename: string }>(
  result: T,
): Exclude<T, { __typename: 'Rejection' }> {
  if (result.__typename === 'Rejection')
    throw new Rejected(result as unknown as { code: string; message: string });
  return result as Exclude<T, { __typename: 'Rejection' }>;
}

/** The code of a result that was expected to be a Rejection; the typename where it is none. */
export function codeOf(result: { readonly __typename: string }): string {
  return 'code' in result ? String(result.code) : result.__typename;
}

type InitiateResult = ResultOf<typeof operations.InitiateCall>['initiateCall'];
type JoinResult = ResultOf<typeof operations.JoinCall>['joinCall'];

export async function initiate(
  client: Client,
  input: {
    conversationId: string;
    calleeIds: string[];
    sessionId: string;
    ringTimeoutSeconds?: number;
    idempotencyKey?: string;
  },
): Promise<InitiateResult> {
  const data = await client.mutate(operations.InitiateCall, { input: { type: 'VIDEO', ...input } });
  return data.initiateCall;
}

export async function join(
  client: Client,
  callId: string,
  sessionId: string,
  takeOver = false,
): Promise<JoinResult> {
  const data = await client.mutate(operations.JoinCall, { input: { callId, sessionId, takeOver } });
  return data.joinCall;
}

/** callEvents of a session. */
export function events(client: Client, callId: string, sessionId: string, after: string | null = null) {
  return client.subscribe(operations.CallEvents, { callId, sessionId, after });
}

/** Resolves when `check` gives something else than false, null or undefined; asked again and again until then. */
export async function eventually<T>(
  check: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = 5_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value !== false && value !== null && value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`Not so within ${timeoutMs} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The value of a metric in the exposition format, summed over its series; 0 where it has none. */
export async function metricOf(app: App, name: string): Promise<number> {
  const text = await (await fetch(`${app.metricsUrl}/metrics`)).text();
  let total = 0;
  for (const line of text.split('\n')) {
    const match = /^([a-z_:]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
    if (match?.[1] === name) total += Number(match[2]);
  }
  return total;
}
