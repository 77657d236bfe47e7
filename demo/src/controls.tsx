import type { Call, CallState } from '@ringdown/client';
import { useLocalMedia } from '@ringdown/client/react';
import { useEffect } from 'react';
import { Avatar } from './avatar.tsx';
import { Words } from './buttons.tsx';
import { DevicesMenu } from './devices-menu.tsx';
import { Icon } from './icons.tsx';
import { Menu } from './menu.tsx';
import type { Demo } from './people.ts';
import type { Session } from './session.ts';

/** What can be done in a call. */
export function Controls({
  call,
  state,
  session,
  demo,
  speakerId,
  setSpeakerId,
}: {
  readonly call: Call;
  readonly state: CallState;
  readonly session: Session;
  readonly demo: Demo;
  readonly speakerId: string;
  readonly setSpeakerId: (id: string) => void;
}) {
  const { media } = call;
  const local = useLocalMedia(media);
  const { run } = session;
  const muted = !local?.microphone.track || local.microphone.muted;
  const cameraOn = Boolean(local?.camera.track);
  const sharing = Boolean(local?.screen.track);
  const toggleMuted = () => run(async () => media?.setMuted(!muted));
  const toggleCamera = () => run(async () => media?.setCamera(!cameraOn));
  const toggleScreen = () => {
    if (sharing) media?.stopScreen();
    else run(async () => media?.startScreen());
  };
  useKeys({ m: toggleMuted, v: toggleCamera });

  const ringing = state.status === 'RINGING' && state.callerId === state.me.userId;
  const group = state.participants.length > 1;
  const here = new Set(
    state.participants
      .filter(({ inCall, status }) => inCall || status === 'RINGING')
      .map(({ userId }) => userId),
  );
  const addable = demo.users.filter(({ id }) => id !== state.me.userId && !here.has(id));
  return (
    // biome-ignore lint/a11y/useSemanticElements: nothing is filled in here, as in a fieldset.
    <div className="controls" role="group" aria-label="Controls of the call">
      <button
        type="button"
        aria-keyshortcuts="M"
        title="Key M"
        className={muted ? 'off' : ''}
        onClick={toggleMuted}
      >
        <Icon name={muted ? 'microphoneOff' : 'microphone'} />
        <Words full={muted ? 'Unmute' : 'Mute'} short={muted ? 'Unmute' : 'Mute'} />
      </button>
      <button
        type="button"
        aria-keyshortcuts="V"
        title="Key V"
        className={cameraOn ? '' : 'off'}
        onClick={toggleCamera}
      >
        <Icon name={cameraOn ? 'camera' : 'cameraOff'} />
        <Words full={cameraOn ? 'Turn camera off' : 'Turn camera on'} short="Camera" />
      </button>
      <button type="button" className={sharing ? 'on' : ''} onClick={toggleScreen}>
        <Icon name="screen" />
        <Words full={sharing ? 'Stop sharing' : 'Share screen'} short={sharing ? 'Stop' : 'Share'} />
      </button>
      {media && (
        <Menu icon="settings" label="Devices" short="Devices">
          <DevicesMenu media={media} run={run} speakerId={speakerId} setSpeakerId={setSpeakerId} />
        </Menu>
      )}
      {addable.length > 0 && (
        <Menu icon="add" label="Add someone" short="Add">
          {(close) => (
            <ul>
              {addable.map(({ id, name }) => (
                <li key={id}>
                  <button
                    type="button"
                    onClick={() => {
                      close();
                      run(() => call.invite([id]));
                    }}
                  >
                    <Avatar id={id} name={name} />
                    Add {name}
                  </button>
                </li>
              ))}
            </ul>
          )}
        </Menu>
      )}
      {group && state.me.role === 'HOST' && !ringing && (
        <button type="button" className="stop outline" onClick={() => run(() => call.end())}>
          <Icon name="stop" />
          <Words full="End for everyone" short="End" />
        </button>
      )}
      <button
        type="button"
        className="stop"
        onClick={() => run(() => (ringing ? call.cancel() : call.leave()))}
      >
        <Icon name="hangUp" />
        <Words full={ringing ? 'Cancel' : 'Leave'} short={ringing ? 'Cancel' : 'Leave'} />
      </button>
    </div>
  );
}

/**
 * Single keys, where the focus is in the call: speech input and slips elsewhere on the page must not set them
 * off (WCAG 2.2, 2.1.4). Nor while something is being typed or chosen from a list.
 */
function useKeys(actions: Readonly<Record<string, () => void>>): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const { target, key, ctrlKey, metaKey, altKey, repeat } = event;
      if (ctrlKey || metaKey || altKey || repeat) return;
      if (!(target instanceof Element) || !target.closest('.call')) return;
      if (target.closest('input, select, textarea')) return;
      actions[key.toLowerCase()]?.();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  });
}
