import type { Notice, NoticeKind } from '../notifications/notice.ts';

/** What a browser's service worker is told of a notice, and how its push service is to treat that. Pure. */

/** As JSON in the push, encrypted for the browser. Instants are RFC 3339. */
export interface PushMessage {
  /** The same however often it is delivered. */
  readonly id: string;
  readonly kind: NoticeKind;
  /** Grows from one message of a call to the next. */
  readonly seq: number;
  /** Whose device it is: others may have signed in since. */
  readonly userId: string;
  readonly callId: string;
  readonly conversationId: string;
  readonly type: 'AUDIO' | 'VIDEO';
  readonly callerId: string;
  readonly at: string;
  /** When this user's ring ends by itself; null for all kinds but `incoming`. */
  readonly ringDeadline: string | null;
}

/** The kinds that concern a browser that nobody looks at: what begins a ring, and what ends it. */
export const PUSHED: ReadonlySet<NoticeKind> = new Set([
  'incoming',
  'answered_elsewhere',
  'declined',
  'cancelled',
  'missed',
]);

export interface PushOptions {
  /** Seconds for which the push service keeps it for a browser that is not there. */
  readonly TTL: number;
  readonly urgency: 'high' | 'normal';
  /** A newer message takes the place of one of the same topic that was not delivered yet. */
  readonly topic: string;
}

/** For who opens the laptop the next morning: that he missed a call, and that it rings no more. */
const KEPT_SECONDS = 86_400;

export function pushMessage(notice: Notice, userId: string): PushMessage {
  const { call } = notice;
  const deadline =
    notice.kind === 'incoming' ? call.participants.find((p) => p.userId === userId)?.ringDeadline : null;
  return {
    id: notice.id,
    kind: notice.kind,
    seq: notice.seq,
    userId,
    callId: call.id,
    conversationId: call.conversationId,
    type: call.type,
    callerId: call.callerId,
    at: new Date(notice.at).toISOString(),
    ringDeadline: deadline == null ? null : new Date(deadline).toISOString(),
  };
}

export function pushOptions({ kind, callId, ringDeadline }: PushMessage, now: number): PushOptions {
  const left = ringDeadline === null ? KEPT_SECONDS : Math.ceil((Date.parse(ringDeadline) - now) / 1_000);
  return {
    TTL: Math.max(0, left),
    urgency: kind === 'missed' ? 'normal' : 'high',
    // 32 characters, the most that RFC 8030 allows.
    topic: callId.replaceAll('-', ''),
  };
}
