import type { ServerResponse } from 'node:http';

/** The front page of a demo: who there is to be, and how to walk through a call. Nothing is loaded for it. */

export interface DemoUser {
  readonly id: string;
  readonly name: string;
  readonly token: string;
}

export function serveDemoPage(
  response: ServerResponse,
  users: readonly DemoUser[],
  operatorToken: string,
): void {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.setHeader('cache-control', 'private, no-store');
  response.setHeader('content-security-policy', CONTENT_SECURITY_POLICY);
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('referrer-policy', 'no-referrer');
  response.end(page(users, operatorToken));
}

const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

function page(users: readonly DemoUser[], operatorToken: string): string {
  const [first = 'one', second = 'another'] = users.map(({ name }) => text(name));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ringdown</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Ringdown</h1>
<p class="lead">A call-signaling server. This is a demo: its people are made up, and gone when it stops.</p>
<ol class="steps">
<li>Open GraphiQL as ${second} and run <b>IncomingCalls</b>; open it as ${first} and run <b>InitiateCall</b>. ${second} sees the ring.</li>
<li>Copy the call’s id into <b>CallEvents</b> and run it as ${first}; as ${second} run <b>JoinCall</b>, then <b>CallEvents</b>. A seat whose events nobody reads is lost after two minutes.</li>
<li>A subscription runs while its tab of GraphiQL is in front. So open another window as ${first}, run <b>SendSignal</b>, and see it arrive at ${second}’s; end with <b>LeaveCall</b>, and read the record of the call with <b>EndCall</b>.</li>
</ol>
<ul class="users">
${users.map(card).join('\n')}
<li><span class="face" aria-hidden="true">⚙</span>
<h2>Your back end</h2>
<p>May use putConversation and its like, and terminateCall.</p>
${tokenField('your back end', operatorToken)}</li>
</ul>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function card({ id, name, token }: DemoUser): string {
  return `<li><span class="face" aria-hidden="true">${text([...name][0] ?? '')}</span>
<h2>${text(name)}</h2>
<a href="/graphql?user=${encodeURIComponent(id)}" target="_blank" rel="noopener">Open GraphiQL as ${text(name)}</a>
${tokenField(name, token)}</li>`;
}

function tokenField(name: string, token: string): string {
  return `<label>Token <input readonly value="${text(token)}" aria-label="Token of ${text(name)}"></label>
<button type="button">Copy token</button>`;
}

function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --accent: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --accent: #7fb6ee; } }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.25rem; }
h1 { margin: 0; font-size: 2.2rem; letter-spacing: -0.02em; }
.lead { margin: 0.25rem 0 2rem; opacity: 0.75; }
.steps { margin: 0 0 2.5rem; padding-left: 1.25rem; max-width: 48rem; }
.steps li { margin-bottom: 0.4rem; }
.users { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; margin: 0; padding: 0; list-style: none; }
.users li { display: grid; grid-template-columns: auto 1fr; gap: 0.6rem 0.75rem; align-items: center; padding: 1.1rem; border: 1px solid var(--line); border-radius: 12px; }
.face { display: grid; place-items: center; width: 2.4rem; height: 2.4rem; border-radius: 50%; color: #fff; background: #2b6cb0; font-weight: 600; }
h2 { margin: 0; font-size: 1.1rem; }
.users a, .users label, .users button { grid-column: 1 / -1; }
a { color: var(--accent); font-weight: 600; }
label { display: flex; gap: 0.5rem; align-items: center; font-size: 0.85rem; }
input { flex: 1; min-width: 0; padding: 0.35rem 0.5rem; font: 0.8rem ui-monospace, monospace; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; }
button { justify-self: start; padding: 0.35rem 0.8rem; font: inherit; font-size: 0.85rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; cursor: pointer; }
`;

const SCRIPT = `
for (const button of document.querySelectorAll('button')) {
  button.addEventListener('click', async () => {
    const input = button.parentElement.querySelector('input');
    input.select();
    await navigator.clipboard.writeText(input.value);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy token'; }, 1500);
  });
}
`;
