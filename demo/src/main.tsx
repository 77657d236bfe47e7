import { StrictMode, useCallback, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Desk } from './desk.tsx';
import { keepFocus } from './focus.ts';
import { Mark } from './icons.tsx';
import { type Demo, fetchDemo } from './people.ts';
import { Welcome } from './welcome.tsx';
import './style.css';

/** `?user=ada`: so that two windows are two people. */
function askedUser(): string | null {
  return new URLSearchParams(location.search).get('user');
}

function App() {
  const [demo, setDemo] = useState<Demo | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const [userId, setUserId] = useState(askedUser);
  const load = useCallback(() => {
    setTrouble(null);
    fetchDemo().then(setDemo, (error: Error) => {
      // What `fetch` throws where there is no answer at all.
      const unreachable = error instanceof TypeError;
      setTrouble(unreachable ? 'The server can’t be reached. Is it running?' : error.message);
    });
  }, []);
  useEffect(() => {
    load();
    const follow = () => setUserId(askedUser());
    window.addEventListener('popstate', follow);
    return () => window.removeEventListener('popstate', follow);
  }, [load]);
  const choose = (id: string | null) => {
    history.pushState(null, '', id === null ? location.pathname : `?user=${encodeURIComponent(id)}`);
    setUserId(id);
  };
  if (trouble !== null) return <Trouble text={trouble} again={load} />;
  if (demo === null) {
    return (
      <p className="page status" role="status">
        Looking for the server…
      </p>
    );
  }
  const user = demo.users.find(({ id }) => id === userId);
  if (user === undefined) return <Welcome demo={demo} choose={choose} />;
  return <Desk key={user.id} demo={demo} user={user} goBack={() => choose(null)} />;
}

/** Where the page is there, and nothing else. */
function Trouble({ text, again }: { readonly text: string; readonly again: () => void }) {
  return (
    <main className="page welcome" tabIndex={-1} aria-label="No connection to the server">
      <header className="brand">
        <Mark />
        <h1>Ringdown</h1>
      </header>
      <p className="lead" role="alert">
        {text}
      </p>
      <button type="button" className="go" onClick={again}>
        Try again
      </button>
    </main>
  );
}

const root = document.getElementById('root') as HTMLElement;
keepFocus(root);
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
