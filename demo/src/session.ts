import {
  type Call,
  type CallInfo,
  type CallState,
  ConnectionError,
  type IncomingCall,
  LocalMedia,
  Ringdown,
} from '@ringdown/client';
import { useCalls, useConnection, useIncomingCalls, useMissedCalls } from '@ringdown/client/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { type Demo, fetchToken, type Person } from './people.ts';
import { type Push, usePush } from './push.ts';
import { errorText } from './words.ts';

/** One user's session on this page: the SDK, and what the page keeps beside it. */

export interface Session {
  readonly user: Person;
  readonly ringdown: Ringdown;
  readonly connection: ReturnType<typeof useConnection>;
  /** The one that this page is in. */
  readonly call: Call | null;
  readonly incoming: readonly IncomingCall[];
  /** Calls that the user has missed and not seen; null until it is known. */
  readonly missed: number | null;
  /** Calls that the user is in, in other windows. */
  readonly elsewhere: readonly CallInfo[];
  /** The last call, until the next one. */
  readonly ended: CallState | null;
  /** Something is under way, such as the question for the camera: until then no call can be entered. */
  readonly busy: string | null;
  readonly notices: readonly Notice[];
  readonly push: Push;
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
/** How often a call in another window is looked at: nobody tells this page of its end. Milliseconds. */
const LOOK_ELSEWHERE = 5_000;

/** The call that this tab was in when its page went. */
const memory = (user: Person) => `ringdown-demo:${user.id}`;

/** Whether the tab has shown this page before. A duplicate of it, or a link to it, is another window. */
function isBack(): boolean {
  const [load] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return load?.type === 'reload' || load?.type === 'back_forward';
}

/** `?answer=<call>`: by a notification. Taken once, or a reload would answer again. */
function askedAnswer(): string | null {
  const url = new URL(location.href);
  const callId = url.searchParams.get('answer');
  url.searchParams.delete('answer');
  if (callId !== null) history.replaceState(history.state, '', url);
  return callId;
}

interface Sends {
  readonly video: boolean;
  readonly muted?: boolean;
}

export function useSession(demo: Demo, user: Person): Session {
  const ringdown = useMemo(
    () => new Ringdown({ url: location.origin, token: () => fetchToken(user.id) }),
    [user],
  );
  const connection = useConnection(ringdown);
  const incoming = useIncomingCalls(ringdown);
  const [call = null] = useCalls(ringdown);
  const missed = useMissedCalls(ringdown);
  const [elsewhere, setElsewhere] = useState<readonly CallInfo[]>([]);
  const [ended, setEnded] = useState<CallState | null>(null);
  const [busy, setBusy] = useState<string | null>(null);
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const lastNotice = useRef(0);
  const isEntering = useRef(false);

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

  /**
   * Leaves the call that this page is in, opens what it will send, and enters; the call's end closes it again.
   * One at a time: a second click while the user is being asked would open a second camera.
   */
  const enter = useCallback(
    async ({ video, muted = false }: Sends, join: (media: LocalMedia) => Promise<Call>) => {
      if (isEntering.current) return;
      isEntering.current = true;
      const media = new LocalMedia();
      try {
        const [before] = ringdown.calls;
        if (before) {
          setBusy('Leaving the other call…');
          await before.leave();
        }
        setEnded(null);
        setBusy(video ? 'Asking for your camera and microphone…' : 'Asking for your microphone…');
        if (muted) await media.setMuted(true);
        await media.open({ microphone: true, camera: video });
        setBusy('Calling the server…');
        const entered = await join(media);
        // The call that this page is in already, with what it sends already.
        if (entered.media !== media) {
          media.close();
          return;
        }
        const close = (state: CallState) => {
          media.close();
          setEnded(state);
        };
        if (entered.state.over) close(entered.state);
        entered.on('ended', close);
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
        isEntering.current = false;
        setBusy(null);
      }
    },
    [ringdown, notify],
  );

  /** Takes the user's own seat, and goes on as there: who was muted stays so. */
  const takeOver = useCallback(
    ({ id, participants }: CallInfo) => {
      const sent = participants.find(({ userId }) => userId === user.id)?.media;
      const sends = { video: sent?.videoOn ?? false, muted: sent?.muted ?? false };
      return enter(sends, (media) => ringdown.join(id, { media, takeOver: true }));
    },
    [ringdown, user, enter],
  );

  /** As a notification says: of a call that rings here, or rang until now. */
  const answerRing = useCallback(
    async (callId: string) => {
      const ring = ringdown.incomingCalls.find(({ id }) => id === callId);
      if (ring === undefined) return notify('It rings no more.');
      await enter({ video: ring.type === 'VIDEO' }, (media) => ring.answer({ media }));
    },
    [ringdown, enter, notify],
  );

  const lookElsewhere = useCallback(() => {
    const look = async () => {
      const active = await ringdown.activeCalls();
      setElsewhere(active.filter(({ id }) => !ringdown.calls.some((own) => own.id === id)));
    };
    // Without an answer it is looked again: when the server is back, or after a while.
    look().catch(() => {});
  }, [ringdown]);

  useEffect(() => {
    const stops = [
      ringdown.on('connection', (state) => state === 'connected' && lookElsewhere()),
      ringdown.on('calls', lookElsewhere),
      ringdown.on('ringStopped', lookElsewhere),
    ];
    // As the page goes, and not before: a tab that is duplicated gives its copy what is in there.
    const keep = () => {
      const [current] = ringdown.calls;
      if (current) sessionStorage.setItem(memory(user), current.id);
    };
    window.addEventListener('focus', lookElsewhere);
    window.addEventListener('pagehide', keep);
    // A notification that was clicked while this page was open, behind others.
    const hear = ({ data }: MessageEvent<{ readonly answer: string | null }>) => {
      if (data.answer !== null) run(() => answerRing(data.answer as string));
    };
    navigator.serviceWorker?.addEventListener('message', hear);
    const comeBack = async () => {
      await ringdown.connect();
      const asked = askedAnswer();
      if (asked !== null) return answerRing(asked);
      const kept = sessionStorage.getItem(memory(user));
      sessionStorage.removeItem(memory(user));
      if (kept === null || !isBack()) return;
      const call = (await ringdown.activeCalls()).find(({ id }) => id === kept);
      if (call) await takeOver(call);
    };
    comeBack().catch((error: unknown) => {
      // By this page itself, as it goes, or for good: the line that says what the connection does says it.
      if (error instanceof ConnectionError && error.code !== 'NO_ANSWER') return;
      notify(errorText(error));
    });
    return () => {
      for (const stop of stops) stop();
      window.removeEventListener('focus', lookElsewhere);
      window.removeEventListener('pagehide', keep);
      navigator.serviceWorker?.removeEventListener('message', hear);
      ringdown.close();
    };
  }, [ringdown, user, takeOver, answerRing, notify, run, lookElsewhere]);

  const isElsewhere = elsewhere.length > 0;
  useEffect(() => {
    if (!isElsewhere) return;
    const timer = setInterval(lookElsewhere, LOOK_ELSEWHERE);
    return () => clearInterval(timer);
  }, [isElsewhere, lookElsewhere]);

  return {
    user,
    ringdown,
    connection,
    call,
    incoming,
    missed,
    elsewhere,
    ended,
    busy,
    notices,
    push: usePush(ringdown, user),
    run,
    notify,
    dismiss,
    start: (calleeIds, video) =>
      run(() =>
        enter({ video }, (media) =>
          ringdown.start({
            conversationId: demo.conversationId,
            calleeIds,
            type: video ? 'VIDEO' : 'AUDIO',
            media,
          }),
        ),
      ),
    answer: (ring, video) => run(() => enter({ video }, (media) => ring.answer({ media }))),
    decline: (ring, isBusy) => run(() => ring.decline({ busy: isBusy })),
    move: (info) => run(() => takeOver(info)),
  };
}
