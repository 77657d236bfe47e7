import { useCallback, useEffect, useState, useSyncExternalStore } from 'react';
import type {
  Call,
  CallState,
  ConnectionState,
  IncomingCall,
  LocalMedia,
  LocalMediaState,
  MediaDevicesList,
  ParticipantState,
  Ringdown,
} from '../index.ts';

/**
 * Hooks for React 18 and later. Each takes the object that it watches, so there is no provider. Where it may not
 * be there yet, null is taken too.
 */

const never = () => () => {};
const NONE: readonly never[] = [];

/** Whether the page has a way to the server. */
export function useConnection(ringdown: Ringdown): ConnectionState {
  const subscribe = useCallback((changed: () => void) => ringdown.on('connection', changed), [ringdown]);
  return useSyncExternalStore(
    subscribe,
    () => ringdown.connection,
    () => 'idle',
  );
}

/** What rings for the user now. */
export function useIncomingCalls(ringdown: Ringdown): readonly IncomingCall[] {
  const subscribe = useCallback((changed: () => void) => ringdown.on('incomingCalls', changed), [ringdown]);
  return useSyncExternalStore(
    subscribe,
    () => ringdown.incomingCalls,
    () => NONE,
  );
}

/** How many calls the user has missed and not seen; null until it is known. */
export function useMissedCalls(ringdown: Ringdown): number | null {
  const subscribe = useCallback((changed: () => void) => ringdown.on('missedCalls', changed), [ringdown]);
  return useSyncExternalStore(
    subscribe,
    () => ringdown.missedCalls,
    () => null,
  );
}

/** The calls that this page is in. */
export function useCalls(ringdown: Ringdown): readonly Call[] {
  const subscribe = useCallback((changed: () => void) => ringdown.on('calls', changed), [ringdown]);
  return useSyncExternalStore(
    subscribe,
    () => ringdown.calls,
    () => NONE,
  );
}

/** A call as it is now. */
export function useCall(call: Call): CallState;
export function useCall(call: Call | null): CallState | null;
export function useCall(call: Call | null): CallState | null {
  const subscribe = useCallback((changed: () => void) => call?.on('change', changed) ?? never(), [call]);
  const state = () => call?.state ?? null;
  return useSyncExternalStore(subscribe, state, state);
}

/** One participant: a component that uses this is rendered again only when something about them changes. */
export function useParticipant(call: Call | null, userId: string): ParticipantState | null {
  const subscribe = useCallback((changed: () => void) => call?.on('change', changed) ?? never(), [call]);
  const participant = () => {
    if (call === null) return null;
    const { me, participants } = call.state;
    return me.userId === userId ? me : (participants.find((other) => other.userId === userId) ?? null);
  };
  return useSyncExternalStore(subscribe, participant, participant);
}

/** What this page sends. */
export function useLocalMedia(media: LocalMedia): LocalMediaState;
export function useLocalMedia(media: LocalMedia | null): LocalMediaState | null;
export function useLocalMedia(media: LocalMedia | null): LocalMediaState | null {
  const subscribe = useCallback((changed: () => void) => media?.on('change', changed) ?? never(), [media]);
  const state = () => media?.state ?? null;
  return useSyncExternalStore(subscribe, state, state);
}

const NO_DEVICES: MediaDevicesList = { microphones: [], cameras: [], speakers: [] };

/** The devices of this machine; asked again when one is plugged in or out, and once one was opened. */
export function useDevices(media: LocalMedia | null): MediaDevicesList {
  const [devices, setDevices] = useState(NO_DEVICES);
  useEffect(() => {
    if (media === null) return;
    let current = true;
    const read = () =>
      media.devices().then(
        (list) => {
          if (current) setDevices(list);
        },
        // A browser that will not say has none to choose from.
        () => {},
      );
    void read();
    const stops = [media.on('devices', setDevices), media.on('track', () => void read())];
    return () => {
      current = false;
      for (const stop of stops) stop();
    };
  }, [media]);
  return devices;
}

/**
 * A `ref` for a `<video>` or `<audio>` that plays the stream. Where the browser does not let it play before
 * the user has done something, the element stays paused: give it `controls`, or call `play()` on a click.
 */
export function useMediaStream(stream: MediaStream | null): (element: HTMLMediaElement | null) => void {
  const [element, setElement] = useState<HTMLMediaElement | null>(null);
  useEffect(() => {
    if (element === null) return;
    element.srcObject = stream;
    if (stream !== null) element.play().catch(() => {});
    return () => {
      element.srcObject = null;
    };
  }, [element, stream]);
  return setElement;
}
