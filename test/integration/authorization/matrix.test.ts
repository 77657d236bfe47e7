import { readFileSync } from 'node:fs';
import {
  buildSchema,
  type GraphQLField,
  getNamedType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import webPush from 'web-push';
import type { App } from '../../../src/app.ts';
import { startTestApp } from '../../support/app.ts';
import { GetCall } from '../../support/operations.ts';
import matrix from './matrix.json' with { type: 'json' };
import { askerOf, OPERATIONS, type Operation, STATES, Stage, type State, verdict } from './stage.ts';

/** Every actor asks for everything, of a call in every state, and is answered what matrix.json says. */

type Row = Readonly<Record<string, string>>;
type Rows = Readonly<Partial<Record<State | 'ANY', Row>>>;
const operations = matrix.operations as Record<
  string,
  Rows & { rule: string; spoils?: boolean; ofNoCall?: boolean }
>;
const rules = matrix.rules as Record<string, Rows>;
const ACTORS = Object.keys(matrix.actors);
const UNKNOWN = '01890000-0000-7000-8000-000000000000';

/** Undefined: nobody said. */
function expected(field: string, state: State, actor: string): string | undefined {
  const own = operations[field];
  const rule = rules[own?.rule ?? ''];
  return (
    own?.[state]?.[actor] ??
    own?.ANY?.[actor] ??
    rule?.[state]?.[actor] ??
    rule?.ANY?.[actor] ??
    rule?.ANY?.['*']
  );
}

/** While it rings nobody but the caller has been in it. */
const actorsIn = (state: State) =>
  ACTORS.filter((actor) => state !== 'RINGING' || (actor !== 'guest' && actor !== 'left'));

const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
const ROOTS = ['Query', 'Mutation', 'Subscription'];
const fields = Object.values(schema.getTypeMap()).flatMap((type) =>
  isObjectType(type) && !isIntrospectionType(type)
    ? Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, type, field }))
    : [],
);

/** Whether it names one call that there may or may not be. */
function namesACall(name: string, { args }: GraphQLField<unknown, unknown>): boolean {
  return args.some((arg) => {
    const type = getNamedType(arg.type);
    const inside = isInputObjectType(type) ? Object.keys(type.getFields()) : [];
    return arg.name === 'callId' || inside.includes('callId') || (name === 'Query.call' && arg.name === 'id');
  });
}

let app: App;
let stage: Stage;
const shared = {} as Record<State, { callId: string; conversationId: string }>;
beforeAll(async () => {
  const { privateKey } = webPush.generateVAPIDKeys();
  const vapid = { VAPID_PRIVATE_KEY: privateKey, VAPID_SUBJECT: 'mailto:ops@example.com' };
  app = await startTestApp({ DISCONNECT_GRACE: '10m', ...vapid });
  stage = new Stage(app);
  for (const state of STATES) shared[state] = await stage.call(state);
});
afterAll(async () => {
  await stage?.close();
  await app?.stop();
});

const versionOf = async (callId: string) => {
  const { data } = await stage.ask(askerOf('host', 'ACTIVE'), GetCall, { id: callId });
  return (data as { call: { version: number } }).call.version;
};

describe('The matrix', () => {
  it('has a row for each field that asks the server for something, and for no other', () => {
    // Those of the roots; and of objects those that have arguments, or give out calls to one who named none.
    const asking = fields
      .filter(
        ({ name, type, field }) =>
          ROOTS.includes(type.name) || field.args.length > 0 || name === 'Viewer.activeCalls',
      )
      .map(({ name }) => name)
      .sort();
    expect(Object.keys(operations).sort()).toEqual(asking);
    expect(Object.keys(OPERATIONS).sort()).toEqual(asking);
  });

  it('says of each field that gives out a call or a participant who gets it', () => {
    const giving = fields.filter(({ field }) =>
      ['Call', 'Participant'].includes(getNamedType(field.type).name),
    );
    expect(Object.keys(matrix.carriers).sort()).toEqual(giving.map(({ name }) => name).sort());
  });

  it('says what each actor is answered in each state', () => {
    const unsaid = Object.keys(operations).flatMap((field) =>
      STATES.flatMap((state) =>
        actorsIn(state)
          .filter((actor) => expected(field, state, actor) === undefined)
          .map((actor) => [field, state, actor]),
      ),
    );
    expect(unsaid).toEqual([]);
  });
});

const askedOf = (state: State) =>
  Object.keys(operations).filter((field) => state === 'ACTIVE' || !operations[field]?.ofNoCall);

describe.each(STATES)('Of a call that is %s', (state) => {
  it.each(askedOf(state))('%s is for whom the matrix says, and a refusal changes nothing', async (field) => {
    const [document, variables] = OPERATIONS[field] as Operation;
    let about = shared[state];
    const ask = async (actor: string) => {
      const asker = askerOf(actor, state);
      const answer = await stage.ask(
        asker,
        document,
        variables({ ...about, sessionId: asker.sessionId, state }),
      );
      // Or the next session of the user would be in it already.
      if (field === 'Mutation.initiateCall') await stage.endOwn(asker, answer);
      return [actor, verdict(field, answer, about.callId)];
    };
    const wanted = actorsIn(state).map((actor) => [actor, expected(field, state, actor)]);
    const answers: (string | undefined)[][] = [];
    const before = await versionOf(about.callId);
    for (const [actor, answer] of wanted) {
      if (answer === 'ok') continue;
      const [, given] = await ask(actor as string);
      answers.push([actor, answer === 'same' && given === 'ok' ? 'same' : given]);
    }
    expect(await versionOf(about.callId)).toBe(before);
    for (const [actor, answer] of wanted) {
      if (answer !== 'ok') continue;
      if (operations[field]?.spoils && state !== 'ENDED') about = await stage.call(state);
      answers.push(await ask(actor as string));
    }
    expect(Object.fromEntries(answers)).toEqual(Object.fromEntries(wanted));
  });
});

describe('A stranger', () => {
  const naming = fields
    .filter(({ name, field, type }) => ROOTS.includes(type.name) && namesACall(name, field))
    .map(({ name }) => name);

  it.each([...naming, 'Call.timeline'])(
    'is told by %s of a call what is told of none, byte for byte',
    async (field) => {
      const [document, variables] = OPERATIONS[field] as Operation;
      for (const actor of ['stranger', 'service', 'admin']) {
        if (field === 'Mutation.terminateCall' && actor === 'admin') continue;
        // A scope makes no difference in one state, so none in the others.
        for (const state of actor === 'stranger' ? STATES : (['ACTIVE'] as const)) {
          const asker = askerOf(actor, state);
          const { callId, conversationId } = shared[state];
          const ask = (id: string) =>
            stage.ask(
              asker,
              document,
              variables({ callId: id, conversationId, sessionId: asker.sessionId, state }),
            );
          const [ofNone, ofOne] = [await ask(UNKNOWN), await ask(callId)];
          expect(ofOne.text.replaceAll(callId, UNKNOWN)).toBe(ofNone.text);
        }
      }
    },
  );
});
