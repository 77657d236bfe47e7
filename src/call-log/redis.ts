import type { Redis } from 'ioredis';
import {
  type CallLog,
  CLIENT_SEQ_WINDOW,
  type Entry,
  type Head,
  type Origin,
  type SeatHolder,
  type SignalDraft,
  type SignalOutcome,
  type SignalRefusal,
  type StateOutcome,
  type StateRecord,
  sessionOf,
} from './call-log.ts';
import { parseEntry, type SignalBody } from './entry-text.ts';
import type { RedisChannels } from './redis-channels.ts';
import type { RedisConnection } from './redis-connection.ts';
import { APPEND_SIGNAL, APPEND_STATE, CREATE, HEAD } from './redis-scripts.ts';
import { randomTokens } from './tokens.ts';

type Step<Answer> = (...args: (string | number)[]) => Promise<Answer>;

/** The connection with the scripts as commands of it. ioredis loads each where Redis does not have it. */
type ScriptedRedis = Redis & {
  ringdownState: Step<string | number>;
  ringdownSignal: Step<SignalRefusal | number[]>;
  ringdownCreate: Step<number>;
  ringdownHead: Step<[version: string, seq: string, token: string, seats: string[]] | null>;
};

/** Signals of this instance's own that may be on their way back to it and need not be parsed then. */
const OWN_SIGNALS = 256;

/**
 * The call log on Redis: each step is one script, so what it checks and what it writes can't be parted.
 * Redis 6.2 or later, with `maxmemory-policy noeviction`.
 */
export class RedisCallLog implements CallLog {
  readonly #connection: RedisConnection;
  readonly #channels: RedisChannels;
  readonly #redis: ScriptedRedis;
  readonly #token = randomTokens();
  readonly #own = new Map<string, SignalBody>();
  readonly #ownBody = (token: string) => this.#own.get(token);
  /** The newest message and what it was parsed to: every listener of a call gets the same entry. */
  #text = '';
  #entry: Entry | null = null;
  #corked = false;

  constructor(connection: RedisConnection, channels: RedisChannels) {
    this.#connection = connection;
    this.#channels = channels;
    const redis = connection.commands;
    redis.defineCommand('ringdownState', { lua: APPEND_STATE, numberOfKeys: 3 });
    redis.defineCommand('ringdownSignal', { lua: APPEND_SIGNAL, numberOfKeys: 3 });
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

  async appendSignal(callId: string, draft: SignalDraft): Promise<SignalOutcome> {
    const { from, sessionId, to, toJoinSeq, clientSeq, signal, trace } = draft;
    const token = this.#token();
    const session = sessionOf(draft);
    const body: SignalBody =
      trace === undefined
        ? { from, to, sessionId, clientSeq, signal }
        : { from, to, sessionId, clientSeq, signal, trace };
    this.#expectBack(token, body);
    this.#cork();
    const [log, meta, seats] = keysOf(callId);
    let answer: SignalRefusal | number[];
    try {
      answer = await this.#redis.ringdownSignal(
        log,
        meta,
        seats,
        channelOf(callId),
        from,
        sessionId,
        to ?? '',
        to !== null ? 'one' : signal.__typename === 'Renegotiate' ? 'all' : 'other',
        toJoinSeq ?? '',
        clientSeq,
        `${session}:max`,
        `${session}:${clientSeq % CLIENT_SEQ_WINDOW}`,
        token,
        JSON.stringify(body),
      );
    } catch (error) {
      this.#own.delete(token);
      throw this.#connection.failed(error);
    }
    if (typeof answer !== 'string' && answer.length > 1) {
      const [seq, at, fromJoinSeq, tenure] = answer as [number, number, number, number];
      const record = { ...body, fromJoinSeq, toJoinSeq: to === null ? null : tenure };
      return { outcome: 'appended', entry: { seq, token, at, kind: 'signal', signal: record } };
    }
    this.#own.delete(token);
    if (typeof answer === 'string') return { outcome: 'refused', why: answer };
    return { outcome: 'duplicate', at: answer[0]! };
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
    return entries.map(([, fields]) => parseEntry(fields[1]!, this.#ownBody));
  }

  async subscribe(callId: string, listener: (entry: Entry) => void): Promise<() => Promise<void>> {
    return this.#channels.subscribe(channelOf(callId), (text) => listener(this.#parse(text)));
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

  #parse(text: string): Entry {
    if (this.#entry === null || text !== this.#text) {
      this.#text = text;
      this.#entry = parseEntry(text, this.#ownBody);
      this.#own.delete(this.#entry.token);
    }
    return this.#entry;
  }

  #expectBack(token: string, body: SignalBody): void {
    // Those that nobody here subscribes to don't come back: the oldest make room.
    if (this.#own.size >= OWN_SIGNALS) this.#own.delete(this.#own.keys().next().value!);
    this.#own.set(token, body);
  }

  /** Signals that arrive in one turn of the event loop leave in one write, in their order. */
  #cork(): void {
    if (this.#corked) return;
    const { stream } = this.#redis;
    if (stream === undefined) return;
    this.#corked = true;
    stream.cork();
    setImmediate(() => {
      this.#corked = false;
      stream.uncork();
    });
  }
}

function channelOf(callId: string): string {
  return `call:${callId}`;
}

/** The hash tag keeps a call's keys on one node of a cluster. */
function keysOf(callId: string): [log: string, meta: string, seats: string] {
  const call = `ringdown:{${callId}}`;
  return [`${call}:log`, `${call}:meta`, `${call}:seats`];
}

function seatArguments(seats: Readonly<Record<string, SeatHolder | null>>): (string | number)[] {
  return Object.entries(seats).flatMap(([userId, holder]) =>
    holder === null ? [userId, '', ''] : [userId, holder.joinSeq, holder.sessionId],
  );
}
