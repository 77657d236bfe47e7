import { expect } from 'vitest';
import { tokenFor } from '../app.ts';
import type { Tab, TestBrowser } from './browsers.ts';
import type { Phone } from './page/phone.ts';

/** Somebody at a browser: a page with the SDK in it, and what they see there. */

export interface PersonOptions {
  readonly browser: TestBrowser;
  readonly userId: string;
  /** Of the page. */
  readonly origin: string;
  /** Of the Ringdown server, or of a proxy before it. */
  readonly url: string;
  /** What the camera shows; null: no media at all. */
  readonly colour?: string | null;
  /** Of each token, milliseconds. */
  readonly tokenLifetimeMs?: number;
  readonly rtcConfiguration?: RTCConfiguration;
}

/** How long a browser may take for what should be there in a moment, on a busy machine, milliseconds. */
const LIMIT = 40_000;

export class Person {
  readonly userId: string;
  /** What the camera shows; null: there is none. */
  readonly colour: string | null;
  readonly #tab: Tab;
  readonly #options: PersonOptions;
  /** What the page threw, or logged as an error. */
  readonly problems: string[] = [];

  static async open(options: PersonOptions): Promise<Person> {
    const person = new Person(options, await options.browser.openTab());
    await person.#start();
    return person;
  }

  private constructor(options: PersonOptions, tab: Tab) {
    this.#options = options;
    this.userId = options.userId;
    this.colour = options.colour ?? null;
    this.#tab = tab;
    tab.onError((message) => this.problems.push(message));
  }

  async #start(): Promise<void> {
    const { userId, tokenLifetimeMs } = this.#options;
    await this.#tab.expose('freshToken', () => tokenFor(userId, '', tokenLifetimeMs));
    await this.load();
  }

  /** Loads the page, or loads it again: a new session. */
  async load(): Promise<void> {
    const { origin, url, colour = null, rtcConfiguration = {} } = this.#options;
    await this.#tab.goto(origin);
    // A module script may come after the page's load event.
    const loaded = () => this.#tab.evaluate(() => 'createPhone' in window, null);
    for (const deadline = Date.now() + LIMIT; !(await loaded()) && Date.now() < deadline; );
    await this.#tab.evaluate((options) => window.createPhone(options), {
      url,
      colour,
      rtcConfiguration,
    });
  }

  /** Runs in the page. */
  run<Result, Argument = undefined>(
    work: (phone: Phone, argument: Argument) => Result | Promise<Result>,
    argument?: Argument,
  ): Promise<Result> {
    return this.#tab.evaluate(
      ([text, value]) => {
        const run = new Function(`return ${text}`)() as (phone: Phone, value: unknown) => Result;
        return run(window.phone, value);
      },
      [work.toString(), argument] as const,
    ) as Promise<Result>;
  }

  start(conversationId: string, ...calleeIds: string[]): Promise<string> {
    return this.run((phone, [room, others]) => phone.start(room, others), [
      conversationId,
      calleeIds,
    ] as const as [string, string[]]);
  }

  answer(): Promise<string> {
    return this.run((phone) => phone.answer());
  }

  join(callId: string, takeOver = false): Promise<string> {
    return this.run((phone, [id, over]) => phone.join(id, over), [callId, takeOver] as [string, boolean]);
  }

  leave(): Promise<void> {
    return this.run((phone) => phone.call!.leave());
  }

  view() {
    return this.run((phone) => phone.view());
  }

  events(): Promise<string[]> {
    return this.run((phone) => phone.events);
  }

  /** Until it holds of the page. */
  async until<Argument = undefined>(
    holds: (phone: Phone, argument: Argument) => boolean,
    argument?: Argument,
    what = holds.toString(),
    limit = LIMIT,
  ): Promise<void> {
    const deadline = Date.now() + limit;
    while (!(await this.run(holds, argument))) {
      if (Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      const seen = await this.run((phone) => ({
        view: phone.view(),
        events: phone.events,
        errors: phone.errors,
      }));
      throw new Error(`${this.userId} waited in vain: ${what}\n${JSON.stringify(seen)}`);
    }
  }

  /** Until the other one's picture is of this colour. */
  async sees(userId: string, colour: string, source: 'stream' | 'screen' = 'stream'): Promise<void> {
    await this.until(
      (phone, [id, wanted, from]) => phone.colourOf(id, from) === wanted,
      [userId, colour, source] as [string, string, 'stream' | 'screen'],
      `sees ${userId} in ${colour}`,
    );
  }

  /** Until there is a link to the other one. */
  async linked(userId: string): Promise<void> {
    await this.until(
      (phone, id) =>
        phone.state?.participants.some((other) => other.userId === id && other.link === 'connected') ?? false,
      userId,
      `has a link to ${userId}`,
    );
  }

  async happened(event: string, limit = LIMIT): Promise<void> {
    await this.until((phone, wanted) => phone.events.includes(wanted), event, `happened: ${event}`, limit);
  }

  /** Nothing went wrong in the background. */
  async expectNoErrors(): Promise<void> {
    expect(this.problems).toEqual([]);
    expect(await this.run((phone) => phone.errors)).toEqual([]);
  }

  async close(): Promise<void> {
    await this.#tab.close();
  }
}
