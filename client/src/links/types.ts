import type { CallEventsSubscription } from '../generated/graphql.ts';

/** What the parts of a link have in common. */

/** Where a track comes from, and what it is shown as. */
export type MediaSource = 'microphone' | 'camera' | 'screen';

/** `connecting`: not connected yet. `reconnecting`: it was, and ICE is being restarted or the link built anew. */
export type LinkState = 'connecting' | 'connected' | 'reconnecting';

type SignalReceived = Extract<CallEventsSubscription['callEvents'], { __typename: 'SignalReceived' }>;

export type Signal = SignalReceived['signal'];
export type Candidates = Extract<Signal, { __typename: 'IceCandidates' }>;
export type Candidate = Candidates['items'][number];
