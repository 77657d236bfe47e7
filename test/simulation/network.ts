import type { CallLog, Entry } from '../../src/call-log/call-log.ts';
import type { Channels } from '../../src/call-log/channels.ts';
import { type Owner, running } from './clock.ts';
import type { Code } from './code.ts';
import type { Armed } from './faults.ts';
import type { Scheduler, Step } from './scheduler.ts';

/**
 * Redis as the instances share it, made of the memory parts, and the way of each instance to it: one
 * connection on which requests are answered in their order, one on which messages come in theirs.
 */

/** A signal that the log took, with who may hear of it. */
export interface Appended {
  readonly callId: string;
  /** Which log: another one after each restart of Redis. */
  readonly life: number;
  readonly entry: Entry & { readonly kind: 'signal' };
  readonly recipients: readonly { readonly userId: string; readonly joinSeq: number }[];
  readonly step: number;
}

export class Redis {
  log: CallLog;
  channels: Channels;
  life = 0;
  readonly appended: Appended[] = [];
  readonly links = new Set<RedisLink>();
  readonly #code: Code;
  readonly #now: () => number;

  constructor(code: Code, now: () => number) {
    this.#code = code;
    this.#now = now;
    this.log = new code.MemoryCallLog(now);
    this.channels = new code.MemoryChannels();
  }

  /** As after a kill without a file. Everyone's connections are gone before. */
  restartEmpty(): void {
    this.life++;
    this.log = new this.#code.MemoryCallLog(this.#now);
    this.channels = new this.#code.MemoryChannels();
  }
}

interface Request {
  /** Null once it is done: then its answer is on the way. */
  apply: (() => Promise<unknown>) | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  step: Step;
}

interface Subscription {
  readonly topic: string;
  readonly hear: () => Promise<() => Promise<void>>;
  undo: (() => Promise<void>) | null;
}

export interface RedisLinkDeps {
  readonly redis: Redis;
  readonly owner: Owner;
  readonly scheduler: Scheduler;
  readonly armed: Armed;
  readonly code: Code;
}

export class RedisLink {
  readonly log: CallLog;
  readonly channels: Channels;
  readonly subscriptions = new Set<Subscription>();
  readonly #deps: RedisLinkDeps;
  readonly #listeners = new Set<(health: 'up' | 'down') => void>();
  #requests: Request[] = [];
  #messages: Step[] = [];
  #health: 'up' | 'down' = 'up';
  /** The connections stand, and nothing comes through. */
  silent = false;

  constructor(deps: RedisLinkDeps) {
    this.#deps = deps;
    deps.redis.links.add(this);
    const health = {
      onHealth: (listener: (health: 'up' | 'down') => void) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
      health: () => this.#health,
      close: async () => {},
    };
    this.channels = {
      ...health,
      publish: (channel, message) =>
        this.#request('publish', () => deps.redis.channels.publish(channel, message)),
      subscribe: (channel, listener) =>
        this.#subscribe(channel, (hear) =>
          deps.redis.channels.subscribe(channel, (message) => hear('message', () => listener(message))),
        ),
    };
    this.log = {
      ...health,
      appendState: (...args) => this.#request('appendState', () => deps.redis.log.appendState(...args)),
      appendSignal: (callId, draft) =>
        this.#request('appendSignal', async () => {
          const { redis, scheduler } = deps;
          const before = await redis.log.head(callId);
          const outcome = await redis.log.appendSignal(callId, draft);
          if (outcome.outcome === 'appended') {
            const { entry } = outcome;
            const { from, to } = entry.signal;
            const recipients = [...(before?.seats ?? [])]
              .filter(([userId]) => (to === null ? userId !== from : userId === to))
              .map(([userId, { joinSeq }]) => ({ userId, joinSeq }));
            redis.appended.push({ callId, life: redis.life, entry, recipients, step: scheduler.steps });
          }
          return outcome;
        }),
      create: (...args) => this.#request('create', () => deps.redis.log.create(...args)),
      head: (callId) => this.#request('head', () => deps.redis.log.head(callId)),
      read: (...args) => this.#request('read', () => deps.redis.log.read(...args)),
      subscribe: (callId, listener) =>
        this.#subscribe(callId, (hear) =>
          deps.redis.log.subscribe(callId, (entry) =>
            hear(`entry ${entry.kind} ${entry.seq % 10_000}`, () => listener(entry)),
          ),
        ),
    };
  }

  // --- requests ---

  #request<T>(what: string, apply: () => Promise<T>): Promise<T> {
    if (this.#health === 'down') return Promise.reject(this.#unavailable());
    return new Promise<T>((resolve, reject) => {
      const request: Request = {
        apply,
        resolve: resolve as (value: unknown) => void,
        reject,
        step: this.#step(
          `redis ${what}`,
          () => void this.#apply(request, what),
          () => this.#isNext(request),
        ),
      };
      this.#requests.push(request);
    });
  }

  /** Requests are done in their order, and answered in it. */
  #isNext(request: Request): boolean {
    if (this.silent) return false;
    if (request.apply === null) return this.#requests[0] === request;
    return this.#requests.find(({ apply }) => apply !== null) === request;
  }

  async #apply(request: Request, what: string): Promise<void> {
    const { armed } = this.#deps;
    const apply = request.apply!;
    request.apply = null;
    const lost = what.startsWith('append') && armed.hits('Redis took it, answer lost');
    const answer = await apply();
    if (lost) return this.lose(300);
    request.step = this.#step(
      `answer to ${what}`,
      () => {
        this.#requests = this.#requests.filter((other) => other !== request);
        request.resolve(answer);
      },
      () => this.#isNext(request),
    );
  }

  #step(what: string, run: () => void, ready: () => boolean): Step {
    return this.#deps.scheduler.add({ owner: this.#deps.owner, what, run, ready });
  }

  // --- messages ---

  async #subscribe(
    topic: string,
    hear: (on: (what: string, tell: () => void) => void) => Promise<() => Promise<void>>,
  ): Promise<() => Promise<void>> {
    const subscription: Subscription = {
      topic,
      hear: () => hear((what, tell) => this.#message(subscription, what, tell)),
      undo: null,
    };
    const undo = async () => {
      this.subscriptions.delete(subscription);
      void subscription.undo?.();
    };
    try {
      await this.#request('subscribe', async () => {
        subscription.undo = await subscription.hear();
        this.subscriptions.add(subscription);
      });
    } catch (error) {
      void undo();
      throw error;
    }
    return undo;
  }

  #message(subscription: Subscription, what: string, tell: () => void): void {
    const { armed, scheduler, owner } = this.#deps;
    if (this.silent || this.#health === 'down' || owner.dead) return;
    if (armed.hits('message lost')) {
      // Nothing is lost on a connection that stands: it is cut, and the instance notices in a while.
      later(() => this.lose(200), 150);
      return;
    }
    const notBefore = armed.hits('message late') ? scheduler.clock.now + 400 : 0;
    const early = armed.hits('messages out of order');
    // What is out of order comes while others still wait, whenever its turn is.
    const deliver = () => {
      const step: Step = scheduler.add({
        owner,
        what,
        ready: () => (this.#messages[0] === step || early) && scheduler.clock.now >= notBefore,
        run: () => {
          this.#messages = this.#messages.filter((other) => other !== step);
          if (this.subscriptions.has(subscription)) running.run(owner, tell);
        },
      });
      this.#messages.push(step);
      // The clock has to come to the time for which it waits.
      if (notBefore > 0) later(() => {}, notBefore - scheduler.clock.now);
    };
    deliver();
    if (armed.hits('message doubled')) deliver();
  }

  // --- health ---

  #unavailable(): Error {
    return new this.#deps.code.LogUnavailable('Redis is out of reach');
  }

  /** Both connections are gone, and back after a while. One that stalls notices when it goes on. */
  lose(backAfterMs: number): void {
    const { scheduler, owner } = this.#deps;
    if (owner.stalled) {
      this.silent = true;
      later(() => this.lose(backAfterMs), 50);
      return;
    }
    later(() => this.comeBack(), backAfterMs);
    if (this.#health === 'down' || owner.dead) return;
    this.#health = 'down';
    for (const request of this.#requests.splice(0)) {
      scheduler.remove(request.step);
      // What was on its way may still arrive.
      if (request.apply && !this.silent && scheduler.random.chance(0.3)) void request.apply();
      request.reject(this.#unavailable());
    }
    for (const step of this.#messages.splice(0)) scheduler.remove(step);
    for (const subscription of this.subscriptions) {
      void subscription.undo?.();
      subscription.undo = null;
    }
    running.run(owner, () => {
      for (const listener of this.#listeners) listener('down');
    });
  }

  comeBack(): void {
    const { owner } = this.#deps;
    if (owner.stalled) {
      later(() => this.comeBack(), 50);
      return;
    }
    this.silent = false;
    if (this.#health === 'up' || owner.dead) return;
    this.#health = 'up';
    for (const subscription of this.subscriptions) {
      void subscription.hear().then((undo) => {
        if (this.subscriptions.has(subscription)) subscription.undo = undo;
        else void undo();
      });
    }
    running.run(owner, () => {
      for (const listener of this.#listeners) listener('up');
    });
  }

  /** Its process is gone. */
  die(): void {
    this.#deps.redis.links.delete(this);
    for (const request of this.#requests)
      if (request.apply && this.#deps.scheduler.random.chance(0.3)) void request.apply();
    for (const subscription of this.subscriptions) void subscription.undo?.();
    this.subscriptions.clear();
  }
}

/** A timer of the network's own, whoever's message it is about. */
function later(run: () => void, ms: number): void {
  running.exit(() => setTimeout(run, ms));
}
