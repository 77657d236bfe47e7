import type { CallInfo } from '@ringdown/client';
import { useState } from 'react';
import { Avatar } from './avatar.tsx';
import { Action, LoadAgain } from './buttons.tsx';
import { Developers } from './developers.tsx';
import { History } from './history.tsx';
import { Icon } from './icons.tsx';
import { type Demo, list, type Names } from './people.ts';
import { PushSwitch } from './push-switch.tsx';
import { Record } from './record.tsx';
import type { Session } from './session.ts';
import { clock, endingOf, missedText, readinessOf } from './words.ts';

/** Who can be called, and what became of the calls before. */
export function Directory({
  session,
  demo,
  names,
}: {
  readonly session: Session;
  readonly demo: Demo;
  readonly names: Names;
}) {
  const { user, connection, busy, ended, elsewhere, missed } = session;
  const [recent, setRecent] = useState(false);
  const [record, setRecord] = useState<CallInfo | null>(null);
  const off = connection !== 'connected' || busy !== null;
  const { text, tone } = readinessOf(connection, busy);
  const others = demo.users.filter(({ id }) => id !== user.id);
  if (record !== null) {
    return <Record call={record} session={session} names={names} goBack={() => setRecord(null)} />;
  }
  return (
    <main className="page" tabIndex={-1} aria-label="Call somebody">
      <div className="line">
        <p className={`status ${tone}`} role="status" data-testid="status">
          {text}
        </p>
        {connection === 'closed' && <LoadAgain />}
      </div>
      {ended && (
        <section className="ended" data-testid="ended" aria-label="The last call">
          <p>
            <strong>{endingOf(ended, names)}</strong>
          </p>
          {ended.answeredAt !== null && (
            <p className="fine">
              With {list(ended.participants.map(({ userId }) => names(userId)))}
              {ended.durationSeconds !== null && ` · ${clock(ended.durationSeconds)}`}
            </p>
          )}
        </section>
      )}
      {elsewhere.map((call) => (
        <section key={call.id} className="elsewhere" aria-label="A call in another window">
          <p>
            You are in a call, but not in this window: with{' '}
            {list(
              call.participants
                .map(({ userId }) => userId)
                .filter((id) => id !== user.id)
                .map(names),
            )}
            .
          </p>
          <Action className="go" off={off} onClick={() => session.move(call)}>
            Move it here
          </Action>
        </section>
      ))}
      <nav className="tabs" aria-label="What to show">
        <button type="button" className="quiet tab" aria-pressed={!recent} onClick={() => setRecent(false)}>
          People
        </button>
        <button type="button" className="quiet tab" aria-pressed={recent} onClick={() => setRecent(true)}>
          Recent calls
          {missed !== null && missed > 0 && (
            <span className="badge" data-testid="badge">
              {missedText(missed)}
              <span className="unseen"> missed</span>
            </span>
          )}
        </button>
      </nav>
      {recent ? (
        <History session={session} names={names} show={setRecord} />
      ) : (
        <People session={session} others={others} off={off} />
      )}
      <PushSwitch session={session} />
      <Developers demo={demo} />
    </main>
  );
}

function People({
  session,
  others,
  off,
}: {
  readonly session: Session;
  readonly others: Demo['users'];
  readonly off: boolean;
}) {
  return (
    <>
      <h2 id="people">Call somebody</h2>
      <p className="fine">
        They answer in a window of their own: open{' '}
        {others.slice(0, 2).map(({ id, name }, index) => (
          <span key={id}>
            {index > 0 && ' or '}
            <a href={`?user=${encodeURIComponent(id)}`} target="_blank" rel="noopener">
              one as {name}
            </a>
          </span>
        ))}
        .
      </p>
      <ul className="people" aria-labelledby="people">
        {others.map(({ id, name }) => (
          <li key={id}>
            <Avatar id={id} name={name} />
            <span className="name">{name}</span>
            <Action
              className="go round"
              off={off}
              aria-label={`Call ${name}`}
              title={`Call ${name}`}
              onClick={() => session.start([id], true)}
            >
              <Icon name="camera" />
            </Action>
            <Action
              className="round"
              off={off}
              aria-label={`Call ${name} without video`}
              title={`Call ${name} without video`}
              onClick={() => session.start([id], false)}
            >
              <Icon name="phone" />
            </Action>
          </li>
        ))}
      </ul>
    </>
  );
}
