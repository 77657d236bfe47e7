import type { CallLimits } from '../../src/calls/call.ts';
import { loadConfig } from '../../src/config.ts';
import type { Core } from '../../src/core.ts';
import type { Services } from '../../src/graphql/services.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { CallOnThisInstance, Metrics } from '../../src/observability/metrics.ts';
import type { Rates } from '../../src/rate-limits/rates.ts';
import { type Owner, running } from './clock.ts';
import type { Code } from './code.ts';
import { DatabaseLink, type DatabaseServer } from './database-link.ts';
import type { Armed } from './faults.ts';
import { type Redis, RedisLink } from './network.ts';
import type { Scheduler } from './scheduler.ts';

const SILENT = createLogger('silent');
const DEFAULTS = loadConfig({}).limits;

/** One instance of the server, which can be killed between any two steps. */

export interface InstanceDeps {
  readonly code: Code;
  readonly scheduler: Scheduler;
  readonly server: DatabaseServer;
  readonly redis: Redis;
  readonly armed: Armed;
  readonly limits: CallLimits;
  readonly rates: Rates;
  readonly metrics: Metrics;
  readonly timeoutMs: number;
  /** What nobody foresaw. */
  readonly onWarning: (what: string, error: unknown) => void;
  /** It died by itself: of a fault that was armed. */
  readonly onCrash: (instance: Instance) => void;
}

export class Instance implements Owner {
  readonly name: string;
  stalled = false;
  dead = false;
  skewMs = 0;
  started = false;
  /** It takes no new sockets. */
  draining = false;
  readonly link: RedisLink;
  readonly #database: DatabaseLink;
  readonly #core: Core;
  readonly #deps: InstanceDeps;
  /** The calls that have a stream here, as the gauges count them. */
  callsHere: () => Iterable<CallOnThisInstance> = () => [];

  constructor(name: string, deps: InstanceDeps) {
    this.name = name;
    this.#deps = deps;
    const { code, scheduler, server, redis, armed, limits, timeoutMs } = deps;
    this.link = new RedisLink({ redis, owner: this, scheduler, armed, code });
    this.#database = new DatabaseLink({
      server,
      owner: this,
      scheduler,
      armed,
      code,
      timeoutMs,
      crash: () => {
        this.crash();
        deps.onCrash(this);
      },
    });
    this.#core = running.run(this, () =>
      code.createCore({
        database: this.#database.database,
        pulse: this.#database.database,
        log: this.link.log,
        channels: this.link.channels,
        rates: deps.rates,
        instanceId: crypto.randomUUID(),
        notifications: null,
        hasRedis: true,
        webPush: { webPushKey: null, endpoints: { allowHttp: false, allowPrivate: false } },
        config: {
          limits: { ...DEFAULTS, ...limits },
          eventsKeptMs: 3_600_000,
          ice: { servers: [], turn: null, problems: [] },
        },
        metrics: {
          ...deps.metrics,
          observeCalls: (read) => {
            this.callsHere = read;
          },
        },
        now: () => Date.now(),
        warn: deps.onWarning,
        logger: SILENT,
        tracing: null,
      }),
    );
  }

  get services(): Services {
    return this.#core.services;
  }

  /** False where the database does not let it: then the process ends. */
  async start(): Promise<boolean> {
    try {
      await running.run(this, () => this.#core.start());
      this.started = true;
    } catch {
      this.crash();
    }
    return this.started;
  }

  /** With everything that it has in flight. */
  crash(): void {
    this.dead = true;
    this.#database.cutTransactions();
    this.link.die();
    this.#deps.scheduler.drop(this);
    this.#deps.scheduler.clock.drop(this);
  }

  stall(): void {
    this.stalled = true;
    this.#database.cutTransactions();
  }

  goOn(): void {
    this.stalled = false;
  }

  /** As after SIGTERM, once its sockets are closed. */
  async leave(): Promise<void> {
    await running.run(this, () => this.#core.stop(2_000));
  }
}
