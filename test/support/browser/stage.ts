import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import type { Config } from '../../../src/config.ts';
import { createWorld, type World } from '../world.ts';
import { launchChromium, type TestBrowser } from './browsers.ts';
import { type PageServer, servePage } from './page-server.ts';
import { Person, type PersonOptions } from './person.ts';

/** What browser tests have in common: a page, a server on real Postgres and Redis, a browser for each person. */

type Look = string | null | Partial<PersonOptions>;

export interface Stage {
  readonly world: World;
  readonly pages: PageServer;
  /**
   * Opens people, each in a browser process of their own: user ids, and what their cameras show. Closed after
   * the test, which fails where anything went wrong in the background of a page.
   */
  open<Name extends string>(looks: Record<Name, Look>): Promise<Record<Name, Person>>;
  /** Another window of the person's, in another browser. */
  openWindow(options: Partial<PersonOptions> & { readonly userId: string }): Promise<Person>;
  /** Closes everyone, as after a test. */
  close(): Promise<void>;
  /** A call that goes on: the first has called the others, and everyone sees everyone. */
  inCall<Name extends string>(
    looks: Record<Name, string | Partial<PersonOptions>>,
  ): Promise<Record<Name, Person> & { readonly callId: string }>;
}

/**
 * To be called once for a file, at its top; or for each of the describes that run beside each other, where much
 * of a test is waiting.
 */
export function setTheStage({
  browsers: wanted = 2,
  instances = 1,
  env = {},
  change = (config) => config,
}: {
  /** How many Chromiums; or what is launched, in this order. */
  readonly browsers?: number | readonly (() => Promise<TestBrowser>)[];
  readonly instances?: number;
  readonly env?: Record<string, string>;
  readonly change?: (config: Config) => Config;
} = {}): Stage {
  let pages: PageServer;
  let world: World;
  const browsers: TestBrowser[] = [];
  beforeAll(async () => {
    const launches =
      typeof wanted === 'number' ? Array<typeof launchChromium>(wanted).fill(launchChromium) : wanted;
    const launched = Promise.all(launches.map((launch) => launch()));
    pages = await servePage();
    world = await createWorld({ instances, env: { ALLOWED_ORIGINS: pages.origin, ...env }, change });
    browsers.push(...(await launched));
  });
  afterAll(async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await world?.close();
    await pages?.close();
  });

  const people: Promise<Person>[] = [];
  async function close(): Promise<void> {
    // Who could not be opened has failed the test.
    const left = (await Promise.allSettled(people.splice(0))).flatMap((one) =>
      one.status === 'fulfilled' ? [one.value] : [],
    );
    try {
      for (const person of left) await person.expectNoErrors();
    } finally {
      await Promise.all(left.map((person) => person.close()));
    }
  }
  afterEach(close);

  const openWindow: Stage['openWindow'] = (options) => {
    const person = Person.open({
      browser: browsers[people.length % browsers.length]!,
      origin: pages.origin,
      url: world.apps[0]!.url,
      ...options,
    });
    people.push(person);
    return person;
  };

  const open: Stage['open'] = async (looks) => {
    const opened = Object.entries<Look>(looks).map(async ([userId, look]) => {
      const options = typeof look === 'string' || look === null ? { colour: look } : look;
      return [userId, await openWindow({ userId, ...options })] as const;
    });
    return Object.fromEntries(await Promise.all(opened)) as Record<keyof typeof looks, Person>;
  };

  return {
    get world() {
      return world;
    },
    get pages() {
      return pages;
    },
    open,
    openWindow,
    close,
    async inCall(looks) {
      const persons = await open(looks as Record<string, Look>);
      const [caller, ...callees] = Object.values<Person>(persons) as [Person, ...Person[]];
      const ids = Object.keys(persons);
      const room = await world.conversation(ids);
      const callId = await caller.start(room, ...ids.slice(1));
      for (const callee of callees) {
        await callee.happened(`ring ${caller.userId}`);
        await callee.answer();
      }
      await everyoneSeesEveryone(Object.values<Person>(persons));
      return { ...persons, callId } as never;
    },
  };
}

export async function everyoneSeesEveryone(people: readonly Person[]): Promise<void> {
  for (const person of people) {
    for (const other of people) {
      if (other === person) continue;
      if (other.colour === null) await person.linked(other.userId);
      else await person.sees(other.userId, other.colour);
    }
  }
}

/** The row of the call, as the database has it. */
export async function rowOf(world: World, callId: string) {
  return world.database.db.selectFrom('calls').selectAll().where('id', '=', callId).executeTakeFirstOrThrow();
}

export function expectWithin(value: number, low: number, high: number): void {
  expect(value).toBeGreaterThanOrEqual(low);
  expect(value).toBeLessThanOrEqual(high);
}
