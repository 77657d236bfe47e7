import type { LocalMedia } from '@ringdown/client';
import { useDevices, useLocalMedia } from '@ringdown/client/react';
import { useId } from 'react';

/** Which camera, microphone and speaker. */
export function DevicesMenu({
  media,
  run,
  speakerId,
  setSpeakerId,
}: {
  readonly media: LocalMedia;
  readonly run: (work: () => Promise<unknown>) => void;
  readonly speakerId: string;
  readonly setSpeakerId: (id: string) => void;
}) {
  const { cameras, microphones, speakers } = useDevices(media);
  const { camera, microphone } = useLocalMedia(media);
  const canChooseSpeaker = 'setSinkId' in HTMLMediaElement.prototype && speakers.length > 0;
  return (
    <div className="devices">
      <Choice
        label="Camera"
        devices={cameras}
        value={camera.deviceId ?? ''}
        choose={(id) => run(() => media.setDevice('camera', id))}
      />
      <Choice
        label="Microphone"
        devices={microphones}
        value={microphone.deviceId ?? ''}
        choose={(id) => run(() => media.setDevice('microphone', id))}
      />
      {canChooseSpeaker && (
        <Choice label="Speaker" devices={speakers} value={speakerId || 'default'} choose={setSpeakerId} />
      )}
    </div>
  );
}

function Choice({
  label,
  devices,
  value,
  choose,
}: {
  readonly label: string;
  readonly devices: readonly MediaDeviceInfo[];
  readonly value: string;
  readonly choose: (id: string) => void;
}) {
  const id = useId();
  const known = devices.some(({ deviceId }) => deviceId === value);
  return (
    <div className="choice">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        value={known ? value : ''}
        disabled={devices.length === 0}
        onChange={({ target }) => choose(target.value)}
      >
        {!known && <option value="">{devices.length === 0 ? 'None' : 'Choose…'}</option>}
        {devices.map(({ deviceId, label: name }, index) => (
          <option key={deviceId} value={deviceId}>
            {name || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </div>
  );
}
