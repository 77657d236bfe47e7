import { afterEach, describe, expect, it } from 'vitest';
import type { App } from '../../src/app.ts';
import { startTestApp } from '../support/app.ts';
import { createDatabase } from '../support/database.ts';
import { startRedis } from '../support/redis.ts';
import { eventually, metricOf } from '../support/world.ts';

/** Whether an instance may be given traffic, as a balancer asks it. */

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
  app: App,
): Promise<{ status: number; ok: boolean; degraded: boolean; reasons: string[] }> {
  const response = await fetch(`${app.url}/readyz`);
  return {
    status: response.status,
    ...((await response.json()) as { ok: boolean; degraded: boolean; reasons: string[] }),
  };
}

describe('/readyz', () => {
  it('refuses while two instances without Redis live on one database, and comes back when one is gone', async () => {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const one = await start({ DATABASE_URL: stored.url });
    expect(await readyz(one)).toMatchObject({ status: 200, ok: true });
    const two = await startTestApp({ DATABASE_URL: stored.url });
    for (const app of [one, two]) {
      const answer = await readyz(app);
      expect(answer).toMatchObject({ status: 503, ok: false });
      expect(answer.reasons.join()).toContain('REDIS_URL');
      expect(await metricOf(app, 'ringdown_ready')).toBe(0);
    }
    await two.stop();
    expect(await readyz(one)).toMatchObject({ status: 200, ok: true });
    expect(await metricOf(one, 'ringdown_ready')).toBe(1);
  });

  it('is degraded, and goes on taking traffic, while Redis is gone', async () => {
    const stored = await createDatabase();
    undo.push(() => stored.drop());
    const redis = await startRedis();
    undo.push(() => redis.stop());
    const app = await start({ DATABASE_URL: stored.url, REDIS_URL: redis.url });
    expect(await readyz(app)).toMatchObject({ status: 200, degraded: false });
    await redis.kill();
    await eventually(async () => (await readyz(app)).degraded, 2_000);
    expect(await readyz(app)).toMatchObject({ status: 200, ok: true });
    await redis.restart();
    await eventually(async () => !(await readyz(app)).degraded, 3_000);
  });
});
