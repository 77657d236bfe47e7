import type { Ringdown } from '@ringdown/client';
import { useCallback, useEffect, useState } from 'react';
import type { Person } from './people.ts';
// A script of its own at the root, so that it may act for the whole page.
import workerUrl from './worker/push-worker.ts?worker&url';

/** Whether this browser rings for the user also while no page is open. */

export interface Push {
  /** `blocked`: the browser was told to show no notifications of this page. `none`: it can't. */
  readonly state: 'none' | 'off' | 'on' | 'blocked';
  toggle(): Promise<void>;
}

/** A browser has one subscription, so it rings for who switched it on last. */
const MEMORY = 'ringdown-demo:push';

const isOn = (user: Person) =>
  localStorage.getItem(MEMORY) === user.id && Notification.permission === 'granted';

function stateOf(user: Person): Push['state'] {
  // Of a page that is not served securely there is neither.
  if (!('serviceWorker' in navigator) || !('PushManager' in window)) return 'none';
  if (Notification.permission === 'denied') return 'blocked';
  return isOn(user) ? 'on' : 'off';
}

export function usePush(ringdown: Ringdown, user: Person): Push {
  const [state, setState] = useState(() => stateOf(user));

  useEffect(() => {
    if (stateOf(user) !== 'on') return;
    // Subscriptions change, and this server may have forgotten everything.
    const again = async () => ringdown.registerPush(await serviceWorker(), { name: deviceName() });
    again().catch(() => {
      localStorage.removeItem(MEMORY);
      setState(stateOf(user));
    });
  }, [ringdown, user]);

  const toggle = useCallback(async () => {
    try {
      if (isOn(user)) {
        localStorage.removeItem(MEMORY);
        await ringdown.unregisterPush(await serviceWorker());
      } else if ((await Notification.requestPermission()) === 'granted') {
        await ringdown.registerPush(await serviceWorker(), { name: deviceName() });
        localStorage.setItem(MEMORY, user.id);
      }
    } finally {
      setState(stateOf(user));
    }
  }, [ringdown, user]);

  return { state, toggle };
}

/** Once it runs: before that it can't be subscribed. */
async function serviceWorker(): Promise<ServiceWorkerRegistration> {
  await navigator.serviceWorker.register(workerUrl, { scope: '/' });
  return navigator.serviceWorker.ready;
}

/** “Chromium on Linux”, as far as the browser says so. */
function deviceName(): string {
  const { userAgentData } = navigator as {
    userAgentData?: { brands: { brand: string }[]; platform: string };
  };
  const brand = userAgentData?.brands.find((one) => !/brand/i.test(one.brand))?.brand;
  return brand ? `${brand} on ${userAgentData?.platform}` : 'This browser';
}
