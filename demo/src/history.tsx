import type { CallInfo, HistoryEntry } from '@ringdown/client';
import { useCallback, useEffect, useState } from 'react';
import { Avatar } from './avatar.tsx';
import { Action } from './buttons.tsx';
import { Icon } from './icons.tsx';
import { list, type Names } from './people.ts';
import type { Session } from './session.ts';
import { errorText, outcomeText, whenText } from './words.ts';

/** The calls that the user was in, or should have been in, newest first. Whoever looks has seen what they missed. */
export function History({
  session,
  names,
  show,
}: {
  readonly session: Session;
  readonly names: Names;
  readonly show: (call: CallInfo) => void;
}) {
  const { ringdown, connection, busy, missed } = session;
  const [entries, setEntries] = useState<readonly HistoryEntry[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [missedOnly, setMissedOnly] = useState(false);
  const [trouble, setTrouble] = useState<string | null>(null);
  const off = connection !== 'connected' || busy !== null;

  const load = useCallback(
    async (after: string | null) => {
      try {
        const page = await ringdown.history({ after, filter: missedOnly ? { missed: true } : {} });
        setEntries((known) => (after === null ? page.entries : [...(known ?? []), ...page.entries]));
        setNext(page.next);
        setTrouble(null);
        // Those that are missed while this is shown are not in it yet, and stay to be seen.
        const newest = page.entries.find(({ missedAt }) => missedAt !== null)?.missedAt;
        if (after === null && newest) await ringdown.markMissedCallsSeen(newest);
      } catch (error) {
        setTrouble(errorText(error));
      }
    },
    [ringdown, missedOnly],
  );
  // Again when another one is missed, and with every connection.
  // biome-ignore lint/correctness/useExhaustiveDependencies: they are what makes it load again
  useEffect(() => void load(null), [load, missed !== null && missed > 0, connection === 'connected']);

  return (
    <section className="recent" aria-label="Recent calls">
      <label className="fine">
        <input type="checkbox" checked={missedOnly} onChange={() => setMissedOnly(!missedOnly)} /> Missed ones
        only
      </label>
      {trouble !== null && <p role="alert">{trouble}</p>}
      {entries?.length === 0 && <p className="fine">{missedOnly ? 'None missed.' : 'No calls yet.'}</p>}
      <ul className="people">
        {entries?.map((entry) => (
          <Entry key={entry.call.id} entry={entry} session={session} names={names} off={off} show={show} />
        ))}
      </ul>
      {next !== null && (
        <Action className="quiet" off={off} onClick={() => void load(next)}>
          Show older ones
        </Action>
      )}
    </section>
  );
}

function Entry({
  entry,
  session,
  names,
  off,
  show,
}: {
  readonly entry: HistoryEntry;
  readonly session: Session;
  readonly names: Names;
  readonly off: boolean;
  readonly show: (call: CallInfo) => void;
}) {
  const { call, outcome, outgoing } = entry;
  const others = call.participants.map(({ userId }) => userId).filter((id) => id !== session.user.id);
  // Whoever called stands first.
  const shown = outgoing ? others : [call.callerId, ...others.filter((id) => id !== call.callerId)];
  const whom = list(shown.map(names));
  return (
    <li className={outcome === 'MISSED' ? 'past missed' : 'past'} data-testid="entry">
      <Avatar id={shown[0] ?? session.user.id} name={names(shown[0] ?? session.user.id)} />
      <span className="name">
        {whom}
        <span className="fine">
          <span aria-hidden="true">{outgoing ? '↗' : '↙'} </span>
          <span className="unseen">{outgoing ? 'Outgoing, ' : 'Incoming, '}</span>
          {outcomeText(entry)} · {whenText(call.createdAt)}
        </span>
      </span>
      <button type="button" className="quiet" onClick={() => show(call)}>
        Details<span className="unseen"> of the call with {whom}</span>
      </button>
      <Action
        className="round"
        off={off}
        aria-label={`Call ${whom} again`}
        title={`Call ${whom} again`}
        onClick={() => session.start(others, call.type === 'VIDEO')}
      >
        <Icon name={call.type === 'VIDEO' ? 'camera' : 'phone'} />
      </Action>
    </li>
  );
}
