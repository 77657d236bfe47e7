import type { WebSocket } from 'ws';

/** The load: pairs of sockets in a closed loop, each end with its next signal under way to the other. */

/** Signals of an end that are not delivered and acknowledged yet, at most. With one the servers are busy already. */
const WINDOW = 1;
/** Longest time without a sign of life of a round, milliseconds. */
const STALL_LIMIT = 20_000;

/** One socket, in the language of the server that carries it. */
export interface End {
  readonly socket: WebSocket;
  /** The frame of its nth signal, from 1. */
  frame(n: number): string;
  /** What a message of the server is: an acceptance of its own signal, one of the other's, or neither. Throws at a refusal. */
  read(message: Buffer): 'accepted' | 'signal' | 'neither';
}

/** What stands in the nth signal of an end and in no other of it: so each is known where it arrives. */
export function mark(n: number): string {
  return `candidate:${n} `;
}

/** One direction of a pair. */
interface Lane {
  readonly from: End;
  sent: number;
  accepted: number;
  received: number;
}

export class Load {
  readonly #lanes: Lane[] = [];
  /** The server answers each signal; else one that arrived counts as accepted. */
  readonly acknowledged: boolean;
  /** Signals that each lane has to have carried by the end of the round. */
  #goal = 0;
  /** Lanes that have not. */
  #left = 0;
  #alive = false;
  #round = Promise.withResolvers<void>();

  constructor(pairs: readonly (readonly [End, End])[], acknowledged: boolean) {
    this.acknowledged = acknowledged;
    for (const [one, other] of pairs) {
      const lanes = [one, other].map((from) => ({ from, sent: 0, accepted: 0, received: 0 })) as [Lane, Lane];
      this.#listen(one, lanes[0], lanes[1]);
      this.#listen(other, lanes[1], lanes[0]);
      this.#lanes.push(...lanes);
    }
  }

  /**
   * So many signals from every end. Resolves with their number when each was accepted, and delivered once and
   * in order; rejects where one was not.
   */
  async round(signalsEach: number): Promise<number> {
    this.#round = Promise.withResolvers();
    this.#goal += signalsEach;
    this.#left = this.#lanes.length;
    this.#alive = true;
    const watch = setInterval(() => {
      if (!this.#alive) this.#round.reject(new Error('Not all signals were accepted and delivered'));
      this.#alive = false;
    }, STALL_LIMIT);
    for (const lane of this.#lanes) this.#pump(lane);
    await this.#round.promise.finally(() => clearInterval(watch));
    const wanted = this.#lanes.length * this.#goal;
    for (const what of ['sent', 'accepted', 'received'] as const) {
      const total = this.#lanes.reduce((sum, lane) => sum + lane[what], 0);
      if (total !== wanted) throw new Error(`${total} of ${wanted} signals were ${what}`);
    }
    return this.#lanes.length * signalsEach;
  }

  close(): void {
    for (const { from } of this.#lanes) from.socket.removeAllListeners('close').terminate();
  }

  #listen({ socket, read }: End, own: Lane, others: Lane): void {
    socket.on('close', (code) => this.#round.reject(new Error(`A socket was closed with ${code}`)));
    socket.on('message', (message: Buffer) => {
      this.#alive = true;
      try {
        const kind = read(message);
        if (kind === 'accepted') {
          own.accepted++;
          this.#pump(own);
        } else if (kind === 'signal') {
          others.received++;
          if (!message.includes(mark(others.received)))
            throw new Error(`Not the signal whose turn it was: ${message}`);
          if (!this.acknowledged) others.accepted++;
          this.#pump(others);
        }
      } catch (error) {
        this.#round.reject(error);
      }
    });
  }

  #pump(lane: Lane): void {
    const done = Math.min(lane.accepted, lane.received);
    if (done === this.#goal) {
      this.#left--;
      if (this.#left === 0) this.#round.resolve();
      return;
    }
    while (lane.sent < Math.min(this.#goal, done + WINDOW))
      lane.from.socket.send(lane.from.frame(++lane.sent));
  }
}
