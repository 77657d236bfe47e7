import { describe, expect, it } from 'vitest';
import { setTheStage } from '../support/browser/stage.ts';

/** As many people as a mesh is for, with data channels alone: media of so many is too much for a small machine. */

const stage = setTheStage({ browsers: 2 });
const NAMES = ['ada', 'ben', 'cleo', 'dan', 'eve', 'finn', 'gil', 'hal'];

describe('a room of eight', () => {
  it('is one mesh: everyone is linked to everyone, and hears everyone', async () => {
    const people = Object.values(await stage.open(Object.fromEntries(NAMES.map((name) => [name, null]))));
    const [host, ...guests] = people;
    await host!.start(await stage.world.conversation(NAMES), ...NAMES.slice(1));
    await Promise.all(guests.map((guest) => guest.happened('ring ada')));
    // All at once: each of them is polite to some and impolite to others.
    await Promise.all(guests.map((guest) => guest.answer()));
    for (const person of people) {
      for (const name of NAMES) if (name !== person.userId) await person.linked(name);
    }
    for (const person of people) expect(await person.run((phone) => phone.call!.send('hello'))).toBe(7);
    for (const person of people) {
      await person.until((phone) => phone.messages.length === 7);
      const heard = await person.run((phone) => phone.messages.map(({ from }) => from));
      expect(heard.sort()).toEqual(NAMES.filter((name) => name !== person.userId));
    }
    // No link had to be built twice.
    for (const person of people) {
      const events = await person.events();
      expect(events.filter((event) => /^link .* (null|reconnecting)$/.test(event))).toEqual([]);
    }
  });
});
