import { Redis } from 'ioredis';
import pg from 'pg';
import { tokenFor } from '../../support/app.ts';
import { createClient } from '../../support/client.ts';
import { freePort } from '../../support/free-port.ts';
import { type Instance, startInstance } from '../../support/instance.ts';
import * as operations from '../../support/operations.ts';
import { startPostgres, type TestDatabase, type TestPostgres } from '../../support/postgres.ts';
import { startRedis, type TestRedis } from '../../support/redis.ts';
import { Link } from './link.ts';
import { SEATS } from './plan.ts';

/**
 * Some instances as processes of their own on one Postgres and one Redis; between them and these, and between
 * the clients and them, links that can be bad. All of it is reused from run to run.
 */

/** Milliseconds; short, so that every deadline passes within a run. */
export const LIMITS = { grace: 5_000, ring: 4_000, alone: 3_000, duration: 30_000, database: 2_000 };

/** Milliseconds in which an instance has to be there, whatever else is wrong. */
const STARTED = 30_000;

export interface StagedInstance {
  readonly index: number;
  /** Null while there is no process. */
  process: Instance | null;
  metricsPort: number;
  /** A balancer knows of it, and sends nobody there. */
  away: boolean;
  readonly toPostgres: Link;
  readonly toRedis: Link;
}

export interface StageOptions {
  readonly instances: number;
  /** The program; another one than the repository's for a bug put in on purpose. */
  readonly main?: string;
}

export class Stage {
  readonly postgres: TestPostgres;
  readonly redis: TestRedis;
  readonly instances: readonly StagedInstance[];
  /** Where clients connect: a balancer, which takes one instance after the other. */
  readonly door: Link;
  readonly #database: TestDatabase;
  readonly #main: string | undefined;
  /** Straight to the tables, by no link. */
  readonly sql: pg.Pool;
  /** The same for Redis. */
  readonly admin: Redis;

  private constructor(parts: {
    postgres: TestPostgres;
    redis: TestRedis;
    database: TestDatabase;
    instances: StagedInstance[];
    door: Link;
    sql: pg.Pool;
    main: string | undefined;
  }) {
    this.postgres = parts.postgres;
    this.redis = parts.redis;
    this.#database = parts.database;
    this.instances = parts.instances;
    this.door = parts.door;
    this.sql = parts.sql;
    this.#main = parts.main;
    this.admin = new Redis(parts.redis.url, { enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    this.admin.on('error', () => {});
  }

  static async open({ instances: count, main }: StageOptions): Promise<Stage> {
    const postgres = await startPostgres({ durable: true });
    const redis = await startRedis();
    const database = await postgres.createDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 4, application_name: 'oracle' });
    sql.on('error', () => {});
    const links = (port: number) => Link.open(() => [{ port, name: 0 }]);
    const instances: StagedInstance[] = [];
    for (let index = 0; index < count; index++) {
      const toPostgres = await links(Number(new URL(database.url).port));
      const toRedis = await links(redis.port);
      instances.push({ index, process: null, metricsPort: 0, away: true, toPostgres, toRedis });
    }
    let turn = 0;
    const door = await Link.open(() => {
      turn += 1;
      return instances
        .map((_, i) => instances[(turn + i) % count] as StagedInstance)
        .filter(({ away, process }) => !away && process !== null)
        .map(({ index, process }) => ({ name: index, port: Number(new URL(process!.url).port) }));
    });
    const stage = new Stage({ postgres, redis, database, instances, door, sql, main });
    await Promise.all(instances.map((instance) => stage.start(instance)));
    return stage;
  }

  get url(): string {
    return `http://127.0.0.1:${this.door.port}`;
  }

  /** As a supervisor does: one that finds no database ends, and is started again. */
  async start(instance: StagedInstance): Promise<void> {
    for (const until = Date.now() + STARTED; ; ) {
      try {
        await this.#startOnce(instance);
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
      }
    }
  }

  async #startOnce(instance: StagedInstance): Promise<void> {
    const database = new URL(this.#database.url);
    database.port = String(instance.toPostgres.port);
    instance.metricsPort = await freePort();
    instance.process = await startInstance(
      {
        METRICS_PORT: String(instance.metricsPort),
        DATABASE_URL: database.href,
        REDIS_URL: `redis://127.0.0.1:${instance.toRedis.port}`,
        DISCONNECT_GRACE: `${LIMITS.grace}ms`,
        RING_TIMEOUT: `${LIMITS.ring}ms`,
        ALONE_TIMEOUT: `${LIMITS.alone}ms`,
        MAX_CALL_DURATION: `${LIMITS.duration}ms`,
        DATABASE_TIMEOUT: `${LIMITS.database}ms`,
        MAX_PARTICIPANTS: String(SEATS),
        INITIATE_RATE: '10000',
        NODE_OPTIONS: `--import=${new URL('jumping-clock.ts', import.meta.url).href}`,
      },
      this.#main,
    );
    instance.away = false;
  }

  /** Back to a state in which nothing is wrong, whatever was. */
  async mend(): Promise<void> {
    this.postgres.resume();
    this.redis.resume();
    for (const { index, toPostgres, toRedis, process } of this.instances) {
      process?.signal('SIGCONT');
      for (const [link, name] of [
        [toPostgres, 0],
        [toRedis, 0],
        [this.door, index],
      ] as const) {
        Object.assign(link.condition(name), { latency: 0, loses: null });
        link.thaw(name);
      }
    }
    await Promise.all(
      this.instances.filter(({ process }) => !process).map((instance) => this.start(instance)),
    );
  }

  /** A conversation with these members, by whichever instance answers. */
  async conversation(id: string, memberIds: readonly string[]): Promise<void> {
    const client = createClient({ url: this.url, token: await tokenFor('back-end', 'service') });
    try {
      await client.mutate(operations.PutConversation, { id, memberIds: [...memberIds] });
    } finally {
      await client.dispose();
    }
  }

  /** The value of a metric of one instance, summed over its series; 0 where it has none. */
  async metric({ metricsPort }: StagedInstance, name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    let total = 0;
    for (const line of text.split('\n')) {
      const match = /^([a-z_:]+)(?:\{[^}]*\})? (\S+)$/.exec(line);
      if (match?.[1] === name) total += Number(match[2]);
    }
    return total;
  }

  /** What somebody on Redis still listens to, but for the instances' own channels. */
  async channels(): Promise<string[]> {
    const all = (await this.admin.pubsub('CHANNELS')) as string[];
    return all.filter((channel) => !/^ringdown:(instance|connection):/.test(channel));
  }

  /** SIGTERM to all; how each of them ended. */
  async stop(): Promise<(number | string)[]> {
    const processes = this.instances.flatMap(({ process }) => process ?? []);
    for (const process of processes) process.signal('SIGTERM');
    const endings = await Promise.all(processes.map(({ ended }) => ended));
    await this.#takeDown();
    return endings;
  }

  /** Whatever state it is in. */
  async abandon(): Promise<void> {
    await Promise.all(
      this.instances.map(async ({ process }) => {
        process?.signal('SIGKILL');
        await process?.ended;
      }),
    );
    await this.#takeDown();
  }

  async #takeDown(): Promise<void> {
    await this.sql.end();
    this.admin.disconnect();
    await this.door.close();
    for (const { toPostgres, toRedis } of this.instances) {
      await toPostgres.close();
      await toRedis.close();
    }
    await this.redis.stop();
    await this.postgres.stop();
  }
}
