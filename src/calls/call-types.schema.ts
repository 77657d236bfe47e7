import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { assertValid, type Problem } from '../graphql/input.ts';
import type { Connection, TimelineEntry } from '../graphql/services.ts';
import { LinkQualityRef } from '../quality/quality.schema.ts';
import type { CallView, MediaState, ParticipantView } from './call-view.ts';
import { TIMELINE_PAGE } from './pages.ts';

/** A call and its participants, as GraphQL shows them. */

export const CallTypeRef = builder.enumType('CallType', {
  description: 'What the caller asked for. It names the call; it forbids no track.',
  values: ['AUDIO', 'VIDEO'],
});

export const CallStatusRef = builder.enumType('CallStatus', {
  description: '`RINGING → ACTIVE → ENDED`, or `RINGING → ENDED`.',
  values: {
    RINGING: { description: 'Nobody but the caller is in it yet.' },
    ACTIVE: { description: 'Somebody answered.' },
    ENDED: { description: 'Final.' },
  },
});

const CallEndReasonRef = builder.enumType('CallEndReason', {
  values: {
    HANGUP: { description: 'A participant hung up and the call was over with it.' },
    ENDED_BY_HOST: { description: 'The host ended it for everyone.' },
    CANCELLED: { description: 'The caller gave up before anyone answered.' },
    DECLINED: { description: 'Every invitee declined.' },
    NO_ANSWER: { description: 'Nobody answered before the ring deadline.' },
    CONNECTION_LOST: {
      description: 'A seat was lost for longer than the disconnect grace, and the call was over with it.',
    },
    MAX_DURATION: { description: 'The call reached its longest allowed duration.' },
    ALONE: { description: 'One participant had been alone for too long.' },
    TERMINATED: { description: 'An administrator ended it.' },
  },
});

const ParticipantRoleRef = builder.enumType('ParticipantRole', {
  values: {
    HOST: {
      description:
        'May remove, mute and end. The caller at first; then whoever has been in the call longest.',
    },
    GUEST: {},
  },
});

const ParticipantStatusRef = builder.enumType('ParticipantStatus', {
  values: {
    RINGING: { description: 'Invited; the ring deadline has not passed.' },
    CONNECTING: { description: 'In the call, its event stream not opened yet.' },
    CONNECTED: { description: 'In the call, with a live event stream.' },
    RECONNECTING: {
      description: 'In the call, its event stream gone for less than the disconnect grace.',
    },
    LEFT: { description: '`leaveReason` says why.' },
    DECLINED: { description: 'Said no to the ring; may still join while the call is ACTIVE.' },
    MISSED: { description: 'The ring deadline passed; may still join while the call is ACTIVE.' },
  },
});

const LeaveReasonRef = builder.enumType('LeaveReason', {
  values: {
    HANGUP: { description: 'Left.' },
    DISCONNECTED: { description: 'The event stream was gone for longer than the disconnect grace.' },
    NEVER_CONNECTED: { description: 'No event stream was opened within the disconnect grace.' },
    REMOVED: { description: 'The host removed them; they may not join until invited again.' },
    REPLACED: { description: "Another of the user's sessions took the seat." },
    MEMBERSHIP_LOST: { description: 'No longer a member of the conversation.' },
    CALL_ENDED: { description: 'The call ended while they were in it.' },
  },
});

const MediaStateRef = builder.objectRef<MediaState>('MediaState').implement({
  description: 'What a participant says it sends. The server carries no media and checks none of it.',
  fields: (t) => ({
    muted: t.exposeBoolean('muted'),
    videoOn: t.exposeBoolean('videoOn'),
    screenOn: t.exposeBoolean('screenOn', { description: 'Shares a screen.' }),
  }),
});

export const ParticipantRef = builder.objectRef<ParticipantView>('Participant').implement({
  description: 'Somebody invited to a call. A user has at most one seat in a call.',
  fields: (t) => ({
    id: t.exposeID('id', { description: "Unique over all calls, for clients' caches." }),
    userId: t.exposeID('userId'),
    role: t.expose('role', { type: ParticipantRoleRef }),
    status: t.expose('status', { type: ParticipantStatusRef }),
    sessionId: t.exposeID('sessionId', {
      nullable: true,
      description: 'The session that holds the seat; null while not in the call.',
    }),
    joinSeq: t.exposeInt('joinSeq', {
      nullable: true,
      description: `Server-issued, grows with every tenure of a seat in this call. Between two peers the one
with the higher number makes the first offer and is the impolite one; the other is polite
(W3C WebRTC, perfect negotiation). A peer whose joinSeq changed is a new peer: drop the link.`,
    }),
    media: t.expose('media', { type: MediaStateRef }),
    invitedAt: t.expose('invitedAt', { type: 'DateTime' }),
    ringDeadline: t.expose('ringDeadline', {
      type: 'DateTime',
      nullable: true,
      description: 'When the ring ends as MISSED; null once it no longer rings.',
    }),
    declinedBusy: t.exposeBoolean('declinedBusy', { description: 'Declined because of another call.' }),
    joinedAt: t.expose('joinedAt', { type: 'DateTime', nullable: true }),
    leftAt: t.expose('leftAt', { type: 'DateTime', nullable: true }),
    leaveReason: t.expose('leaveReason', { type: LeaveReasonRef, nullable: true }),
  }),
});

export const PageInfoRef = builder.objectRef<Connection<unknown>['pageInfo']>('PageInfo').implement({
  description: 'As in the GraphQL Cursor Connections specification (Relay).',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage'),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage'),
    startCursor: t.exposeString('startCursor', { nullable: true }),
    endCursor: t.exposeString('endCursor', { nullable: true }),
  }),
});

const TimelineEntryRef = builder.objectRef<TimelineEntry>('TimelineEntry').implement({
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: "The database's time." }),
    kind: t.exposeString('kind', {
      description: `What happened, such as \`JOINED\`; new kinds may come. OFFERS, ANSWERS, CANDIDATES and RENEGOTIATIONS are
signals from \`actorId\` to \`subjectId\`, without a long silence in between; QUALITY is what \`actorId\` measured of the link to
\`subjectId\`; RATED, what the viewer thought of the call.`,
    }),
    actorId: t.exposeID('actorId', {
      nullable: true,
      description: 'Who did it; null where nobody did: a deadline, a lost connection.',
    }),
    subjectId: t.exposeID('subjectId', {
      nullable: true,
      description: 'Whom it happened to; of signals null where they went to everyone else.',
    }),
    detail: t.exposeString('detail', { description: 'Why, in a word or a line.' }),
    count: t.exposeInt('count', { nullable: true, description: 'How many signals; null for anything else.' }),
    until: t.expose('until', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last of these signals was taken; `at` is that of the first.',
    }),
    quality: t.expose('quality', { type: LinkQualityRef, nullable: true, description: 'Of QUALITY alone.' }),
  }),
});

const TimelineEdgeRef = builder
  .objectRef<Connection<TimelineEntry>['edges'][number]>('TimelineEdge')
  .implement({
    fields: (t) => ({
      cursor: t.exposeString('cursor'),
      node: t.expose('node', { type: TimelineEntryRef }),
    }),
  });

const TimelineConnectionRef = builder.objectRef<Connection<TimelineEntry>>('TimelineConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [TimelineEdgeRef] }),
    pageInfo: t.expose('pageInfo', { type: PageInfoRef }),
  }),
});

export const CallRef = builder.objectRef<CallView>('Call').implement({
  description: 'A call as it was at `version`.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'A UUID.' }),
    conversationId: t.exposeID('conversationId'),
    type: t.expose('type', { type: CallTypeRef }),
    status: t.expose('status', { type: CallStatusRef }),
    version: t.exposeInt('version', {
      description: 'Grows by one with each change of state; a snapshot with a lower one is older.',
    }),
    callerId: t.exposeID('callerId'),
    participants: t.expose('participants', {
      type: [ParticipantRef],
      description: 'Everyone who was ever invited, the caller included.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    answeredAt: t.expose('answeredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the first other participant joined.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      description: 'When the longest allowed duration ends it; CallExpiring warns before.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    endReason: t.expose('endReason', { type: CallEndReasonRef, nullable: true }),
    endedBy: t.exposeID('endedBy', {
      nullable: true,
      description: 'Null where nobody did: a deadline, a lost connection.',
    }),
    durationSeconds: t.exposeInt('durationSeconds', {
      nullable: true,
      description: 'From answer to end; null for a call that nobody answered.',
    }),
    timeline: t.field({
      type: TimelineConnectionRef,
      description: `What happened, in order: the record that explains a failed call. No SDP, candidate or address is in it.
Counts of signals come into it some seconds after them, in their place. Empty some time after the call's end (EVENT_RETENTION).
\`first\`: 1 to ${TIMELINE_PAGE.largest} entries. Errors: BAD_USER_INPUT.`,
      extensions: { page: TIMELINE_PAGE },
      args: {
        first: t.arg.int({ required: true, defaultValue: TIMELINE_PAGE.usual }),
        after: t.arg.string(),
      },
      resolve: (call, { first, after }, context) => {
        const viewer = viewerOf(context);
        assertValid(pageProblem(first));
        return context.services.timeline.timeline(viewer, call.id, { first, after: after ?? null });
      },
    }),
  }),
});

function pageProblem(first: number): Problem | null {
  if (first >= 1 && first <= TIMELINE_PAGE.largest) return null;
  return { field: 'first', message: `first wants 1 to ${TIMELINE_PAGE.largest}.` };
}
