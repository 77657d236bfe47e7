import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import { type Channel, DeliveryFailed, Undeliverable } from '../notifications/channel.ts';
import type { OutsidePost } from '../notifications/outside-post.ts';
import { PUSHED, pushMessage, pushOptions } from './push-message.ts';

/** Notices by web push, to each browser that a user has registered. */

export interface PushChannelDeps {
  readonly db: Db;
  readonly vapid: { readonly subject: string; readonly publicKey: string; readonly privateKey: string };
  /** The endpoint is a client's word. */
  readonly post: OutsidePost;
  readonly now: () => number;
}

export function createPushChannel(deps: PushChannelDeps): Channel {
  const { db, vapid, post, now } = deps;
  return {
    name: 'push',
    kinds: PUSHED,

    receivers(tx, { userIds }) {
      return tx
        .selectFrom('devices')
        .select(['id', 'user_id as userId'])
        .where('user_id', '=', sql<string>`any(${[...userIds]})`)
        .where('vapid_key', '=', vapid.publicKey)
        .execute();
    },

    async deliver(notice, { id, userId }, signal) {
      // The browser may be another user's by now: then it is another device, and this one gone.
      const device = await db
        .selectFrom('devices')
        .select(['endpoint', 'p256dh', 'auth'])
        .where('id', '=', id)
        .executeTakeFirst();
      if (!device || userId === null) return 'gone';
      const { endpoint, p256dh, auth } = device;
      const message = pushMessage(notice, userId);
      const { default: webPush } = await import('web-push');
      const request = webPush.generateRequestDetails(
        { endpoint, keys: { p256dh, auth } },
        JSON.stringify(message),
        { ...pushOptions(message, now()), vapidDetails: vapid, contentEncoding: 'aes128gcm' },
      );
      const headers = textOf(request.headers);
      const { status } = await post(new URL(endpoint), headers, request.body, signal);
      if (status >= 200 && status < 300) return 'delivered';
      if (status === 404 || status === 410) {
        // Registered anew meanwhile it has another endpoint, and is another row.
        await db.deleteFrom('devices').where('id', '=', id).where('endpoint', '=', endpoint).execute();
        return 'gone';
      }
      const what = `The push service answered ${status}`;
      // Too many, or its own fault: later. Anything else it will say again.
      if (status === 408 || status === 429 || status >= 500) throw new DeliveryFailed(what);
      throw new Undeliverable(what);
    },
  };
}

function textOf(headers: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
}
