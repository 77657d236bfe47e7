import fc from 'fast-check';
import {
  buildSchema,
  type DocumentNode,
  executeSync,
  type GraphQLOutputType,
  getNamedType,
  getVariableValues,
  isAbstractType,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  parse,
  validate,
} from 'graphql';
import { describe, expect, it } from 'vitest';
import { UNUSUAL } from '../../src/graphql/compiled/compiled-input.ts';
import { type CompiledOperation, compileOperation } from '../../src/graphql/compiled/compiled-operation.ts';
import { schema } from '../../src/graphql/schema.ts';
import trusted from '../../src/graphql/sdk-documents.json' with { type: 'json' };

/** graphql-js is the model: what is made ready once for a document has to answer as it does. */

function compiled(text: string): CompiledOperation | null {
  const document = parse(text);
  expect(validate(schema, document)).toEqual([]);
  return compileOperation(schema, document);
}

/** As graphql-js answers an event. */
function answered(document: DocumentNode, event: unknown): unknown {
  const { data, errors } = executeSync({ schema, document, rootValue: event, contextValue: {} });
  if (errors) throw errors[0];
  return JSON.parse(JSON.stringify(data));
}

// --- selections and values of any kind, from the schema ---

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('\u2028', '"\\', '\ud800'));

function anyOf(type: GraphQLOutputType): fc.Arbitrary<unknown> {
  if (isNonNullType(type)) return presentOf(type.ofType);
  return fc.oneof(fc.constant(null), fc.constant(undefined), presentOf(type));
}

function presentOf(type: GraphQLOutputType): fc.Arbitrary<unknown> {
  if (isListType(type)) return fc.array(anyOf(type.ofType as GraphQLOutputType), { maxLength: 3 });
  if (isEnumType(type)) return fc.constantFrom(...type.getValues().map(({ value }) => value));
  if (isLeafType(type)) {
    if (type.name === 'Int') return fc.integer();
    if (type.name === 'Boolean') return fc.boolean();
    if (type.name === 'DateTime') return fc.integer({ min: 0, max: 4e12 });
    return text;
  }
  if (isAbstractType(type))
    return fc.oneof(...schema.getPossibleTypes(type).map((member) => presentOf(member)));
  if (!isObjectType(type)) throw new Error(`No value for ${type}`);
  const fields = Object.values(type.getFields()).filter(({ resolve }) => resolve == null);
  return fc
    .record(Object.fromEntries(fields.map((field) => [field.name, anyOf(field.type)])))
    .map((value) => ({ __typename: type.name, ...(value as object) }));
}

/** A selection set of a type, as text; aliases, fragments and fields twice among it. */
function selectionOf(type: GraphQLOutputType, depth = 3): fc.Arbitrary<string> {
  const named = getNamedType(type);
  const parts: fc.Arbitrary<string>[] = [fc.constant('__typename')];
  if (isAbstractType(named)) {
    for (const member of schema.getPossibleTypes(named)) {
      parts.push(selectionOf(member, depth).map((inside) => `... on ${member.name} ${inside}`));
    }
  }
  if (isObjectType(named) || 'getFields' in named) {
    for (const field of Object.values((named as { getFields(): object }).getFields())) {
      if (field.resolve != null) continue;
      const isLeaf = isLeafType(getNamedType(field.type));
      if (!isLeaf && depth === 0) continue;
      const inside = isLeaf ? fc.constant('') : selectionOf(field.type, depth - 1);
      // An alias of its own for each: the same one for two fields does not validate.
      const key = fc.constantFrom(field.name, `of_${named.name}_${field.name}: ${field.name}`);
      parts.push(fc.tuple(key, inside).map(([name, rest]) => `${name} ${rest}`));
    }
  }
  return fc.array(fc.oneof(...parts), { minLength: 1, maxLength: 6 }).map((all) => `{ ${all.join(' ')} }`);
}

const CALL_EVENT = schema.getSubscriptionType()!.getFields().callEvents!.type;

describe('What is made ready for a document', () => {
  it('answers any event as graphql-js does, whatever is asked of it', () => {
    let compared = 0;
    fc.assert(
      fc.property(
        selectionOf(CALL_EVENT),
        presentOf(getNamedType(CALL_EVENT) as never),
        (selection, event) => {
          const document = parse(`subscription { callEvents(callId: "c", sessionId: "s") ${selection} }`);
          // Not every text makes sense: a union's member may be asked for one thing under two names.
          fc.pre(validate(schema, document).length === 0);
          const operation = compileOperation(schema, document);
          expect(operation).not.toBeNull();
          compared++;
          expect(JSON.parse(operation!.write(event))).toEqual(answered(document, event));
        },
      ),
      { numRuns: 300 },
    );
    expect(compared).toBeGreaterThan(100);
  });

  it('is there for what the SDK sends and hears: signals, events, and all that is not resolved field by field', () => {
    const ready = Object.values(trusted as Record<string, string>).flatMap((body) => {
      const operation = compileOperation(schema, parse(body));
      return operation === null ? [] : [operation.field.name];
    });
    expect(ready).toEqual(expect.arrayContaining(['sendSignal', 'callEvents', 'joinCall', 'leaveCall']));
  });

  it.each([
    [
      'several fields',
      'mutation { a: leaveCall(callId: "c", sessionId: "s") { __typename } b: endCall(callId: "c") { __typename } }',
    ],
    ['a directive', 'query Q($yes: Boolean!) { viewer { id @include(if: $yes) } }'],
    ['a directive on a fragment', 'query Q($yes: Boolean!) { viewer { ... @skip(if: $yes) { id } } }'],
    ['a field that is resolved', 'query { call(id: "c") { timeline { pageInfo { hasNextPage } } } }'],
    ['several operations', 'query A { viewer { id } } query B { viewer { scopes } }'],
    ['a default of a variable', 'query Q($id: ID! = "c") { call(id: $id) { id } }'],
  ])('leaves a document with %s to graphql-js', (_what, document) => {
    expect(compiled(document)).toBeNull();
  });

  it('throws where a value is not what the schema says, and answers nothing half', () => {
    const operation = compiled('subscription { callEvents(callId: "c", sessionId: "s") { cursor callId } }')!;
    expect(() => operation.write({ __typename: 'SignalingRestored', cursor: null, callId: 'c' })).toThrow();
    expect(() => operation.write({ __typename: 'Unknown', cursor: '1', callId: 'c' })).toThrow();
  });
});

// --- arguments ---

const inputs = buildSchema(`
  input Inner { id: ID! note: String count: Int list: [Int!] deep: Inner }
  input One @oneOf { a: Inner b: String c: [ID!] }
  input Outer { id: ID! inner: Inner one: One kind: Kind flag: Boolean! = true ratio: Float }
  enum Kind { RED GREEN }
  type Query { f(input: Outer, ids: [ID!], n: Int! = 3): Int }
`);

const READ = (() => {
  const document = parse(
    'query Q($input: Outer, $ids: [ID!], $n: Int!) { f(input: $input, ids: $ids, n: $n) }',
  );
  return { document, operation: compileOperation(inputs, document)! };
})();

const odd = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, 1, 1.5, 2 ** 31, '', 'RED', 'PURPLE', true, [], {}),
  fc.string(),
);
const often = <T>(usual: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: odd });
const { inner: anyInner } = fc.letrec((tie) => ({
  inner: fc.record(
    {
      id: often(fc.string()),
      note: often(fc.string()),
      count: often(fc.integer()),
      list: often(fc.array(often(fc.integer()), { maxLength: 3 })),
      deep: fc.option(tie('inner'), { maxDepth: 2, nil: undefined }),
    },
    { requiredKeys: ['id'] },
  ),
}));
const one = fc.oneof(
  fc.record({ a: anyInner }),
  fc.record({ b: often(fc.string()) }),
  fc.record({ c: often(fc.array(fc.string(), { maxLength: 2 })) }),
  fc.record({ a: anyInner, b: fc.string() }),
);
const anyVariables = fc.record(
  {
    input: often(
      fc
        .record(
          {
            id: often(fc.string()),
            inner: often(anyInner),
            one: often(one),
            kind: often(fc.constantFrom('RED', 'GREEN')),
            flag: often(fc.boolean()),
            ratio: often(fc.double({ noNaN: true })),
            other: fc.string(),
          },
          { requiredKeys: ['id'] },
        )
        .map(({ other, ...rest }) => (other?.length === 3 ? { ...rest, other } : rest)),
    ),
    ids: often(fc.array(often(fc.string()), { maxLength: 3 })),
    n: often(fc.integer()),
  },
  { requiredKeys: ['n'] },
);

describe('The variables of a request', () => {
  it('are taken as graphql-js takes them, or not at all', () => {
    const { document, operation } = READ;
    const [definition] = document.definitions;
    if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error('No operation');
    let taken = 0;
    fc.assert(
      fc.property(anyVariables, (drawn) => {
        const variables = JSON.parse(JSON.stringify(drawn)) as Record<string, unknown>;
        const before = JSON.stringify(variables);
        const read = operation.read(variables);
        expect(JSON.stringify(variables)).toBe(before);
        if (read === UNUSUAL) return;
        taken++;
        const { coerced, errors } = getVariableValues(
          inputs,
          definition.variableDefinitions ?? [],
          variables,
        );
        expect(errors).toBeUndefined();
        expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(JSON.stringify(coerced)));
      }),
      { numRuns: 1_000 },
    );
    expect(taken).toBeGreaterThan(100);
  });

  it('have their defaults, and what is constant in the document', () => {
    const document = parse('query Q($id: ID!) { f(input: { id: "a", kind: RED }, ids: "x") }');
    expect(compileOperation(inputs, document)?.read({ id: 'unused' })).toEqual({
      input: { id: 'a', kind: 'RED', flag: true },
      ids: ['x'],
      n: 3,
    });
  });

  it('of a signal are in order as every client sends them', () => {
    const { read } = compiled(
      'mutation($input: SendSignalInput!) { sendSignal(input: $input) { __typename } }',
    )!;
    const input = {
      callId: 'c',
      sessionId: 's',
      to: null,
      clientSeq: 1,
      signal: { candidates: { items: [{ candidate: '', sdpMid: '0' }], generation: 0 } },
    };
    expect(read({ input })).toEqual({ input });
    expect(read({ input: { ...input, clientSeq: '1' } })).toBe(UNUSUAL);
    expect(read({ input: { ...input, signal: { ...input.signal, renegotiate: null } } })).toBe(UNUSUAL);
    expect(read({})).toBe(UNUSUAL);
  });
});
