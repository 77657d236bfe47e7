import { Avatar } from './avatar.tsx';
import { Developers } from './developers.tsx';
import { Mark } from './icons.tsx';
import type { Demo } from './people.ts';

/** Who would you like to be? */
export function Welcome({ demo, choose }: { readonly demo: Demo; readonly choose: (id: string) => void }) {
  return (
    <main className="page welcome">
      <header className="brand">
        <Mark />
        <h1>Ringdown</h1>
      </header>
      <p className="lead">
        Calls from browser to browser, through a server that rings, connects and keeps the truth. Choose who
        you are here, and open a second window as somebody else.
      </p>
      <ul className="cards" aria-label="People of this demo">
        {demo.users.map(({ id, name }) => (
          <li key={id}>
            <button type="button" className="card" onClick={() => choose(id)}>
              <Avatar id={id} name={name} />
              <span>Be {name}</span>
            </button>
            <a className="quiet" href={`?user=${encodeURIComponent(id)}`} target="_blank" rel="noopener">
              New window<span className="unseen"> as {name}</span>
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
