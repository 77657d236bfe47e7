import { setTimeout as sleep } from 'node:timers/promises';
import { startInstance } from '../../test/support/instance.ts';
import { cpuSeconds } from '../measure.ts';
import { later, pin, postgresSeconds, print, SERVER_CORE, stage, verdict } from './stage.ts';
import { liveCalls } from './volume.ts';

/** What the sweeper and the heartbeat cost on many live calls in which nothing is due. */

const CALLS = 100_000;
/** Of one core. */
const GOAL = 0.02;
const SECONDS = 30;
/** Until what the rows themselves gave rise to is over. */
const SETTLE_SECONDS = 10;

export async function sweeper(): Promise<void> {
  const set = await stage();
  const env = { DATABASE_URL: set.databaseUrl, REDIS_URL: set.redis.url, NODE_ENV: 'production' };
  const instance = await startInstance(env);
  later(() => {
    instance.signal('SIGTERM');
    return instance.ended;
  });
  pin(instance.pid, SERVER_CORE);
  const watch = async (what: string) => {
    await sleep(SETTLE_SECONDS * 1000);
    const before = [postgresSeconds(set.postgres), cpuSeconds(instance.pid)] as const;
    await sleep(SECONDS * 1000);
    const postgres = (postgresSeconds(set.postgres) - before[0]) / SECONDS;
    const server = (cpuSeconds(instance.pid) - before[1]) / SECONDS;
    const share = (value: number) => `${(100 * value).toFixed(1)} % (${verdict(value < GOAL)})`;
    print(
      `${what}: Postgres ${share(postgres)}, the instance ${share(server)} of a core; goal under 2 % each`,
    );
  };
  await watch('No calls');
  const { rows } = await set.sql.query('select id from instances');
  await liveCalls(set.sql, CALLS, rows[0].id);
  await watch(`${CALLS.toLocaleString('en')} live calls`);
}
