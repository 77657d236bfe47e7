import { describe, expect, it } from 'vitest';
import { pushMessage, pushOptions } from '../../src/devices/push-message.ts';
import { noticesBetween } from '../../src/notifications/notice.ts';
import { LiveCall, MINUTE, START } from '../support/call-states.ts';

/** What a push says of a notice, and how the push service is to treat it. */

function notices(call: LiveCall, before = null as LiveCall['call'] | null) {
  return noticesBetween(before, call.call, call.now);
}

describe('A push', () => {
  it('of a ring is kept by the push service for as long as it rings for this user', () => {
    const [incoming] = notices(new LiveCall({ callees: ['bob', 'cat'] }));
    const message = pushMessage(incoming!, 'bob');
    expect(message).toEqual({
      id: incoming!.id,
      kind: 'incoming',
      seq: incoming!.seq,
      userId: 'bob',
      callId: incoming!.callId,
      conversationId: 'room',
      type: 'VIDEO',
      callerId: 'ann',
      at: new Date(START).toISOString(),
      ringDeadline: new Date(START + 5 * MINUTE).toISOString(),
    });
    const topic = incoming!.callId.replaceAll('-', '');
    expect(pushOptions(message, START + 1)).toEqual({ TTL: 300, urgency: 'high', topic });
    expect(pushOptions(message, START + 6 * MINUTE).TTL).toBe(0);
    // RFC 8030, section 5.4: 32 characters of base64url at most.
    expect(topic).toMatch(/^[A-Za-z0-9_-]{1,32}$/);
  });

  it('of what ended a ring takes the place of the ring, and waits for a browser that is not there', () => {
    const call = new LiveCall();
    const before = call.call;
    call.endCall('ann');
    const cancelled = notices(call, before).find(({ kind }) => kind === 'cancelled');
    const message = pushMessage(cancelled!, 'bob');
    expect(message).toMatchObject({ kind: 'cancelled', ringDeadline: null });
    const ring = pushMessage(notices(new LiveCall())[0]!, 'bob');
    expect(pushOptions(message, call.now)).toEqual({ ...pushOptions(ring, START), TTL: 86_400 });
    expect(message.seq).toBeGreaterThan(ring.seq);
  });

  it('fits into what every push service takes, whatever the ids are', () => {
    const long = 'ü'.repeat(128);
    const [incoming] = notices(new LiveCall());
    const call = { ...incoming!.call, callerId: long, conversationId: long };
    const text = JSON.stringify(pushMessage({ ...incoming!, call }, long));
    // 4,096 bytes, of which 103 are the encryption's.
    expect(Buffer.byteLength(text)).toBeLessThan(3_993);
  });
});

describe('A notice', () => {
  const kinds = (call: LiveCall, before: LiveCall['call'] | null) =>
    notices(call, before).map(({ kind, userIds }) => [kind, ...userIds]);

  it.each(['BLOCKED', 'MUTED'] as const)('is made neither of a ring that is %s nor of its end', (silence) => {
    const call = new LiveCall({ callees: ['bob', 'cat'], silences: { bob: silence } });
    expect(kinds(call, null)).toEqual([['incoming', 'cat']]);
    const before = call.call;
    call.endCall('ann');
    expect(kinds(call, before)).toEqual([
      ['cancelled', 'cat'],
      ['ended', 'ann'],
    ]);
    const alone = new LiveCall({ silences: { bob: silence } }).connect('ann');
    expect(kinds(alone, null)).toEqual([]);
    const ringing = alone.call;
    alone.pass(5 * MINUTE);
    expect(kinds(alone, ringing)).toEqual([['ended', 'ann']]);
  });

  it('is made where somebody else invites whom a blocked person rang in vain', () => {
    const call = new LiveCall({ callees: ['bob', 'cat'], silences: { bob: 'BLOCKED' } });
    call.join('cat');
    const before = call.call;
    call.silences.clear();
    call.invite('cat', 'bob');
    expect(kinds(call, before)).toEqual([['incoming', 'bob']]);
  });
});
