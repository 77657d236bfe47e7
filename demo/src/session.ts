import {
  type Call,
  type CallInfo,
  type CallState,
  ConnectionError,
  type IncomingCall,
  LocalMedia,
  Ringdown,
} from '@ringdown/client';
import { useCalls, useConnection, useIncomingCalls } from '@ringdown/client/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { Demo, Person } from './people.ts';
import { errorText } from './words.ts';

/** One user's session on this page: the SDK, and what the page keeps beside it. */

export interface Session {
  readonly user: Person;
  readonly connection: ReturnType<typeof useConnection>;
  /** The one that this page is in. */
  readonly call: Call | null;
  readonly incoming: readonly IncomingCall[];
  /** Calls that the user is in, in other windows. */
  readonly elsewhere: readonly CallInfo[];
  /** The last call, until the next one. */
  readonly ended: CallState | null;
  /** Something is under way, such as the question for the camera. */
  readonly busy: string | null;
  readonly notices: readonly Notice[];
  start(calleeIds: readonly string[], video: boolean): void;
  answer(call: IncomingCall, video: boolean): void;
  decline(call: IncomingCall, busy: boolean): void;
  /** Moves a call from another window to this one. */
  move(call: CallInfo): void;
  /** Runs a command, whose error becomes a notice. */
  run(work: () => Promise<unknown>): void;
  notify(text: string): void;
  dismiss(notice: Notice): void;
}

export interface Notice {
  readonly id: number;
  readonly text: string;
}

/** A notice that nobody takes away goes by itself, milliseconds. */
const NOTICE_LASTS = 8_000;

/** What a reload comes back to; kept for this tab alone. */
const memory = (user: Person) => `ringdown-demo:${user.id}`;

export function useSession(demo: Demo, user: Person): Session {
  const ringdown = useMemo(() => new Ringdown({ url: location.origin, token: () => user.token }), [user]);
  const connection = useConnection(ringdown);
  const incoming = useIncomingCalls(ringdown);
  const [call = null] = useCalls(ringdown);
  const [elsewhere, setElsewhere] = useState<readonly CallInfo[]>([]);
  const [ended, setEnded] = useState<CallState | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const lastNotice = useRef(0);

  const dismiss = useCallback((notice: Notice) => {
    setNotices((known) => known.filter((other) => other !== notice));
  }, []);
  const notify = useCallback(
    (text: string) => {
      lastNotice.current += 1;
      const notice = { id: lastNotice.current, text };
      setNotices((known) => [...known.filter((other) => other.text !== text), notice]);
      setTimeout(() => dismiss(notice), NOTICE_LASTS);
    },
    [dismiss],
  );
  const run = useCallback(
    (work: () => Promise<unknown>) => {
      work().catch((error: unknown) => notify(errorText(error)));
    },
    [notify],
  );

  /** Opens what this page will send, then enters; the call's end closes it again. */
  const enter = useCallback(
    async (video: boolean, join: (media: LocalMedia) => Promise<Call>) => {
      const media = new LocalMedia();
      setEnded(null);
      setBusy(video ? 'Asking for your camera and microphone…' : 'Asking for your microphone…');
      try {
        await media.open({ microphone: true, camera: video });
        setBusy('Calling the server…');
        const entered = await join(media);
        sessionStorage.setItem(memory(user), JSON.stringify({ id: entered.id, video }));
        entered.on('ended', (state) => {
          media.close();
          sessionStorage.removeItem(memory(user));
          setEnded(state);
        });
        // The answer to a leave tells how long it was.
        entered.on('change', (state) => {
          if (state.over) setEnded((known) => (known?.id === state.id ? state : known));
        });
        entered.on('mutedByHost', () => notify('The host has muted you.'));
        entered.on('expiring', () => notify('The call will soon reach the longest time that is allowed.'));
      } catch (error) {
        media.close();
        throw error;
      } finally {
        setBusy(null);
      }
    },
    [user, notify],
  );

  const lookElsewhere = useCallback(async () => {
    const active = await ringdown.activeCalls();
    setElsewhere(active.filter(({ id }) => !ringdown.calls.some((own) => own.id === id)));
  }, [ringdown]);

  useEffect(() => {
    const look = () => void lookElsewhere().catch(() => {});
    const stops = [
      ringdown.on('connection', (state) => state === 'connected' && look()),
      ringdown.on('calls', look),
      ringdown.on('ringStopped', look),
    ];
    window.addEventListener('focus', look);
    ringdown
      .connect()
      .then(async () => {
        const kept = sessionStorage.getItem(memory(user));
        if (kept === null) return;
        // This page was loaded again in mid-call.
        sessionStorage.removeItem(memory(user));
        const { id, video } = JSON.parse(kept) as { id: string; video: boolean };
        const active = await ringdown.activeCalls();
        if (!active.some((other) => other.id === id)) return;
        await enter(video, (media) => ringdown.join(id, { media, takeOver: true }));
      })
      .catch((error: unknown) => {
        // By this page itself, as it goes.
        if (error instanceof ConnectionError && error.code === 'CLOSED') return;
        notify(errorText(error));
      });
    return () => {
      for (const stop of stops) stop();
      window.removeEventListener('focus', look);
      ringdown.close();
    };
  }, [ringdown, user, enter, notify, lookElsewhere]);

  return {
    user,
    connection,
    call,
    incoming,
    elsewhere,
    ended,
    busy,
    notices,
    run,
    notify,
    dismiss,
    start: (calleeIds, video) =>
      run(() =>
        enter(video, (media) =>
          ringdown.start({
            conversationId: demo.conversationId,
            calleeIds,
            type: video ? 'VIDEO' : 'AUDIO',
            media,
          }),
        ),
      ),
    answer: (ring, video) =>
      run(async () => {
        // One call at a time: whoever answers another one leaves this one.
        await call?.leave();
        await enter(video, (media) => ring.answer({ media }));
      }),
    decline: (ring, isBusy) => run(() => ring.decline({ busy: isBusy })),
    move: ({ id, type }) =>
      run(() => enter(type === 'VIDEO', (media) => ringdown.join(id, { media, takeOver: true }))),
  };
}
