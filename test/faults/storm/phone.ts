import { type CallEvent, CallStream, type Loss } from '../../../client/src/call-stream.ts';
import { Connection } from '../../../client/src/connection.ts';
import { ConnectionError } from '../../../client/src/errors.ts';
import {
  CallEventsDocument,
  DeclineCallDocument,
  EndCallDocument,
  IncomingCallsDocument,
  InitiateCallDocument,
  JoinCallDocument,
  LeaveCallDocument,
  type ParticipantPartsFragment as Participant,
  SendSignalDocument,
  type SendSignalInput,
  SetMediaStateDocument,
} from '../../../client/src/generated/graphql.ts';
import { SignalOutbox } from '../../../client/src/signal-outbox.ts';
import { tokenFor } from '../../support/app.ts';

/**
 * A device of somebody, made of the SDK's own parts, with all but the media; and the notes of what it was told, which
 * the oracle reads. Instants are milliseconds of this process.
 */

export interface Call {
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly participants: readonly Participant[];
}

/** A command and how it was answered. */
export interface Answer {
  readonly command: 'initiate' | 'join' | 'leave' | 'end' | 'decline' | 'media';
  readonly userId: string;
  readonly sessionId: string | null;
  readonly callId: string | null;
  readonly sentAt: number;
  readonly at: number;
  /** `ok`, a rejection's code, or an error's. */
  readonly code: string;
  /** The call that a success told of. */
  readonly call: Call | null;
}

export interface Sent {
  /** Its generation; no other signal of the run has it. */
  readonly id: number;
  readonly callId: string;
  readonly from: string;
  readonly sessionId: string;
  readonly clientSeq: number;
  readonly to: string;
  readonly toJoinSeq: number;
  readonly sentAt: number;
  /** When it was accepted; null where it was not, or nobody knows. */
  takenAt: number | null;
  /** A refusal, or null. */
  refused: string | null;
}

/** One event as it came, and by which opening of the stream. */
export interface Seen {
  readonly at: number;
  readonly opening: number;
  readonly event: CallEvent;
}

/** What the people of a run have noted, for the oracle. */
export class Notes {
  readonly answers: Answer[] = [];
  readonly sent = new Map<number, Sent>();
  readonly sittings: Sitting[] = [];
  readonly errors = new Set<string>();
  /** When somebody saw that something was wrong. */
  readonly signs: number[] = [];
  #signals = 0;

  sign(): void {
    this.signs.push(Date.now());
  }

  nextSignal(): number {
    this.#signals += 1;
    return this.#signals;
  }
}

const codeOf = (result: { __typename: string }) => ('code' in result ? String(result.code) : 'ok');

export class Phone {
  readonly userId: string;
  readonly connection: Connection;
  readonly notes: Notes;
  /** When its connection was lost. */
  readonly losses: number[] = [];
  /** The calls that ring here, by what it was told; null where nobody listens. */
  ringing: Set<string> | null = null;
  #stopListening: (() => void) | null = null;

  constructor(url: string, userId: string, notes: Notes) {
    this.userId = userId;
    this.notes = notes;
    this.connection = new Connection({ url, token: () => tokenFor(userId) });
    this.connection.on('error', (error) => notes.errors.add(`${userId}: ${error.message}`));
    this.connection.on('state', (state) => {
      if (state !== 'reconnecting') return;
      this.losses.push(Date.now());
      notes.sign();
    });
    this.connection.open();
  }

  /** Calls that ring here, whenever one begins to. */
  listen(onRing: (callId: string) => unknown): void {
    const known = new Set<string>();
    const ringing = new Set<string>();
    this.ringing = ringing;
    const rings = (callId: string) => {
      ringing.add(callId);
      if (known.has(callId)) return;
      known.add(callId);
      onRing(callId);
    };
    const open = () => {
      this.#stopListening = this.connection.subscribe(IncomingCallsDocument, () => ({}), {
        next: ({ incomingCalls: event }) => {
          if (event.__typename === 'CallRinging') rings(event.call.id);
          else if (event.__typename === 'RingStopped') ringing.delete(event.call.id);
          else {
            ringing.clear();
            for (const { id } of event.calls) rings(id);
          }
        },
        over: (error) => {
          // As the SDK does it, also where the server ended it without a word.
          if (!(error instanceof ConnectionError)) setTimeout(open, 250);
        },
      });
    };
    open();
  }

  initiate(conversationId: string, calleeIds: string[], sessionId: string, idempotencyKey: string) {
    return this.#command('initiate', null, sessionId, async () => {
      const input = { conversationId, calleeIds, sessionId, idempotencyKey, type: 'VIDEO' as const };
      return (await this.connection.request(InitiateCallDocument, { input })).initiateCall;
    });
  }

  join(callId: string, sessionId: string, takeOver: boolean) {
    return this.#command('join', callId, sessionId, async () => {
      const input = { callId, sessionId, takeOver };
      return (await this.connection.request(JoinCallDocument, { input })).joinCall;
    });
  }

  leave(callId: string, sessionId: string) {
    return this.#command(
      'leave',
      callId,
      sessionId,
      async () => (await this.connection.request(LeaveCallDocument, { callId, sessionId })).leaveCall,
    );
  }

  end(callId: string) {
    return this.#command(
      'end',
      callId,
      null,
      async () => (await this.connection.request(EndCallDocument, { callId })).endCall,
    );
  }

  decline(callId: string) {
    return this.#command(
      'decline',
      callId,
      null,
      async () => (await this.connection.request(DeclineCallDocument, { callId, busy: false })).declineCall,
    );
  }

  mute(callId: string, sessionId: string, muted: boolean) {
    const input = { callId, sessionId, muted };
    return this.#command(
      'media',
      callId,
      sessionId,
      async () => (await this.connection.request(SetMediaStateDocument, input)).setMediaState,
    );
  }

  async #command(
    command: Answer['command'],
    callId: string | null,
    sessionId: string | null,
    work: () => Promise<{ __typename: string }>,
  ): Promise<Answer> {
    const sentAt = Date.now();
    const note = (code: string, call: Call | null): Answer => {
      const answer = { command, userId: this.userId, callId, sessionId, sentAt, at: Date.now(), code, call };
      this.notes.answers.push(answer);
      return answer;
    };
    try {
      const result = await work();
      if (codeOf(result) === 'TIMEOUT') this.notes.sign();
      return note(codeOf(result), 'call' in result ? (result.call as Call) : null);
    } catch (error) {
      this.notes.sign();
      return note(String((error as { code?: unknown }).code ?? error), null);
    }
  }

  sit(callId: string, sessionId: string): Sitting {
    const sitting = new Sitting(this, callId, sessionId);
    this.notes.sittings.push(sitting);
    return sitting;
  }

  close(): void {
    this.#stopListening?.();
    this.connection.close();
  }
}

/** One session's time in a call. */
export class Sitting {
  readonly phone: Phone;
  readonly callId: string;
  readonly sessionId: string;
  readonly seen: Seen[] = [];
  /** When each opening of the stream was asked for. */
  readonly openings: number[] = [];
  /** Why the stream is over; null while it is not. */
  lost: Loss | 'ended' | 'closed' | null = null;
  /** Its own tenure, once the first snapshot said so. */
  joinSeq: number | null = null;
  /** Who else has a seat, by what it was told. */
  readonly others = new Map<string, number>();
  degraded = false;
  readonly #stream: CallStream;
  readonly #outbox: SignalOutbox;
  readonly #undo: () => void;
  readonly #sent = new Map<number, Sent>();

  constructor(phone: Phone, callId: string, sessionId: string) {
    this.phone = phone;
    this.callId = callId;
    this.sessionId = sessionId;
    const { connection, notes } = phone;
    this.#stream = new CallStream({
      subscribe: (after, sink) =>
        connection.subscribe(
          CallEventsDocument,
          () => {
            this.openings.push(Date.now());
            return { callId, sessionId, after: after() };
          },
          { next: ({ callEvents }) => sink.next(callEvents), over: (error) => sink.over(error) },
        ),
      receive: (event) => this.#receive(event),
      lost: (why) => {
        this.lost ??= why;
      },
    });
    this.#outbox = new SignalOutbox({
      callId,
      sessionId,
      send: (input) => this.#send(input),
      failed: (error) => notes.errors.add(`${phone.userId}: a signal failed: ${error.message}`),
    });
    this.#undo = connection.on('state', (state) => {
      if (state === 'connected') this.#outbox.resume();
    });
    this.#stream.open();
  }

  get live(): boolean {
    return this.lost === null && this.joinSeq !== null;
  }

  /** Whether it hears what happens, and reaches everybody. */
  get served(): boolean {
    const connected = this.phone.connection.state === 'connected';
    return connected && !this.degraded && this.seen.at(-1)?.opening === this.openings.length;
  }

  /** How it stands, for whoever looks for the reason why it is not served. */
  toString(): string {
    const { phone, callId, sessionId, openings, degraded } = this;
    const since = (at: number | undefined) => (at === undefined ? 'never' : `${Date.now() - at} ms ago`);
    const last = this.seen.at(-1);
    const heard = last ? `${last.event.__typename} in opening ${last.opening} ${since(last.at)}` : 'nothing';
    return (
      `${phone.userId} (${sessionId}) in ${callId} is ${phone.connection.state}${degraded ? ', degraded' : ''}, ` +
      `heard ${heard}, opened ${openings.length} times, last ${since(openings.at(-1))}, lost its connection ${since(phone.losses.at(-1))}`
    );
  }

  /** A signal to everybody else, each with a number of its own. */
  signalAll(): Sent[] {
    const { notes, userId } = this.phone;
    return [...this.others].map(([to, toJoinSeq]) => {
      const id = notes.nextSignal();
      const sent: Sent = {
        id,
        callId: this.callId,
        from: userId,
        sessionId: this.sessionId,
        clientSeq: 0,
        to,
        toJoinSeq,
        sentAt: Date.now(),
        takenAt: null,
        refused: null,
      };
      notes.sent.set(id, sent);
      this.#sent.set(id, sent);
      this.#outbox.push(to, toJoinSeq, {
        candidates: { items: [{ candidate: '', sdpMid: '0' }], generation: id },
      });
      return sent;
    });
  }

  async #send(input: SendSignalInput) {
    const sent = this.#sent.get(input.signal.candidates!.generation) as Sent;
    Object.assign(sent, { clientSeq: input.clientSeq });
    const { sendSignal } = await this.phone.connection.request(SendSignalDocument, { input }, null);
    if (sendSignal.__typename === 'SendSignalSuccess') sent.takenAt = Date.now();
    else sent.refused = sendSignal.code;
    if (sent.refused === 'SIGNALING_UNAVAILABLE') this.phone.notes.sign();
    return sendSignal;
  }

  #receive(event: CallEvent): void {
    this.seen.push({ at: Date.now(), opening: this.openings.length, event });
    const { userId } = this.phone;
    if (event.__typename === 'SignalingDegraded') {
      this.degraded = true;
      this.phone.notes.sign();
    }
    if (event.__typename === 'SignalingRestored') this.degraded = false;
    if (event.__typename === 'CallSnapshot') {
      this.degraded = false;
      this.others.clear();
      for (const participant of event.call.participants) this.#learn(participant);
    }
    if (event.__typename === 'ParticipantChanged') {
      this.#learn(event.participant);
      if (event.participant.status === 'RECONNECTING') this.phone.notes.sign();
    }
    if (event.__typename === 'CallEnded') this.#over('ended');
    else if (event.__typename === 'ParticipantChanged' && event.participant.userId === userId) {
      if (event.participant.sessionId !== this.sessionId) this.#over('STALE_SESSION');
    }
  }

  #learn({ userId, sessionId, joinSeq }: Participant): void {
    if (userId === this.phone.userId) {
      if (sessionId === this.sessionId) this.joinSeq ??= joinSeq;
    } else if (joinSeq === null) this.others.delete(userId);
    else this.others.set(userId, joinSeq);
  }

  #over(why: 'ended' | 'STALE_SESSION'): void {
    this.lost ??= why;
    this.#stream.close();
    this.#outbox.close();
  }

  /** Of this end's own will. */
  close(): void {
    this.lost ??= 'closed';
    this.#stream.close();
    this.#outbox.close();
    this.#undo();
  }
}
