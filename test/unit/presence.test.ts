import { describe, expect, it } from 'vitest';
import { Presence } from '../../src/seats/presence.ts';

const DEAD_AFTER = 3_000;

describe('Presence', () => {
  it('knows of no outage while heartbeats follow one another', () => {
    const presence = new Presence(DEAD_AFTER, null);
    for (let at = 0; at <= 10_000; at += 1_000) presence.beat(at);
    expect(presence.outage(12_900)).toBeNull();
  });

  it('sees an outage before the first heartbeat after it, and remembers it afterwards', () => {
    const presence = new Presence(DEAD_AFTER, null);
    presence.beat(1_000);
    expect(presence.outage(5_000)).toEqual({ from: 1_000, to: 5_000 });
    presence.beat(6_000);
    presence.beat(7_000);
    expect(presence.outage(7_500)).toEqual({ from: 1_000, to: 6_000 });
  });

  it('takes the heartbeat of an instance before it for the last sign of the database', () => {
    const presence = new Presence(DEAD_AFTER, 1_000);
    presence.beat(60_000);
    expect(presence.outage(60_000)).toEqual({ from: 1_000, to: 60_000 });
  });
});
