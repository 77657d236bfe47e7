import { readFileSync } from 'node:fs';
import { buildSchema, type DocumentNode, print } from 'graphql';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import samples from '../data/webrtc-samples.json' with { type: 'json' };
import { tokenFor } from '../support/app.ts';
import { numbered } from '../support/callers.ts';
import * as operations from '../support/operations.ts';
import { RawSocket } from '../support/raw-socket.ts';
import { createWorld, eventually, initiate, join, success, type World } from '../support/world.ts';

/**
 * Whoever asks for what they may not have, or sends what is no good, is told so in the way that is
 * documented, over HTTP and over WebSocket; and the database is as it was.
 */

type Variables = Record<string, unknown>;
type Transport = 'HTTP' | 'WebSocket';
const TRANSPORTS: readonly Transport[] = ['HTTP', 'WebSocket'];

const UNKNOWN = '01890000-0000-7000-8000-000000000000';
const SIGNAL = numbered(1);
const [OFFER] = samples.stacks.chromium_data.offers as [string];

let world: World;
const sockets: RawSocket[] = [];
/** A group call with two seats and somebody who is rung; nothing is due in it. */
let live = '';
/** One that is over, and one that nobody answered. */
let ended = '';
let expired = '';
let before = '';

beforeAll(async () => {
  world = await createWorld({ instances: 2, env: { DISCONNECT_GRACE: '10m' } });
  const conversationId = await world.conversation(['host', 'guest', 'ringing', 'uninvited', 'former']);
  const host = await world.client('host');
  const guest = await world.client('guest', 1);
  const start = async () => {
    const input = { conversationId, calleeIds: ['guest', 'ringing', 'former'], sessionId: 'host-1' };
    const { call } = success(await initiate(host, input));
    success(await join(guest, call.id, 'guest-1'));
    return call.id;
  };
  const rung = { conversationId, calleeIds: ['guest'], sessionId: 'host-1', ringTimeoutSeconds: 1 };
  expired = success(await initiate(host, rung)).call.id;
  ended = await start();
  await host.mutate(operations.EndCall, { callId: ended });
  live = await start();
  const service = await world.client('back-end', 0, 'service');
  await service.mutate(operations.RemoveMembers, { conversationId, userIds: ['former'] });
  await eventually(async () => {
    const { call } = await host.query(operations.GetCall, { id: expired });
    return call?.endReason === 'NO_ANSWER';
  });
  before = await dump();
});
afterAll(async () => {
  for (const socket of sockets) await socket.close();
  await world?.close();
});
afterEach(async () => {
  expect(await dump()).toBe(before);
});

/** Everything that a command could have changed, but for the marks of what is published. */
async function dump(): Promise<string> {
  const rows = async (table: string, leftOut = '') => {
    const { rows: all } = await sql<{ row: object }>`
      select to_jsonb(t) - ${leftOut}::text as row from ${sql.table(table)} t order by 1`.execute(
      world.database.db,
    );
    return all.map(({ row }) => row);
  };
  const tables = {
    calls: await rows('calls'),
    participants: await rows('call_participants'),
    events: await rows('call_events', 'published'),
    history: await rows('call_history'),
    reports: await rows('call_quality_reports'),
    initiations: await rows('initiations'),
    conversations: await rows('conversations'),
    blocked: await rows('blocked_users'),
    devices: await rows('devices'),
    members: await rows('conversation_members'),
  };
  return JSON.stringify(tables, null, 1);
}

/** Whoever asks; null: without a token. */
interface Asker {
  readonly user: string | null;
  readonly scope?: string;
}

interface Answer {
  /** As it was sent, to be compared byte for byte; of a WebSocket the payload. */
  readonly text: string;
  readonly status: number;
  readonly body: {
    readonly data?: Record<string, unknown> | null;
    readonly errors?: readonly {
      readonly message: string;
      readonly extensions?: { readonly code?: string; readonly field?: string };
    }[];
  };
}

async function ask(
  transport: Transport,
  { user, scope = '' }: Asker,
  document: DocumentNode,
  variables: Variables,
): Promise<Answer> {
  const query = print(document);
  if (transport === 'HTTP') {
    const response = await fetch(`${world.apps[1]!.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(user !== null && { authorization: `Bearer ${await tokenFor(user, scope)}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    const text = await response.text();
    return { text, status: response.status, body: JSON.parse(text) };
  }
  const socket = await socketOf(user as string, scope);
  const id = `operation-${socket.messages.length}`;
  socket.subscribe(id, query, variables);
  const body = (await socket.answer(id)) as Answer['body'];
  return { text: JSON.stringify(body), status: 0, body };
}

const open = new Map<string, Promise<RawSocket>>();
function socketOf(user: string, scope: string): Promise<RawSocket> {
  const key = `${user} ${scope}`;
  const made =
    open.get(key) ??
    tokenFor(user, scope).then(async (token) => {
      const socket = await RawSocket.open(world.apps[0]!.url, token);
      sockets.push(socket);
      return socket;
    });
  open.set(key, made);
  return made;
}

/** What an answer comes to: the code of its error or Rejection, the typename of a success, or null. */
function verdict({ body }: Answer): string | null {
  if (body.errors) return `error ${body.errors[0]?.extensions?.code}`;
  const value = Object.values(body.data ?? {})[0];
  if (value === null || typeof value !== 'object') return value === null ? null : String(value);
  if ('code' in value) return String(value.code);
  return '__typename' in value ? String(value.__typename) : 'a value';
}

/** Each operation that names a call, as the guest with the seat would send it. */
const OF_A_CALL = {
  joinCall: [operations.JoinCall, (id) => ({ input: { callId: id, sessionId: 'guest-1' } })],
  declineCall: [operations.DeclineCall, (id) => ({ callId: id })],
  leaveCall: [operations.LeaveCall, (id) => ({ callId: id, sessionId: 'guest-1' })],
  endCall: [operations.EndCall, (id) => ({ callId: id })],
  inviteToCall: [operations.InviteToCall, (id) => ({ callId: id, userIds: ['uninvited'] })],
  removeParticipant: [operations.RemoveParticipant, (id) => ({ callId: id, userId: 'ringing' })],
  muteParticipant: [operations.MuteParticipant, (id) => ({ callId: id, userId: 'host' })],
  setMediaState: [operations.SetMediaState, (id) => ({ callId: id, sessionId: 'guest-1', muted: true })],
  sendSignal: [
    operations.SendSignal,
    (id) => ({ input: { callId: id, sessionId: 'guest-1', clientSeq: 1, signal: SIGNAL } }),
  ],
  iceServers: [operations.GetIceServers, (id) => ({ callId: id })],
  reportCallQuality: [
    operations.ReportCallQuality,
    (id) => ({ input: { callId: id, reportId: 'report-1', rating: 3 } }),
  ],
} satisfies Record<string, [DocumentNode, (callId: string) => Variables]>;
type OfACall = keyof typeof OF_A_CALL;
const EACH = Object.keys(OF_A_CALL) as OfACall[];

/** What may still be said of a call that is over. */
const WHEN_OVER: readonly OfACall[] = ['leaveCall', 'endCall', 'reportCallQuality'];

const QUERIES = {
  call: operations.GetCall,
  timeline: operations.GetTimeline,
} satisfies Record<string, DocumentNode>;

const isRefusal = (operation: OfACall, code: string): [OfACall, string] => [operation, code];

/** Who asks, for which call, with what in the variables replaced, and what each operation then answers. */
const REFUSALS: readonly {
  readonly who: string;
  readonly user: string;
  readonly callId: () => string;
  readonly over?: Variables;
  readonly answers: readonly [OfACall, string][];
}[] = [
  {
    who: 'anyone, for a call that does not exist',
    user: 'guest',
    callId: () => UNKNOWN,
    answers: EACH.map((operation) => isRefusal(operation, 'CALL_NOT_FOUND')),
  },
  {
    who: 'anyone, for what can be no id of a call',
    user: 'guest',
    callId: () => 'call-1',
    answers: EACH.map((operation) => isRefusal(operation, 'CALL_NOT_FOUND')),
  },
  {
    who: 'anyone, for the id in capitals',
    user: 'guest',
    callId: () => live.toUpperCase(),
    answers: EACH.map((operation) => isRefusal(operation, 'CALL_NOT_FOUND')),
  },
  {
    who: 'a stranger',
    user: 'stranger',
    callId: () => live,
    answers: EACH.map((operation) => isRefusal(operation, 'CALL_NOT_FOUND')),
  },
  {
    who: 'a stranger, for a call that is over',
    user: 'stranger',
    callId: () => ended,
    answers: EACH.map((operation) => isRefusal(operation, 'CALL_NOT_FOUND')),
  },
  {
    who: 'a member who was not invited',
    user: 'uninvited',
    callId: () => live,
    answers: EACH.map((operation) => isRefusal(operation, 'NOT_INVITED')),
  },
  {
    who: 'someone invited who is no longer a member',
    user: 'former',
    callId: () => live,
    answers: EACH.map((operation) => isRefusal(operation, 'NOT_A_MEMBER')),
  },
  {
    who: 'someone invited who has not joined',
    user: 'ringing',
    callId: () => live,
    answers: EACH.filter((operation) => operation !== 'joinCall' && operation !== 'declineCall').map(
      (operation) => isRefusal(operation, 'NOT_IN_CALL'),
    ),
  },
  {
    who: 'someone in it who is not the host',
    user: 'guest',
    callId: () => live,
    answers: [
      ['endCall', 'NOT_THE_HOST'],
      ['removeParticipant', 'NOT_THE_HOST'],
      ['muteParticipant', 'NOT_THE_HOST'],
    ],
  },
  {
    who: 'another session of someone in it',
    user: 'guest',
    callId: () => live,
    over: { sessionId: 'guest-2' },
    answers: [
      ['joinCall', 'ALREADY_IN_CALL'],
      ['leaveCall', 'STALE_SESSION'],
      ['setMediaState', 'STALE_SESSION'],
      ['sendSignal', 'STALE_SESSION'],
    ],
  },
  {
    who: 'someone who was in it, once it is over',
    user: 'guest',
    callId: () => ended,
    answers: EACH.filter((operation) => !WHEN_OVER.includes(operation)).map((operation) =>
      isRefusal(operation, 'CALL_ENDED'),
    ),
  },
  ...['host', 'guest'].map((user) => ({
    who: `the ${user}, once nobody has answered: CALL_EXPIRED is for joining`,
    user,
    callId: () => expired,
    answers: EACH.filter((operation) => !WHEN_OVER.includes(operation)).map((operation) =>
      isRefusal(operation, operation === 'joinCall' ? 'CALL_EXPIRED' : 'CALL_ENDED'),
    ),
  })),
];

function replaced(variables: Variables, over: Variables): Variables {
  if (!('input' in variables)) return { ...variables, ...over };
  return { input: { ...(variables.input as object), ...over } };
}

const refusals = REFUSALS.flatMap(({ who, user, callId, over = {}, answers }) =>
  answers.map(([operation, code]) => {
    const [document, variablesFor] = OF_A_CALL[operation];
    return { who, user, operation, code, document, variables: () => replaced(variablesFor(callId()), over) };
  }),
);

describe.each(TRANSPORTS)('A rule that says no is a Rejection, over %s', (transport) => {
  it.each(REFUSALS.map(({ who }) => who))('to %s', async (chosen) => {
    const rows = refusals.filter(({ who }) => who === chosen);
    const answers: [string, string | null][] = [];
    for (const { user, operation, document, variables } of rows) {
      answers.push([operation, verdict(await ask(transport, { user }, document, variables()))]);
    }
    expect(answers).toEqual(rows.map(({ operation, code }) => [operation, code]));
  });

  it.each(['stranger', 'uninvited', 'former'])('and a query of it is null to %s', async (user) => {
    for (const id of [live, UNKNOWN, 'call-1']) {
      for (const document of Object.values(QUERIES)) {
        const answer = await ask(transport, { user }, document, { id });
        expect(answer.body).toEqual({ data: { call: null } });
      }
    }
  });

  it('and what a stranger is told of a call is what is told of none, byte for byte', async () => {
    const asked: [string, DocumentNode, (id: string) => Variables][] = [
      ...EACH.map((operation): [string, DocumentNode, (id: string) => Variables] => [
        operation,
        ...OF_A_CALL[operation],
      ]),
      ...Object.entries(QUERIES).map(
        ([name, document]): [string, DocumentNode, (id: string) => Variables] => [
          name,
          document,
          (id) => ({ id }),
        ],
      ),
    ];
    if (transport === 'WebSocket') {
      asked.push([
        'callEvents',
        operations.CallEvents,
        (id) => ({ callId: id, sessionId: 's', after: null }),
      ]);
    }
    for (const [name, document, variablesFor] of asked) {
      const ofNone = await ask(transport, { user: 'stranger' }, document, variablesFor(UNKNOWN));
      for (const id of [live, ended]) {
        const answer = await ask(transport, { user: 'stranger' }, document, variablesFor(id));
        expect([name, answer.status, answer.text.replaceAll(id, UNKNOWN)]).toEqual([
          name,
          ofNone.status,
          ofNone.text,
        ]);
      }
    }
  });
});

describe('A rule that says no', () => {
  it('is one that the description of its field names', async () => {
    const schema = buildSchema(readFileSync('schema.graphql', 'utf8'));
    const fields = { ...schema.getQueryType()?.getFields(), ...schema.getMutationType()?.getFields() };
    const unnamed = new Set<string>();
    for (const { operation, user, document, variables } of refusals) {
      const code = verdict(await ask('HTTP', { user }, document, variables()));
      const named = /Rejections[^:]*:([\s\S]*)/.exec(fields[operation]?.description ?? '')?.[1] ?? '';
      if (!new RegExp(`\\b${code}\\b`).test(named)) unnamed.add(`${operation}: ${code}`);
    }
    expect([...unnamed].sort()).toEqual([]);
  });

  it.each<[string, string, string, Variables]>([
    ['an unknown conversation', 'host', 'NOT_A_MEMBER', { conversationId: 'unknown' }],
    ['a conversation of others', 'stranger', 'NOT_A_MEMBER', {}],
    ['a callee who is no member', 'host', 'INVALID_CALLEE', { calleeIds: ['guest', 'stranger'] }],
    ['nobody', 'host', 'NO_CALLEES', { calleeIds: [] }],
    ['oneself alone', 'host', 'NO_CALLEES', { calleeIds: ['host', 'host'] }],
    ['more than may be invited', 'host', 'TOO_MANY_CALLEES', { calleeIds: ids(101) }],
    ['more than a list may have', 'host', 'INVALID_INPUT', { calleeIds: ids(1_001) }],
    ['a ring of no time', 'host', 'INVALID_INPUT', { ringTimeoutSeconds: 0 }],
    ['a ring of less', 'host', 'INVALID_INPUT', { ringTimeoutSeconds: -5 }],
    ['a ring longer than RING_TIMEOUT', 'host', 'INVALID_INPUT', { ringTimeoutSeconds: 301 }],
    ['the same people in another session', 'host', 'ALREADY_IN_CALL', { sessionId: 'host-2' }],
  ])('initiateCall: %s', async (_name, user, code, over) => {
    const input = {
      conversationId: 'conversation-1',
      calleeIds: ['guest', 'ringing', 'former'],
      type: 'AUDIO',
      sessionId: 'host-1',
      ...over,
    };
    for (const transport of TRANSPORTS) {
      expect(verdict(await ask(transport, { user }, operations.InitiateCall, { input }))).toBe(code);
    }
  });

  it.each<[string, DocumentNode, Variables, string]>([
    ['inviteToCall: a stranger', operations.InviteToCall, { userIds: ['stranger'] }, 'INVALID_CALLEE'],
    ['inviteToCall: a former member', operations.InviteToCall, { userIds: ['former'] }, 'INVALID_CALLEE'],
    ['inviteToCall: nobody', operations.InviteToCall, { userIds: [] }, 'NO_CALLEES'],
    ['inviteToCall: oneself', operations.InviteToCall, { userIds: ['host'] }, 'NO_CALLEES'],
    ['inviteToCall: too many', operations.InviteToCall, { userIds: ids(1_001) }, 'INVALID_INPUT'],
    ['removeParticipant: oneself', operations.RemoveParticipant, { userId: 'host' }, 'INVALID_INPUT'],
    ['removeParticipant: a stranger', operations.RemoveParticipant, { userId: 'stranger' }, 'INVALID_INPUT'],
    ['muteParticipant: a stranger', operations.MuteParticipant, { userId: 'stranger' }, 'INVALID_INPUT'],
    [
      'muteParticipant: one who has not joined',
      operations.MuteParticipant,
      { userId: 'ringing' },
      'RECIPIENT_NOT_IN_CALL',
    ],
  ])('to the host: %s', async (_name, document, over, code) => {
    for (const transport of TRANSPORTS) {
      const answer = await ask(transport, { user: 'host' }, document, { callId: live, ...over });
      expect(verdict(answer)).toBe(code);
    }
  });

  it.each<[string, Variables, string]>([
    ['to oneself', { to: 'guest' }, 'INVALID_SIGNAL'],
    ['to a stranger', { to: 'stranger' }, 'RECIPIENT_NOT_IN_CALL'],
    ['to another tenure', { toJoinSeq: 99 }, 'RECIPIENT_NOT_IN_CALL'],
    ['to a tenure of nobody', { to: null, toJoinSeq: 1 }, 'INVALID_SIGNAL'],
    ['with the count 0', { clientSeq: 0 }, 'INVALID_SIGNAL'],
    ['with a count below 0', { clientSeq: -7 }, 'INVALID_SIGNAL'],
    ['without a line of SDP', { signal: { offer: { sdp: '', generation: 1 } } }, 'INVALID_SIGNAL'],
    [
      'with an SDP of more than 48 KiB',
      { signal: { offer: { sdp: `${OFFER}${`a=x:${'x'.repeat(1000)}\r\n`.repeat(50)}`, generation: 1 } } },
      'INVALID_SIGNAL',
    ],
    ['with no candidates', { signal: { candidates: { items: [], generation: 1 } } }, 'INVALID_SIGNAL'],
    [
      'with 33 candidates',
      { signal: { candidates: { items: ids(33).map(() => ({ candidate: '' })), generation: 1 } } },
      'INVALID_SIGNAL',
    ],
    ['with a generation past all', { signal: numbered(2_000_000_000) }, 'INVALID_SIGNAL'],
  ])('sendSignal %s', async (_name, over, code) => {
    const input = { callId: live, sessionId: 'guest-1', to: 'host', clientSeq: 1, signal: SIGNAL, ...over };
    for (const transport of TRANSPORTS) {
      const answer = await ask(transport, { user: 'guest' }, operations.SendSignal, { input });
      expect(verdict(answer)).toBe(code);
      expect(answer.text).not.toContain('a=x:');
    }
  });
});

function ids(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `u${index}`);
}

/** What no id may be: src/ids.ts says what one is. */
const BAD_IDS = {
  'of 129 characters': 'x'.repeat(129),
  'of none': '',
  'with a line break': 'guest\n',
  'with NUL': 'a\u0000b',
  'with DEL': 'a\u007fb',
  'with a C1 control character': 'a\u0085b',
  'with half a surrogate pair': 'a\ud800',
};

/** Each argument that is an id, by the path at which its problem is told. */
const INPUT_IDS: [path: string, DocumentNode, (id: string) => Variables][] = [
  ...EACH.map((operation): [string, DocumentNode, (id: string) => Variables] => {
    const [document, variablesFor] = OF_A_CALL[operation];
    return ['input' in variablesFor('') ? 'input.callId' : 'callId', document, variablesFor];
  }),
  ...(['leaveCall', 'setMediaState', 'joinCall', 'sendSignal'] as const).map(
    (operation): [string, DocumentNode, (id: string) => Variables] => {
      const [document, variablesFor] = OF_A_CALL[operation];
      const path = 'input' in variablesFor('') ? 'input.sessionId' : 'sessionId';
      return [path, document, (id) => replaced(variablesFor(UNKNOWN), { sessionId: id })];
    },
  ),
  ['input.to', operations.SendSignal, (id) => replaced(OF_A_CALL.sendSignal[1](UNKNOWN), { to: id })],
  ['userIds', operations.InviteToCall, (id) => ({ callId: UNKNOWN, userIds: ['guest', id] })],
  ['userId', operations.RemoveParticipant, (id) => ({ callId: UNKNOWN, userId: id })],
  ['userId', operations.MuteParticipant, (id) => ({ callId: UNKNOWN, userId: id })],
  ...(['conversationId', 'sessionId', 'idempotencyKey'] as const).map(
    (name): [string, DocumentNode, (id: string) => Variables] => [
      `input.${name}`,
      operations.InitiateCall,
      (id) => ({
        input: { conversationId: 'c', calleeIds: ['guest'], type: 'AUDIO', sessionId: 's', [name]: id },
      }),
    ],
  ),
  [
    'input.calleeIds',
    operations.InitiateCall,
    (id) => ({ input: { conversationId: 'c', calleeIds: ['guest', id], type: 'AUDIO', sessionId: 's' } }),
  ],
  ['callId', operations.TerminateCall, (id) => ({ callId: id })],
];

/** The same of operations that have no Rejection to answer with. */
const ERROR_IDS: [field: string, DocumentNode, (id: string) => Variables][] = [
  ['id', operations.GetCall, (id) => ({ id })],
  ['id', operations.GetTimeline, (id) => ({ id })],
  ['filter.conversationId', operations.GetCalls, (id) => ({ filter: { conversationId: id } })],
  ['id', operations.PutConversation, (id) => ({ id, memberIds: ['a'] })],
  ['memberIds', operations.PutConversation, (id) => ({ id: 'new', memberIds: ['a', id] })],
  ['conversationId', operations.AddMembers, (id) => ({ conversationId: id, userIds: ['a'] })],
  ['userIds', operations.AddMembers, (id) => ({ conversationId: 'conversation-1', userIds: ['a', id] })],
  ['conversationId', operations.RemoveMembers, (id) => ({ conversationId: id, userIds: ['a'] })],
  ['userIds', operations.RemoveMembers, (id) => ({ conversationId: 'conversation-1', userIds: ['a', id] })],
  ['id', operations.DeleteConversation, (id) => ({ id })],
];

const EVERYTHING: Asker = { user: 'guest', scope: 'service admin' };

describe.each(TRANSPORTS)('What is malformed, over %s', (transport) => {
  it.each(Object.entries(BAD_IDS))(
    'an id %s is INVALID_INPUT, or BAD_USER_INPUT with its field',
    async (_name, id) => {
      for (const [path, document, variablesFor] of INPUT_IDS) {
        const { body } = await ask(transport, EVERYTHING, document, variablesFor(id));
        const rejection = Object.values(body.data ?? {})[0];
        expect([path, rejection]).toMatchObject([path, { code: 'INVALID_INPUT' }]);
        expect((rejection as { message: string }).message).toContain(path);
      }
      const errors: typeof ERROR_IDS =
        transport === 'HTTP'
          ? ERROR_IDS
          : [
              ...ERROR_IDS,
              ['callId', operations.CallEvents, (bad) => ({ callId: bad, sessionId: 's', after: null })],
              ['sessionId', operations.CallEvents, (bad) => ({ callId: live, sessionId: bad, after: null })],
            ];
      for (const [field, document, variablesFor] of errors) {
        const { body } = await ask(transport, EVERYTHING, document, variablesFor(id));
        expect([field, body.errors?.[0]?.extensions]).toMatchObject([
          field,
          { code: 'BAD_USER_INPUT', field },
        ]);
      }
    },
  );

  it.each<[string, DocumentNode, Variables, string]>([
    ['an object for an id', operations.EndCall, { callId: { a: 1 } }, 'callId'],
    ['a list for an id', operations.EndCall, { callId: ['a'] }, 'callId'],
    ['null for an id', operations.EndCall, { callId: null }, 'callId'],
    ['nothing for an id', operations.EndCall, {}, 'callId'],
    ['true for an id', operations.GetCall, { id: true }, 'id'],
    ['a word for a truth', operations.DeclineCall, { callId: UNKNOWN, busy: 'yes' }, 'busy'],
    [
      'a word for a media state',
      operations.SetMediaState,
      { callId: UNKNOWN, sessionId: 's', muted: 1 },
      'muted',
    ],
    ['null in a list', operations.InviteToCall, { callId: UNKNOWN, userIds: ['a', null] }, 'userIds[1]'],
    [
      'a field that there is not',
      operations.JoinCall,
      { input: { callId: 'a', sessionId: 's', x: 1 } },
      'input',
    ],
    ['a field that is missing', operations.JoinCall, { input: { callId: 'a' } }, 'input'],
    ['no object for an input', operations.JoinCall, { input: 'join' }, 'input'],
    [
      'a cursor that is a number',
      operations.CallEvents,
      { callId: UNKNOWN, sessionId: 's', after: 5 },
      'after',
    ],
    [
      'an instant that is none',
      operations.GetCalls,
      { filter: { createdFrom: 'yesterday' } },
      'filter.createdFrom',
    ],
    ['a status that is none', operations.GetCalls, { filter: { statuses: ['OVER'] } }, 'filter.statuses[0]'],
    ['half a number', operations.GetCalls, { first: 1.5 }, 'first'],
    [
      'a number past all',
      operations.PutConversation,
      { id: 'new', memberIds: [], version: 2 ** 31 },
      'version',
    ],
  ])('%s is BAD_USER_INPUT with the field', async (_name, document, variables, field) => {
    const { body } = await ask(transport, EVERYTHING, document, variables);
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
    expect(body.data ?? null).toBeNull();
  });

  it.each<[string, Variables, string]>([
    ['of two kinds', { signal: { ...SIGNAL, renegotiate: { iceRestart: true } } }, 'input.signal'],
    ['of no kind', { signal: {} }, 'input.signal'],
    ['that is null', { signal: { offer: null } }, 'input.signal.offer'],
    ['without a generation', { signal: { offer: { sdp: OFFER } } }, 'input.signal.offer'],
    [
      'with a candidate that is a number',
      { signal: { candidates: { items: [{ candidate: 7 }], generation: 1 } } },
      'input.signal.candidates.items[0].candidate',
    ],
    ['with a word for its count', { clientSeq: 'one' }, 'input.clientSeq'],
    ['with a count past all', { clientSeq: 2 ** 31 }, 'input.clientSeq'],
    ['with a word for a tenure', { toJoinSeq: '1' }, 'input.toJoinSeq'],
  ])(
    'a signal %s is BAD_USER_INPUT with the field, and nothing of it is repeated',
    async (_name, over, field) => {
      const input = { callId: live, sessionId: 'guest-1', to: 'host', clientSeq: 1, signal: SIGNAL, ...over };
      const { body, text } = await ask(transport, { user: 'guest' }, operations.SendSignal, { input });
      expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
      expect(text).not.toContain('ice-pwd');
    },
  );

  it.each<[string, Variables, string]>([
    ['of none', { first: 0 }, 'first'],
    ['of less than none', { last: -1 }, 'last'],
    ['of too many', { first: 101 }, 'first'],
    ['from both ends', { first: 1, last: 1 }, 'first'],
    ['after and before', { after: 'x', before: 'x' }, 'first'],
    ['after what is no cursor', { first: 1, after: 'nonsense' }, 'after'],
    ['after nothing', { first: 1, after: '' }, 'after'],
    ['before NUL', { last: 1, before: '\u0000' }, 'before'],
  ])('a page of calls %s is BAD_USER_INPUT with the field', async (_name, variables, field) => {
    const { body } = await ask(transport, { user: 'guest' }, operations.GetCalls, variables);
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
  });

  it.each<[string, Variables, string]>([
    ['of none', { first: 0 }, 'first'],
    ['of too many', { first: 501 }, 'first'],
    ['after what is no cursor', { first: 1, after: 'nonsense' }, 'after'],
    ['after a version past all', { first: 1, after: '99999999999.0' }, 'after'],
  ])('a page of a timeline %s is BAD_USER_INPUT with the field', async (_name, variables, field) => {
    const { body } = await ask(transport, { user: 'guest' }, operations.GetTimeline, {
      id: live,
      ...variables,
    });
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
  });

  it('a timeline of 500 is no more than a page may have', async () => {
    const { body } = await ask(transport, { user: 'guest' }, operations.GetTimeline, {
      id: live,
      first: 500,
    });
    expect(body.errors).toBeUndefined();
  });

  it.each<[string, DocumentNode, Variables, string]>([
    [
      'addMembers of no conversation',
      operations.AddMembers,
      { conversationId: 'no', userIds: ['a'] },
      'conversationId',
    ],
    [
      'removeMembers of no conversation',
      operations.RemoveMembers,
      { conversationId: 'no', userIds: ['a'] },
      'conversationId',
    ],
    [
      'too many members',
      operations.PutConversation,
      { id: 'new', memberIds: Array(10_001).fill('a') },
      'memberIds',
    ],
    [
      'too many to add',
      operations.AddMembers,
      { conversationId: 'conversation-1', userIds: ids(1_001) },
      'userIds',
    ],
    [
      'too many to remove',
      operations.RemoveMembers,
      { conversationId: 'conversation-1', userIds: ids(1_001) },
      'userIds',
    ],
    ['too many to block', operations.BlockUsers, { userId: 'a', blockedIds: ids(1_001) }, 'blockedIds'],
    ['oneself to block', operations.BlockUsers, { userId: 'a', blockedIds: ['a'] }, 'blockedIds'],
    ['nobody’s name to block', operations.BlockUsers, { userId: 'a', blockedIds: [''] }, 'blockedIds'],
    ['blocks of a line break', operations.BlockedUsers, { userId: 'a\nb' }, 'userId'],
  ])('%s is BAD_USER_INPUT with the field', async (_name, document, variables, field) => {
    const { body } = await ask(transport, { user: 'back-end', scope: 'service' }, document, variables);
    expect(body.errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field });
  });
});

describe('Without the right token', () => {
  const all: [string, DocumentNode, Variables][] = [
    ...EACH.map((name): [string, DocumentNode, Variables] => [
      name,
      OF_A_CALL[name][0],
      OF_A_CALL[name][1](UNKNOWN),
    ]),
    ['call', operations.GetCall, { id: UNKNOWN }],
    ['calls', operations.GetCalls, {}],
    ['viewer', operations.Viewer, {}],
    [
      'initiateCall',
      operations.InitiateCall,
      { input: { conversationId: 'c', calleeIds: ['guest'], type: 'AUDIO', sessionId: 's' } },
    ],
    ['terminateCall', operations.TerminateCall, { callId: UNKNOWN }],
    ['putConversation', operations.PutConversation, { id: 'new', memberIds: [] }],
    ['addMembers', operations.AddMembers, { conversationId: 'conversation-1', userIds: ['stranger'] }],
    ['removeMembers', operations.RemoveMembers, { conversationId: 'conversation-1', userIds: ['guest'] }],
    ['deleteConversation', operations.DeleteConversation, { id: 'conversation-1' }],
  ];

  it.each(all)('UNAUTHENTICATED to whoever has none: %s', async (_name, document, variables) => {
    const answer = await ask('HTTP', { user: null }, document, variables);
    expect(verdict(answer)).toBe('error UNAUTHENTICATED');
    expect(Object.values(answer.body.data ?? {}).filter((value) => value !== null)).toEqual([]);
  });

  it('UNAUTHENTICATED to one whose token is of another issuer, cut, or has run out', async () => {
    const good = await tokenFor('guest');
    const tokens = [good.slice(0, -3), `${good}x`, 'nonsense', '', await tokenFor('guest', '', -60_000)];
    for (const token of tokens) {
      const response = await fetch(`${world.apps[0]!.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query: print(operations.EndCall), variables: { callId: live } }),
      });
      const text = await response.text();
      expect(text).toContain('UNAUTHENTICATED');
      if (token.length > 20) expect(text).not.toContain(token.slice(10, 30));
    }
  });

  it('a socket is closed with 4401', async () => {
    const socket = await RawSocket.open(world.apps[0]!.url, null);
    socket.send({ type: 'connection_init' });
    expect((await socket.closed).code).toBe(4401);
  });

  it.each(TRANSPORTS)(
    'FORBIDDEN to one without the scope, whether or not there is such a thing, over %s',
    async (transport) => {
      const asked: [DocumentNode, Variables][] = [
        [operations.TerminateCall, { callId: live }],
        [operations.TerminateCall, { callId: UNKNOWN }],
        [operations.PutConversation, { id: 'conversation-1', memberIds: [] }],
        [operations.AddMembers, { conversationId: 'conversation-1', userIds: ['stranger'] }],
        [operations.AddMembers, { conversationId: 'no', userIds: ['stranger'] }],
        [operations.RemoveMembers, { conversationId: 'conversation-1', userIds: ['guest'] }],
        [operations.DeleteConversation, { id: 'conversation-1' }],
        [operations.DeleteConversation, { id: 'no' }],
      ];
      for (const [document, variables] of asked) {
        // Each scope opens what it is for and nothing else.
        const scope = document === operations.TerminateCall ? 'service' : 'admin';
        for (const asker of [{ user: 'host' }, { user: 'host', scope }]) {
          expect(verdict(await ask(transport, asker, document, variables))).toBe('error FORBIDDEN');
        }
      }
    },
  );

  it('terminateCall of no call is CALL_NOT_FOUND to an administrator', async () => {
    for (const callId of [UNKNOWN, 'call-1']) {
      const answer = await ask('HTTP', { user: 'root', scope: 'admin' }, operations.TerminateCall, {
        callId,
      });
      expect(verdict(answer)).toBe('CALL_NOT_FOUND');
    }
  });
});

describe('What is larger than 64 KiB', () => {
  const variables = () => ({ callId: live, userIds: ['uninvited'], padding: 'x'.repeat(64 * 1024) });

  it('is refused with 413 over HTTP', async () => {
    const response = await fetch(`${world.apps[0]!.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await tokenFor('host')}` },
      body: JSON.stringify({ query: print(operations.InviteToCall), variables: variables() }),
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
  });

  it('closes the socket with 1009', async () => {
    const socket = await RawSocket.open(world.apps[0]!.url, await tokenFor('host'));
    socket.subscribe('1', print(operations.InviteToCall), variables());
    expect((await socket.closed).code).toBe(1009);
    expect(socket.messages.filter(({ type }) => type === 'next')).toEqual([]);
  });
});
