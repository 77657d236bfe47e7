import { describe, expect, it } from 'vitest';
import { type CallState, NO_LINK, viewOf, withCall, withParticipant } from '../../client/src/call-state.ts';
import type { CallPartsFragment, ParticipantPartsFragment } from '../../client/src/generated/graphql.ts';

const AT = '2026-01-01T00:00:00.000Z';

function participant(userId: string, news: Partial<ParticipantPartsFragment> = {}): ParticipantPartsFragment {
  return {
    id: `call:${userId}`,
    userId,
    role: userId === 'ada' ? 'HOST' : 'GUEST',
    status: 'CONNECTED',
    sessionId: `${userId}-1`,
    joinSeq: userId === 'ada' ? 1 : 2,
    invitedAt: AT,
    ringDeadline: null,
    declinedBusy: false,
    joinedAt: AT,
    leftAt: null,
    leaveReason: null,
    media: { muted: false, videoOn: true, screenOn: false },
    ...news,
  };
}

const CALL: CallPartsFragment = {
  id: 'call',
  conversationId: 'room',
  type: 'VIDEO',
  status: 'ACTIVE',
  version: 5,
  callerId: 'ada',
  createdAt: AT,
  answeredAt: AT,
  expiresAt: AT,
  endedAt: null,
  endReason: null,
  endedBy: null,
  durationSeconds: null,
  participants: [participant('ada'), participant('ben')],
};
const OWN = { over: null, signaling: 'connected' } as const;

function view(call: CallPartsFragment, before: CallState | null = null, links = new Map()): CallState {
  return viewOf(call, 'ada', links, OWN, before);
}

describe('what a page knows of a call', () => {
  it('takes a newer call, and drops an older one', () => {
    const newer = { ...CALL, version: 6, status: 'ENDED' as const };
    expect(withCall(CALL, newer)).toBe(newer);
    expect(withCall(newer, CALL)).toBe(newer);
  });

  it('takes a participant’s change with its version, and drops an older one', () => {
    const left = participant('ben', { status: 'LEFT', leaveReason: 'HANGUP' });
    const after = withParticipant(CALL, left, 6);
    expect(after.version).toBe(6);
    expect(after.participants).toEqual([participant('ada'), left]);
    expect(withParticipant(after, participant('ben'), 5)).toBe(after);
  });

  it('takes somebody who was not there before', () => {
    const cleo = participant('cleo', { status: 'RINGING', sessionId: null, joinSeq: null });
    expect(withParticipant(CALL, cleo, 6).participants.at(-1)).toBe(cleo);
  });
});

describe('what the app sees of a call', () => {
  it('has the user apart from the others', () => {
    const { me, participants } = view(CALL);
    expect(me.userId).toBe('ada');
    expect(participants.map(({ userId }) => userId)).toEqual(['ben']);
  });

  it('says who has a seat', () => {
    const statuses = ['CONNECTING', 'CONNECTED', 'RECONNECTING', 'RINGING', 'DECLINED', 'MISSED', 'LEFT'];
    const seated = statuses.filter((status) => {
      const ben = participant('ben', { status } as Partial<ParticipantPartsFragment>);
      return view(withParticipant(CALL, ben, 6)).participants[0]?.inCall;
    });
    expect(seated).toEqual(['CONNECTING', 'CONNECTED', 'RECONNECTING']);
  });

  it('has what the links know', () => {
    const links = new Map([['ben', { ...NO_LINK, link: 'connected' }]]);
    expect(view(CALL, null, links).participants[0]?.link).toBe('connected');
    expect(view(CALL).participants[0]?.link).toBeNull();
  });

  it('keeps the object of a participant about whom nothing changed', () => {
    const before = view(CALL);
    const after = view(
      withParticipant(CALL, participant('ada', { joinedAt: AT, status: 'LEFT' }), 6),
      before,
    );
    expect(after).not.toBe(before);
    expect(after.participants[0]).toBe(before.participants[0]);
    expect(after.me).not.toBe(before.me);
  });

  it('has a new object for a participant whose media changed', () => {
    const before = view(CALL);
    const muted = participant('ben', { media: { muted: true, videoOn: true, screenOn: false } });
    const after = view(withParticipant(CALL, muted, 6), before);
    expect(after.participants[0]).not.toBe(before.participants[0]);
    expect(after.participants[0]?.media.muted).toBe(true);
  });
});
