import { type Answer, type Notes, Phone, type Sitting } from './phone.ts';
import type { Role, Scene } from './plan.ts';

/** The people of one scene, and what each of them does until the curtain falls. */

/** Worth the same command again: nobody knows what came of it, or it is to come later. */
const AGAIN = new Set(['TIMEOUT', 'INTERNAL_SERVER_ERROR', 'NO_ANSWER', 'RATE_LIMITED']);
/** Between two tries, milliseconds. */
const PAUSE = 200;
/** Of ten rounds of signals one is followed by a change of the media state. */
const MEDIA_EVERY = 10;
/** How often one whose seat was lost comes back. */
const COMES_BACK = 3;

/** Where a scene is played. */
export interface House {
  readonly url: string;
  readonly notes: Notes;
  readonly conversationId: string;
  /** Names of people are taken from roles; this makes them those of one run. */
  readonly nameOf: (role: Role) => string;
}

export class Performance {
  readonly #scene: Scene;
  readonly #house: House;
  readonly #phones: Phone[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #roles = new Map<Sitting, Role>();
  #curtain = false;

  constructor(scene: Scene, house: House) {
    this.#scene = scene;
    this.#house = house;
    for (const role of scene.roles) this.#phone(role);
  }

  get phones(): readonly Phone[] {
    return this.#phones;
  }

  get sittings(): Sitting[] {
    return [...this.#roles.keys()];
  }

  #phone(role: Role): Phone {
    const phone = new Phone(this.#house.url, this.#house.nameOf(role), this.#house.notes);
    this.#phones.push(phone);
    return phone;
  }

  start(): void {
    const [caller, ...callees] = this.#scene.roles as [Role, ...Role[]];
    for (const [index, role] of callees.entries()) {
      const phone = this.#phones[index + 1] as Phone;
      // One who calls back in the same moment is in the call without answering.
      phone.listen((callId) => !this.#scene.glare && this.#rings(role, phone, callId));
    }
    this.#later(this.#scene.at, () => {
      void this.#calls(caller, this.#phones[0] as Phone, callees);
      if (!this.#scene.glare) return;
      const [other] = callees as [Role];
      void this.#calls(other, this.#phones[1] as Phone, [caller]);
    });
  }

  /** From now on nobody does anything of their own accord. */
  curtain(): void {
    this.#curtain = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Everybody goes, each in their own way. */
  async goHome(): Promise<void> {
    const live = this.sittings.filter((sitting) => sitting.live);
    await Promise.all(live.map((sitting) => this.#ends(sitting, this.#roles.get(sitting) as Role)));
  }

  close(): void {
    this.curtain();
    for (const sitting of this.sittings) sitting.close();
    for (const phone of this.#phones) phone.close();
  }

  async #calls(role: Role, phone: Phone, callees: readonly Role[]): Promise<void> {
    const { conversationId, nameOf } = this.#house;
    const sessionId = `${role.name}-1`;
    const ids = callees.map(nameOf);
    const answer = await insist(() => phone.initiate(conversationId, ids, sessionId, `${role.name}-key`));
    if (answer.call) this.#sits(role, phone, answer.call.id, sessionId);
  }

  #rings(role: Role, phone: Phone, callId: string): void {
    if (role.answersAfter === null || this.#curtain) return;
    this.#later(role.answersAfter, async () => {
      if (role.declines) await insist(() => phone.decline(callId));
      else await this.#joins(role, phone, callId, `${role.name}-1`, false);
    });
  }

  async #joins(
    role: Role,
    phone: Phone,
    callId: string,
    sessionId: string,
    takeOver: boolean,
    again = COMES_BACK,
  ): Promise<void> {
    const answer = await insist(() => phone.join(callId, sessionId, takeOver));
    if (answer.code === 'ok') this.#sits(role, phone, callId, sessionId, again);
  }

  #sits(role: Role, phone: Phone, callId: string, sessionId: string, again = COMES_BACK): void {
    const sitting = phone.sit(callId, sessionId);
    this.#roles.set(sitting, role);
    let rounds = 0;
    const round = () => {
      if (sitting.lost === 'NOT_IN_CALL' && again > 0) {
        // The grace was over: as a new session, for the seat was given up.
        void this.#joins(role, phone, callId, `${sessionId}-again`, false, again - 1);
      }
      if (sitting.lost !== null) return;
      if (sitting.live) {
        sitting.signalAll();
        rounds += 1;
        if (rounds % MEDIA_EVERY === 0) void phone.mute(callId, sessionId, rounds % (2 * MEDIA_EVERY) === 0);
      }
      this.#later(role.signalsEvery, round);
    };
    round();
    this.#later(role.endsAfter, () => {
      if (sitting.live && role.ending !== 'stays') void this.#ends(sitting, role);
    });
    if (role.movesAfter !== null && phone === this.#phones[this.#scene.roles.indexOf(role)]) {
      this.#later(role.movesAfter, async () => {
        if (sitting.live) await this.#joins(role, this.#phone(role), callId, `${role.name}-2`, true);
      });
    }
  }

  async #ends(sitting: Sitting, { ending }: Role): Promise<void> {
    const { phone, callId, sessionId } = sitting;
    if (ending === 'leaves') await insist(() => phone.leave(callId, sessionId));
    else if (ending === 'ends the call') {
      const { code } = await insist(() => phone.end(callId));
      if (code === 'NOT_THE_HOST') await insist(() => phone.leave(callId, sessionId));
    } else {
      sitting.close();
      phone.close();
    }
  }

  #later(ms: number, act: () => void | Promise<void>): void {
    if (this.#curtain) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void act();
    }, ms);
    this.#timers.add(timer);
  }
}

/** The same command until it is answered for good, or the page is closed. */
async function insist(command: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    const answer = await command();
    if (!AGAIN.has(answer.code)) return answer;
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}
