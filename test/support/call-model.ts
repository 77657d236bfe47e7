import type { CallLimits } from '../../src/calls/call.ts';

/**
 * The rules of a call's life once more, written from the design and not from the code, for tests that hold
 * the two against each other. Small and slow: maps of who was invited and who has a seat, and a list of what
 * is due.
 */

type Ring = 'RINGING' | 'ANSWERED' | 'DECLINED' | 'MISSED' | 'REMOVED';

interface Guest {
  ring: Ring;
  ringsUntil: number;
}

interface Chair {
  session: string;
  state: 'CONNECTING' | 'CONNECTED' | 'RECONNECTING';
  until: number;
  stream: string | null;
  instance: string | null;
  since: number;
}

interface Due {
  at: number;
  happens: () => void;
}

export class CallModel {
  status: 'RINGING' | 'ACTIVE' | 'ENDED' = 'RINGING';
  endReason: string | null = null;
  answeredAt: number | null = null;
  endedAt: number | null = null;
  host: string;
  aloneUntil: number | null = null;
  warned = false;
  readonly guests = new Map<string, Guest>();
  readonly chairs = new Map<string, Chair>();
  readonly lastSession = new Map<string, string>();
  readonly muted = new Set<string>();
  readonly members: Set<string>;
  readonly caller: string;
  readonly startedAt: number;
  readonly limits: CallLimits;
  everInvited: number;
  now: number;

  constructor(
    caller: string,
    callees: readonly string[],
    members: Iterable<string>,
    now: number,
    limits: CallLimits,
  ) {
    this.caller = caller;
    this.host = caller;
    this.members = new Set(members);
    this.startedAt = now;
    this.now = now;
    this.limits = limits;
    this.everInvited = callees.length;
    this.guests.set(caller, { ring: 'ANSWERED', ringsUntil: 0 });
    for (const callee of callees) this.#ring(callee);
    this.#sit(caller, `${caller}-1`, now);
  }

  get #isPair(): boolean {
    return this.everInvited === 1;
  }

  get #someoneRings(): boolean {
    return [...this.guests.values()].some(({ ring }) => ring === 'RINGING');
  }

  statusOf(user: string): string {
    const chair = this.chairs.get(user);
    if (chair) return chair.state;
    const { ring } = this.guests.get(user)!;
    return ring === 'RINGING' || ring === 'DECLINED' || ring === 'MISSED' ? ring : 'LEFT';
  }

  // --- time ---

  /** What is due until now happens, the earliest first. */
  catchUp(): void {
    for (let due = this.#due(); due !== undefined; due = this.#due()) due.happens();
  }

  #due(): Due | undefined {
    if (this.status === 'ENDED') return undefined;
    const { maxCallDurationMs, callDurationWarningMs } = this.limits;
    const ends = this.startedAt + maxCallDurationMs;
    const all: Due[] = [{ at: ends, happens: () => this.#end('MAX_DURATION') }];
    if (!this.warned) {
      all.push({
        at: ends - callDurationWarningMs,
        happens: () => {
          this.warned = true;
        },
      });
    }
    if (this.aloneUntil !== null) all.push({ at: this.aloneUntil, happens: () => this.#end('ALONE') });
    for (const [user, guest] of this.guests) {
      if (guest.ring === 'RINGING') {
        all.push({ at: guest.ringsUntil, happens: () => this.#ringStops(user, 'MISSED') });
      }
    }
    for (const [user, chair] of this.chairs) {
      if (chair.state !== 'CONNECTED') {
        all.push({ at: chair.until, happens: () => this.#stand(user, 'CONNECTION_LOST') });
      }
    }
    return all.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at)[0];
  }

  // --- what everything comes down to ---

  #ring(user: string): void {
    this.guests.set(user, { ring: 'RINGING', ringsUntil: this.now + this.limits.ringTimeoutMs });
  }

  #sit(user: string, session: string, since: number): void {
    this.chairs.set(user, {
      session,
      state: 'CONNECTING',
      until: this.now + this.limits.disconnectGraceMs,
      stream: null,
      instance: null,
      since,
    });
    this.lastSession.set(user, session);
    this.guests.get(user)!.ring = 'ANSWERED';
    if (user !== this.caller && this.status === 'RINGING') {
      this.status = 'ACTIVE';
      this.answeredAt = this.now;
    }
    this.#lookWhoIsAlone();
  }

  #stand(user: string, why: 'HANGUP' | 'CONNECTION_LOST'): void {
    this.chairs.delete(user);
    if (this.status === 'RINGING') this.#end(why === 'HANGUP' ? 'CANCELLED' : why);
    else if (this.#isPair || this.chairs.size === 0) this.#end(why);
    else {
      const longest = [...this.chairs].sort(([, a], [, b]) => a.since - b.since)[0]![0];
      if (this.host === user) this.host = longest;
      this.#lookWhoIsAlone();
    }
  }

  #ringStops(user: string, as: Ring): void {
    this.guests.get(user)!.ring = as;
    if (this.status === 'RINGING' && !this.#someoneRings) {
      const rings = [...this.guests.values()].map(({ ring }) => ring);
      // Taken back, all of them: nobody missed and nobody declined.
      this.#end(
        rings.includes('MISSED') ? 'NO_ANSWER' : rings.includes('DECLINED') ? 'DECLINED' : 'CANCELLED',
      );
    } else this.#lookWhoIsAlone();
  }

  #lookWhoIsAlone(): void {
    const alone = this.status === 'ACTIVE' && !this.#isPair && this.chairs.size === 1 && !this.#someoneRings;
    if (!alone) this.aloneUntil = null;
    else this.aloneUntil ??= this.now + this.limits.aloneTimeoutMs;
  }

  #end(reason: string): void {
    this.chairs.clear();
    for (const guest of this.guests.values()) if (guest.ring === 'RINGING') guest.ring = 'MISSED';
    this.status = 'ENDED';
    this.endReason = reason;
    this.endedAt = this.now;
    this.aloneUntil = null;
  }

  // --- commands; each answers with what the service answers ---

  /** CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED; null for one who may ask. */
  #turnedAway(user: string): string | null {
    const member = this.members.has(user);
    const guest = this.guests.get(user);
    if (!guest) return member ? 'NOT_INVITED' : 'CALL_NOT_FOUND';
    if (!member) return 'NOT_A_MEMBER';
    // Whoever was removed is one who is not invited, until invited again.
    return guest.ring === 'REMOVED' ? 'NOT_INVITED' : null;
  }

  get #over(): string | null {
    return this.status === 'ENDED' ? 'CALL_ENDED' : null;
  }

  join(user: string, session: string, takeOver: boolean): string {
    const away = this.#turnedAway(user);
    if (away) return away;
    const { ring } = this.guests.get(user)!;
    if (this.endReason === 'NO_ANSWER') return 'CALL_EXPIRED';
    if (this.#over) return this.#over;
    if (this.status === 'RINGING' && (ring === 'MISSED' || ring === 'DECLINED')) return 'CALL_EXPIRED';
    const chair = this.chairs.get(user);
    if (chair?.session === session) return 'rejoined';
    if (chair && chair.state !== 'RECONNECTING' && !takeOver) return 'ALREADY_IN_CALL';
    if (!chair && this.chairs.size === this.limits.maxParticipants) return 'CALL_FULL';
    this.#sit(user, session, chair?.since ?? this.now);
    return 'ok';
  }

  leave(user: string, session: string): string {
    const chair = this.chairs.get(user);
    const away = this.#turnedAway(user);
    if (away) return away;
    if (!chair && this.lastSession.get(user) === session) return 'ok';
    if (this.#over) return this.#over;
    if (!chair) return 'NOT_IN_CALL';
    if (chair.session !== session) return 'STALE_SESSION';
    this.#stand(user, 'HANGUP');
    return 'ok';
  }

  decline(user: string): string {
    const away = this.#turnedAway(user);
    if (away) return away;
    const { ring } = this.guests.get(user)!;
    if (ring === 'DECLINED') return 'ok';
    if (this.#over) return this.#over;
    if (ring === 'RINGING') this.#ringStops(user, 'DECLINED');
    return 'ok';
  }

  endCall(user: string): string {
    const away = this.#turnedAway(user);
    if (away) return away;
    if (this.status === 'ENDED') return 'ok';
    if (!this.chairs.has(user)) return 'NOT_IN_CALL';
    if (!this.#isPair && this.host !== user) return 'NOT_THE_HOST';
    this.#end(this.status === 'RINGING' ? 'CANCELLED' : this.#isPair ? 'HANGUP' : 'ENDED_BY_HOST');
    return 'ok';
  }

  invite(user: string, invitee: string): string {
    const away = this.#turnedAway(user) ?? this.#over;
    if (away) return away;
    if (!this.chairs.has(user)) return 'NOT_IN_CALL';
    if (invitee === user) return 'NO_CALLEES';
    if (!this.members.has(invitee)) return 'INVALID_CALLEE';
    const known = this.guests.get(invitee);
    if (!known && this.everInvited === this.limits.maxInvitees) return 'TOO_MANY_CALLEES';
    if (this.chairs.has(invitee) || known?.ring === 'RINGING') return 'ok';
    if (!known) this.everInvited += 1;
    this.#ring(invitee);
    this.#lookWhoIsAlone();
    return 'ok';
  }

  #asHost(user: string): string | null {
    const away = this.#turnedAway(user) ?? this.#over;
    if (away) return away;
    if (!this.chairs.has(user)) return 'NOT_IN_CALL';
    return this.host === user ? null : 'NOT_THE_HOST';
  }

  remove(user: string, target: string): string {
    const away = this.#asHost(user);
    if (away) return away;
    const guest = this.guests.get(target);
    if (!guest || target === user) return 'INVALID_INPUT';
    if (guest.ring === 'RINGING') this.#ringStops(target, 'REMOVED');
    guest.ring = 'REMOVED';
    if (this.chairs.has(target)) this.#stand(target, 'HANGUP');
    return 'ok';
  }

  mute(user: string, target: string): string {
    const away = this.#asHost(user);
    if (away) return away;
    if (!this.guests.has(target)) return 'INVALID_INPUT';
    if (!this.chairs.has(target)) return 'RECIPIENT_NOT_IN_CALL';
    this.muted.add(target);
    return 'ok';
  }

  setMuted(user: string, session: string, muted: boolean): string {
    const away = this.#turnedAway(user) ?? this.#over;
    if (away) return away;
    const chair = this.chairs.get(user);
    if (!chair) return 'NOT_IN_CALL';
    if (chair.session !== session) return 'STALE_SESSION';
    if (muted) this.muted.add(user);
    else this.muted.delete(user);
    return 'ok';
  }

  openStream(user: string, session: string, stream: string, instance: string): string {
    const away = this.#turnedAway(user);
    if (away) return away;
    if (this.status === 'ENDED') return 'CALL_ENDED';
    const chair = this.chairs.get(user);
    if (!chair) return 'NOT_IN_CALL';
    if (chair.session !== session) return 'STALE_SESSION';
    Object.assign(chair, { state: 'CONNECTED', stream, instance });
    return 'ok';
  }

  loseStream(user: string, stream: string): void {
    const chair = this.chairs.get(user);
    if (chair?.stream === stream) this.#reconnecting(chair);
  }

  loseInstance(instance: string): void {
    for (const chair of this.chairs.values()) if (chair.instance === instance) this.#reconnecting(chair);
  }

  #reconnecting(chair: Chair): void {
    const until = this.now + this.limits.disconnectGraceMs;
    Object.assign(chair, { state: 'RECONNECTING', until, stream: null, instance: null });
  }

  terminate(): void {
    if (this.status !== 'ENDED') this.#end('TERMINATED');
  }

  /** Out of the conversation, and so out of the call. */
  dropMember(user: string): void {
    this.members.delete(user);
    if (this.status === 'ENDED') return;
    if (this.chairs.has(user)) this.#stand(user, 'HANGUP');
    else if (this.guests.get(user)?.ring === 'RINGING') this.#ringStops(user, 'REMOVED');
  }
}
