import { declineCall, type PushMessage, readPush } from '@ringdown/client/worker';
import { fetchDemo, namesOf } from '../people.ts';

/** Runs without a page: shows what rings, and lets the user answer or decline it. */

declare const self: ServiceWorkerGlobalScope;

/** How long it shows that a call was answered or declined, milliseconds. */
const NO_NEWS = 3_000;

// The newest version at once: it has no page to disagree with.
self.addEventListener('install', (event) => event.waitUntil(self.skipWaiting()));
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

/** One push after the other: each has to find what was shown of those before it. */
let told = Promise.resolve();

self.addEventListener('push', (event) => {
  const message = readPush(event.data);
  if (!message) return;
  const telling = told.then(() => tell(message));
  told = telling.catch(() => {});
  event.waitUntil(telling);
});

self.addEventListener('notificationclick', (event) => {
  const { action, notification } = event;
  const message = notification.data as PushMessage;
  notification.close();
  event.waitUntil(action === 'decline' ? decline(message) : open(message));
});

/** A call has one notification: what comes later takes its place. */
async function tell(message: PushMessage): Promise<void> {
  const shown = await self.registration.getNotifications({ tag: message.callId });
  // It was sent again, or overtaken.
  if (shown.some(({ data }) => (data as PushMessage).seq >= message.seq)) return;
  if (await isLookedAt(message.userId)) {
    for (const notification of shown) notification.close();
    return;
  }
  // It rings without the names, too.
  const names = await fetchDemo().then(namesOf, () => (userId: string) => userId);
  const { title, ...options } = wordsFor(message, names(message.callerId));
  await self.registration.showNotification(title, { ...options, tag: message.callId, data: message });
  // No news to who did it. Not before this push is done with: the browser wants to have shown something then.
  if (message.kind === 'answered_elsewhere' || message.kind === 'declined') {
    setTimeout(() => void forget(message), NO_NEWS);
  }
}

async function forget({ callId, seq }: PushMessage): Promise<void> {
  for (const notification of await self.registration.getNotifications({ tag: callId })) {
    if ((notification.data as PushMessage).seq === seq) notification.close();
  }
}

interface Words extends NotificationOptions {
  readonly title: string;
  /** Of browsers that have buttons in notifications, and not of TypeScript's library. */
  readonly actions?: readonly { readonly action: string; readonly title: string }[];
  readonly renotify?: boolean;
}

function wordsFor({ kind, type, ringDeadline }: PushMessage, caller: string): Words {
  const what = type === 'VIDEO' ? 'Video call' : 'Voice call';
  const late = ringDeadline !== null && Date.parse(ringDeadline) < Date.now();
  if (kind === 'incoming' && !late) {
    return {
      title: `${caller} is calling`,
      body: what,
      requireInteraction: true,
      renotify: true,
      actions: [
        { action: 'answer', title: 'Answer' },
        { action: 'decline', title: 'Decline' },
      ],
    };
  }
  // Something has to be shown for each push, or the browser shows something of its own.
  if (kind === 'answered_elsewhere')
    return { title: `${caller} called`, body: 'Answered elsewhere', silent: true };
  if (kind === 'declined') return { title: `${caller} called`, body: 'Declined', silent: true };
  return { title: `Missed call from ${caller}`, body: what, silent: true };
}

async function decline({ callId, userId }: PushMessage): Promise<void> {
  const user = (await fetchDemo()).users.find(({ id }) => id === userId);
  if (user) await declineCall({ url: self.location.origin, token: user.token, callId });
}

/** To the page of a call that rings, which answers it; for all else to the page as it is. */
async function open({ kind, callId, userId }: PushMessage): Promise<void> {
  const pages = await pagesOf(userId);
  const answer = kind === 'incoming' ? callId : null;
  const [page] = pages;
  if (page) {
    page.postMessage({ answer });
    await page.focus();
    return;
  }
  const query = new URLSearchParams({ user: userId, ...(answer !== null && { answer }) });
  await self.clients.openWindow(`/?${query}`);
}

async function isLookedAt(userId: string): Promise<boolean> {
  return (await pagesOf(userId)).some(({ visibilityState }) => visibilityState === 'visible');
}

async function pagesOf(userId: string): Promise<WindowClient[]> {
  const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  return pages.filter(({ url }) => new URL(url).searchParams.get('user') === userId);
}
