import type { IncomingCall } from '@ringdown/client';
import { Avatar } from './avatar.tsx';
import { Action } from './buttons.tsx';
import { Icon } from './icons.tsx';
import { list, type Names } from './people.ts';
import type { Session } from './session.ts';

/** Who rings, and what can be done about it. */
export function Rings({
  session,
  names,
  silent,
}: {
  readonly session: Session;
  readonly names: Names;
  readonly silent: boolean;
}) {
  return (
    <section className="rings" aria-label="Incoming calls" aria-live="assertive">
      {session.incoming.map((ring) => (
        <Ring key={ring.id} ring={ring} session={session} names={names} silent={silent} />
      ))}
    </section>
  );
}

function Ring({
  ring,
  session,
  names,
  silent,
}: {
  readonly ring: IncomingCall;
  readonly session: Session;
  readonly names: Names;
  readonly silent: boolean;
}) {
  const { call, user, busy } = session;
  const caller = names(ring.callerId);
  const others = ring.info.participants
    .map(({ userId }) => userId)
    .filter((id) => id !== user.id && id !== ring.callerId);
  const video = ring.type === 'VIDEO';
  return (
    <article className="ring">
      <Avatar id={ring.callerId} name={caller} />
      <p>
        <strong>{caller}</strong> is calling
        {others.length > 0 && `, with ${list(others.map(names))}`}
        <span className="fine">
          {video ? 'Video call' : 'Voice call'}
          {/* One call at a time. */}
          {call && ' · Answering it leaves this one'}
          {silent && ' · Press any key to hear it ring'}
        </span>
        {/* The page's own line says it too, and is read out; this card may lie over it. */}
        {busy && (
          <span className="fine" aria-hidden="true">
            {busy}
          </span>
        )}
      </p>
      <div className="actions">
        {video && (
          <Action className="go" off={busy !== null} onClick={() => session.answer(ring, true)}>
            <Icon name="camera" />
            Answer
          </Action>
        )}
        <Action className={video ? '' : 'go'} off={busy !== null} onClick={() => session.answer(ring, false)}>
          <Icon name="phone" />
          {video ? 'Answer without video' : 'Answer'}
        </Action>
        {call && (
          <button type="button" className="half" onClick={() => session.decline(ring, true)}>
            I’m busy
          </button>
        )}
        <button type="button" className="stop half" onClick={() => session.decline(ring, false)}>
          <Icon name="hangUp" />
          Decline
        </button>
      </div>
    </article>
  );
}
