import type { Redis } from 'ioredis';
import { inParts } from '../in-parts.ts';
import type {
  CallLog,
  Entry,
  Head,
  LogUnavailable,
  Origin,
  SeatHolder,
  SignalDraft,
  SignalOutcome,
  SignalRefusal,
  StateOutcome,
  StateRecord,
} from './call-log.ts';
import { parseEntry, type SignalBody, tokenOf, writeBody } from './entry-text.ts';
import type { RedisChannels } from './redis-channels.ts';
import type { RedisConnection } from './redis-connection.ts';
import { APPEND_SIGNALS, APPEND_STATE, CALL_PREFIX, CREATE, HEAD } from './redis-scripts.ts';
import { randomTokens } from './tokens.ts';

type Step<Answer> = (...args: (string | number)[]) => Promise<Answer>;

/** The connection with the scripts as commands of it. ioredis loads each where Redis does not have it. */
type ScriptedRedis = Redis & {
  ringdownState: Step<string | number>;
  ringdownSignals: Step<string>;
  ringdownCreate: Step<number>;
  ringdownHead: Step<[version: string, seq: string, token: string, seats: string[]] | null>;
};

/** What comes back of a signal as published. */
interface Echo {
  /** The step's answer said that it stands in the log. */
  isKnown: boolean;
  /** It came before that answer: what it would have told. */
  tell: (() => void) | null;
}

/** A signal that waits for the turn in which it is sent, and then for what Redis says of it. */
interface Waiting {
  readonly callId: string;
  readonly draft: SignalDraft;
  readonly token: string;
  readonly body: SignalBody;
  readonly echo: Echo;
  resolve(outcome: SignalOutcome): void;
  reject(error: LogUnavailable): void;
}

/** Signals in one step of Redis at most, which does nothing else meanwhile: about a millisecond. */
const SIGNALS_AT_ONCE = 64;

/** Signals of this instance whose way back from Redis is looked out for. */
const OWN_SIGNALS = 1_024;
/** Milliseconds for which Redis may still do what it was asked over a connection that is gone. */
const AFTERLIFE = 2_000;

/**
 * The call log on Redis: each step is one script, so what it checks and what it writes can't be parted.
 * Redis 6.2 or later, with `maxmemory-policy noeviction`.
 */
export class RedisCallLog implements CallLog {
  readonly #connection: RedisConnection;
  readonly #channels: RedisChannels;
  readonly #redis: ScriptedRedis;
  readonly #token = randomTokens();
  /** Signals that are on their way, by token: to Redis, or back as published. */
  readonly #own = new Map<string, Echo>();
  #waiting: Waiting[] = [];
  readonly #unanswered = new Set<Promise<void>>();
  /** Redis is a node in cluster mode, where a step may touch one call alone. */
  #inSlots = false;
  /** Until when a step may be done that had no answer. */
  #doubtUntil = 0;

  constructor(connection: RedisConnection, channels: RedisChannels) {
    this.#connection = connection;
    this.#channels = channels;
    const redis = connection.commands;
    redis.defineCommand('ringdownState', { lua: APPEND_STATE, numberOfKeys: 3 });
    redis.defineCommand('ringdownSignals', { lua: APPEND_SIGNALS });
    redis.defineCommand('ringdownCreate', { lua: CREATE, numberOfKeys: 3 });
    redis.defineCommand('ringdownHead', { lua: HEAD, numberOfKeys: 3 });
    this.#redis = redis as ScriptedRedis;
  }

  async appendState(callId: string, record: StateRecord, expiresAt: number): Promise<StateOutcome> {
    const token = this.#token();
    const answer = await this.#send(
      this.#redis.ringdownState(
        ...keysOf(callId),
        channelOf(callId),
        record.version,
        record.at,
        record.ended ? 1 : 0,
        expiresAt,
        token,
        JSON.stringify(record),
        ...seatArguments(record.seats),
      ),
    );
    if (typeof answer === 'number') return { outcome: 'appended', position: { seq: answer, token } };
    if (answer === 'known' || answer === 'absent') return { outcome: answer };
    return { outcome: 'gap', version: Number(answer.slice('gap:'.length)) };
  }

  /** Those of one turn of the event loop go in one step, in their order. */
  appendSignal(callId: string, draft: SignalDraft): Promise<SignalOutcome> {
    const { from, sessionId, to, clientSeq, signal, trace } = draft;
    const [kind, json] = [signal.__typename, JSON.stringify(signal)];
    const body: SignalBody =
      trace === undefined
        ? { from, to, sessionId, clientSeq, kind, json }
        : { from, to, sessionId, clientSeq, trace, kind, json };
    return new Promise((resolve, reject) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#sendSignals());
      const echo = { isKnown: false, tell: null };
      this.#waiting.push({ callId, draft, token: this.#token(), body, echo, resolve, reject });
    });
  }

  #sendSignals(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const parts = this.#inSlots ? byCall(waiting) : inParts(waiting, SIGNALS_AT_ONCE);
    for (const part of parts) {
      const answered = this.#sendTogether(part).finally(() => this.#unanswered.delete(answered));
      this.#unanswered.add(answered);
    }
  }

  async #sendTogether(signals: readonly Waiting[]): Promise<void> {
    const keys: string[] = [];
    const args: (string | number)[] = [this.#channels.ownChannel];
    for (const signal of signals) {
      const { callId, draft, token, body } = signal;
      this.#expectBack(signal);
      keys.push(keyOf(callId));
      const heard = this.#channels.hears(channelOf(callId)) ? '+' : '';
      args.push(draft.from, draft.sessionId, draft.to ?? '', heard + reachOf(draft), draft.clientSeq);
      args.push(token, writeBody(body));
    }
    let answer: string;
    try {
      answer = await this.#redis.ringdownSignals(keys.length, ...keys, ...args);
    } catch (error) {
      if (isCrossSlot(error) && !this.#inSlots) {
        // Nothing of it was done. They go before any that come later.
        this.#inSlots = true;
        await Promise.all(byCall(signals).map((part) => this.#sendTogether(part)));
        return;
      }
      this.#doubtUntil = performance.now() + AFTERLIFE;
      for (const signal of signals) this.#fail(signal, error);
      return;
    }
    const [at, ...answers] = answer.split('\n');
    for (let i = 0; i < signals.length; i++)
      this.#settle(signals[i] as Waiting, answers[i] as string, Number(at));
  }

  #settle(signal: Waiting, answer: string, at: number): void {
    const { draft, token, body, echo, resolve } = signal;
    const fromAt = answer.indexOf(' ');
    if (answer.startsWith('!')) {
      this.#fail(signal, new Error(answer.slice(1)));
      return;
    }
    if (fromAt < 0) {
      this.#own.delete(token);
      if (answer.startsWith('=')) resolve({ outcome: 'duplicate', at: Number(answer.slice(1)) });
      else resolve({ outcome: 'refused', why: answer as SignalRefusal });
      return;
    }
    // Not published, or back already: nothing more will come of it.
    if (answer.endsWith('-') || echo.tell !== null) this.#own.delete(token);
    echo.isKnown = true;
    const toAt = answer.indexOf(' ', fromAt + 1);
    const record = {
      ...body,
      fromJoinSeq: Number(answer.slice(fromAt + 1, toAt)),
      toJoinSeq: draft.to === null ? null : Number(answer.slice(toAt + 1, answer.indexOf(' ', toAt + 1))),
    };
    const seq = Number(answer.slice(0, fromAt));
    resolve({ outcome: 'appended', entry: { seq, token, at, kind: 'signal', signal: record } });
  }

  #fail({ token, echo, reject }: Waiting, error: unknown): void {
    this.#own.delete(token);
    reject(this.#connection.failed(error));
    // It was taken after all; told when everyone knows that the append did not say so.
    if (echo.tell !== null) setImmediate(echo.tell);
  }

  async create(callId: string, origin: Origin, expiresAt: number): Promise<void> {
    await this.#send(
      this.#redis.ringdownCreate(
        ...keysOf(callId),
        channelOf(callId),
        origin.version,
        expiresAt,
        this.#token(),
        ...seatArguments(origin.seats),
      ),
    );
  }

  async head(callId: string): Promise<Head | null> {
    const answer = await this.#send(this.#redis.ringdownHead(...keysOf(callId)));
    if (answer === null) return null;
    const [version, seq, token, pairs] = answer;
    const seats = new Map<string, SeatHolder & { since: { seq: number; token: string } }>();
    for (let i = 0; i < pairs.length; i += 2) {
      const [joinSeq, sinceSeq, sinceToken, ...session] = pairs[i + 1]!.split('|');
      seats.set(pairs[i]!, {
        joinSeq: Number(joinSeq),
        sessionId: session.join('|'),
        since: { seq: Number(sinceSeq), token: sinceToken! },
      });
    }
    return { seq: Number(seq), token, version: Number(version), seats };
  }

  async read(callId: string, fromSeq: number, limit: number): Promise<Entry[]> {
    const entries = await this.#send(this.#redis.xrange(keysOf(callId)[0], fromSeq, '+', 'COUNT', limit));
    return entries.map(([, fields]) => parseEntry(fields[1]!));
  }

  async subscribe(callId: string, listener: (entry: Entry) => void): Promise<() => Promise<void>> {
    const hearing = await this.#channels.hear(channelOf(callId), (message) => {
      const tell = () => listener(parseEntry(message.toString()));
      const token = tokenOf(message);
      const echo = this.#own.get(token);
      if (echo === undefined) return tell();
      // The answer to the append tells this instance of it.
      if (echo.isKnown) this.#own.delete(token);
      else echo.tell = tell;
    });
    return async () => {
      hearing.stop();
      // A step that is on its way takes it that this instance hears the channel: were another one the only one to hear it
      // when that is done, it would miss an entry.
      await Promise.all(this.#unanswered);
      const left = this.#doubtUntil - performance.now();
      // With the connection its own channel is gone, and so is what such a step would take for granted.
      if (left > 0 && this.#channels.ownChannel !== '') setTimeout(hearing.leave, left).unref();
      else hearing.leave();
    };
  }

  onHealth(listener: (health: 'up' | 'down') => void): () => void {
    return this.#connection.onHealth(listener);
  }

  health(): 'up' | 'down' {
    return this.#connection.health();
  }

  /** Closes the connection too. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #send<Answer>(step: Promise<Answer>): Promise<Answer> {
    try {
      return await step;
    } catch (error) {
      throw this.#connection.failed(error);
    }
  }

  #expectBack({ token, echo }: Waiting): void {
    // Those that nobody here subscribes to don't come back: the oldest make room.
    if (this.#own.size >= OWN_SIGNALS) this.#own.delete(this.#own.keys().next().value!);
    this.#own.set(token, echo);
  }
}

function channelOf(callId: string): string {
  return `call:${callId}`;
}

function keyOf(callId: string): string {
  return `${CALL_PREFIX}${callId}}`;
}

function keysOf(callId: string): [log: string, meta: string, seats: string] {
  const call = keyOf(callId);
  return [`${call}:log`, `${call}:meta`, `${call}:seats`];
}

function reachOf({ to, toJoinSeq, signal }: SignalDraft): string {
  if (to === null) return signal.__typename === 'Renegotiate' ? 'all' : 'other';
  return toJoinSeq === null ? 'any' : String(toJoinSeq);
}

function isCrossSlot(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('CROSSSLOT');
}

/** Those of each call, in their order. */
function byCall(signals: readonly Waiting[]): Waiting[][] {
  return [...Map.groupBy(signals, ({ callId }) => callId).values()];
}

function seatArguments(seats: Readonly<Record<string, SeatHolder | null>>): (string | number)[] {
  return Object.entries(seats).flatMap(([userId, holder]) =>
    holder === null ? [userId, '', ''] : [userId, holder.joinSeq, holder.sessionId],
  );
}
