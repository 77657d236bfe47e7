import { readFileSync } from 'node:fs';
import { getIntrospectionQuery, Lexer, parse, Source, TokenKind } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DOCUMENT_LIMITS } from '../../src/graphql/limits.ts';
import { measure } from '../../src/graphql/measure.ts';
import { schema } from '../../src/graphql/schema.ts';
import sdk from '../../src/graphql/sdk-documents.json' with { type: 'json' };
import { exampleOperations } from '../../src/http/example-operations.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';
import { BOTH_WAYS } from '../support/two-ways.ts';

type Limit = keyof typeof DOCUMENT_LIMITS;

let server: FakeServer;
let closed: FakeServer;
beforeAll(async () => {
  server = await startFakeServer();
  closed = await startFakeServer({ introspection: false });
});
afterAll(() => Promise.all([server.close(), closed.close()]));

const times = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');
/** As its title says: what GraphiQL asks for when it opens, with all that its options can add. */
const INTROSPECTION = getIntrospectionQuery({
  descriptions: true,
  specifiedByUrl: true,
  directiveIsRepeatable: true,
  schemaDescription: true,
  inputValueDeprecation: true,
  oneOf: true,
});

function tokensOf(text: string): number {
  const lexer = new Lexer(new Source(text));
  let count = 0;
  while (lexer.advance().kind !== TokenKind.EOF) count++;
  return count;
}

/** Documents with so much of it as is given, and the cost that comes next to that. */
const WITH: Readonly<Record<Limit, (amount: number) => string>> = {
  tokens: (amount) => {
    const around = (ids: string) =>
      `mutation { inviteToCall(callId: "c", userIds: [${ids}]) { __typename } }`;
    return around(times(amount - tokensOf(around('')), () => '"a"'));
  },
  depth: (amount) =>
    `{ __type(name: "Query") ${'{ ofType '.repeat(amount - 2)} { name ${'} '.repeat(amount - 1)} }`,
  fields: (amount) => `{ ${times(amount, () => '__typename')} }`,
  aliases: (amount) => `{ ${times(amount, (index) => `a${index}: __typename`)} }`,
  directives: (amount) => `{ ${times(amount, () => '__typename @include(if: true)')} }`,
  cost: (amount) => {
    const entries = Math.floor((amount - 301) / 200);
    return `{ calls(first: 100) { edges { node { timeline(first: ${entries}) { edges { cursor } } } } } }`;
  },
};
const STEP: Readonly<Record<Limit, number>> = {
  tokens: 1,
  depth: 1,
  fields: 1,
  aliases: 1,
  directives: 1,
  cost: 200,
};
const LIMITS = Object.keys(DOCUMENT_LIMITS) as Limit[];

describe('What the limits are', () => {
  it.each([
    ...Object.values(sdk).map((text) => [/(?:query|mutation|subscription) \w+/.exec(text)![0], text]),
    ...exampleOperations({ id: 'a', conversationId: 'c', others: ['b'] }).map(({ query }) => [
      `example: ${query.split('\n')[1]}`,
      query,
    ]),
    ['introspection of GraphiQL', INTROSPECTION],
  ])('leaves room for %s', (_name, text) => {
    const measured = { tokens: tokensOf(text!), ...measure(schema, parse(text!)) };
    for (const limit of LIMITS) {
      expect(measured[limit], limit).toBeLessThanOrEqual(DOCUMENT_LIMITS[limit] * 0.85);
    }
  });

  it('stands in PROTOCOL.md', () => {
    const { tokens, depth, fields, aliases, directives, cost } = DOCUMENT_LIMITS;
    const shown = (amount: number) => amount.toLocaleString('en');
    const protocol = readFileSync('PROTOCOL.md', 'utf8');
    const document = `${shown(tokens)} tokens; ${depth} levels; ${fields} fields; ${aliases} aliases; ${directives} directives`;
    expect(protocol).toContain(document);
    expect(protocol).toContain(`${shown(cost)} fields;`);
  });

  it('leaves room for the largest page of calls with everything of each, its size in a variable or not', () => {
    const all = schema.getType('Call')!.toConfig() as { fields?: object };
    const plain = Object.keys(all.fields!).filter((name) => name !== 'participants' && name !== 'timeline');
    const page = (size: string) =>
      `query ($n: Int) { calls(first: ${size}) { edges { cursor node { ${plain.join(' ')}
        participants { id userId role status sessionId joinSeq media { muted videoOn screenOn } leaveReason } } } } }`;
    for (const size of ['100', '$n']) {
      expect(measure(schema, parse(page(size))).cost).toBeLessThanOrEqual(DOCUMENT_LIMITS.cost);
    }
  });
});

describe.each(BOTH_WAYS)('Over %s', (_name, ask) => {
  it.each(LIMITS)('a document up to the limit of %s is run, and one above it is not', async (limit) => {
    const most = DOCUMENT_LIMITS[limit];
    const within = await ask(server.url, { query: WITH[limit](most) });
    expect(within.errors).toBeUndefined();
    expect(within.data).toBeTruthy();

    const over = WITH[limit](most + STEP[limit]);
    for (const _again of [1, 2]) {
      const answer = await ask(server.url, { query: over });
      expect(answer.errors).toEqual([
        expect.objectContaining({
          message: expect.stringMatching(new RegExp(`over the limit of ${limit}, ${most}\\. \\w+`)),
          extensions: { code: 'BAD_USER_INPUT', limit },
        }),
      ]);
      expect(answer.data ?? null).toBeNull();
    }
  });

  it.each<[string, Limit, string]>([
    [
      'aliases in a fragment that is spread twice',
      'aliases',
      `{ ...F viewer { ...G } ...F } fragment F on Query { ${times(11, (index) => `a${index}: __typename`)} } fragment G on Viewer { id }`,
    ],
    [
      'aliases of mutations',
      'aliases',
      `mutation { ${times(21, (index) => `a${index}: deleteConversation(id: "c")`)} }`,
    ],
    [
      'directives at the second spread of a fragment',
      'directives',
      `{ ...F ${times(9, () => '...F @include(if: true)')} } fragment F on Query { __typename }`,
    ],
    [
      'directives at a variable',
      'directives',
      `query ($id: ID! ${'@aa '.repeat(9)}) { call(id: $id) { id } }`,
    ],
    ['directives that nobody knows, ten at a field', 'directives', `{ __typename ${'@aa'.repeat(10)} }`],
    [
      'directives at inline fragments',
      'directives',
      `{ ${times(9, () => '... @include(if: true) { __typename }')} }`,
    ],
    [
      'pages by pages, as they come',
      'cost',
      '{ calls { edges { node { timeline { edges { node { at kind actorId subjectId detail } } } } } } }',
    ],
    [
      'pages by pages, their sizes in variables',
      'cost',
      'query ($a: Int = 1, $b: Int! = 1) { calls(first: $a) { edges { node { timeline(first: $b) { edges { cursor } } } } } }',
    ],
    [
      'pages by pages, through fragments',
      'cost',
      `{ calls(last: 100) { ...Edges } } fragment Edges on CallConnection { edges { node { ...Record } } }
       fragment Record on Call { timeline(first: 500) { edges { cursor } } }`,
    ],
    [
      'depth through fragments',
      'depth',
      `{ __type(name: "Query") { ...A } } ${times(18, (index) => `fragment ${chain(index)} on __Type { ofType { ...${chain(index + 1)} } }`)}
       fragment ${chain(18)} on __Type { name }`,
    ],
    [
      'fields in fragments that spread each other twice, sixty times over',
      'fields',
      `{ viewer { ...A } } ${times(60, (index) => `fragment ${chain(index)} on Viewer { ...${chain(index + 1)} ...${chain(index + 1)} }`)}
       fragment ${chain(60)} on Viewer { id }`,
    ],
    [
      'what another operation of the document has',
      'fields',
      `query A { __typename } query B { ${'__typename '.repeat(401)} }`,
    ],
  ])('there is no way around by %s', async (_what, limit, query) => {
    server.fake.lastDelete = null;
    const operationName = query.startsWith('query A') ? { operationName: 'A' } : {};
    const answer = await ask(server.url, { query, ...operationName }, 'ada+service');
    expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'BAD_USER_INPUT', limit }]);
    expect(answer.data ?? null).toBeNull();
    expect(server.fake.lastDelete).toBeNull();
  });

  it('fragments that spread themselves, or each other in a circle, are refused', async () => {
    for (const query of [
      '{ ...A } fragment A on Query { __typename ...A }',
      '{ viewer { ...A } } fragment A on Viewer { ...B ...B } fragment B on Viewer { id ...A ...A }',
    ]) {
      const answer = await ask(server.url, { query });
      expect(answer.errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
      expect(answer.errors?.[0]?.message).toContain('Cannot spread fragment');
    }
  });

  it('introspection is answered where it is on', async () => {
    const answer = await ask(server.url, { query: INTROSPECTION });
    expect(answer.errors).toBeUndefined();
    expect(answer.data).toHaveProperty('__schema.types');
    const deep = '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }';
    expect((await ask(server.url, { query: deep })).errors?.[0]?.message).toContain('introspection depth');
  });

  it('introspection is refused where it is off, and no name is suggested', async () => {
    for (const query of [
      INTROSPECTION,
      '{ __schema { queryType { name } } }',
      '{ a: __type(name: "Call") { name } }',
      '{ ...F } fragment F on Query { __schema { queryType { name } } }',
    ]) {
      const answer = await ask(closed.url, { query });
      expect(answer.errors?.[0]?.message).toContain('introspection has been disabled');
      expect(answer.data ?? null).toBeNull();
    }
    for (const query of [
      '{ viewr { id } }',
      '{ __schema { directive } }',
      '{ call(ID: "c") { id } }',
      '{ viewer { ... on View { id } } }',
    ]) {
      const answer = await ask(closed.url, { query });
      expect(answer.errors!.length).toBeGreaterThan(0);
      expect(JSON.stringify(answer)).not.toContain('Did you mean');
    }
    expect(await ask(closed.url, { query: '{ __typename }' })).toEqual({ data: { __typename: 'Query' } });
  });
});

it('Nothing of all this was taken for a fault of the server', () => {
  for (const { observed } of [server, closed]) {
    expect(observed.errors).toEqual([]);
    expect(observed.internalErrors).toBe(0);
  }
});

/** A, B, … Z, A1, … */
function chain(index: number): string {
  return String.fromCharCode(65 + (index % 26)) + (index < 26 ? '' : Math.floor(index / 26));
}
