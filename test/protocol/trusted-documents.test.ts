import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripIgnoredCharacters } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as operations from '../../client/src/generated/graphql.ts';
import { Ringdown } from '../../client/src/index.ts';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { eventually } from '../support/raw-socket.ts';
import { BOTH_WAYS, overHttp, type Payload } from '../support/two-ways.ts';

const folder = mkdtempSync(join(tmpdir(), 'documents-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const fileOf = (content: unknown) => {
  const path = join(folder, `${files++}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
};
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** What a back end of the operator's sends, as the code generator lists it. */
const DELETE = 'mutation Delete($id: ID!) {\n  deleteConversation(id: $id)\n}';
const TOO_DEAR =
  'query Record {\n  calls(first: 100) {\n    edges {\n      node {\n        timeline(first: 500) {\n          edges {\n            cursor\n          }\n        }\n      }\n    }\n  }\n}';
const OWN = { [`sha256:${sha256(DELETE)}`]: DELETE, dear: TOO_DEAR, viewer: '{ viewer { id } }' };
const trustedIn = (setting: string) => loadConfig({ TRUSTED_DOCUMENTS: setting }).trustedDocuments;

let server: FakeServer;
let open: FakeServer;
beforeAll(async () => {
  server = await startFakeServer({ trustedDocuments: trustedIn(`sdk, ${fileOf(OWN)}`) });
  open = await startFakeServer();
});
afterAll(() => Promise.all([server.close(), open.close()]));

const persisted = (sha256Hash: unknown) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });

describe.each(BOTH_WAYS)('Over %s', (_name, ask) => {
  it.each<[string, Payload]>([
    ['its text', { query: DELETE }],
    ['its text with other spaces', { query: stripIgnoredCharacters(DELETE) }],
    [
      'its text and its id, as Apollo sends it the second time',
      { query: DELETE, ...persisted(sha256(DELETE)) },
    ],
    ['documentId', { documentId: `sha256:${sha256(DELETE)}` }],
    ['documentId without the name of the hash', { documentId: sha256(DELETE) }],
    ['extensions.persistedQuery.sha256Hash', persisted(sha256(DELETE))],
  ])('a document of the list is run by %s', async (_how, payload) => {
    server.fake.lastDelete = null;
    const answer = await ask(server.url, { ...payload, variables: { id: 'room' } }, 'ada+service');
    expect(answer).toEqual({ data: { deleteConversation: true } });
    expect(server.fake.lastDelete).toBe('room');
  });

  it('an id may be any word', async () => {
    expect(await ask(server.url, { documentId: 'viewer' })).toEqual({ data: { viewer: { id: 'ada' } } });
  });

  it.each<[string, Payload, string]>([
    ['a text that is not in it', { query: 'mutation { deleteConversation(id: "room") }' }, 'BAD_USER_INPUT'],
    [
      'a text that has one of it in it',
      { query: `${DELETE} query B { __typename }`, operationName: 'Delete' },
      'BAD_USER_INPUT',
    ],
    ['a text that is not GraphQL', { query: '{ "' }, 'BAD_USER_INPUT'],
    [
      'another text with the id of one that is',
      { query: '{ __typename }', documentId: 'viewer' },
      'BAD_USER_INPUT',
    ],
    ['introspection', { query: '{ __schema { queryType { name } } }' }, 'BAD_USER_INPUT'],
    ['an id that is not in it', { documentId: 'sha256:00' }, 'PERSISTED_QUERY_NOT_FOUND'],
    ['an id that every object has', { documentId: 'constructor' }, 'PERSISTED_QUERY_NOT_FOUND'],
    ['a hash that is not in it', persisted('00'), 'PERSISTED_QUERY_NOT_FOUND'],
  ])('with a list, %s is refused', async (_what, payload, code) => {
    server.fake.lastDelete = null;
    for (const _again of [1, 2]) {
      const answer = await ask(server.url, { variables: { id: 'room' }, ...payload }, 'ada+service');
      expect(answer.errors?.map(({ extensions }) => extensions.code)).toEqual([code]);
      expect(answer.errors?.[0]?.message).toContain('TRUSTED_DOCUMENTS');
      expect(answer.data ?? null).toBeNull();
    }
    expect(server.fake.lastDelete).toBeNull();
  });

  it.each<[string, Payload]>([
    ['nothing', {}],
    ['a null hash', persisted(null)],
    ['a hash that is no text', persisted({ $ne: '' })],
    ['a null persistedQuery', { extensions: { persistedQuery: null } }],
  ])('a request that names its document by %s is refused', async (_what, payload) => {
    for (const { url } of [server, open]) {
      const answer = await ask(url, payload);
      expect(answer.errors).toHaveLength(1);
      expect(answer.errors?.[0]?.extensions.code).not.toBe('INTERNAL_SERVER_ERROR');
    }
  });

  it('without a list, an id is refused in the way that has clients send the text', async () => {
    for (const payload of [{ documentId: 'viewer' }, persisted(sha256(DELETE))]) {
      const answer = await ask(open.url, payload);
      expect(answer.errors?.map(({ extensions }) => extensions.code)).toEqual([
        'PERSISTED_QUERY_NOT_SUPPORTED',
      ]);
    }
    const both = { query: '{ viewer { id } }', ...persisted('00') };
    expect(await ask(open.url, both)).toEqual({ data: { viewer: { id: 'ada' } } });
  });

  it('the limits hold for a document of the list too', async () => {
    const answer = await ask(server.url, { documentId: 'dear' });
    expect(answer.errors?.[0]?.extensions).toEqual({ code: 'BAD_USER_INPUT', limit: 'cost' });
  });
});

it('A request that is refused is not a fault of the server', () => {
  expect(server.observed.errors).toEqual([]);
  expect(server.observed.internalErrors).toBe(0);
});

describe('The SDK', () => {
  it('works against its own list as it is', async () => {
    const only = await startFakeServer({ trustedDocuments: trustedIn('sdk') });
    const ringdown = new Ringdown({ url: only.url, token: () => 'ada' });
    try {
      await ringdown.connect();
      await eventually(() => only.fake.rings.size === 1);
      expect((await overHttp(only.url, { query: '{ __typename }' })).errors).toHaveLength(1);
    } finally {
      ringdown.close();
      await eventually(() => only.fake.rings.size === 0);
      await only.close();
    }
  });

  it('has each of its documents in the list, as it sends it', () => {
    const sent = Object.entries(operations).filter(([name]) => name.endsWith('Document'));
    expect(sent.length).toBeGreaterThan(10);
    const list = [...trustedIn('sdk')!.values()];
    expect(list.toSorted()).toEqual(sent.map(([, document]) => String(document)).toSorted());
  });
});

describe('TRUSTED_DOCUMENTS', () => {
  const problemsOf = (setting: string, more = {}) => {
    try {
      loadConfig({ TRUSTED_DOCUMENTS: setting, ...more });
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
    return [];
  };

  it('takes several lists, also where they have the same document', () => {
    const list = fileOf({ viewer: '{ viewer { id } }' });
    const same = fileOf({ viewer: '{ viewer { id } }', other: '{ __typename }' });
    expect([...trustedIn(`${list},${same}`)!.keys()]).toEqual(['viewer', 'other']);
  });

  it.each<[string, () => string, string]>([
    ['is not there', () => join(folder, 'none.json'), "can't be read (ENOENT)"],
    ['is a folder', () => folder, "can't be read (EISDIR)"],
    ['is not JSON', () => fileOf('{'), 'is not JSON'],
    ['is a list', () => fileOf(['{ __typename }']), 'not a JSON object'],
    ['is a text', () => fileOf('"{ __typename }"'), 'not a JSON object'],
    ['is null', () => fileOf('null'), 'not a JSON object'],
    ['is empty', () => fileOf({}), 'not a JSON object'],
    [
      'has what is no document',
      () => fileOf({ a: '{ __typename }', b: '{ __typename' }),
      '"b" is not GraphQL',
    ],
    ['has what is no text', () => fileOf({ a: 1 }), '"a" is not GraphQL'],
    [
      'has another document under an id',
      () => `${fileOf({ a: '{ a }' })},${fileOf({ a: '{ b }' })}`,
      '"a" is another',
    ],
  ])('refuses the start where a file %s', (_what, setting, problem) => {
    expect(problemsOf(setting())).toEqual([expect.stringMatching(/^TRUSTED_DOCUMENTS names /)]);
    expect(problemsOf(setting())[0]).toContain(problem);
  });

  it('turns GraphiQL off, and goes with no other wish', () => {
    expect(loadConfig({}).graphiql).toBe(true);
    expect(loadConfig({ TRUSTED_DOCUMENTS: 'sdk' }).graphiql).toBe(false);
    expect(problemsOf('sdk', { GRAPHIQL: 'true' })).toEqual([
      expect.stringMatching(/^GRAPHIQL is true while/),
    ]);
  });
});
