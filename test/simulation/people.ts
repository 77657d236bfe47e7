import type { CallView } from '../../src/calls/call-view.ts';
import type { RejectionCode } from '../../src/errors.ts';
import type { InitiateCallInput } from '../../src/graphql/services.ts';
import { elapsed } from './clock.ts';
import { Device, type DeviceDeps, isRefusal, type Outgoing, type Session, viewerOf } from './device.ts';
import type { Dice } from './dice.ts';

/** What people do with their devices: mostly what makes sense, and now and then what does not. */

export const CONVERSATION = 'room';
export const MEMBERS = ['ann', 'bob', 'cat', 'dan', 'eve'];
const STRANGER = 'sam';
const NO_CALL = '00000000-0000-7000-8000-000000000000';
/** Invitees at most, in every seed: four callees are too many, three are allowed. */
export const MAX_INVITEES = 3;

export class People {
  readonly devices: Device[] = [];
  readonly callIds: string[] = [];
  readonly sent: Outgoing[] = [];
  /** Initiations by caller and key: the calls that they made, as their callers were told. */
  readonly byKey = new Map<string, Set<string>>();
  /** What they undertook, for the counts. */
  readonly deeds = new Map<string, number>();
  readonly #random: Dice;
  #underWay = 0;
  #ids = 0;
  #members = new Set(MEMBERS);

  constructor(random: Dice, deps: Omit<DeviceDeps, 'onCall'> & Pick<DeviceDeps, 'onCall'>) {
    this.#random = random;
    for (const userId of [...MEMBERS, STRANGER, 'ann', 'bob', 'cat']) {
      const nth = this.devices.filter((device) => device.userId === userId).length + 1;
      const device = new Device(userId, `${userId}${nth}`, deps);
      device.listens = nth === 1 && userId !== STRANGER;
      this.devices.push(device);
    }
  }

  start(): void {
    for (const device of this.devices) device.tend();
  }

  #id(prefix: string): string {
    return `${prefix}-${++this.#ids}`;
  }

  /** Somebody tries a deed again that had no answer, or waits for one. */
  get areBusy(): boolean {
    return this.#underWay > 0;
  }

  get #seated(): Device[] {
    return this.devices.filter(({ session }) => session && !session.over);
  }

  /** Someone does something. */
  act(): void {
    const random = this.#random;
    const seated = this.#seated;
    const deed = random.weighted({
      initiate: seated.length < 3 ? 10 : 2,
      answer: this.callIds.length > 0 ? 12 : 0,
      decline: this.callIds.length > 0 ? 3 : 0,
      signal: seated.length > 1 ? 24 : 0,
      media: seated.length > 0 ? 2 : 0,
      invite: seated.length > 0 ? 4 : 0,
      remove: seated.length > 0 ? 1.5 : 0,
      mute: seated.length > 0 ? 1.5 : 0,
      leave: seated.length > 0 ? 2 : 0,
      end: seated.length > 0 ? 0.7 : 0,
      terminate: this.callIds.length > 0 ? 0.2 : 0,
      reload: seated.length > 0 ? 2 : 0,
      reconnect: seated.length > 0 ? 3 : 0,
      vanish: seated.length > 0 ? 0.7 : 0,
      members: 0.8,
      nonsense: 7,
    });
    this.deeds.set(deed, (this.deeds.get(deed) ?? 0) + 1);
    this.#underWay++;
    void this.#do(deed).finally(() => {
      this.#underWay--;
    });
  }

  async #do(deed: string): Promise<void> {
    const random = this.#random;
    const free = this.devices.filter(({ session }) => !session || session.over);
    const rung = free.filter(({ rings }) => rings !== null && rings.size > 0);
    const idle =
      (deed === 'answer' || deed === 'decline') && rung.length > 0 && random.chance(0.75) ? rung : free;
    const device = random.pick(seatedDeed(deed) ? this.#seated : idle.length > 0 ? idle : this.devices);
    const { session } = device;
    const viewer = viewerOf(device.userId);
    const callId = session?.callId ?? NO_CALL;
    switch (deed) {
      case 'initiate':
        return this.#initiate(device, this.#someone(device, random.pick([1, 1, 1, 2, 2, 3])));
      case 'answer': {
        const ringing = [...(device.rings?.keys() ?? [])];
        if (ringing.length > 0) return this.#join(device, random.pick(ringing), false);
        return this.#join(device, this.#call(), random.chance(0.25));
      }
      case 'decline': {
        const [rung] = [...(device.rings?.keys() ?? [])];
        await device.command('declineCall', ({ calls }) =>
          calls.declineCall(viewer, rung ?? this.#call(), random.chance(0.3)),
        );
        return;
      }
      case 'signal':
        return this.#signal(device, session!);
      case 'media':
        await device.command('setMediaState', ({ calls }) =>
          calls.setMediaState(viewer, callId, session!.id, {
            muted: random.chance(0.5),
            videoOn: null,
            screenOn: random.chance(0.5),
          }),
        );
        return;
      case 'invite':
        await device.command('inviteToCall', ({ calls }) =>
          calls.inviteToCall(viewer, callId, this.#outside(session!) ?? this.#someone(device, 1)),
        );
        return;
      case 'remove':
        await device.command('removeParticipant', ({ calls }) =>
          calls.removeParticipant(viewer, callId, this.#outside(session!)?.[0] ?? this.#peer(session!)),
        );
        return;
      case 'mute':
        await device.command('muteParticipant', ({ calls }) =>
          calls.muteParticipant(viewer, callId, this.#peer(session!)),
        );
        return;
      case 'leave':
        return this.#leave(device, session!);
      case 'end':
        await device.command('endCall', ({ calls }) => calls.endCall(viewer, callId));
        return;
      case 'terminate':
        await device.command('terminateCall', ({ calls }) => calls.terminateCall(viewer, this.#call()));
        return;
      case 'reload': {
        // The page's memory is gone, and its socket with it.
        session!.over = true;
        device.cut(random.between(0, 2_000));
        return this.#join(device, callId, true);
      }
      case 'reconnect':
        return device.cut(random.pick([0, 100, 2_500]));
      case 'vanish':
        session!.over = true;
        return device.cut(random.between(0, 500));
      case 'members':
        return this.#changeMembers(device);
      default:
        return this.#nonsense(device);
    }
  }

  #call(): string {
    // Mostly the newest: older ones are over.
    const recent = this.callIds.slice(-3);
    return this.#random.pick(this.#random.chance(0.85) ? recent : this.callIds);
  }

  #someone(device: Device, count: number): string[] {
    const others = MEMBERS.filter((userId) => userId !== device.userId);
    const chosen = new Set<string>();
    while (chosen.size < count) chosen.add(this.#random.pick(others));
    return [...chosen];
  }

  /** Who was invited and is not in it. */
  #outside(session: Session): string[] | null {
    const outside =
      session.call?.participants.filter(({ status }) => /DECLINED|MISSED|LEFT/.test(status)) ?? [];
    return outside.length > 0 && this.#random.chance(0.5) ? [this.#random.pick(outside).userId] : null;
  }

  #peer(session: Session): string {
    const others = session.call?.participants.filter(({ userId }) => userId !== session.userId) ?? [];
    return others.length > 0 ? this.#random.pick(others).userId : 'bob';
  }

  async #initiate(device: Device, calleeIds: string[], over: Partial<InitiateCallInput> = {}): Promise<void> {
    const random = this.#random;
    const input: InitiateCallInput = {
      conversationId: CONVERSATION,
      calleeIds,
      type: random.pick(['AUDIO', 'VIDEO']),
      sessionId: this.#id('session'),
      ringTimeoutSeconds: random.chance(0.3) ? 1 : null,
      idempotencyKey: random.chance(0.6) ? this.#id('key') : null,
      ...over,
    };
    for (let attempt = 0; attempt < 4; attempt++) {
      const answer = await device.command('initiateCall', ({ calls }) =>
        calls.initiateCall(viewerOf(device.userId), input),
      );
      if (answer && !isRefusal(answer)) {
        const { call, cursor } = answer;
        if (input.idempotencyKey !== null) this.#made(device.userId, input.idempotencyKey, call.id);
        this.#enter(device, input.sessionId, call, cursor);
        // The same again under the same key is the same call.
        if (input.idempotencyKey === null || !random.chance(0.1)) return;
      } else if (answer && answer.rejection.code !== 'TIMEOUT') return;
      await elapsed(random.between(50, 1_500));
    }
  }

  #made(userId: string, key: string, callId: string): void {
    const name = `${userId} ${key}`;
    this.byKey.set(name, (this.byKey.get(name) ?? new Set()).add(callId));
  }

  async #join(device: Device, callId: string, takeOver: boolean): Promise<void> {
    const sessionId = this.#id('session');
    for (let attempt = 0; attempt < 3; attempt++) {
      const answer = await device.command('joinCall', ({ calls }) =>
        calls.joinCall(viewerOf(device.userId), { callId, sessionId, takeOver }),
      );
      if (answer && !isRefusal(answer)) return this.#enter(device, sessionId, answer.call, answer.cursor);
      if (answer && answer.rejection.code !== 'TIMEOUT') return;
      await elapsed(this.#random.between(50, 1_000));
    }
  }

  async #joinAgain(device: Device, session: Session): Promise<void> {
    const { id: sessionId, callId } = session;
    const answer = await device.command('joinCall', ({ calls }) =>
      calls.joinCall(viewerOf(device.userId), { callId, sessionId, takeOver: false }),
    );
    if (!answer || isRefusal(answer)) return;
    const me = answer.call.participants.find(({ userId }) => userId === device.userId);
    // It had left meanwhile, and this is another seat: a client does not go on with what it was.
    if (me?.joinSeq === session.joinSeq) return;
    session.over = true;
    // It may be opening its stream just now, which would hold that seat.
    device.cut(0);
  }

  #enter(device: Device, sessionId: string, call: CallView, cursor: string): void {
    if (!this.callIds.includes(call.id)) this.callIds.push(call.id);
    const me = call.participants.find(({ userId }) => userId === device.userId);
    const known = device.sessions.find(({ id }) => id === sessionId);
    // Left, ended or given to another session before the answer came.
    if (known || me?.sessionId !== sessionId || me.joinSeq === null) return;
    if (device.session && !device.session.over) {
      // A device is in one call; the other one it forgets.
      device.session.over = true;
      device.cut(0);
    }
    const session = device.begin(sessionId, call.id, me.joinSeq, this.#random.chance(0.5) ? cursor : null);
    // Now and then the stream is never opened.
    if (this.#random.chance(0.06)) session.over = true;
    else device.tend();
  }

  async #leave(device: Device, session: Session): Promise<void> {
    const { callId, id } = session;
    for (let attempt = 0; attempt < 2; attempt++) {
      const answer = await device.command('leaveCall', ({ calls }) =>
        calls.leaveCall(viewerOf(device.userId), callId, id),
      );
      // Once more: a repeat is harmless.
      if (answer && !this.#random.chance(0.2)) return;
    }
  }

  #signal(device: Device, session: Session): void {
    const random = this.#random;
    const peers = (session.call?.participants ?? []).filter(
      ({ userId, joinSeq }) => userId !== session.userId && joinSeq !== null,
    );
    if (peers.length === 0) return;
    const peer = random.pick(peers);
    for (let left = random.pick([1, 1, 2, 4]); left > 0; left--) {
      const toAll = peers.length === 1 && random.chance(0.1);
      const signal: Outgoing = {
        number: this.sent.length + 1,
        callId: session.callId,
        from: session.userId,
        sessionId: session.id,
        clientSeq: ++session.clientSeq,
        to: toAll ? null : peer.userId,
        toJoinSeq: toAll || random.chance(0.1) ? null : peer.joinSeq,
        acceptedAt: null,
      };
      this.sent.push(signal);
      session.outbox.push(signal);
    }
    void device.send(session);
  }

  async #changeMembers(device: Device): Promise<void> {
    const random = this.#random;
    const userId = random.pick(MEMBERS.slice(1));
    const change = this.#members.has(userId) && random.chance(0.7) ? 'removeMembers' : 'addMembers';
    if (change === 'removeMembers') this.#members.delete(userId);
    else this.#members.add(userId);
    await device.command(change, ({ conversations }) => conversations[change](CONVERSATION, [userId]));
  }

  async #nonsense(device: Device): Promise<void> {
    const random = this.#random;
    const viewer = viewerOf(device.userId);
    const seated = this.#seated;
    const inCall = seated.length > 0 ? random.pick(seated) : device;
    const mine = viewerOf(inCall.userId);
    const { session } = inCall;
    const callId = session?.callId ?? this.callIds.at(-1) ?? NO_CALL;
    const send = (clientSeq: number, to: string, toJoinSeq: number | null) =>
      inCall.command('sendSignal badly', ({ signals }) =>
        signals.sendSignal(
          mine,
          {
            callId,
            sessionId: session?.id ?? 'none',
            to,
            toJoinSeq,
            clientSeq,
            signal: { renegotiate: { iceRestart: true } },
          },
          null,
        ),
      );
    const what = random.pick([
      'no such call',
      'a stranger joins',
      'not invited',
      'too many',
      'nobody',
      'not members',
      'unknown conversation',
      'bad ring',
      'key again',
      'another session leaves',
      'a guest removes',
      'invites unseated',
      'bad clientSeq',
      'to an old seat',
      'dials all the time',
      'another session sends',
      'reads',
      'joins again',
      'joins while full',
      'late',
    ]);
    switch (what) {
      case 'no such call':
        await device.command('joinCall', ({ calls }) =>
          calls.joinCall(viewer, { callId: NO_CALL, sessionId: 'none', takeOver: false }),
        );
        return;
      case 'a stranger joins':
        await device.command('joinCall', ({ calls }) =>
          calls.joinCall(viewerOf(STRANGER), { callId, sessionId: 'none', takeOver: true }),
        );
        return;
      case 'not invited':
      case 'joins while full':
        return this.#join(device, callId, false);
      case 'too many':
        return this.#initiate(device, MEMBERS);
      case 'nobody':
        return this.#initiate(device, [device.userId]);
      case 'not members':
        return this.#initiate(device, ['bob', STRANGER]);
      case 'unknown conversation':
        return this.#initiate(device, ['bob'], { conversationId: 'nowhere' });
      case 'bad ring':
        return this.#initiate(device, ['bob'], { ringTimeoutSeconds: 0 });
      case 'key again': {
        const keys = [...this.byKey.keys()].filter((name) => name.startsWith(`${device.userId} `));
        if (keys.length === 0) return;
        const idempotencyKey = random.pick(keys).split(' ')[1]!;
        await device.command('initiateCall', ({ calls }) =>
          calls.initiateCall(viewer, {
            conversationId: CONVERSATION,
            calleeIds: ['bob', 'cat'],
            type: 'AUDIO',
            sessionId: 'another',
            ringTimeoutSeconds: null,
            idempotencyKey,
          }),
        );
        return;
      }
      case 'another session leaves':
        await inCall.command('leaveCall', ({ calls }) => calls.leaveCall(mine, callId, 'another'));
        return;
      case 'a guest removes':
        await inCall.command('removeParticipant', ({ calls }) =>
          calls.removeParticipant(mine, callId, 'ann'),
        );
        return;
      case 'invites unseated':
        await device.command('inviteToCall', ({ calls }) => calls.inviteToCall(viewer, callId, ['dan']));
        return;
      case 'bad clientSeq':
        await send(0, 'bob', null);
        return;
      case 'to an old seat':
        await send(1_000, inCall.userId === 'bob' ? 'ann' : 'bob', 999);
        return;
      case 'another session sends':
        await inCall.command('sendSignal as another', ({ signals }) =>
          signals.sendSignal(
            mine,
            {
              callId,
              sessionId: 'another',
              to: inCall.userId === 'bob' ? 'ann' : 'bob',
              toJoinSeq: null,
              clientSeq: 1,
              signal: { renegotiate: { iceRestart: false } },
            },
            null,
          ),
        );
        return;
      case 'dials all the time':
        for (let i = 0; i < 6; i++)
          await this.#initiate(device, this.#someone(device, 1), { idempotencyKey: null });
        return;
      case 'joins again':
        if (session) await this.#joinAgain(inCall, session);
        return;
      case 'late':
        return this.#join(device, this.callIds[0] ?? NO_CALL, false);
      default:
        await device.command('call', async ({ calls }) => ({ read: await calls.call(viewer, callId) }));
        await device.command('activeCalls', async ({ calls }) => ({ read: await calls.activeCalls(viewer) }));
        await device.command('iceServers', ({ iceServers }) => iceServers.iceServers(viewer, callId));
    }
  }

  /** Everyone hangs up; what goes on all the same an administrator ends. */
  async goHome(): Promise<void> {
    for (const device of this.#seated) void this.#leave(device, device.session!);
    await elapsed(500);
    for (const callId of this.callIds) {
      void this.devices[0]!.command('terminateCall', ({ calls }) =>
        calls.terminateCall(viewerOf('admin'), callId),
      );
    }
  }

  closeAll(): void {
    for (const device of this.devices) {
      device.gone = true;
      device.cut(0);
    }
  }
}

export type { RejectionCode };

function seatedDeed(deed: string): boolean {
  return [
    'signal',
    'media',
    'invite',
    'remove',
    'mute',
    'leave',
    'end',
    'reload',
    'reconnect',
    'vanish',
  ].includes(deed);
}
