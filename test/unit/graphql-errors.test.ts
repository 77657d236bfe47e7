import { type ExecutionResult, execute, GraphQLError, parse, validate } from 'graphql';
import { describe, expect, it } from 'vitest';
import { createMaskError } from '../../src/graphql/errors.ts';
import { schema } from '../../src/graphql/schema.ts';

const SECRET = 'v=0 o=- 192.0.2.7 "; at "input.x"; eyJhbGciOi.eyJzdWIi.c2ln';
const SEND = parse('mutation ($input: SendSignalInput!) { sendSignal(input: $input) { __typename } }');
const mask = (hideSuggestions: boolean) =>
  createMaskError({ logger: { error: () => {} } as never, onUnforeseen: () => {}, hideSuggestions });

async function errorOf(input: unknown): Promise<GraphQLError> {
  const result: ExecutionResult = await execute({ schema, document: SEND, variableValues: { input } });
  return mask(false)(result.errors?.[0]);
}

const GOOD = { callId: 'c', sessionId: 's', clientSeq: 1 };

describe('What clients see of an error', () => {
  it.each([
    ['a missing field', { ...GOOD, signal: { offer: { sdp: SECRET } } }, 'input.signal.offer'],
    [
      'a wrong type',
      { ...GOOD, signal: { offer: { sdp: { text: SECRET }, generation: 1 } } },
      'input.signal.offer.sdp',
    ],
    [
      'a wrong number',
      { ...GOOD, signal: { offer: { sdp: '', generation: SECRET } } },
      'input.signal.offer.generation',
    ],
    [
      'an unknown field',
      { ...GOOD, signal: { offer: { sdp: SECRET, generation: 1, x: 1 } } },
      'input.signal.offer',
    ],
    [
      'two of one',
      { ...GOOD, signal: { offer: { sdp: SECRET, generation: 1 }, renegotiate: { iceRestart: true } } },
      'input.signal',
    ],
    ['text for an object', { ...GOOD, signal: SECRET }, 'input.signal'],
    ['text for everything', SECRET, 'input'],
    [
      'a list',
      {
        ...GOOD,
        signal: { candidates: { generation: 1, items: [{ candidate: '' }, { candidate: [SECRET] }] } },
      },
      'input.signal.candidates.items[1].candidate',
    ],
  ])('names the argument and has nothing of the value: %s', async (_what, input, field) => {
    const error = await errorOf(input);
    expect(error.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
    expect(error.message).toContain(field);
    expect(JSON.stringify(error)).not.toMatch(/192\.0\.2\.7|eyJ|v=0/);
  });

  it('says why, where the reason is one of the known', async () => {
    expect((await errorOf({ ...GOOD, signal: { offer: { sdp: '' } } })).message).toBe(
      'input.signal.offer is not valid: Field "generation" of required type "Int!" was not provided.',
    );
  });

  it.each([
    `{ calls(first: "${SECRET.replaceAll('"', "'")}") { __typename } }`,
    `mutation { sendSignal(input: "${SECRET.replaceAll('"', "'")}") { __typename } }`,
    `{ calls(filter: {statuses: ["${SECRET.replaceAll('"', "'")}"]}) { __typename } }`,
    `{ calls(filter: {missed: "${SECRET.replaceAll('"', "'")}"}) { __typename } }`,
    `{ calls(filter: {createdFrom: "${SECRET.replaceAll('"', "'")}"}) { __typename } }`,
    `{ call(id: {x: "${SECRET.replaceAll('"', "'")}"}) { id } }`,
  ])('has nothing of a literal that does not fit: %s', (text) => {
    const errors = validate(schema, parse(text)).map(mask(false));
    expect(errors.length).toBeGreaterThan(0);
    expect(JSON.stringify(errors)).not.toMatch(/192\.0\.2\.7|eyJ|v=0/);
  });

  it('has nothing of what is written as a value of an enum', () => {
    const [literal] = validate(schema, parse('{ calls(filter: {statuses: [iCePaSsWoRd]}) { __typename } }'));
    expect(mask(true)(literal).message).toBe('The value does not exist in "CallStatus" enum.');
    const variable = execute({
      schema,
      document: parse('query ($filter: CallFilter) { calls(filter: $filter) { __typename } }'),
      variableValues: { filter: { statuses: ['iCePaSsWoRd'] } },
    }) as ExecutionResult;
    expect(mask(true)(variable.errors?.[0]).message).toBe(
      'filter.statuses[0] is not valid: does not exist in "CallStatus" enum.',
    );
  });

  it('has nothing of a body that is no JSON, of which Yoga tells what JSON.parse says', () => {
    const originalError = {
      name: 'SyntaxError',
      message: 'Unexpected token, "iCePaSsWoRd" is not valid JSON',
    };
    const error = new GraphQLError('POST body sent invalid JSON.', {
      extensions: { code: 'BAD_REQUEST', http: { status: 400 }, originalError },
    });
    expect(mask(false)(error).extensions).toEqual({ code: 'BAD_REQUEST', http: { status: 400 } });
  });

  it('has nothing of a string at which the syntax breaks', () => {
    for (const text of [`{ "${'v=0 192.0.2.7'}" }`, `{ a(b: """v=0 192.0.2.7""" """192.0.2.7""") }`]) {
      try {
        parse(text);
        expect.unreachable();
      } catch (error) {
        expect(mask(false)(error).message).toMatch(/^Syntax Error: [^=]*$/);
        expect(mask(false)(error).message).not.toContain('192.0.2.7');
      }
    }
  });

  it('suggests names in development and not in production', () => {
    const [error] = validate(schema, parse('{ viewr { id } }'));
    expect(mask(false)(error).message).toContain('Did you mean "viewer"?');
    expect(mask(true)(error).message).toBe('Cannot query field "viewr" on type "Query".');
  });
});
