import { Avatar } from './avatar.tsx';
import { Developers } from './developers.tsx';
import { Icon } from './icons.tsx';
import { type Demo, list, type Names } from './people.ts';
import type { Session } from './session.ts';
import { clock, endingOf } from './words.ts';

/** Who can be called, and what became of the last call. */
export function Directory({
  session,
  demo,
  names,
}: {
  readonly session: Session;
  readonly demo: Demo;
  readonly names: Names;
}) {
  const { user, connection, busy, ended, elsewhere } = session;
  const away = connection !== 'connected';
  return (
    <main className="page">
      <p className="status" role="status" data-testid="status">
        {busy ??
          (connection === 'closed'
            ? 'The server has refused this page. Load it again.'
            : away
              ? 'Looking for the server…'
              : 'Ready. Who calls you rings here.')}
      </p>
      {ended && (
        <section className="ended" data-testid="ended" aria-label="The last call">
          <h2>{endingOf(ended, names)}</h2>
          <p className="fine">
            With {list(ended.participants.map(({ userId }) => names(userId)))}
            {ended.durationSeconds !== null && ` · ${clock(ended.durationSeconds)}`}
          </p>
        </section>
      )}
      {elsewhere.map((call) => (
        <section key={call.id} className="elsewhere" aria-label="A call in another window">
          <p>
            You are in a call in another window, with{' '}
            {list(
              call.participants
                .map(({ userId }) => userId)
                .filter((id) => id !== user.id)
                .map(names),
            )}
            .
          </p>
          <button type="button" className="go" onClick={() => session.move(call)}>
            Move it here
          </button>
        </section>
      ))}
      <h2 id="people">Call somebody</h2>
      <ul className="people" aria-labelledby="people">
        {demo.users
          .filter(({ id }) => id !== user.id)
          .map(({ id, name }) => (
            <li key={id}>
              <Avatar id={id} name={name} />
              <span className="name">{name}</span>
              <button
                type="button"
                className="go round"
                disabled={away || busy !== null}
                aria-label={`Call ${name}`}
                title={`Call ${name}`}
                onClick={() => session.start([id], true)}
              >
                <Icon name="camera" />
              </button>
              <button
                type="button"
                className="round"
                disabled={away || busy !== null}
                aria-label={`Call ${name} without video`}
                title={`Call ${name} without video`}
                onClick={() => session.start([id], false)}
              >
                <Icon name="phone" />
              </button>
            </li>
          ))}
      </ul>
      <p className="fine">
        They answer in a window of their own: open{' '}
        {demo.users
          .filter(({ id }) => id !== user.id)
          .slice(0, 2)
          .map(({ id, name }, index) => (
            <span key={id}>
              {index > 0 && ' or '}
              <a href={`?user=${encodeURIComponent(id)}`} target="_blank" rel="noopener">
                one as {name}
              </a>
            </span>
          ))}
        .
      </p>
      <Developers demo={demo} />
    </main>
  );
}
