import type { SignalInput } from '../../../../client/src/generated/graphql.ts';
import type { MediaSource } from '../../../../client/src/links/types.ts';
import { createSide, type Side, type SideKind } from './sides.ts';

/**
 * Two ends of a link in one page, real peer connections, and between them a way for signals that keeps their
 * order and takes its time. What happens when is the seed's to say, so a run can be had again.
 */

export interface PairOutcome {
  readonly errors: string[];
  /** Peer connections that each of the two made. */
  readonly made: [number, number];
  readonly states: string[];
  /** What each heard of the other when all was quiet. */
  readonly heard: [string[], string[]];
  /** What each has of the other's, by source and colour, when all was quiet. */
  readonly sees: [Record<string, string>, Record<string, string>];
  /** What each sends then. */
  readonly shows: [Record<string, string>, Record<string, string>];
  /** Offers that met one on its way the other way. */
  readonly glares: number;
  /** What happened, in order. */
  readonly trace: string[];
}

declare global {
  interface Window {
    /** The polite one, and the impolite one. */
    runPair: (seed: number, kinds: [SideKind, SideKind]) => Promise<PairOutcome>;
  }
}

/** mulberry32: small, and good enough to mix things up. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Generation, and whose connection it is of. */
function inWords({ offer, answer, candidates, renegotiate }: SignalInput): string {
  const of = (sdp: string) => /^o=- (\d{4})/m.exec(sdp)?.[1];
  if (offer) return `offer ${offer.generation} of ${of(offer.sdp)}`;
  if (answer) return `answer ${answer.generation} of ${of(answer.sdp)}`;
  if (renegotiate) return 'renegotiate';
  return `${candidates?.items.length} candidates ${candidates?.generation}`;
}

/** A picture of one colour that never quite stands still, for a canvas that does not change gives no frames. */
function picture(colour: string): MediaStreamTrack {
  const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 48 });
  const context = canvas.getContext('2d')!;
  const [track] = canvas.captureStream(10).getVideoTracks();
  let turn = 0;
  const timer = setInterval(() => {
    if (track!.readyState === 'ended') clearInterval(timer);
    turn += 1;
    context.fillStyle = colour;
    context.fillRect(0, 0, 64, 48);
    context.fillStyle = turn % 2 === 0 ? '#000' : '#fff';
    context.fillRect(0, 0, 4, 4);
  }, 100);
  return track!;
}

/** The colour in the middle of what is shown; none before the first frame. */
function colourOf(video: HTMLVideoElement | undefined): string {
  if (!video || video.videoWidth === 0) return 'nothing';
  const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
  const context = canvas.getContext('2d')!;
  context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
  const [red, green, blue] = [...context.getImageData(0, 0, 1, 1).data].map((value) =>
    value > 127 ? 'f' : '0',
  );
  return `#${red}${green}${blue}`;
}

const COLOURS = ['#f00', '#0f0', '#00f', '#ff0', '#0ff', '#f0f'];
const PICTURES: readonly MediaSource[] = ['camera', 'screen'];
/** Milliseconds until all has to be quiet, and seen. */
const LIMIT = 20_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

window.runPair = async (seed, kinds) => {
  const random = randomOf(seed);
  const began = performance.now();
  const trace: string[] = [];
  const note = (what: string) => trace.push(`${Math.round(performance.now() - began)} ms: ${what}`);
  const errors: string[] = [];
  const made: [RTCPeerConnection[], RTCPeerConnection[]] = [[], []];
  const heard: [string[], string[]] = [[], []];
  const shows: PairOutcome['shows'] = [{}, {}];
  const videos: [Record<string, HTMLVideoElement>, Record<string, HTMLVideoElement>] = [{}, {}];
  const tracks: MediaStreamTrack[] = [];
  const offersUnderWay: [number, number] = [0, 0];
  let glares = 0;
  let underWay = 0;
  const last: [Promise<unknown>, Promise<unknown>] = [Promise.resolve(), Promise.resolve()];

  /** In the order of sending, each after a while of its own. */
  function deliver(from: 0 | 1, signal: SignalInput): void {
    const to = from === 0 ? 1 : 0;
    if (signal.offer) {
      offersUnderWay[from] += 1;
      if (offersUnderWay[to] > 0) glares += 1;
    }
    note(`${from} sends ${inWords(signal)}`);
    underWay += 1;
    const delay = pause(random() * 40);
    last[from] = last[from]
      .then(() => delay)
      .then(() => {
        underWay -= 1;
        if (signal.offer) offersUnderWay[from] -= 1;
        note(`${to} gets ${inWords(signal)}`);
        sides[to].receive(signal);
      });
  }

  const sideOf = (me: 0 | 1) =>
    createSide(kinds[me], me === 0, {
      send: (signal) => deliver(me, signal),
      made: (connection) => made[me].push(connection),
      failed: (error) => errors.push(`${me}: ${error}`),
      heard: (text) => heard[me].push(text),
      shown: (source, srcObject) => {
        if (videos[me][source]?.srcObject === srcObject) return;
        const look = { autoplay: true, muted: true, srcObject };
        videos[me][source]?.remove();
        videos[me][source] = Object.assign(document.createElement('video'), look);
        document.body.append(videos[me][source]);
      },
    });
  const sides: [Side, Side] = [sideOf(0), sideOf(1)];

  function show(side: 0 | 1, source: MediaSource, colour: string): void {
    if (kinds[side] === 'receives') return;
    const track = picture(colour);
    tracks.push(track);
    sides[side].setTrack(source, track);
    shows[side][source] = colour;
  }

  // Chosen beforehand: what is drawn for the delays depends on how the machine gets on.
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const choices = Array.from({ length: 6 }, () => ({
    restarts: random() < 0.4,
    source: pick(PICTURES),
    colours: [pick(COLOURS), pick(COLOURS)] as const,
    sides: pick([[0], [1], [0, 1]] as const),
    wait: random() * 120,
  }));
  // Whoever shows a screen has shown a camera before: that is how a stranger tells them apart.
  for (const side of [0, 1] as const) show(side, 'camera', pick(COLOURS));
  for (const choice of choices) {
    for (const side of choice.sides) {
      note(`${side} ${choice.restarts ? 'restarts' : `shows its ${choice.source}`}`);
      if (choice.restarts) sides[side].restartIce();
      else show(side, choice.source, choice.colours[side]);
    }
    await pause(choice.wait);
  }

  const seen = (side: 0 | 1) =>
    Object.fromEntries(
      Object.keys(shows[1 - side]!).map((source) => [source, colourOf(videos[side][source])]),
    );
  const isSettled = () =>
    underWay === 0 &&
    ([0, 1] as const).every((side) => {
      const { signalingState, connectionState } = made[side].at(-1)!;
      const sees = seen(side);
      // What a rollback does to pictures is the browser's: see the test.
      const excused = side === 0 && kinds.includes('stranger');
      return (
        signalingState === 'stable' &&
        connectionState === 'connected' &&
        (excused || Object.entries(shows[1 - side]!).every(([source, colour]) => sees[source] === colour))
      );
    });
  const deadline = performance.now() + LIMIT;
  for (let quiet = 0; quiet < 5 && performance.now() < deadline; ) {
    await pause(60);
    quiet = isSettled() ? quiet + 1 : 0;
  }
  for (const side of [0, 1] as const) sides[side].say(`from ${side}`);
  const enough = performance.now() + 5_000;
  while ((heard[0].length === 0 || heard[1].length === 0) && performance.now() < enough) await pause(20);
  const outcome: PairOutcome = {
    errors,
    made: [made[0].length, made[1].length],
    states: [...made[0], ...made[1]].map(({ signalingState }) => signalingState),
    heard,
    sees: [seen(0), seen(1)],
    shows,
    glares,
    trace,
  };
  for (const side of sides) side.close();
  for (const track of tracks) track.stop();
  for (const video of document.querySelectorAll('video')) video.remove();
  return outcome;
};
