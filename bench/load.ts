import { setTimeout } from 'node:timers/promises';
import type { End } from './clients/client.ts';
import type { Payload } from './payloads.ts';
import { NumberedFrames } from './socket.ts';

/**
 * The load: groups of sockets that send each other signals, all in this process, so that one clock sees a signal go
 * and come. Each signal has its sender's place and a number; the nth goes to the others of the group in turn.
 */

/** Longest time without a sign of life of a round, milliseconds. */
const STALL_LIMIT = 20_000;
/** The clock of an open loop, milliseconds: Node has no finer timer that leaves the core to others. */
const TICK = 1;
/** Signals of one end that an open loop may have under way: beyond that the server does not keep up. */
const MOST_UNDER_WAY = 256;
const [ZERO, NINE] = [0x30, 0x39];

class Member {
  readonly end: End;
  readonly place: number;
  readonly group: readonly Member[];
  sent = 0;
  accepted = 0;
  delivered = 0;
  /** When the last ones were sent, by their numbers' remainders. */
  readonly sentAt = new Float64Array(MOST_UNDER_WAY);
  /** The number that comes next from each of the group. */
  readonly next: number[];
  /** For each payload, and each turn of the others. */
  readonly #frames = new Map<Payload, readonly NumberedFrames[]>();

  constructor(end: End, place: number, group: readonly Member[], size: number) {
    this.end = end;
    this.place = place;
    this.group = group;
    this.next = Array.from({ length: size }, (_, from) => (place - from + size) % size);
  }

  send(payload: Payload): void {
    const n = ++this.sent;
    const frames = this.#framesOf(payload);
    const frame = frames[(n - 1) % frames.length]!.frame(n);
    this.sentAt[n % MOST_UNDER_WAY] = performance.now();
    this.end.socket.sendFrame(frame);
  }

  /** Whose signal has arrived here, and its number. Throws where it was not its turn. */
  receive(message: Buffer, mark: string): { from: Member; n: number } {
    let at = message.indexOf(mark) + mark.length;
    const place = message[at]! - ZERO - 1;
    let n = 0;
    for (at++; message[at]! >= ZERO && message[at]! <= NINE; at++) n = 10 * n + message[at]! - ZERO;
    const from = this.group[place];
    if (from === undefined || n !== this.next[place]) {
      throw new Error(`Not the signal whose turn it was (${this.next}): ${message}`);
    }
    this.next[place] = n + this.group.length - 1;
    return { from, n };
  }

  #framesOf(payload: Payload): readonly NumberedFrames[] {
    const known = this.#frames.get(payload);
    if (known !== undefined) return known;
    const { length } = this.group;
    const made = Array.from(
      { length: length - 1 },
      (_, turn) => new NumberedFrames(this.end.message(payload, (this.place + 1 + turn) % length)),
    );
    this.#frames.set(payload, made);
    return made;
  }
}

/** What is under way. */
interface Round {
  readonly payload: Payload;
  /** A signal of that member was accepted, or delivered, or both in one. */
  progress(of: Member): void;
  /** Milliseconds from sending to arrival, where they are asked for. */
  readonly latencies: number[] | null;
  fail(error: unknown): void;
  alive: boolean;
}

export class Load {
  readonly #members: readonly Member[];
  /** The server answers each signal; else one that arrived counts as accepted. */
  readonly acknowledged: boolean;
  #round: Round | null = null;
  /** What went wrong between two rounds: the next one says so. */
  #broken: unknown = null;

  constructor(groups: readonly (readonly End[])[], acknowledged: boolean) {
    this.acknowledged = acknowledged;
    this.#members = groups.flatMap((ends) => {
      const group: Member[] = [];
      group.push(...ends.map((end, place) => new Member(end, place, group, ends.length)));
      return group;
    });
    for (const member of this.#members) this.#listen(member);
  }

  /** A closed loop: so many signals from each, every one when the last is delivered and accepted. */
  async closedLoop(payload: Payload, signalsEach: number): Promise<void> {
    const goal = (this.#members[0]?.sent ?? 0) + signalsEach;
    let left = this.#members.length;
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    const progress = (of: Member) => {
      if (of.accepted < of.sent || of.delivered < of.sent) return;
      if (of.sent < goal) of.send(payload);
      else if (--left === 0) resolve();
    };
    await this.#run(payload, progress, null, () => {
      for (const member of this.#members) member.send(payload);
      return finished;
    });
  }

  /**
   * An open loop: so many from each, all together `rate` a second, whatever comes back. Resolves with the milliseconds
   * that each took to arrive.
   */
  async openLoop(payload: Payload, signalsEach: number, rate: number): Promise<readonly number[]> {
    const total = this.#members.length * signalsEach;
    let left = this.acknowledged ? 2 * total : total;
    const { promise: finished, resolve } = Promise.withResolvers<void>();
    const progress = () => {
      if (--left === 0) resolve();
    };
    const latencies: number[] = [];
    await this.#run(payload, progress, latencies, async () => {
      const start = performance.now();
      for (let sent = 0; sent < total; ) {
        const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * rate));
        for (; sent < due; sent++) {
          const member = this.#members[sent % this.#members.length]!;
          if (member.sent - Math.min(member.accepted, member.delivered) >= MOST_UNDER_WAY) {
            throw new Error(`The server does not keep up with ${Math.round(rate)} signals a second`);
          }
          member.send(payload);
        }
        await setTimeout(TICK);
      }
      await finished;
    });
    return latencies;
  }

  close(): void {
    for (const { end } of this.#members) end.socket.close();
  }

  /** Resolves when each signal was accepted, and delivered once and in order; else rejects. */
  async #run(
    payload: Payload,
    progress: Round['progress'],
    latencies: number[] | null,
    carry: () => Promise<void>,
  ): Promise<void> {
    if (this.#broken !== null) throw this.#broken;
    const { promise: failed, reject: fail } = Promise.withResolvers<never>();
    const round: Round = { payload, progress, latencies, fail, alive: true };
    const watch = setInterval(() => {
      if (!round.alive) fail(new Error('Not all signals were accepted and delivered'));
      round.alive = false;
    }, STALL_LIMIT);
    this.#round = round;
    try {
      await Promise.race([carry(), failed]);
    } finally {
      clearInterval(watch);
      this.#round = null;
    }
    for (const { sent, accepted, delivered } of this.#members) {
      if (accepted === sent && delivered === sent) continue;
      throw new Error(`Of ${sent} signals ${accepted} were accepted and ${delivered} delivered`);
    }
  }

  #listen(member: Member): void {
    const { socket } = member.end;
    socket.lost = (why) => this.#fail(new Error(`A socket: ${why}`));
    socket.hear = (message) => {
      try {
        this.#hear(member, message);
      } catch (error) {
        this.#fail(error);
      }
    };
  }

  #hear(member: Member, message: Buffer): void {
    const kind = member.end.read(message);
    if (kind === 'neither') return;
    const round = this.#round;
    if (round === null) throw new Error(`Nothing was sent, and this came: ${message}`);
    round.alive = true;
    if (kind === 'accepted') {
      member.accepted++;
      round.progress(member);
      return;
    }
    const { from, n } = member.receive(message, round.payload.mark);
    from.delivered++;
    if (!this.acknowledged) from.accepted++;
    round.latencies?.push(performance.now() - from.sentAt[n % MOST_UNDER_WAY]!);
    round.progress(from);
  }

  #fail(error: unknown): void {
    if (this.#round !== null) this.#round.fail(error);
    else this.#broken ??= error;
  }
}
