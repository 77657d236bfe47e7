import {
  type CallOver,
  type CallState,
  isSeated,
  type LinkView,
  NO_LINK,
  viewOf,
  withCall,
  withParticipant,
} from './call-state.ts';
import { type CallEvent, CallStream, type Loss } from './call-stream.ts';
import type { Connection } from './connection.ts';
import { ConnectionError, RejectionError, RingdownError } from './errors.ts';
import { Emitter } from './events.ts';
import {
  CallEventsDocument,
  type CallPartsFragment,
  type CallResultPartsFragment,
  EndCallDocument,
  InviteToCallDocument,
  LeaveCallDocument,
  MuteParticipantDocument,
  RemoveParticipantDocument,
  ReportCallQualityDocument,
  SendSignalDocument,
  SetMediaStateDocument,
} from './generated/graphql.ts';
import { type FetchedIceServers, fetchIceServers, IceServers } from './ice-servers.ts';
import type { LinkStats } from './links/link-stats.ts';
import { Mesh } from './links/mesh.ts';
import type { LinkState, MediaSource } from './links/types.ts';
import type { LocalMedia } from './media/local-media.ts';
import { MediaReport } from './media-report.ts';
import { QualityWatch } from './quality-watch.ts';
import { SignalOutbox } from './signal-outbox.ts';
import { uuid } from './uuid.ts';

export interface CallEvents {
  /** After any change, with the state of then. */
  change: CallState;
  /** Once; `over` says why. */
  ended: CallState;
  /**
   * Media of another participant have come: the streams of their microphone and camera, one for both, and of
   * their screen once they share it. Silent, or without a picture, until they send: `change` tells.
   */
  track: {
    readonly userId: string;
    readonly source: MediaSource;
    readonly track: MediaStreamTrack;
    readonly stream: MediaStream;
  };
  /** Null: there is no link any more. */
  link: { readonly userId: string; readonly state: LinkState | null };
  /** Every few seconds for each link that is connected. */
  stats: { readonly userId: string; readonly stats: LinkStats };
  /** What another participant gave to `send`. */
  message: { readonly from: string; readonly data: string | ArrayBuffer };
  /** The host has muted this participant, and the track is off. */
  mutedByHost: null;
  /** The longest allowed duration is near: `expiresAt` is RFC 3339. */
  expiring: { readonly expiresAt: string };
  /** What went wrong in the background. The call goes on. */
  error: Error;
}

interface CallDeps {
  readonly connection: Connection;
  readonly sessionId: string;
  /** Under what the server gives. */
  readonly rtcConfiguration: RTCConfiguration;
  /** Null where they could not be had: they are asked for again. */
  readonly iceServers: FetchedIceServers | null;
  readonly media: LocalMedia | null;
  /** Takes the seat again after it was lost; rejects where that can't be. */
  readonly rejoin: () => Promise<CallPartsFragment>;
  /** The call as the server has it now. */
  readonly read: () => Promise<CallPartsFragment | null>;
}

/** A call that this page is in. Apps get one from `start`, `join` or `answer`. */
export class Call extends Emitter<CallEvents> {
  readonly id: string;
  /** What this page sends; null where it sends nothing. It is the app's, and outlives the call. */
  readonly media: LocalMedia | null;
  readonly #deps: CallDeps;
  readonly #userId: string;
  #call: CallPartsFragment;
  #state: CallState;
  #over: CallOver | null = null;
  #degraded = false;
  readonly #links = new Map<string, LinkView>();
  readonly #iceServers: IceServers;
  readonly #mesh: Mesh;
  readonly #stream: CallStream;
  readonly #outbox: SignalOutbox;
  readonly #report: MediaReport;
  readonly #quality: QualityWatch;
  /** What is taken away when the call is over. */
  readonly #undo: (() => void)[] = [];

  constructor(call: CallPartsFragment, deps: CallDeps) {
    super();
    const { connection, sessionId, media } = deps;
    const me = call.participants.find((participant) => participant.sessionId === sessionId);
    if (me === undefined) throw new RingdownError('NOT_IN_CALL', 'The call was over before it was entered.');
    this.id = call.id;
    this.media = media;
    this.#deps = deps;
    this.#userId = me.userId;
    this.#call = call;
    this.#state = this.#view(null);
    this.#outbox = new SignalOutbox({
      callId: call.id,
      sessionId,
      send: async (input) => (await connection.request(SendSignalDocument, { input }, null)).sendSignal,
      failed: (error) => this.emit('error', error),
    });
    this.#iceServers = new IceServers(() => fetchIceServers(connection, call.id), deps.iceServers, {
      renewed: (servers, late) => {
        this.#mesh.setConfiguration({ ...deps.rtcConfiguration, iceServers: [...servers] });
        if (late) this.#mesh.restartIce('unconnected');
      },
      failed: (error) => this.emit('error', error),
    });
    this.#mesh = new Mesh({
      configuration: { ...deps.rtcConfiguration, iceServers: deps.iceServers?.servers ?? [] },
      send: (to, toJoinSeq, signal) => this.#outbox.push(to, toJoinSeq, signal),
      reachable: (userId) => this.#isReachable(userId),
      freshServers: () => this.#iceServers.fresh(),
      sends: media !== null,
    });
    this.#quality = new QualityWatch({
      send: (links) => {
        const input = { callId: call.id, reportId: uuid(), links };
        // Nothing of the call depends on it.
        connection.request(ReportCallQualityDocument, { input }).catch(() => {});
      },
    });
    this.#follow();
    this.#stream = new CallStream({
      subscribe: (after, sink) =>
        connection.subscribe(CallEventsDocument, () => ({ callId: call.id, sessionId, after: after() }), {
          next: ({ callEvents }) => sink.next(callEvents),
          over: (error) => sink.over(error),
        }),
      receive: (event) => this.#receive(event),
      lost: (why) => void this.#lost(why),
    });
    this.#report = new MediaReport({
      sends: () => this.#sends(),
      known: () => this.#mine().media,
      tell: async (change) =>
        this.#apply(
          (await connection.request(SetMediaStateDocument, { callId: call.id, sessionId, ...change }))
            .setMediaState,
        ),
      obey: async () => {
        await this.media?.setMuted(true);
        this.emit('mutedByHost', null);
      },
    });
    this.#stream.open();
    this.#updateLinks();
    this.#report.check();
  }

  /** The call as it is now: a new object after each change. */
  get state(): CallState {
    return this.#state;
  }

  /**
   * Leaves, at once. In a pair that ends the call. Rejects where the server could not be told: the call is
   * over here all the same, and there when the disconnect grace ends.
   */
  async leave(): Promise<void> {
    if (this.#over) return;
    const { connection, sessionId } = this.#deps;
    const cancels = this.#call.status === 'RINGING' && this.#call.callerId === this.#userId;
    // The stream goes on until the answer: without it the others would see a lost connection first.
    this.#finish({ reason: cancels ? 'CANCELLED' : 'HANGUP', by: this.#userId });
    try {
      const { leaveCall } = await connection.request(LeaveCallDocument, { callId: this.id, sessionId });
      this.#apply(leaveCall);
    } catch (error) {
      if (!isOver(error)) throw error;
    } finally {
      this.#stream.close();
    }
  }

  /** Takes the call back while it rings: the caller's `leave`, by another name. */
  cancel(): Promise<void> {
    return this.leave();
  }

  /** Ends the call for everyone: in a group the host may. Rejects with a RejectionError: NOT_THE_HOST. */
  async end(): Promise<void> {
    if (this.#over) return;
    await this.#command(async (connection) => {
      return (await connection.request(EndCallDocument, { callId: this.id })).endCall;
    });
  }

  /** Rings more members of the conversation. Rejects with a RejectionError: INVALID_CALLEE, TOO_MANY_CALLEES. */
  async invite(userIds: readonly string[]): Promise<void> {
    await this.#command(async (connection) => {
      const variables = { callId: this.id, userIds: [...userIds] };
      return (await connection.request(InviteToCallDocument, variables)).inviteToCall;
    });
  }

  /** Takes a participant out, until invited again. Rejects with a RejectionError: NOT_THE_HOST. */
  async remove(userId: string): Promise<void> {
    await this.#command(async (connection) => {
      const variables = { callId: this.id, userId };
      return (await connection.request(RemoveParticipantDocument, variables)).removeParticipant;
    });
  }

  /** Mutes a participant, who alone can undo it. Rejects with a RejectionError: NOT_THE_HOST. */
  async mute(userId: string): Promise<void> {
    await this.#command(async (connection) => {
      const variables = { callId: this.id, userId };
      return (await connection.request(MuteParticipantDocument, variables)).muteParticipant;
    });
  }

  /**
   * Sends over the data channels (RFC 8831), past the server: reliable and in order for each link, up to
   * 64 KiB. `to`: one participant; else everyone. Returns to how many it went: who is not connected gets
   * nothing.
   */
  send(data: string | ArrayBuffer, to?: string): number {
    return this.#mesh.send(data, to);
  }

  /** Drops everything without leaving, as a page that is closed does. */
  drop(): void {
    this.#finish({ reason: 'DISCONNECTED', by: null });
    this.#stream.close();
  }

  async #command(run: (connection: Connection) => Promise<CallResultPartsFragment>): Promise<void> {
    this.#apply(await run(this.#deps.connection));
  }

  /** An answer's call is news like an event's. Throws the RejectionError that it may be. */
  #apply(result: CallResultPartsFragment): void {
    if (result.__typename === 'Rejection') throw new RejectionError(result);
    this.#learn(withCall(this.#call, result.call));
  }

  /** What the parts tell is the call's news. */
  #follow(): void {
    const { connection, media } = this.#deps;
    const mesh = this.#mesh;
    this.#undo.push(
      () => this.#iceServers.close(),
      mesh.on('state', ({ userId, state }) => {
        if (state === null) this.#links.delete(userId);
        else this.#see(userId, { link: state });
        this.#quality.see(userId, state);
        this.#change();
        this.emit('link', { userId, state });
      }),
      mesh.on('streams', ({ userId, stream, screen }) => {
        this.#see(userId, { stream, screen });
        this.#change();
      }),
      mesh.on('track', (event) => {
        // There is room for a screen from the start; that one comes is for them to say.
        if (event.source !== 'screen') this.emit('track', event);
      }),
      mesh.on('stats', (event) => {
        this.#see(event.userId, { stats: event.stats });
        this.#quality.measure(event.userId, event.stats);
        this.#change();
        this.emit('stats', event);
      }),
      mesh.on('message', ({ userId, data }) => this.emit('message', { from: userId, data })),
      mesh.on('error', ({ error }) => this.emit('error', error)),
      connection.on('state', (state) => {
        this.#change();
        if (state !== 'connected') return;
        this.#stream.open();
        this.#outbox.resume();
        mesh.checkIn();
      }),
    );
    if (media === null) return;
    for (const source of ['microphone', 'camera', 'screen'] as const) {
      const { track } = media.state[source];
      if (track) mesh.setTrack(source, track);
    }
    this.#undo.push(
      media.on('track', ({ source, track }) => mesh.setTrack(source, track)),
      media.on('change', () => this.#report.check()),
    );
  }

  #receive(event: CallEvent): void {
    if (this.#over) return;
    switch (event.__typename) {
      case 'CallSnapshot':
        this.#degraded = false;
        this.#learn(withCall(this.#call, event.call));
        if (!event.recovered) this.#mesh.restartIce();
        break;
      case 'CallChanged':
      case 'CallEnded':
        this.#learn(withCall(this.#call, event.call));
        break;
      case 'ParticipantChanged':
        this.#learn(withParticipant(this.#call, event.participant, event.version));
        break;
      case 'SignalReceived':
        this.#mesh.receive(event.from, event.fromJoinSeq, event.signal);
        break;
      case 'CallExpiring':
        this.emit('expiring', { expiresAt: event.expiresAt });
        break;
      case 'SignalingDegraded':
        this.#degraded = true;
        this.#change();
        break;
      case 'SignalingRestored':
        this.#degraded = false;
        this.#change();
        break;
    }
  }

  #learn(call: CallPartsFragment): void {
    this.#call = call;
    if (this.#over) {
      this.#change();
      return;
    }
    const me = this.#mine();
    if (call.status === 'ENDED') {
      this.#end(call);
      return;
    }
    if (me.sessionId !== this.#deps.sessionId || !isSeated(me)) {
      // Where another session has the seat, nobody has said why this one lost it.
      const reason = isSeated(me) ? 'REPLACED' : (me.leaveReason ?? 'DISCONNECTED');
      this.#finish({ reason, by: null });
      this.#stream.close();
      return;
    }
    this.#updateLinks();
    this.#change();
    this.#report.check();
    this.#mesh.checkIn();
  }

  async #lost(why: Loss): Promise<void> {
    if (this.#over) return;
    if (why === 'NOT_IN_CALL') {
      // Away for longer than the grace. A group goes on without; its members may come back.
      try {
        this.#learn(await this.#deps.rejoin());
        if (!this.#over) this.#stream.startAnew();
        return;
      } catch (error) {
        if (this.#over) return;
        if (!isFinal(error)) {
          this.emit('error', error as Error);
          this.#stream.retry();
          return;
        }
      }
    }
    const call = await this.#deps.read().catch(() => null);
    if (this.#over) return;
    if (call) this.#call = withCall(this.#call, call);
    if (call?.status === 'ENDED') return this.#end(call);
    const { leaveReason } = this.#mine();
    const reason = why === 'STALE_SESSION' ? 'REPLACED' : (leaveReason ?? 'DISCONNECTED');
    this.#finish({ reason, by: null });
  }

  #end({ endReason, endedBy }: CallPartsFragment): void {
    this.#finish({ reason: endReason ?? 'CALL_ENDED', by: endedBy ?? null });
    this.#stream.close();
  }

  /** Nothing of the call is left but its state, and the stream until whoever called this closes it. */
  #finish(over: CallOver): void {
    if (this.#over) return;
    this.#over = over;
    // Before the links are gone.
    this.#quality.finish();
    this.#mesh.close();
    this.#outbox.close();
    this.#report.close();
    for (const undo of this.#undo.splice(0)) undo();
    this.#links.clear();
    this.#change();
    this.emit('ended', this.#state);
  }

  #updateLinks(): void {
    const others = this.#call.participants
      .filter(({ userId }) => userId !== this.#userId)
      .map((participant) => ({
        userId: participant.userId,
        joinSeq: isSeated(participant) ? participant.joinSeq : null,
      }));
    this.#mesh.update(this.#mine().joinSeq, others);
  }

  #see(userId: string, news: Partial<LinkView>): void {
    this.#links.set(userId, { ...(this.#links.get(userId) ?? NO_LINK), ...news });
  }

  #change(): void {
    const before = new Map(this.#state.participants.map(({ userId, screen }) => [userId, screen]));
    this.#state = this.#view(this.#state);
    this.emit('change', this.#state);
    for (const { userId, screen } of this.#state.participants) {
      const [track] = screen?.getVideoTracks() ?? [];
      if (!screen || !track || before.get(userId) === screen) continue;
      this.emit('track', { userId, source: 'screen', track, stream: screen });
    }
  }

  #view(before: CallState | null): CallState {
    const { state } = this.#deps.connection;
    const up = this.#degraded ? 'degraded' : 'connected';
    const signaling = state === 'connected' ? up : state === 'closed' ? 'closed' : 'reconnecting';
    return viewOf(this.#call, this.#userId, this.#links, { over: this.#over, signaling }, before);
  }

  #mine() {
    return this.#call.participants.find(({ userId }) => userId === this.#userId)!;
  }

  /** Whether a signal to them would be read now. */
  #isReachable(userId: string): boolean {
    const status = this.#call.participants.find((other) => other.userId === userId)?.status;
    return status === 'CONNECTED' && this.#deps.connection.state === 'connected';
  }

  #sends() {
    const state = this.media?.state;
    return {
      muted: !state?.microphone.track || state.microphone.muted,
      videoOn: Boolean(state?.camera.track),
      screenOn: Boolean(state?.screen.track),
    };
  }
}

/** The server said that there is nothing to leave any more. */
function isOver(error: unknown): boolean {
  return (
    error instanceof RejectionError && ['CALL_ENDED', 'NOT_IN_CALL', 'STALE_SESSION'].includes(error.code)
  );
}

/** Nothing is gained by asking for the seat again. */
function isFinal(error: unknown): boolean {
  if (error instanceof RejectionError) return !['TIMEOUT', 'RATE_LIMITED'].includes(error.code);
  return error instanceof ConnectionError && error.code !== 'NO_ANSWER';
}
