import { useEffect, useState } from 'react';
import { Avatar } from './avatar.tsx';
import { CallScreen } from './call-screen.tsx';
import { Directory } from './directory.tsx';
import { Icon, Mark } from './icons.tsx';
import { type Demo, namesOf, type Person } from './people.ts';
import { Rings } from './rings.tsx';
import { type Session, useSession } from './session.ts';
import { play, type Tone } from './tones.ts';
import { missedText } from './words.ts';

/** Everything that one user has on this page. */
export function Desk({
  demo,
  user,
  goBack,
}: {
  readonly demo: Demo;
  readonly user: Person;
  readonly goBack: () => void;
}) {
  const session = useSession(demo, user);
  const names = namesOf(demo);
  const { call, incoming, missed } = session;
  const silent = useRing(incoming.length === 0 ? null : call === null ? 'ring' : 'waiting');
  useEffect(() => {
    const rings = incoming[0];
    const unseen = missed ? `(${missedText(missed)}) ` : '';
    const what = rings
      ? `${names(rings.callerId)} is calling`
      : `${unseen}${user.name}${call ? ' in a call' : ''}`;
    document.title = `${what} – Ringdown`;
  });
  return (
    <div className={call ? 'desk in-call' : 'desk'}>
      <header className="bar">
        <span className="brand">
          <Mark />
          <h1>Ringdown</h1>
        </span>
        <span className="me">
          <Avatar id={user.id} name={user.name} />
          <span className="unseen">You are</span> {user.name}
        </span>
        {call === null && (
          <button type="button" className="quiet" onClick={goBack}>
            Be somebody else
          </button>
        )}
      </header>
      <Rings session={session} names={names} silent={silent} />
      {call ? (
        <CallScreen key={call.id} call={call} session={session} demo={demo} names={names} />
      ) : (
        <Directory session={session} demo={demo} names={names} />
      )}
      <Notices session={session} />
    </div>
  );
}

/** Sounds as long as it is asked to; true where the browser keeps it silent. */
function useRing(tone: Tone | null): boolean {
  const [blocked, setBlocked] = useState(false);
  useEffect(() => (tone ? play(tone, setBlocked) : undefined), [tone]);
  return blocked;
}

function Notices({ session }: { readonly session: Session }) {
  return (
    <div className="notices" role="alert">
      {session.notices.map((notice) => (
        <p key={notice.id} className="notice">
          {notice.text}
          <button type="button" className="bare" aria-label="Dismiss" onClick={() => session.dismiss(notice)}>
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
