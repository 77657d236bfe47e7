import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { App } from '../../src/app.ts';
import { openDatabase } from '../../src/database/open.ts';
import { startTestApp } from '../support/app.ts';
import { createDatabase } from '../support/database.ts';
import { startPostgres, type TestDatabase, type TestPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { eventually, metricOf } from '../support/world.ts';

/** Whether an instance may be given traffic, as a balancer asks it. */

/** How soon a change shows, milliseconds. */
const SOON = 2_000;

const undo: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(env: Record<string, string>): Promise<App> {
  const app = await startTestApp(env);
  undo.push(() => app.stop());
  return app;
}

async function readyz(
  app: Pick<App, 'url'>,
): Promise<{ status: number; ok: boolean; degraded: boolean; reasons: string[] }> {
  const response = await fetch(`${app.url}/readyz`);
  return {
    status: response.status,
    ...((await response.json()) as { ok: boolean; degraded: boolean; reasons: string[] }),
  };
}

const becomes = (app: App, status: number) =>
  eventually(async () => {
    const answer = await readyz(app);
    return answer.status === status && answer;
  }, SOON);

describe('/readyz', () => {
  it('refuses while two instances without Redis live on one database, and comes back when one is gone', async () => {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const one = await start({ DATABASE_URL: stored.url });
    expect(await readyz(one)).toMatchObject({ status: 200, ok: true });
    const two = await startTestApp({ DATABASE_URL: stored.url });
    for (const app of [one, two]) {
      const answer = await becomes(app, 503);
      expect(answer).toMatchObject({ ok: false });
      expect(answer.reasons.join()).toContain('REDIS_URL');
      expect(await metricOf(app, 'ringdown_ready')).toBe(0);
    }
    await two.stop();
    await becomes(one, 200);
    expect(await metricOf(one, 'ringdown_ready')).toBe(1);
  });

  it.each(['kill', 'pause'] as const)(
    'is degraded, and goes on taking traffic, while Redis is gone (%s)',
    async (how) => {
      const stored = await createDatabase();
      undo.push(() => stored.drop());
      const redis = await startRedis();
      undo.push(() => redis.stop());
      const app = await start({ DATABASE_URL: stored.url, REDIS_URL: redis.url });
      expect(await readyz(app)).toEqual({ status: 200, ok: true, degraded: false, reasons: [] });
      await redis[how]();
      await eventually(async () => (await readyz(app)).degraded, SOON);
      expect(await readyz(app)).toMatchObject({ status: 200, ok: true, reasons: ['Redis is out of reach.'] });
      if (how === 'kill') await redis.restart();
      else redis.resume();
      await eventually(async () => !(await readyz(app)).degraded, SOON);
    },
  );

  it('tells of missing migrations, and of newer ones without refusing', async () => {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const app = await start({ DATABASE_URL: stored.url });
    const database = await openDatabase({ url: stored.url, dataDir: null, poolSize: 2, timeoutMs: 5_000 });
    undo.push(() => database.close());

    await sql`update kysely_migration set name = '9999_of_tomorrow' where name = '0002_retention'`.execute(
      database.db,
    );
    const refused = await becomes(app, 503);
    expect(refused.reasons[0]).toContain('0002_retention');
    await sql`insert into kysely_migration values ('0002_retention', now())`.execute(database.db);
    const answer = await becomes(app, 200);
    expect(answer).toMatchObject({ ok: true, degraded: true });
    expect(answer.reasons.join()).toContain('9999_of_tomorrow');
  });

  it('says no as soon as the instance drains, and goes on saying so until its sockets are gone', async () => {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const app = await startTestApp({ DATABASE_URL: stored.url });
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    await new Promise((resolve) => socket.once('open', resolve));
    // It does not read the close, so the drain has to wait for it.
    socket.pause();
    let stopped = false;
    const stopping = app.stop().then(() => {
      stopped = true;
    });
    for (let asked = 0; asked < 3; asked++) {
      expect(await readyz(app)).toMatchObject({ status: 503, ok: false });
      expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
    }
    expect(stopped).toBe(false);
    socket.terminate();
    await stopping;
  });
});

describe('/readyz with a Postgres of its own', () => {
  let postgres: TestPostgres;
  let stored: TestDatabase;
  beforeAll(async () => {
    postgres = await startPostgres({ durable: true });
    stored = await postgres.createDatabase();
  });
  afterAll(() => postgres.stop());

  it('answers in time with 503 while Postgres hangs, and is ready again soon after', async () => {
    const app = await start({ DATABASE_URL: stored.url });
    expect(await readyz(app)).toMatchObject({ status: 200 });
    postgres.pause();
    try {
      const answer = await becomes(app, 503);
      expect(answer.reasons).toEqual(['The database does not answer (Postgres).']);
      // Also those who ask while the first look still hangs, and however many they are.
      const askedAt = performance.now();
      const answers = await Promise.all(Array.from({ length: 20 }, () => readyz(app)));
      expect(answers.every(({ status }) => status === 503)).toBe(true);
      expect(performance.now() - askedAt).toBeLessThan(SOON);
      expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
    } finally {
      postgres.resume();
    }
    await becomes(app, 200);
  });

  it('answers 503 while Postgres is down, and is ready again soon after it is back', async () => {
    const app = await start({ DATABASE_URL: stored.url });
    expect(await readyz(app)).toMatchObject({ status: 200 });
    await postgres.kill();
    await becomes(app, 503);
    await postgres.restart();
    await becomes(app, 200);
  });
});
