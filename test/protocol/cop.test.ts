import { getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp, tokenFor } from '../support/app.ts';
import { createDatabase } from '../support/database.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import type { TestDatabase } from '../support/postgres.ts';

/**
 * The probes of graphql-cop (github.com/dolevf/graphql-cop), written anew: what each sends, and what it takes
 * for a finding. They look at a server as production starts it, once as nobody and once with a token. The same
 * eyes see all that there is to see where a probe's target is open, or they would be no proof.
 */

let app: App;
let development: FakeServer;
let database: TestDatabase;
let token: string;
beforeAll(async () => {
  database = await createDatabase();
  app = await startTestApp({ NODE_ENV: 'production', DATABASE_URL: database.url });
  development = await startFakeServer();
  token = await tokenFor('ada');
});
afterAll(async () => {
  await app.stop();
  await development.close();
  await database.drop();
});

interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}
interface Answer {
  readonly data?: Record<string, unknown>;
  readonly errors?: { message: string; extensions?: Record<string, unknown> }[];
}

async function answerOf(response: Response): Promise<Answer & unknown[]> {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { text } as never;
  }
}

const send = async ({ url, headers }: Target, body: unknown) =>
  answerOf(
    await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    }),
  );
const ask = (target: Target, query: string) => send(target, { query });
const inAddress = async ({ url, headers }: Target, method: string, query: string) =>
  answerOf(await fetch(`${url}/graphql?${new URLSearchParams({ query })}`, { method, headers }));
const repeat = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
const messages = (answer: Answer) => (answer.errors ?? []).map(({ message }) => message).join('\n');

/** True: found something. */
const PROBES: Readonly<Record<string, (target: Target) => Promise<boolean>>> = {
  async 'Alias overloading'(target) {
    const { data } = await ask(
      target,
      `query cop { ${repeat(101, (index) => `alias${index}: __typename`)} }`,
    );
    return data?.alias100 !== undefined;
  },
  async 'Array-based query batching'(target) {
    const batch = Array.from({ length: 10 }, () => ({ query: 'query cop { __typename }' }));
    const answers = await send(target, batch);
    return Array.isArray(answers) && answers.length >= 10;
  },
  async 'Directive overloading'(target) {
    const { errors, data } = await ask(target, `query cop { __typename ${'@aa'.repeat(10)} }`);
    return errors?.length === 10 || data != null;
  },
  async 'Circular query by introspection'(target) {
    const deep = 'fields { type { '.repeat(4);
    const { data } = await ask(
      target,
      `query cop { __schema { types { ${deep} name ${'} } '.repeat(4)} } } }`,
    );
    return data?.__schema != null;
  },
  async 'Circular fragment'(target) {
    const query = 'query cop { ...A } fragment A on Query { __typename ...B } fragment B on Query { ...A }';
    return (await ask(target, query)).errors === undefined;
  },
  async 'Field duplication'(target) {
    return (await ask(target, `query cop { ${'__typename \n'.repeat(500)} }`)).data?.__typename !== undefined;
  },
  async 'Field suggestions'(target) {
    for (const query of [
      'query cop { __schema { directive } }',
      'query cop { viewr { id } }',
      'mutation cop { endCal }',
    ]) {
      if (/did you mean/i.test(messages(await ask(target, query)))) return true;
    }
    return false;
  },
  async Introspection(target) {
    return (await ask(target, getIntrospectionQuery())).data?.__schema != null;
  },
  async 'A page of GraphiQL or Playground'({ url, headers }) {
    for (const path of ['/graphiql', '/playground', '/console', '/graphql', '/']) {
      for (const accept of ['*/*', 'text/html']) {
        const text = await (await fetch(url + path, { headers: { ...headers, accept } })).text();
        if (/graphiql|graphql[ -]playground/i.test(text)) return true;
      }
    }
    return false;
  },
  async 'Queries by GET'(target) {
    return (await inAddress(target, 'GET', 'query cop { __typename }')).data?.__typename !== undefined;
  },
  async 'Mutations by GET'(target) {
    return (await inAddress(target, 'GET', 'mutation cop { __typename }')).data?.__typename !== undefined;
  },
  async 'Queries by a form'(target) {
    const query = 'query cop { __typename }';
    if ((await inAddress(target, 'POST', query)).data !== undefined) return true;
    const { url, headers } = target;
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ query }),
    });
    return (await answerOf(response)).data !== undefined;
  },
  async 'Traces and debugging'(target) {
    for (const query of [
      'query cop { __typename }',
      'query cop { viewer { id } }',
      'query cop { nothing }',
    ]) {
      const answer = await ask(target, query);
      if ('extensions' in answer || /tracing|exception|stacktrace/i.test(JSON.stringify(answer))) return true;
    }
    return false;
  },
  async 'Unhandled errors'(target) {
    for (const body of [
      { query: 'qwerty cop { abc }' },
      { query: 'query cop { __typename }', variables: 'x' },
      1,
      {},
    ]) {
      const answer = await send(target, body);
      if (answer.errors === undefined) return true;
      if (/exception|stack|INTERNAL_SERVER_ERROR| at \w+ \(|node:/.test(JSON.stringify(answer))) return true;
    }
    return false;
  },
};

it.each(Object.keys(PROBES))('%s: nothing is found in production', async (name) => {
  for (const headers of [{}, { authorization: `Bearer ${token}` }]) {
    expect(await PROBES[name]!({ url: app.url, headers })).toBe(false);
  }
});

it('what is off in production alone is found where it is on', async () => {
  const target = { url: development.url, headers: {} };
  for (const name of ['Introspection', 'Field suggestions', 'A page of GraphiQL or Playground']) {
    expect(await PROBES[name]!(target), name).toBe(true);
  }
});

it('the server that was looked at does answer', async () => {
  const target = { url: app.url, headers: { authorization: `Bearer ${token}` } };
  expect(await ask(target, 'query cop { viewer { id } }')).toEqual({ data: { viewer: { id: 'ada' } } });
});
