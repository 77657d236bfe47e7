/** Sounds of a telephone, made and not loaded. */

export type Tone = 'ring' | 'waiting' | 'ringback';

/** Hertz; seconds on, and from one beginning to the next. */
const TONES = {
  ring: { frequencies: [523.25, 659.25], bursts: [0, 0.45], on: 0.35, every: 2.6, volume: 0.14 },
  /** For who is in a call already: not over what the others say. */
  waiting: { frequencies: [523.25], bursts: [0], on: 0.25, every: 5, volume: 0.06 },
  // As European exchanges play it to the caller (ITU-T E.182).
  ringback: { frequencies: [425], bursts: [0], on: 1, every: 5, volume: 0.05 },
} as const;

let context: AudioContext | null = null;

/**
 * Plays it until the returned function is called. `blocked` is told where the browser wants the user to do
 * something first; it plays from then on.
 */
export function play(tone: Tone, blocked: (isBlocked: boolean) => void): () => void {
  context ??= new AudioContext();
  const audio = context;
  const { frequencies, bursts, on, every, volume } = TONES[tone];
  const output = audio.createGain();
  output.connect(audio.destination);
  const once = () => {
    for (const [index, start] of bursts.entries()) {
      const oscillator = audio.createOscillator();
      const gain = audio.createGain();
      const at = audio.currentTime + start;
      oscillator.frequency.value = frequencies[index % frequencies.length] as number;
      // With soft edges, for a hard one is a click.
      gain.gain.setValueAtTime(0, at);
      gain.gain.linearRampToValueAtTime(volume, at + 0.03);
      gain.gain.setValueAtTime(volume, at + on - 0.08);
      gain.gain.linearRampToValueAtTime(0, at + on);
      oscillator.connect(gain).connect(output);
      oscillator.start(at);
      oscillator.stop(at + on);
    }
  };
  let timer: ReturnType<typeof setInterval> | undefined;
  const begin = () => {
    if (timer !== undefined || audio.state !== 'running') return;
    blocked(false);
    once();
    timer = setInterval(once, every * 1_000);
  };
  const wake = () => void audio.resume();
  audio.addEventListener('statechange', begin);
  document.addEventListener('pointerdown', wake);
  document.addEventListener('keydown', wake);
  blocked(audio.state !== 'running');
  void audio.resume();
  begin();
  return () => {
    clearInterval(timer);
    audio.removeEventListener('statechange', begin);
    document.removeEventListener('pointerdown', wake);
    document.removeEventListener('keydown', wake);
    output.disconnect();
    blocked(false);
  };
}
