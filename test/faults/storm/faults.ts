import type { Fault, FaultKind } from './plan.ts';
import type { Stage, StagedInstance } from './stage.ts';

/** Each fault, as it is made to happen. `begin` resolves once it has begun, with what ends it. */

type Begin = (stage: Stage, instance: StagedInstance) => Promise<() => Promise<void> | void>;

/** Milliseconds each way on a slow link. */
const SLOW = { servers: 60, clients: 150 };
/** A balancer needs as long to see that an instance does not answer. */
const BALANCER_NOTICES = 1_000;
/** Between two kills of the Pub/Sub connections. */
const KILL_EVERY = 150;

const FAULTS: Record<FaultKind, Begin> = {
  async killed(stage, instance) {
    const { process } = instance;
    instance.process = null;
    process?.signal('SIGKILL');
    await process?.ended;
    return () => stage.start(instance);
  },

  async stalled(_stage, instance) {
    instance.process?.signal('SIGSTOP');
    const noticed = setTimeout(() => {
      instance.away = true;
    }, BALANCER_NOTICES);
    return () => {
      clearTimeout(noticed);
      instance.process?.signal('SIGCONT');
      instance.away = false;
    };
  },

  async restarted(stage, instance) {
    const { process } = instance;
    // The fault before it is still being mended, on a slow machine: it is about to start anyway.
    if (!process) return () => {};
    instance.away = true;
    process.signal('SIGTERM');
    return async () => {
      const how = await process.ended;
      instance.process = null;
      if (how !== 0) throw new Error(`An instance that was asked to stop ended with ${how}`);
      await stage.start(instance);
    };
  },

  async 'clock jumps'(_stage, { process }) {
    process?.signal('SIGUSR2');
    return () => process?.signal('SIGUSR2');
  },

  async 'redis killed'({ redis }) {
    await redis.kill();
    return () => redis.restart();
  },

  async 'redis stalled'({ redis }) {
    redis.pause();
    return () => redis.resume();
  },

  async 'redis cut'(_stage, { toRedis }) {
    toRedis.cut();
    return () => {};
  },

  'redis half-open': async (_stage, { toRedis }) => halfOpen(toRedis, 0),

  'redis slow': async (_stage, { toRedis }) => slow(toRedis, 0, SLOW.servers),

  async 'pubsub killed'({ admin }) {
    const kill = () => void admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub').catch(() => {});
    kill();
    const timer = setInterval(kill, KILL_EVERY);
    return () => clearInterval(timer);
  },

  async 'postgres killed'({ postgres }) {
    await postgres.kill();
    return () => postgres.restart();
  },

  async 'postgres stalled'({ postgres }) {
    postgres.pause();
    return () => postgres.resume();
  },

  async 'postgres cut'(_stage, { toPostgres }) {
    toPostgres.cut();
    return () => {};
  },

  'postgres half-open': async (_stage, { toPostgres }) => halfOpen(toPostgres, 0),

  'postgres slow': async (_stage, { toPostgres }) => slow(toPostgres, 0, SLOW.servers),

  'commit lost': async (_stage, { toPostgres }) => loses(toPostgres, 'commit'),

  'answer to commit lost': async (_stage, { toPostgres }) => loses(toPostgres, 'answer'),

  async 'reconnect storm'({ door }) {
    door.cut();
    return () => {};
  },

  'clients half-open': async ({ door }, { index }) => halfOpen(door, index),

  'clients slow': async ({ door }, { index }) => slow(door, index, SLOW.clients),
};

type Link = StagedInstance['toRedis'];

/** What was on its way is lost with the connection. */
function halfOpen(link: Link, name: number): () => void {
  link.condition(name).frozen = true;
  return () => {
    link.cut(name);
    link.thaw(name);
  };
}

function slow(link: Link, name: number, latency: number): () => void {
  link.condition(name).latency = latency;
  return () => {
    link.condition(name).latency = 0;
  };
}

/** Again and again while it lasts. */
function loses(link: Link, what: 'commit' | 'answer'): () => void {
  const arm = () => {
    link.condition(0).loses ??= what;
  };
  arm();
  const timer = setInterval(arm, KILL_EVERY);
  return () => {
    clearInterval(timer);
    link.condition(0).loses = null;
  };
}

export function begin(stage: Stage, { kind, instance }: Fault): Promise<() => Promise<void> | void> {
  return FAULTS[kind](stage, stage.instances[instance] as StagedInstance);
}
