import { useState } from 'react';
import type { Demo } from './people.ts';

/** Ways into the API, for who builds with it. */
export function Developers({ demo }: { readonly demo: Demo }) {
  return (
    <details className="developers">
      <summary>For developers</summary>
      <p>
        GraphiQL with a token and example operations. The conversation’s id is{' '}
        <code>{demo.conversationId}</code>.
      </p>
      <ul>
        {demo.users.map(({ id, name, token }) => (
          <li key={id}>
            <a href={`/graphql?user=${encodeURIComponent(id)}`} target="_blank" rel="noopener">
              Open GraphiQL as {name}
            </a>
            <Copy what={`token of ${name}`} text={token} />
          </li>
        ))}
        <li>
          <span>Your back end</span>
          <Copy what="token of your back end" text={demo.operatorToken} />
        </li>
      </ul>
    </details>
  );
}

/** A page at plain http:// has no clipboard, and a browser may refuse it: then the text is there to be selected. */
function Copy({ what, text }: { readonly what: string; readonly text: string }) {
  const [state, setState] = useState<'idle' | 'copied' | 'impossible'>('idle');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setState('copied');
      setTimeout(() => setState('idle'), 1_500);
    } catch {
      setState('impossible');
    }
  };
  return (
    <>
      <button type="button" className="quiet" onClick={() => void copy()}>
        {state === 'copied' ? 'Copied' : `Copy ${what}`}
      </button>
      {state === 'impossible' && (
        <label className="token">
          <span role="status">This page may not copy, so copy it yourself: the {what}</span>
          <textarea readOnly rows={4} value={text} onFocus={({ currentTarget }) => currentTarget.select()} />
        </label>
      )}
    </>
  );
}
