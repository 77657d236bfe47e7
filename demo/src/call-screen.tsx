import type { Call } from '@ringdown/client';
import { useCall, useLocalMedia } from '@ringdown/client/react';
import { useEffect, useState } from 'react';
import { LoadAgain } from './buttons.tsx';
import { Controls } from './controls.tsx';
import { type Demo, list, type Names } from './people.ts';
import type { Session } from './session.ts';
import { OwnScreen, OwnTile, ScreenTile, Tile } from './tile.tsx';
import { play } from './tones.ts';
import { absenceOf, clock, deviceTrouble, figuresOf, statusOf } from './words.ts';

/** A call: everyone in it, what the connection is doing, and what can be done. */
export function CallScreen({
  call,
  session,
  demo,
  names,
}: {
  readonly call: Call;
  readonly session: Session;
  readonly demo: Demo;
  readonly names: Names;
}) {
  const state = useCall(call);
  const media = useLocalMedia(call.media);
  const [speakerId, setSpeakerId] = useState('');
  const alone = state.participants.every(({ inCall }) => !inCall);
  const rings = alone && state.participants.some(({ status }) => status === 'RINGING');
  useEffect(() => (rings ? play('ringback', () => {}) : undefined), [rings]);

  const shown = state.participants.filter(({ inCall, status }) => inCall || status === 'RINGING');
  const gone = state.participants.filter((participant) => !shown.includes(participant));
  const screens = shown.filter(({ screen }) => screen !== null);
  const trouble = media ? deviceTrouble(media) : null;
  const { text, tone } = statusOf(state, names);
  const tiles = shown.length + (call.media ? 1 : 0) + (media?.screen.track ? 1 : 0);
  return (
    <main
      className="call"
      tabIndex={-1}
      aria-label={shown.length > 0 ? `Call with ${list(shown.map(({ userId }) => names(userId)))}` : 'Call'}
    >
      <div className="line">
        <div>
          <p className={`status ${tone}`} role="status" data-testid="status">
            {text}
          </p>
          {/* Every few seconds other figures: so not a part of what is read out. */}
          {state.signaling !== 'closed' && <p className="figures">{figuresOf(state)}</p>}
        </div>
        {state.signaling === 'closed' && <LoadAgain />}
        <p className="gone" role="status">
          {gone.map((participant) => `${names(participant.userId)}: ${absenceOf(participant)}`).join(' · ')}
        </p>
        {state.answeredAt && <Timer since={state.answeredAt} />}
      </div>
      {trouble && (
        <p className="trouble" role="alert">
          {trouble}
        </p>
      )}
      <div className={screens.length > 0 ? 'stage sharing' : 'stage'}>
        {screens.length > 0 && (
          <div className="screens">
            {screens.map((participant) => (
              <ScreenTile
                key={participant.userId}
                participant={participant}
                name={names(participant.userId)}
              />
            ))}
          </div>
        )}
        <div className="tiles" data-count={tiles}>
          {shown.map(({ userId }) => (
            <Tile
              key={userId}
              call={call}
              userId={userId}
              name={names(userId)}
              host={state.me.role === 'HOST' && state.participants.length > 1}
              speakerId={speakerId}
              run={session.run}
            />
          ))}
          {media?.screen.track && <OwnScreen track={media.screen.track} />}
          {call.media && (
            <OwnTile media={call.media} userId={state.me.userId} name={names(state.me.userId)} />
          )}
        </div>
      </div>
      <Controls
        call={call}
        state={state}
        session={session}
        demo={demo}
        speakerId={speakerId}
        setSpeakerId={setSpeakerId}
      />
    </main>
  );
}

function Timer({ since }: { readonly since: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <p className="timer" role="timer">
      {clock((now - Date.parse(since)) / 1_000)}
    </p>
  );
}
