import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { idProblem, invalid, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';
import {
  type CANDIDATE_TYPES,
  isRelayed,
  type LINK_OUTCOMES,
  type LinkQuality,
  MOST,
  MOST_LINKS,
  MOST_REPORTS,
} from './quality-report.ts';

/** How well a call went, as its participants measured it. */

const LinkOutcomeRef = builder.enumType('LinkOutcome', {
  values: {
    CONNECTED: { description: 'Connected when it was reported, or when the call ended.' },
    LOST: { description: 'It had been connected, and was not any more.' },
    FAILED: { description: 'It never connected.' },
  } satisfies Record<(typeof LINK_OUTCOMES)[number], object>,
});

const CandidateTypeRef = builder.enumType('IceCandidateType', {
  description: 'RFC 8445 section 4.',
  values: {
    HOST: { description: 'An address of the device itself.' },
    SRFLX: { description: 'What a STUN server saw of it: server-reflexive.' },
    PRFLX: { description: 'What the other end saw of it: peer-reflexive.' },
    RELAY: { description: 'An address of a TURN server.' },
  } satisfies Record<(typeof CANDIDATE_TYPES)[number], object>,
});

const TEXT = {
  connectedAfterMs: `From the link's beginning to its first connection, milliseconds; null where it FAILED.`,
  candidate: 'Of the pair of candidates that was in use; null where none was.',
  lossPercent: 'Of the packets that should have come in, over the whole link.',
  jitterMs: 'Of what came in, milliseconds (RFC 3550 section 6.4.1).',
  roundTripMs: 'Of that pair, milliseconds (W3C WebRTC statistics, `currentRoundTripTime`).',
  reconnects: 'How often it was lost and came back, or was to come back.',
};

const LinkQualityInput = builder.inputType('LinkQualityInput', {
  description: 'What `getStats` (W3C WebRTC statistics) tells of the link to one other participant.',
  fields: (t) => ({
    userId: t.id({ required: true, description: 'The other participant.' }),
    outcome: t.field({ type: LinkOutcomeRef, required: true }),
    connectedAfterMs: t.int({ description: `${TEXT.connectedAfterMs} 0 to ${MOST.connectedAfter}.` }),
    localCandidate: t.field({ type: CandidateTypeRef, description: TEXT.candidate }),
    remoteCandidate: t.field({ type: CandidateTypeRef, description: TEXT.candidate }),
    lossPercent: t.float({ description: `${TEXT.lossPercent} 0 to ${MOST.loss}.` }),
    jitterMs: t.float({ description: `${TEXT.jitterMs} 0 to ${MOST.jitter}.` }),
    roundTripMs: t.float({ description: `${TEXT.roundTripMs} 0 to ${MOST.roundTrip}.` }),
    reconnects: t.int({
      required: true,
      defaultValue: 0,
      description: `${TEXT.reconnects} 0 to ${MOST.reconnects}.`,
    }),
  }),
});

const ReportCallQualityInput = builder.inputType('ReportCallQualityInput', {
  fields: (t) => ({
    callId: t.id({ required: true }),
    reportId: t.id({ required: true, description: 'Made up by the client: a repeat is taken once.' }),
    links: t.field({
      type: [LinkQualityInput],
      required: true,
      defaultValue: [],
      description: `${MOST_LINKS} at most.`,
    }),
    rating: t.int({ description: 'What the viewer thought of the call, 1 (bad) to 5 (good).' }),
  }),
});

/** As the timeline shows it; whom the link is to stands in its entry. */
export const LinkQualityRef = builder.objectRef<Omit<LinkQuality, 'userId'>>('LinkQuality').implement({
  description: 'What a participant measured of the link to another.',
  fields: (t) => ({
    outcome: t.expose('outcome', { type: LinkOutcomeRef }),
    connectedAfterMs: t.exposeInt('connectedAfterMs', { nullable: true, description: TEXT.connectedAfterMs }),
    relayed: t.boolean({
      nullable: true,
      description: 'Through a TURN server, on either side; null where no pair of candidates was in use.',
      resolve: isRelayed,
    }),
    localCandidate: t.expose('localCandidate', {
      type: CandidateTypeRef,
      nullable: true,
      description: TEXT.candidate,
    }),
    remoteCandidate: t.expose('remoteCandidate', {
      type: CandidateTypeRef,
      nullable: true,
      description: TEXT.candidate,
    }),
    lossPercent: t.exposeFloat('lossPercent', { nullable: true, description: TEXT.lossPercent }),
    jitterMs: t.exposeFloat('jitterMs', { nullable: true, description: TEXT.jitterMs }),
    roundTripMs: t.exposeFloat('roundTripMs', { nullable: true, description: TEXT.roundTripMs }),
    reconnects: t.exposeInt('reconnects', { description: TEXT.reconnects }),
  }),
});

const ReportCallQualitySuccess = builder
  .objectRef<{ at: number; duplicate: boolean }>('ReportCallQualitySuccess')
  .implement({
    fields: (t) => ({
      at: t.expose('at', { type: 'DateTime', description: 'When it was taken.' }),
      duplicate: t.exposeBoolean('duplicate', {
        description: 'True where this reportId had been taken before.',
      }),
    }),
  });

const ReportCallQualityResult = builder.unionType('ReportCallQualityResult', {
  types: [ReportCallQualitySuccess, RejectionRef],
  resolveType: resultType('ReportCallQualitySuccess'),
});

builder.mutationField('reportCallQuality', (t) =>
  t.field({
    type: ReportCallQualityResult,
    description: `What the viewer's device measured of a call that they are or were in, at its end or where a link failed, and
what they thought of it. It stands in the call's timeline, the rating for the viewer alone. Taken until an hour
after the call's end, ${MOST_REPORTS} of each participant.
Rejections: CALL_NOT_FOUND, NOT_A_MEMBER, NOT_INVITED, NOT_IN_CALL (never was), CALL_ENDED (too long ago), INVALID_INPUT,
RATE_LIMITED, TIMEOUT.`,
    args: { input: t.arg({ type: ReportCallQualityInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const viewer = viewerOf(context);
      const { callId, reportId, links, rating } = input;
      let problem = idProblem('input.callId', callId) ?? idProblem('input.reportId', reportId);
      for (const [index, { userId }] of links.entries()) {
        problem ??= idProblem(`input.links.${index}.userId`, userId);
      }
      if (problem !== null) return invalid(problem);
      return member(
        await context.services.quality.reportCallQuality(viewer, {
          callId,
          reportId,
          rating: rating ?? null,
          links: links.map((link) => ({
            userId: link.userId,
            outcome: link.outcome,
            connectedAfterMs: link.connectedAfterMs ?? null,
            localCandidate: link.localCandidate ?? null,
            remoteCandidate: link.remoteCandidate ?? null,
            lossPercent: link.lossPercent ?? null,
            jitterMs: link.jitterMs ?? null,
            roundTripMs: link.roundTripMs ?? null,
            reconnects: link.reconnects,
          })),
        }),
      );
    },
  }),
);
