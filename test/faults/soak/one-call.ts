import { setTimeout as sleep } from 'node:timers/promises';
import type { ResultOf } from '@graphql-typed-document-node/core';
import samples from '../../data/webrtc-samples.json' with { type: 'json' };
import { type Client, createClient, GraphQLFailure, type Subscription } from '../../support/client.ts';
import type { SignalInput } from '../../support/generated/graphql.ts';
import * as operations from '../../support/operations.ts';

/** One call as people have it, from its first ring to its end, with what goes wrong on the way. */

export interface Scene {
  readonly url: string;
  readonly conversationId: string;
  token(userId: string): string;
  /** From 0 to 1, and not 1. */
  random(): number;
  /** Counts what happened. */
  note(what: string): void;
}

/** Milliseconds: what the instance is set to, so that an hour's worth of waiting fits into ten minutes. */
export const SHORT = { ring: 5_000, grace: 2_000, alone: 5_000 };

/** Out of 100 calls. */
const DECLINED = 10;
const CANCELLED = 8;
const MISSED = 7;
/** Out of 100 people in a call. */
const RECONNECTS = 20;
const TAKES_OVER = 6;
const IS_LOST = 4;

const SIGNALS = { fewest: 30, most: 60 };
/** Milliseconds between two signals of one person. */
const PAUSE = { shortest: 30, longest: 130 };

/** What the others hear of what went wrong with somebody. */
const MAY_BE_TOLD = new Set(['RECIPIENT_NOT_IN_CALL', 'CALL_ENDED', 'NOT_IN_CALL', 'NOT_THE_HOST']);

type CallEvent = ResultOf<typeof operations.CallEvents>['callEvents'];
type Answer = { readonly __typename: string };

interface Person {
  readonly userId: string;
  sessionId: string;
  clientSeq: number;
  client: Client;
  stream: Subscription<CallEvent> | null;
  /** Lost for good: nothing comes from it any more. */
  gone: boolean;
}

export async function oneCall(scene: Scene, userIds: readonly string[]): Promise<void> {
  const people = userIds.map((userId): Person => {
    const client = createClient({ url: scene.url, token: scene.token(userId) });
    return { userId, sessionId: sessionOf(scene), clientSeq: 0, client, stream: null, gone: false };
  });
  try {
    await new OneCall(scene, people).live();
  } finally {
    await Promise.all(people.map(({ client }) => client.dispose()));
  }
}

class OneCall {
  readonly #scene: Scene;
  readonly #people: readonly Person[];
  #callId = '';

  constructor(scene: Scene, people: readonly Person[]) {
    this.#scene = scene;
    this.#people = people;
  }

  async live(): Promise<void> {
    const { conversationId, note } = this.#scene;
    const [caller, ...callees] = this.#people as [Person, ...Person[]];
    const rings = callees.map(({ client }) => client.subscribe(operations.IncomingCalls, {}));
    await Promise.all(rings.map((ring) => ring.next((event) => event.__typename === 'IncomingSnapshot')));
    const input = {
      conversationId,
      type: 'VIDEO' as const,
      calleeIds: callees.map(({ userId }) => userId),
      sessionId: caller.sessionId,
    };
    const { initiateCall } = await caller.client.mutate(operations.InitiateCall, { input });
    if (initiateCall.__typename !== 'InitiateCallSuccess') throw new Error(textOf(initiateCall));
    this.#callId = initiateCall.call.id;
    await this.#listen(caller, initiateCall.cursor);
    await Promise.all(
      rings.map((ring) =>
        ring.next((event) => event.__typename === 'CallRinging' && event.call.id === this.#callId),
      ),
    );

    const fate = this.#percent();
    if (fate < DECLINED) {
      note('declined');
      for (const callee of callees) await this.#decline(callee);
    } else if (fate < DECLINED + CANCELLED) {
      note('cancelled');
      await this.#leave(caller);
    } else if (fate < DECLINED + CANCELLED + MISSED) note('missed');
    else {
      note('answered');
      for (const callee of callees) await this.#join(callee, false);
      const talks = await Promise.allSettled(this.#people.map((person) => this.#talk(person)));
      for (const talk of talks) if (talk.status === 'rejected') throw talk.reason;
      await this.#hangUp(caller);
    }
    await Promise.all(
      rings.map((ring) => ring.next((event) => event.__typename === 'RingStopped', SHORT.ring + 5_000)),
    );
    // Whoever still listens hears of the end.
    await Promise.all(this.#people.map(({ stream }) => stream?.ended.catch(ignore)));
  }

  async #join(person: Person, takeOver: boolean): Promise<void> {
    const input = { callId: this.#callId, sessionId: person.sessionId, takeOver };
    const { joinCall } = await person.client.mutate(operations.JoinCall, { input });
    if (joinCall.__typename === 'JoinCallSuccess') await this.#listen(person, joinCall.cursor);
    else this.#expect(joinCall);
  }

  async #listen(person: Person, after: string | null): Promise<void> {
    const { sessionId } = person;
    person.stream = person.client.subscribe(operations.CallEvents, {
      callId: this.#callId,
      sessionId,
      after,
    });
    try {
      await person.stream.next();
    } catch (error) {
      if (!(error instanceof GraphQLFailure && MAY_BE_TOLD.has(String(error.code)))) throw error;
    }
  }

  async #talk(person: Person): Promise<void> {
    const { random } = this.#scene;
    const count = SIGNALS.fewest + Math.floor(random() * (SIGNALS.most - SIGNALS.fewest + 1));
    const trouble = this.#trouble();
    const when = Math.floor(random() * count);
    for (let n = 0; n < count; n++) {
      if (n === when && trouble) {
        this.#scene.note(trouble);
        if (trouble === 'lost for good') {
          person.gone = true;
          person.client.terminate();
          return;
        }
        await (trouble === 'reconnected' ? this.#reconnect(person) : this.#takeOver(person));
      }
      if (n % 20 === 10) await this.#setMuted(person, n % 40 === 10);
      await this.#signal(person, n);
      await sleep(PAUSE.shortest + random() * (PAUSE.longest - PAUSE.shortest));
    }
  }

  #trouble(): 'reconnected' | 'taken over' | 'lost for good' | null {
    const chance = this.#percent();
    if (chance < RECONNECTS) return 'reconnected';
    if (chance < RECONNECTS + TAKES_OVER) return 'taken over';
    return chance < RECONNECTS + TAKES_OVER + IS_LOST ? 'lost for good' : null;
  }

  async #reconnect(person: Person): Promise<void> {
    const after = person.stream?.events.at(-1)?.cursor ?? null;
    person.client.terminate();
    await person.client.dispose();
    person.client = this.#connect(person);
    await this.#listen(person, after);
  }

  async #takeOver(person: Person): Promise<void> {
    const { client } = person;
    person.sessionId = sessionOf(this.#scene);
    person.clientSeq = 0;
    person.client = this.#connect(person);
    await this.#join(person, true);
    await client.dispose();
  }

  #connect({ userId }: Person): Client {
    return createClient({ url: this.#scene.url, token: this.#scene.token(userId) });
  }

  async #signal(person: Person, n: number): Promise<void> {
    const { sessionId, client } = person;
    const others = this.#people.filter((other) => other !== person);
    const to = others[Math.floor(this.#scene.random() * others.length)]!.userId;
    person.clientSeq += 1;
    const input = { callId: this.#callId, sessionId, to, clientSeq: person.clientSeq, signal: signalOf(n) };
    const { sendSignal } = await client.mutate(operations.SendSignal, { input });
    this.#expect(sendSignal);
  }

  async #setMuted({ client, sessionId }: Person, muted: boolean): Promise<void> {
    const variables = { callId: this.#callId, sessionId, muted };
    this.#expect((await client.mutate(operations.SetMediaState, variables)).setMediaState);
  }

  async #decline({ client }: Person): Promise<void> {
    this.#expect((await client.mutate(operations.DeclineCall, { callId: this.#callId })).declineCall);
  }

  async #leave({ client, sessionId }: Person): Promise<void> {
    const variables = { callId: this.#callId, sessionId };
    this.#expect((await client.mutate(operations.LeaveCall, variables)).leaveCall);
  }

  /** Half of the calls are ended for all, the others left by one after the other. */
  async #hangUp(caller: Person): Promise<void> {
    if (this.#percent() < 50 && !caller.gone) {
      this.#expect((await caller.client.mutate(operations.EndCall, { callId: this.#callId })).endCall);
    }
    for (const person of this.#people) if (!person.gone) await this.#leave(person);
  }

  #percent(): number {
    return this.#scene.random() * 100;
  }

  #expect(answer: Answer): void {
    if (answer.__typename !== 'Rejection') return;
    const { code } = answer as Answer & { code: string };
    if (!MAY_BE_TOLD.has(code)) throw new Error(textOf(answer));
  }
}

function sessionOf({ random }: Scene): string {
  return Math.floor(random() * 2 ** 48).toString(36);
}

/** Mostly candidates, and now and then a description. */
function signalOf(n: number): SignalInput {
  const { offers, candidates } = samples.stacks.chromium_av;
  if (n % 15 === 0) return { offer: { sdp: offers[0]!, generation: n } };
  const { candidate, sdpMid } = candidates[n % candidates.length]!;
  const items = [{ candidate, sdpMid }];
  return { candidates: { items, generation: n } };
}

function textOf(answer: Answer): string {
  const { code, message } = answer as Answer & { code?: string; message?: string };
  return `${answer.__typename} ${code}: ${message}`;
}

function ignore(): void {}
