/** Drawn for this page: 24 by 24, strokes of the text's colour. Their buttons have the words. */

const PATHS = {
  camera:
    'M4 7.5h9a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2v-5a2 2 0 0 1 2-2zm11 3.2 5.2-3.2a.6.6 0 0 1 .9.5v8a.6.6 0 0 1-.9.5L15 13.3',
  cameraOff:
    'M4 7.5h1.5M9 7.5h4a2 2 0 0 1 2 2v4m-.6 2.4a2 2 0 0 1-1.4.6H4a2 2 0 0 1-2-2v-5a2 2 0 0 1 1-1.7M15 10.7l5.2-3.2a.6.6 0 0 1 .9.5v8a.6.6 0 0 1-.9.5l-2-1.3M3 3l18 18',
  microphone:
    'M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21M8.5 21h7',
  microphoneOff:
    'M9 9v2a3 3 0 0 0 4.6 2.5M15 11V6a3 3 0 0 0-5.6-1.5M5.5 11a6.5 6.5 0 0 0 10.3 5.3m2-2.2a6.4 6.4 0 0 0 .7-3.1M12 17.5V21M8.5 21h7M3 3l18 18',
  screen:
    'M3.5 4.5h17a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1h-17a1 1 0 0 1-1-1v-10a1 1 0 0 1 1-1zM8 20.5h8M12 13.5V8m0 0-2.5 2.5M12 8l2.5 2.5',
  phone:
    'M6.2 3.5h2.6l1.6 4.3-2 1.6a12 12 0 0 0 6.2 6.2l1.6-2 4.3 1.6v2.6a2 2 0 0 1-2.1 2A16.4 16.4 0 0 1 4.2 5.6a2 2 0 0 1 2-2.1z',
  hangUp:
    'M2.6 14.9c-.5-1-.3-2.2.5-3C5.5 9.6 8.7 8.5 12 8.5s6.5 1.1 8.9 3.4c.8.8 1 2 .5 3l-.7 1.3-4.3-1.1-.2-2.7a13 13 0 0 0-8.4 0l-.2 2.7-4.3 1.1z',
  add: 'M9.5 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 19.5a6.5 6.5 0 0 1 12-3.5M18 13v6M15 16h6',
  settings: 'M4 7h9m4 0h3M4 17h3m4 0h9M15 5v4M9 15v4',
  stop: 'M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM9 9l6 6m0-6-6 6',
  window: 'M14 4h6v6M20 4l-8.5 8.5M10 5H6a2 2 0 0 0-2 2v11a2 2 0 0 0 2 2h11a2 2 0 0 0 2-2v-4',
  bell: 'M12 3.5a6 6 0 0 0-6 6c0 5-2 6.5-2 6.5h16s-2-1.5-2-6.5a6 6 0 0 0-6-6zM10 19.5a2.2 2.2 0 0 0 4 0',
  bellOff:
    'M8 5.1A6 6 0 0 1 18 9.5c0 2 .3 3.4.8 4.5M6 9.5C6 14.5 4 16 4 16h11.5M10 19.5a2.2 2.2 0 0 0 4 0M3 3l18 18',
  close: 'M6 6l12 12M18 6 6 18',
} as const;

export function Icon({ name }: { readonly name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Two arcs that ring around a point. */
export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path d="M9.5 23a13 13 0 0 1 0-14M22.5 9a13 13 0 0 1 0 14" />
      <circle cx="16" cy="16" r="4" />
    </svg>
  );
}
