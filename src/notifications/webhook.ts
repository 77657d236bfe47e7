import { Webhook } from 'standardwebhooks';
import { type Channel, DeliveryFailed, type Receiver } from './channel.ts';
import { NOTICE_KINDS, type Notice } from './notice.ts';
import type { OutsidePost } from './outside-post.ts';

/** Notices to the app's back end, as Standard Webhooks has them: signed, one event a message. */

export interface WebhookOptions {
  readonly url: string;
  /** The first one is the newest; each signs, so that a receiver may know either. */
  readonly secrets: readonly string[];
  readonly post: OutsidePost;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** There is one. Its name, and not its URL, is the order's key: a back end that moves gets what waits. */
const RECEIVER: Receiver = { id: 'webhook', userId: null };

export function createWebhook({ url, secrets, post, now }: WebhookOptions): Channel {
  const target = new URL(url);
  const signers = secrets.map((secret) => new Webhook(secret));
  return {
    name: 'webhook',
    kinds: new Set(NOTICE_KINDS),
    receivers: () => [RECEIVER],
    async deliver(notice, _receiver, signal) {
      const body = JSON.stringify(messageOf(notice));
      const sentAt = new Date(now());
      const headers = {
        'content-type': 'application/json',
        'user-agent': 'Ringdown',
        'webhook-id': notice.id,
        'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
        'webhook-signature': signers.map((signer) => signer.sign(notice.id, sentAt, body)).join(' '),
      };
      const { status } = await post(target, headers, body, signal);
      if (status >= 200 && status < 300) return 'delivered';
      // A redirect is an answer as any other: where it leads to was never checked.
      throw new DeliveryFailed(`The receiver answered ${status}`);
    },
  };
}

/** What docs/webhooks.md promises. */
function messageOf(notice: Notice): object {
  const { call } = notice;
  return {
    type: `call.${notice.kind}`,
    timestamp: iso(notice.at),
    data: {
      callId: notice.callId,
      sequence: notice.seq,
      userIds: notice.userIds,
      expiresAt: iso(notice.expiresAt),
      call: {
        ...call,
        participants: call.participants.map((participant) => ({
          ...participant,
          ringDeadline: iso(participant.ringDeadline),
        })),
        createdAt: iso(call.createdAt),
        answeredAt: iso(call.answeredAt),
        endedAt: iso(call.endedAt),
      },
    },
  };
}

function iso(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}
