import { afterAll, beforeAll, expect, it } from 'vitest';
import { createOperationObserver } from '../../src/observability/operations.ts';
import { createClient } from '../support/client.ts';
import { type FakeServer, startFakeServer } from '../support/fake-services.ts';

/** An error that nobody foresaw is found in the log by what the client has of it: over every transport. */

const QUERY =
  'mutation { setMediaState(callId: "c", sessionId: "s", muted: true) { ... on Rejection { code } } }';
const outcomes: string[] = [];

let server: FakeServer;
beforeAll(async () => {
  const logger = { debug() {}, isLevelEnabled: () => false };
  const metrics = {
    operationEnded: (operation: string, outcome: string) => void outcomes.push(`${operation} ${outcome}`),
  };
  server = await startFakeServer({ observer: createOperationObserver({ logger, metrics, tracing: null }) });
});
afterAll(() => server.close());

it('has the request, the user and the operation in its line, and counts as an error', async () => {
  const response = await fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer ada', 'x-request-id': 'r-1' },
    body: JSON.stringify({ query: QUERY }),
  });
  const { errors } = (await response.json()) as { errors: { extensions: { errorId: string } }[] };
  const { errorId } = errors[0]!.extensions;
  expect(server.observed.errors.at(-1)).toMatchObject([
    { errorId, requestId: 'r-1', userId: 'ada', socketId: null, operation: 'setMediaState' },
    'An error that nobody foresaw',
  ]);

  const client = createClient({ url: server.url, token: 'ben' });
  const { parse } = await import('graphql');
  await expect(client.mutate(parse(QUERY) as never, {} as never)).rejects.toThrow('Internal server error');
  await client.dispose();
  const [line] = server.observed.errors.at(-1) as [Record<string, unknown>];
  expect(line).toMatchObject({ userId: 'ben', operation: 'setMediaState' });
  expect(line.socketId).toMatch(/^[0-9a-f-]{36}$/);
  expect(outcomes).toEqual(['setMediaState error', 'setMediaState error']);
});
