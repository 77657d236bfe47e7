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

function Copy({ what, text }: { readonly what: string; readonly text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <button type="button" className="quiet" onClick={() => void copy()}>
      {copied ? 'Copied' : `Copy ${what}`}
    </button>
  );
}
