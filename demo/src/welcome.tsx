import { Avatar } from './avatar.tsx';
import { Developers } from './developers.tsx';
import { Icon, Mark } from './icons.tsx';
import type { Demo } from './people.ts';

/** Who would you like to be? */
export function Welcome({ demo, choose }: { readonly demo: Demo; readonly choose: (id: string) => void }) {
  return (
    <main className="page welcome" tabIndex={-1} aria-label="Choose who you are">
      <header className="brand">
        <Mark />
        <h1>Ringdown</h1>
      </header>
      <p className="lead">
        Calls from browser to browser. Choose who you are in this window, open a second one as somebody else,
        and call across.
      </p>
      <ul className="cards" aria-label="People of this demo">
        {demo.users.map(({ id, name }) => (
          <li key={id} className="card">
            <button type="button" onClick={() => choose(id)}>
              <Avatar id={id} name={name} />
              <span>Be {name}</span>
            </button>
            <a
              href={`?user=${encodeURIComponent(id)}`}
              target="_blank"
              rel="noopener"
              aria-label={`New window as ${name}`}
              title={`New window as ${name}`}
            >
              <Icon name="window" />
            </a>
          </li>
        ))}
      </ul>
      <p className="fine">
        The people are made up, and gone when the server stops. Nothing leaves this machine.
      </p>
      <Developers demo={demo} />
    </main>
  );
}
