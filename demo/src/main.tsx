import { StrictMode, useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Desk } from './desk.tsx';
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
  useEffect(() => {
    fetchDemo().then(setDemo, (error: unknown) => {
      setTrouble(error instanceof TypeError ? 'The server can’t be reached. Is it running?' : String(error));
    });
    const follow = () => setUserId(askedUser());
    window.addEventListener('popstate', follow);
    return () => window.removeEventListener('popstate', follow);
  }, []);
  const choose = (id: string | null) => {
    history.pushState(null, '', id === null ? location.pathname : `?user=${encodeURIComponent(id)}`);
    setUserId(id);
  };
  if (trouble !== null) {
    return (
      <main className="page">
        <p role="alert">{trouble}</p>
      </main>
    );
  }
  if (demo === null) return null;
  const user = demo.users.find(({ id }) => id === userId);
  if (user === undefined) return <Welcome demo={demo} choose={choose} />;
  return <Desk key={user.id} demo={demo} user={user} goBack={() => choose(null)} />;
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
