import type {
  CallEndReason,
  CallPartsFragment,
  LeaveReason,
  ParticipantPartsFragment,
} from './generated/graphql.ts';
import type { LinkStats } from './links/link-stats.ts';
import type { LinkState } from './links/types.ts';

/** What a call looks like to the app: the server's state and the links' of now in one. Pure. */

/** A call, as immutable as React wants it: a new object after each change. */
export interface CallState {
  readonly id: string;
  readonly conversationId: string;
  readonly type: 'AUDIO' | 'VIDEO';
  readonly callerId: string;
  readonly status: CallPartsFragment['status'];
  /** RFC 3339, UTC, of the server's clock, as all instants here. */
  readonly createdAt: string;
  readonly answeredAt: string | null;
  /** When the longest allowed duration ends it. */
  readonly expiresAt: string;
  readonly endedAt: string | null;
  /** From answer to end; null for a call that nobody answered. */
  readonly durationSeconds: number | null;
  /** Null while this page is in the call. */
  readonly over: CallOver | null;
  /**
   * The way to the server; media goes on without it. `degraded`: the server has lost its Redis. `closed`: it
   * has refused this page, and the seat is lost when the grace ends unless the app connects again.
   */
  readonly signaling: 'connected' | 'reconnecting' | 'degraded' | 'closed';
  readonly me: ParticipantState;
  /** The others, everyone who was ever invited. */
  readonly participants: readonly ParticipantState[];
}

/** Why this page is not in the call any more. */
export interface CallOver {
  /** REPLACED: another of the user's windows took the call over. DISCONNECTED: this page was away too long. */
  readonly reason: CallEndReason | LeaveReason;
  /** Who ended it; null where nobody did. */
  readonly by: string | null;
}

/** Somebody invited to the call. The same object as long as nothing about them changed. */
export interface ParticipantState {
  readonly userId: string;
  /** HOST: may remove, mute and end. */
  readonly role: ParticipantPartsFragment['role'];
  readonly status: ParticipantPartsFragment['status'];
  /** Has a seat: CONNECTING, CONNECTED or RECONNECTING. */
  readonly inCall: boolean;
  readonly declinedBusy: boolean;
  readonly leaveReason: LeaveReason | null;
  readonly joinSeq: number | null;
  /** What they say that they send. */
  readonly media: MediaSends;
  /** Null: no link, for they are not in the call, or they are this user. */
  readonly link: LinkState | null;
  /** Microphone and camera; the same object throughout their stay. */
  readonly stream: MediaStream | null;
  readonly screen: MediaStream | null;
  readonly stats: LinkStats | null;
}

/** What a participant says that they send. */
export interface MediaSends {
  readonly muted: boolean;
  readonly videoOn: boolean;
  readonly screenOn: boolean;
}

/** What the links know of a participant. */
export interface LinkView {
  readonly link: LinkState | null;
  readonly stream: MediaStream | null;
  readonly screen: MediaStream | null;
  readonly stats: LinkStats | null;
}

export const NO_LINK: LinkView = { link: null, stream: null, screen: null, stats: null };

const SEATED: readonly string[] = ['CONNECTING', 'CONNECTED', 'RECONNECTING'];

export function isSeated({ status }: Pick<ParticipantPartsFragment, 'status'>): boolean {
  return SEATED.includes(status);
}

/** The call with everything that is not older than it; the same object where nothing is news. */
export function withCall(known: CallPartsFragment, news: CallPartsFragment): CallPartsFragment {
  return news.version < known.version ? known : news;
}

export function withParticipant(
  known: CallPartsFragment,
  participant: ParticipantPartsFragment,
  version: number,
): CallPartsFragment {
  if (version < known.version) return known;
  const others = known.participants.map((other) =>
    other.userId === participant.userId ? participant : other,
  );
  const participants = others.includes(participant) ? others : [...others, participant];
  return { ...known, participants, version };
}

/** The app's view; `before` lends what did not change. */
export function viewOf(
  call: CallPartsFragment,
  userId: string,
  links: ReadonlyMap<string, LinkView>,
  own: Pick<CallState, 'over' | 'signaling'>,
  before: CallState | null,
): CallState {
  const known = new Map(before?.participants.map((view) => [view.userId, view]));
  if (before) known.set(userId, before.me);
  const views = call.participants.map((participant) => {
    const view = participantView(participant, links.get(participant.userId) ?? NO_LINK);
    const old = known.get(participant.userId);
    return old && isSame(old, view) ? old : view;
  });
  const { id, conversationId, type, callerId, status, createdAt, answeredAt, expiresAt } = call;
  const { endedAt, durationSeconds } = call;
  return {
    id,
    conversationId,
    type,
    callerId,
    status,
    createdAt,
    answeredAt: answeredAt ?? null,
    expiresAt,
    endedAt: endedAt ?? null,
    durationSeconds: durationSeconds ?? null,
    ...own,
    me: views.find((view) => view.userId === userId) as ParticipantState,
    participants: views.filter((view) => view.userId !== userId),
  };
}

function participantView(participant: ParticipantPartsFragment, link: LinkView): ParticipantState {
  const { userId, role, status, declinedBusy, media } = participant;
  return {
    userId,
    role,
    status,
    inCall: isSeated(participant),
    declinedBusy,
    leaveReason: participant.leaveReason ?? null,
    joinSeq: participant.joinSeq ?? null,
    media: { muted: media.muted, videoOn: media.videoOn, screenOn: media.screenOn },
    ...link,
    // The transceiver stays when a share ends; that it has ended is what they say.
    screen: media.screenOn ? link.screen : null,
  };
}

function isSame(one: ParticipantState, other: ParticipantState): boolean {
  const keys = Object.keys(one) as (keyof ParticipantState)[];
  return keys.every((key) =>
    key === 'media'
      ? one.media.muted === other.media.muted &&
        one.media.videoOn === other.media.videoOn &&
        one.media.screenOn === other.media.screenOn
      : one[key] === other[key],
  );
}
