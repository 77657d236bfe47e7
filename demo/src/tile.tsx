import type { Call, LocalMedia, ParticipantState } from '@ringdown/client';
import { useLocalMedia, useMediaStream, useParticipant } from '@ringdown/client/react';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { Avatar } from './avatar.tsx';
import { Icon } from './icons.tsx';
import { absenceOf } from './words.ts';

/** One participant: picture or face, name, and what is the matter with them. Their sound comes from here too. */
export function Tile({
  call,
  userId,
  name,
  host,
  speakerId,
  run,
}: {
  readonly call: Call;
  readonly userId: string;
  readonly name: string;
  /** Whether the viewer may mute and remove them. */
  readonly host: boolean;
  readonly speakerId: string;
  readonly run: (work: () => Promise<unknown>) => void;
}) {
  const participant = useParticipant(call, userId);
  const attach = useMediaStream(participant?.stream ?? null);
  const [element, setElement] = useState<HTMLVideoElement | null>(null);
  const [blocked, setBlocked] = useState(false);
  const ref = useCallback(
    (video: HTMLVideoElement | null) => {
      attach(video);
      setElement(video);
    },
    [attach],
  );
  useEffect(() => {
    // Not every browser lets a page choose.
    if (element && 'setSinkId' in element) element.setSinkId(speakerId).catch(() => {});
  }, [element, speakerId]);
  if (participant === null) return null;
  const { inCall, media, link, stream, status } = participant;
  const absence = absenceOf(participant);
  const pictured = inCall && media.videoOn && stream !== null && link !== null;
  const away = inCall && (status === 'RECONNECTING' || link === 'reconnecting');
  return (
    <figure className={`tile ${pictured ? 'pictured' : ''} ${inCall ? '' : 'absent'}`}>
      {/* biome-ignore lint/a11y/useMediaCaption: what people say live has no captions to load. */}
      <video
        ref={ref}
        data-user={userId}
        data-source="camera"
        aria-label={`Picture of ${name}`}
        autoPlay
        playsInline
        onLoadedMetadata={({ currentTarget }) => setBlocked(currentTarget.paused)}
        onPlaying={() => setBlocked(false)}
      />
      {!pictured && <Avatar id={userId} name={name} />}
      {blocked && (
        <button type="button" className="go hear" onClick={() => void element?.play()}>
          Play {name}
        </button>
      )}
      <figcaption>
        <span className="name">{name}</span>
        {absence && <span className="badge">{absence}</span>}
        {away && <span className="badge warn">Reconnecting…</span>}
        {inCall && link === 'connecting' && <span className="badge">Connecting…</span>}
        {inCall && media.muted && (
          <span className="badge">
            <Icon name="microphoneOff" />
            <span className="unseen">muted</span>
          </span>
        )}
        {inCall && !media.videoOn && (
          <span className="badge">
            <Icon name="cameraOff" />
            <span className="unseen">camera off</span>
          </span>
        )}
      </figcaption>
      {host && inCall && (
        <div className="powers">
          {!media.muted && (
            <button type="button" onClick={() => run(() => call.mute(userId))}>
              Mute<span className="unseen"> {name}</span>
            </button>
          )}
          <button type="button" onClick={() => run(() => call.remove(userId))}>
            Remove<span className="unseen"> {name}</span>
          </button>
        </div>
      )}
    </figure>
  );
}

export function ScreenTile({
  participant: { userId, screen },
  name,
}: {
  readonly participant: ParticipantState;
  readonly name: string;
}) {
  const attach = useMediaStream(screen);
  return (
    <figure className="tile screen pictured">
      <video
        ref={attach}
        data-user={userId}
        data-source="screen"
        aria-label={`Screen of ${name}`}
        autoPlay
        playsInline
        muted
      />
      <figcaption>
        <span className="name">{name}’s screen</span>
      </figcaption>
    </figure>
  );
}

/** What this page sends. Mirrored, as one knows oneself. */
export function OwnTile({
  media,
  userId,
  name,
}: {
  readonly media: LocalMedia;
  readonly userId: string;
  readonly name: string;
}) {
  const { camera, microphone } = useLocalMedia(media);
  const attach = useMediaStream(media.stream);
  const muted = microphone.muted || microphone.track === null;
  return (
    <figure className={`tile own ${camera.track ? 'pictured' : ''}`}>
      <video
        ref={attach}
        data-user={userId}
        data-source="own"
        aria-label="Your own picture"
        autoPlay
        playsInline
        muted
      />
      {!camera.track && <Avatar id={userId} name={name} />}
      <figcaption>
        <span className="name">You</span>
        {muted && (
          <span className="badge">
            <Icon name="microphoneOff" />
            <span className="unseen">you are muted</span>
          </span>
        )}
        {!camera.track && (
          <span className="badge">
            <Icon name="cameraOff" />
            <span className="unseen">your camera is off</span>
          </span>
        )}
      </figcaption>
    </figure>
  );
}

export function OwnScreen({ track }: { readonly track: MediaStreamTrack }) {
  const stream = useMemo(() => new MediaStream([track]), [track]);
  const attach = useMediaStream(stream);
  return (
    <figure className="tile screen pictured">
      <video ref={attach} aria-label="Your own screen" autoPlay playsInline muted />
      <figcaption>
        <span className="name">Your screen</span>
      </figcaption>
    </figure>
  );
}
