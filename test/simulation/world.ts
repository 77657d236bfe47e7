import type { Kysely } from 'kysely';
import { readCalls } from '../../src/calls/call.repository.ts';
import type { CallLimits } from '../../src/calls/call.ts';
import type { CallView } from '../../src/calls/call-view.ts';
import { viewOf } from '../../src/calls/changes.ts';
import { LeaseDriver } from '../../src/database/lease.ts';
import type { Tables } from '../../src/database/tables.ts';
import type { Metrics } from '../../src/observability/metrics.ts';
import { createRateLimiter } from '../../src/rate-limits/flexible-rate-limiter.ts';
import type { Caller, Rates } from '../../src/rate-limits/rates.ts';
import { UNLIMITED } from '../support/unlimited.ts';
import { type Clock, running } from './clock.ts';
import type { Code } from './code.ts';
import { kyselyOver, type MemoryPostgres } from './database.ts';
import { DatabaseServer } from './database-link.ts';
import type { Dice } from './dice.ts';
import { Armed, type FaultKind, isSingle, type LastingFault, type PlannedFault } from './faults.ts';
import { sameCall } from './history.ts';
import { Instance } from './instance.ts';
import { Redis } from './network.ts';
import { CONVERSATION, MEMBERS, People } from './people.ts';
import { Scheduler } from './scheduler.ts';

/** Some instances on one database and one Redis, the people who use them, and what goes wrong. */

export interface WorldDeps {
  readonly random: Dice;
  readonly clock: Clock;
  readonly code: Code;
  readonly postgres: MemoryPostgres;
  readonly metrics: Metrics;
  readonly limits: CallLimits;
  readonly instances: number;
  readonly count: (what: string) => void;
  readonly violation: (what: string) => void;
  readonly trace: (line: string) => void;
}

const DATABASE_TIMEOUT = 1_000;
/** Calls a user may start in a minute. */
const INITIATE_RATE = 6;
/** Lag past a deadline at most, milliseconds. */
const PROMISED = 5_000;
/** How long an instance that leaves is given to end what is under way, milliseconds. */
const GOODBYE = 1_500;
/** What goes wrong with the database or Redis is not unforeseen. */
const EXPECTED = new Set(['DatabaseTimeout', 'DatabaseUnavailable', 'LogUnavailable']);

export class World {
  readonly scheduler: Scheduler;
  readonly server: DatabaseServer;
  readonly redis: Redis;
  readonly people: People;
  readonly instances: Instance[] = [];
  readonly told: { what: string; call: CallView }[] = [];
  /** Times in which no instance could reach the database. */
  readonly outages: { from: number; to: number }[] = [];
  readonly armed: Armed;
  readonly #deps: WorldDeps;
  readonly #db: Kysely<Tables>;
  readonly #rates: Rates;
  /** Whose end is still to come: ended at once when everything heals. */
  readonly #lasting = new Set<() => void>();
  #named = 0;
  #closing = false;

  constructor(deps: WorldDeps) {
    this.#deps = deps;
    const { random, clock, code, postgres, count } = deps;
    this.scheduler = new Scheduler(clock, random, (line) => deps.trace(`${clock.label} ${line}`));
    this.server = new DatabaseServer(postgres);
    this.redis = new Redis(code, () => clock.now);
    this.armed = new Armed((kind) => this.#happened(kind));
    const limiter = createRateLimiter(
      { name: 'initiate', limit: INITIATE_RATE, windowMs: 60_000, answerMs: 500 },
      null,
    );
    // It counts for all instances, so its timers are none of theirs.
    const initiate = {
      ...UNLIMITED.initiate,
      take: ({ userId }: Caller) => running.exit(() => limiter.take(userId)),
    };
    this.#rates = { ...UNLIMITED, initiate };
    const session = {
      run: async (query: Parameters<MemoryPostgres['run']>[0]) => postgres.run(query),
      release() {},
    };
    this.#db = kyselyOver(new LeaseDriver(async () => session));
    this.people = new People(random, {
      scheduler: this.scheduler,
      instance: () => this.#usable(),
      onRejection: (code) => count(`rejection: ${code}`),
      onCall: (what, call) => this.told.push({ what, call }),
      onViolation: deps.violation,
      onTrace: (line) => deps.trace(`${clock.label}   ${line}`),
    });
  }

  start(): void {
    const { postgres, instances } = this.#deps;
    postgres.reset();
    postgres.rows('insert into conversations (id, version) values ($1, 1)', [CONVERSATION]);
    for (const userId of MEMBERS) {
      postgres.rows('insert into conversation_members (conversation_id, user_id) values ($1, $2)', [
        CONVERSATION,
        userId,
      ]);
    }
    for (let i = 0; i < instances; i++) this.#launch();
    this.people.start();
  }

  #launch(): void {
    if (this.#closing) return;
    const { code, limits, metrics, violation } = this.#deps;
    const name = `i${++this.#named}`;
    const instance = new Instance(name, {
      code,
      scheduler: this.scheduler,
      server: this.server,
      redis: this.redis,
      armed: this.armed,
      limits,
      rates: this.#rates,
      metrics,
      timeoutMs: DATABASE_TIMEOUT,
      onWarning: (what, error) => {
        if (error === null) return;
        const { name: kind, message, stack } = error as Error;
        if (!EXPECTED.has(kind))
          violation(`${name} warned: ${what}: ${kind}: ${message} ${stack?.split('\n')[1] ?? ''}`);
      },
      onCrash: () => this.#afterCrash(instance, 500),
    });
    this.instances.push(instance);
    void instance.start().then((started) => {
      if (!started) this.#afterCrash(instance, 300);
    });
  }

  get alive(): Instance[] {
    return this.instances.filter(({ dead }) => !dead);
  }

  #usable(): Instance | null {
    const usable = this.alive.filter(({ draining }) => !draining);
    return usable.length > 0 ? this.#deps.random.pick(usable) : null;
  }

  // --- faults ---

  #happened(kind: FaultKind): void {
    this.#deps.count(`fault: ${kind}`);
    this.#deps.trace(`${this.#deps.clock.label} !! ${kind}`);
  }

  cause({ kind, forMs, target }: PlannedFault): void {
    if (isSingle(kind)) {
      this.armed.arm(kind);
      return;
    }
    const instance = this.alive[target % Math.max(1, this.alive.length)];
    if (!instance) return;
    this.#happened(kind);
    const device = this.people.devices[target % this.people.devices.length]!;
    const causes: Record<LastingFault, () => void> = {
      'instance crashes': () => {
        instance.crash();
        this.#afterCrash(instance, forMs);
      },
      'instance stalls': () => {
        instance.stall();
        this.#until(forMs, () => instance.goOn());
      },
      'instance leaves': () => void this.#leave(instance),
      'clock jumps': () => {
        instance.skewMs = target % 2 === 0 ? 3_600_000 : -3_600_000;
        this.#until(forMs, () => {
          instance.skewMs = 0;
        });
      },
      'Redis away from one': () => instance.link.lose(forMs),
      'Redis away from all': () => this.#loseRedis(forMs),
      'Redis does not answer': () => {
        instance.link.silent = true;
        setTimeout(() => instance.link.lose(forMs), 800);
      },
      'Redis restarted empty': () => {
        this.#loseRedis(forMs);
        this.redis.restartEmpty();
      },
      'database away': () => this.#loseDatabase('away', forMs),
      'database does not answer': () => this.#loseDatabase('silent', forMs),
      'socket cut': () => device.cut(forMs),
      'client too slow': () => {
        device.becomeSlow();
        device.pausedUntil = this.#deps.clock.now + forMs;
      },
    };
    causes[kind]();
  }

  #loseRedis(forMs: number): void {
    for (const link of this.redis.links) link.lose(forMs);
  }

  #loseDatabase(state: 'away' | 'silent', forMs: number): void {
    this.server.state = state;
    this.#until(forMs, () => {
      this.server.state = 'up';
    });
  }

  #until(ms: number, end: () => void): void {
    const once = () => {
      if (this.#lasting.delete(once)) end();
    };
    this.#lasting.add(once);
    setTimeout(once, ms);
  }

  /** Its clients see their sockets go, and come back or not; another instance takes its place. */
  #afterCrash(instance: Instance, afterMs: number): void {
    for (const device of this.people.devices) {
      if (device.instance !== instance) continue;
      if (device.session && this.#deps.random.chance(0.2)) device.session.over = true;
      setTimeout(() => device.instance === instance && device.cut(0), 50);
    }
    setTimeout(() => this.#launch(), afterMs);
  }

  /** As in a rolling restart. */
  async #leave(instance: Instance): Promise<void> {
    if (instance.draining) return;
    instance.draining = true;
    this.#launch();
    for (const device of this.people.devices) device.closedBy(instance);
    await pause(GOODBYE);
    await this.#stop(instance);
  }

  async #stop(instance: Instance): Promise<void> {
    // One that has not begun yet has nothing to bring about.
    if (!instance.started) instance.crash();
    if (instance.dead) return;
    const leftAt = this.#deps.clock.now;
    await instance.leave();
    // What its clients had asked last may still be under way.
    await pause(GOODBYE);
    if (instance.dead) return;
    // It does not wait for a database that hangs: then its process ends in the middle of something.
    if (!this.#sawNoDatabase(leftAt)) this.#checkLeftNothing(instance);
    instance.crash();
  }

  #sawNoDatabase(since: number): boolean {
    return this.server.state !== 'up' || this.outages.some(({ to }) => to > since);
  }

  heal(): void {
    this.armed.clear();
    for (const end of [...this.#lasting]) end();
    for (const { link } of this.alive) link.comeBack();
    for (const device of this.people.devices) device.pausedUntil = 0;
  }

  /** Time passes; notes when nobody could reach the database in it. */
  pass(from: number, to: number): void {
    const reaches = this.alive.some(({ stalled, started }) => started && !stalled);
    if (this.server.state === 'up' && reaches) return;
    const last = this.outages.at(-1);
    if (last?.to === from) last.to = to;
    else this.outages.push({ from, to });
  }

  // --- how things are ---

  /** What is not yet as it has to be when nothing is broken and nobody does anything. */
  async unsettled(): Promise<string[]> {
    const problems: string[] = [];
    if (this.server.holder !== null) return ['a transaction is open'];
    if (this.people.areBusy) return ['somebody is at something'];
    const { postgres } = this.#deps;
    const live = postgres.rows<{ id: string }>("select id from calls where status <> 'ENDED' order by id");
    const calls = (
      await readCalls(
        this.#db,
        live.map(({ id }) => id),
      )
    ).map(({ call }) => call);
    const byId = new Map(calls.map((call) => [call.id, call]));
    for (const call of calls) {
      for (const { userId, seat } of call.participants) {
        if (!seat) continue;
        const session = this.people.devices
          .flatMap(({ sessions }) => sessions)
          .find(({ id, over }) => id === seat.sessionId && !over);
        if (!session) problems.push(`${userId} has a seat (${seat.state}) and no client that wants it`);
        else if (seat.state !== 'CONNECTED' || session.stream !== 'open') {
          problems.push(`${userId} is ${seat.state} and the stream is ${session.stream}`);
        }
      }
    }
    for (const { session, name } of this.people.devices) {
      if (!session || session.over) continue;
      const call = byId.get(session.callId);
      if (session.outbox.length > 0) problems.push(`${name} has unanswered signals`);
      if (!call) problems.push(`${name} is in a call that is over`);
      else if (!session.call || !sameCall(viewOf(call), session.call)) {
        problems.push(
          `${name} shows version ${session.call?.version} of the call, which is at ${call.version}`,
        );
      }
    }
    for (const { name, userId, rings, listens } of this.people.devices) {
      if (!listens) continue;
      const ringing = calls
        .filter((call) => call.participants.some((p) => p.userId === userId && p.invitation === 'RINGING'))
        .map(({ id }) => id);
      const shown = [...(rings?.keys() ?? [])].sort();
      if (rings === null || ringing.join() !== shown.join())
        problems.push(`${name} does not show what rings`);
    }
    return problems;
  }

  /** Calls that go on, and sessions whose stream has not said so. */
  async unended(): Promise<string[]> {
    const { postgres } = this.#deps;
    if (this.server.holder !== null) return ['a transaction is open'];
    const live = postgres.rows<{ id: string }>("select id from calls where status <> 'ENDED'");
    const unpublished = postgres.rows('select 1 from call_events where not published').length;
    const open = this.people.devices.filter(({ session }) => session && !session.over);
    return [
      ...live.map(({ id }) => `${id} goes on`),
      ...(unpublished > 0 ? [`${unpublished} changes are unpublished`] : []),
      ...open.map(({ name }) => `${name} has not heard of the end`),
    ];
  }

  /** By how much a deadline may be overrun that was waited for in this time. */
  slack(from: number, to: number, more: number): number {
    let away = 0;
    for (const outage of this.outages)
      away += Math.max(0, Math.min(to, outage.to) - Math.max(from, outage.from));
    return away === 0 ? PROMISED : PROMISED + away + more;
  }

  #checkLeftNothing(instance: Instance): void {
    const { violation, clock } = this.#deps;
    const { name, link } = instance;
    const timers = clock.timersOf(instance);
    if (timers > 0) violation(`${name} left ${timers} timers`);
    // Its own channel, on which it hears of newer streams, is closed with the connection.
    const topics = [...link.subscriptions].map(({ topic }) => topic);
    if (topics.length > 1) violation(`${name} still listens to ${topics.join(', ')}`);
    const here = [...instance.callsHere()].length;
    if (here > 0) violation(`the gauges of ${name} count ${here} calls`);
  }

  /** Every instance stops; those that were leaving already do so by themselves. */
  close(): void {
    this.#closing = true;
    for (const instance of this.alive) {
      if (instance.draining) continue;
      instance.draining = true;
      void this.#stop(instance);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
