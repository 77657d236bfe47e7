/** The devices of this machine. Labels are empty until the user has allowed one of the kind. */
export interface MediaDevicesList {
  readonly microphones: readonly MediaDeviceInfo[];
  readonly cameras: readonly MediaDeviceInfo[];
  /** For `HTMLMediaElement.setSinkId`; empty where the browser has no choice of them. */
  readonly speakers: readonly MediaDeviceInfo[];
}

export async function listDevices(): Promise<MediaDevicesList> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  const of = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind);
  return { microphones: of('audioinput'), cameras: of('videoinput'), speakers: of('audiooutput') };
}
