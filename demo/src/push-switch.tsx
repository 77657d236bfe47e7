import { Action } from './buttons.tsx';
import { Icon } from './icons.tsx';
import type { Session } from './session.ts';

/** Whether this browser rings while no page is open. */
export function PushSwitch({ session }: { readonly session: Session }) {
  const { push, connection, run } = session;
  if (push.state === 'none') return null;
  const on = push.state === 'on';
  return (
    <div className="push">
      <p className="fine">
        {on && 'This browser rings for you, also when this page is closed.'}
        {push.state === 'off' && 'You are rung as long as this page is open.'}
        {push.state === 'blocked' &&
          'You are rung as long as this page is open: the browser was told to show no notifications of it.'}
      </p>
      {push.state !== 'blocked' && (
        <Action off={connection !== 'connected'} onClick={() => run(push.toggle)}>
          <Icon name={on ? 'bellOff' : 'bell'} />
          {on ? 'Only while it is open' : 'Ring me when it is closed, too'}
        </Action>
      )}
    </div>
  );
}
