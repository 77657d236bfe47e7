export type { MediaDevicesList } from './devices.ts';
export { LocalMedia, type LocalMediaEvents, type LocalMediaState, type OpenOptions } from './local-media.ts';
export { MediaError, type MediaErrorReason } from './media-error.ts';
