import type { Connection } from './connection.ts';
import { RejectionError, RingdownError } from './errors.ts';
import { RegisterDeviceDocument, UnregisterDeviceDocument, WebPushKeyDocument } from './generated/graphql.ts';

/** This browser as a device of the user's: by web push it is rung also while no page of the app is open. */

export interface PushOptions {
  /** For the user to tell this device by, such as `Firefox on the laptop`. */
  readonly name?: string;
}

/**
 * Subscribes to push and registers with the server. Repeated it is harmless, and needed: subscriptions change.
 * @throws RingdownError UNSUPPORTED: the browser has no push, or the server sends none
 */
export async function registerPush(
  connection: Connection,
  registration: ServiceWorkerRegistration,
  { name }: PushOptions = {},
): Promise<void> {
  const { pushManager } = registration;
  // Older Safari, and pages that are not served securely.
  if (!pushManager) throw new RingdownError('UNSUPPORTED', 'This browser has no web push.');
  const { webPushKey } = await connection.request(WebPushKeyDocument, {});
  if (!webPushKey) throw new RingdownError('UNSUPPORTED', 'This server sends no web push.');
  const known = await pushManager.getSubscription();
  // A subscription is for one key, and where that has changed the browser refuses to make another.
  const stale = known !== null && keyOf(known) !== webPushKey;
  if (stale) await known.unsubscribe();
  const options = { userVisibleOnly: true, applicationServerKey: webPushKey };
  const subscription = known && !stale ? known : await pushManager.subscribe(options);
  await register(connection, subscription, name);
}

/** Rings no more but where a page is open. Harmless where there is no subscription. */
export async function unregisterPush(
  connection: Connection,
  registration: ServiceWorkerRegistration,
): Promise<void> {
  const subscription = await registration.pushManager?.getSubscription();
  if (!subscription) return;
  try {
    // Its id may be from another page's life; whoever registers is told it.
    const id = await register(connection, subscription);
    await connection.request(UnregisterDeviceDocument, { id });
  } finally {
    // Where the server can't be reached it finds out by itself: the push service says that it is gone.
    await subscription.unsubscribe();
  }
}

async function register(
  connection: Connection,
  subscription: PushSubscription,
  name?: string,
): Promise<string> {
  const { endpoint = '', keys = {} } = subscription.toJSON();
  const { p256dh = '', auth = '' } = keys;
  const input = { webPush: { endpoint, p256dh, auth }, ...(name !== undefined && { name }) };
  const { registerDevice } = await connection.request(RegisterDeviceDocument, { input });
  if (registerDevice.__typename === 'Rejection') throw new RejectionError(registerDevice);
  return registerDevice.device.id;
}

/** As the server writes it: base64url without padding. */
function keyOf({ options }: PushSubscription): string | null {
  if (!options.applicationServerKey) return null;
  const text = btoa(String.fromCharCode(...new Uint8Array(options.applicationServerKey)));
  return text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
