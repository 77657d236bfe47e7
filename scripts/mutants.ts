/**
 * Each rule of a call's life that pure code decides, taken out: what the tests have to notice. `rule` is the
 * audit's name (C1 … M6), or the design's word where the audit has none.
 */

export interface Mutant {
  readonly rule: string;
  /** What is the case once the rule is gone. */
  readonly name: string;
  readonly file: string;
  /** Occurs in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

type Change = readonly [rule: string, name: string, find: string, replace: string];

function inFile(file: string, changes: readonly Change[]): Mutant[] {
  return changes.map(([rule, name, find, replace]) => ({ rule, name, file, find, replace }));
}

export const MUTANTS: readonly Mutant[] = [
  ...inFile('src/calls/call-rules.ts', [
    [
      'C1',
      'a second session joins',
      "if (seat && seat.state !== 'RECONNECTING' && !given.takeOver) return reject('ALREADY_IN_CALL');",
      '',
    ],
    [
      'C1',
      'a seat is not protected while CONNECTING',
      "seat.state !== 'RECONNECTING' &&",
      "seat.state === 'CONNECTED' &&",
    ],
    [
      'C1',
      'a second session joins by calling the same people',
      "seat.sessionId === sessionId ? { joinedExisting: false } : reject('ALREADY_IN_CALL')",
      '{ joinedExisting: false }',
    ],
    [
      'C1',
      'the repeat of the same session is no repeat',
      'if (seat?.sessionId === given.sessionId) return { rejoined: true };',
      '',
    ],
    [
      'takeover',
      'a lost seat is not for another session',
      "seat.state !== 'RECONNECTING' && !given",
      '!given',
    ],
    [
      'session',
      'any session leaves',
      "if (participant.seat.sessionId !== sessionId) return reject('STALE_SESSION');\n    giveUpSeat",
      'giveUpSeat',
    ],
    [
      'session',
      'any session says what is sent',
      "if (participant.seat.sessionId !== sessionId) return reject('STALE_SESSION');\n  const before",
      'const before',
    ],
    [
      'H1',
      'there is room for everyone',
      "if (!seat && seated(call).length >= limits.maxParticipants) return reject('CALL_FULL');",
      '',
    ],
    [
      'H1',
      'one more fits in',
      'if (!seat && seated(call).length >= limits',
      'if (!seat && seated(call).length > limits',
    ],
    ['H1', 'a takeover needs a place of its own', 'if (!seat && seated(call)', 'if (seated(call)'],
    [
      'H1',
      'there is room for whoever calls the same people',
      "if (seated(draft.call).length >= draft.limits.maxParticipants) return reject('CALL_FULL');",
      '',
    ],
    [
      'H3',
      'a stranger hears that there is a call',
      "reject(actor.isMember ? 'NOT_INVITED' : 'CALL_NOT_FOUND')",
      "reject('NOT_INVITED')",
    ],
    [
      'H3',
      'a member joins without an invitation',
      `  const participant = participantOf(draft.call, actor);
  if (isRejection(participant)) return participant;
  const { call, limits } = draft;
  if (call.status`,
      `  const asked = participantOf(draft.call, actor);
  const participant = isRejection(asked) && asked.code === 'NOT_INVITED'
    ? addParticipant(draft, actor.userId, actor.userId, 'GUEST')
    : asked;
  if (isRejection(participant)) return participant;
  const { call, limits } = draft;
  call.status = 'ACTIVE';
  if (call.status`,
    ],
    [
      'H3',
      'one who is a member no more joins',
      "if (!participant.member) return reject('NOT_A_MEMBER');",
      '',
    ],
    [
      'H3',
      'one who was removed joins',
      "if (participant.invitation === 'REMOVED') return reject('NOT_INVITED');",
      '',
    ],
    [
      'block',
      'one who blocked the caller joins',
      "if (participant.silence === 'BLOCKED') return reject('NOT_INVITED');",
      '',
    ],
    [
      'block',
      'one whom another invites too is not rung',
      "if (known.silence === 'BLOCKED') known.silence = silence;",
      '',
    ],
    [
      'block',
      'one who calls whom he blocked is not in their call',
      "if (own?.silence === 'BLOCKED') own.silence = null;",
      '',
    ],
    [
      'invite',
      'people of other conversations are invited',
      "for (const userId of wanted) if (!members.has(userId)) return reject('INVALID_CALLEE');",
      '',
    ],
    ['invite', 'one who has no seat invites', "if (!inviter.seat) return reject('NOT_IN_CALL');", ''],
    [
      'invite',
      'there is no most',
      'call.participants.length - 1 + strangers.length > limits.maxInvitees',
      'false',
    ],
    [
      'M2',
      'one whose ring is over joins',
      "if (call.status === 'RINGING' && ringOver) return reject('CALL_EXPIRED');",
      '',
    ],
    [
      'M2',
      'a call that rang too long is merely over',
      "call.endReason === 'NO_ANSWER' ? 'CALL_EXPIRED' : 'CALL_ENDED'",
      "'CALL_ENDED'",
    ],
    [
      'ring',
      'MISSED and DECLINED end the right to join',
      "call.status === 'RINGING' && ringOver",
      'ringOver',
    ],
    [
      'ring',
      'a decline after an accept counts',
      "if (participant.invitation !== 'RINGING') return null;",
      '',
    ],
    ['ring', 'being busy is not kept', 'participant.declinedBusy = busy;', ''],
    ['group', 'a third makes no group', 'if (call.participants.length > 2) call.isGroup = true;', ''],
    [
      'host',
      'anyone ends a group',
      "if (call.isGroup && participant.role !== 'HOST') return reject('NOT_THE_HOST');",
      '',
    ],
    ['host', 'anyone removes and mutes', "if (host.role !== 'HOST') return reject('NOT_THE_HOST');", ''],
    [
      'host',
      'the host unmutes',
      'if (target.media.muted) return null;\n  target.media = { ...target.media, muted: true };',
      'target.media = { ...target.media, muted: !target.media.muted };',
    ],
    ['end', 'a call that is over is joined', "if (call.status === 'ENDED') return over(call);", ''],
    ['end', 'ending twice is not the same as once', "if (call.status === 'ENDED') return null;", ''],
    ['end', 'an administrator ends it once more', "if (draft.call.status !== 'ENDED') end(", 'end('],
    [
      'same people',
      'a later invitation changes nothing',
      'limits.ringTimeoutMs);\n    call.peopleKey = null;',
      'limits.ringTimeoutMs);',
    ],
    ['same people', 'a removal changes nothing', 'draft.call.peopleKey = null;', ''],
  ]),
  ...inFile('src/calls/call.ts', [
    ['block', 'a silent ring is heard', '.filter((p) => p.silence === null)', ''],
    ['C1', 'one who is found gone is no ghost', 'ghost ?', 'false ?'],
    [
      'C2',
      'the warning comes with the end',
      'warnAt: expiresAt - limits.callDurationWarningMs',
      'warnAt: expiresAt',
    ],
    [
      'H1',
      'who reconnects does not count',
      'call.participants.filter((p) => p.seat !== null)',
      "call.participants.filter((p) => p.seat !== null && p.seat.state !== 'RECONNECTING')",
    ],
    [
      'joinSeq',
      'a takeover keeps it',
      'joinSeq: call.nextJoinSeq++',
      'joinSeq: before?.joinSeq ?? call.nextJoinSeq++',
    ],
    [
      'M2',
      'a call goes on that rings for nobody',
      "if (call.status === 'RINGING' && ringing(call).length === 0) {",
      'if (false) {',
    ],
    ['M2', 'a ring that ran out is no NO_ANSWER', "some('MISSED') ? 'NO_ANSWER' : ", ''],
    [
      'pair',
      'it goes on with one',
      '!call.isGroup || seated(call).length === 0',
      'seated(call).length === 0',
    ],
    [
      'pair',
      'a lost seat is a hangup',
      "end(draft, lost ? 'CONNECTION_LOST' : 'HANGUP', by);",
      "end(draft, 'HANGUP', by);",
    ],
    ['group', 'it ends with the first leave', '!call.isGroup || seated(call).length === 0', 'true'],
    ['ringing', 'the caller’s lost seat cancels it', "lost ? 'CONNECTION_LOST' : 'CANCELLED'", "'CANCELLED'"],
    [
      'host',
      'there is none once the host left',
      "if (participant.role === 'HOST') handOver(draft, participant);",
      '',
    ],
    [
      'host',
      'the last to come is next',
      '(a.joinedAt ?? 0) < (b.joinedAt ?? 0)',
      '(a.joinedAt ?? 0) > (b.joinedAt ?? 0)',
    ],
    [
      'host',
      'who takes over is the last to have come',
      'participant.lastSessionId = sessionId;',
      'participant.lastSessionId = sessionId;\n  participant.joinedAt = now;',
    ],
    ['alone', 'a ring that is open does not hinder it', ' && ringing(call).length === 0;', ';'],
    [
      'alone',
      'a join does not stop it',
      'if (!alone) call.aloneDeadline = null;\n  else if (call.aloneDeadline === null)',
      'if (alone && call.aloneDeadline === null)',
    ],
    ['end', 'nobody is named', 'call.endedBy = by;', ''],
    [
      'end',
      'rings go on',
      "note(draft, 'MISSED', null, participant.userId, 'CALL_ENDED');\n    }",
      "participant.invitation = 'RINGING';\n    }",
    ],
  ]),
  ...inFile('src/calls/deadlines.ts', [
    ['C2', 'a call has no longest duration', 'at: call.expiresAt,', 'at: Number.POSITIVE_INFINITY,'],
    ['C2', 'there is no warning', 'consider(call.warnAt, warn);', ''],
    ['M1', 'the grace does not end', 'consider(seat.deadline, (draft)', 'consider(null, (draft)'],
    [
      'M1',
      'a stream that never opened is a lost one',
      "seat.state === 'CONNECTING' ? 'NEVER_CONNECTED' : 'DISCONNECTED'",
      "'DISCONNECTED'",
    ],
    ['M2', 'a ring does not end', 'consider(ringDeadline, (draft)', 'consider(null, (draft)'],
    ['M1', 'no grace follows an outage', 'if (outage && at >= outage.from && at <= outage.to)', 'if (false)'],
    [
      'M1',
      'an outage gives a grace to all',
      'if (outage && at >= outage.from && at <= outage.to)',
      'if (outage)',
    ],
    ['alone', 'it does not end the call', 'consider(call.aloneDeadline, (draft)', 'consider(null, (draft)'],
    ['order', 'the last deadline comes first', 'if (at !== null && at < next.at)', 'if (at !== null)'],
    ['member', 'who is none any more stays', 'dropNonMembers(draft);\n  for', 'for'],
  ]),
  ...inFile('src/seats/seat-rules.ts', [
    [
      'session',
      'any session opens a stream',
      "if (seat.sessionId !== sessionId) return reject('STALE_SESSION');",
      '',
    ],
    [
      'M1',
      'there is no grace',
      'deadline: draft.now + draft.limits.disconnectGraceMs',
      'deadline: draft.now',
    ],
    [
      'M1',
      'the end of an older stream counts',
      'if (participant?.seat?.streamId === streamId) beginGrace',
      'if (participant?.seat) beginGrace',
    ],
    [
      'M1',
      'a stalled instance takes the seat from a newer stream',
      'if (holder !== null && holder !== stream.streamId) return reject(',
      'if (holder === undefined) return reject(',
    ],
    [
      'M1',
      'a stream that came back is lost all the same',
      "state: 'CONNECTED', deadline: null, orphaned",
      "state: 'CONNECTED', orphaned",
    ],
    [
      'M1',
      'a dead instance keeps its seats',
      'if (seat?.instanceId === instanceId) beginGrace(draft, userId, true);',
      '',
    ],
    [
      'M1',
      'a dead instance takes the seats of the others',
      'if (seat?.instanceId === instanceId)',
      'if (seat)',
    ],
    [
      'C1',
      'whoever is lost is a ghost',
      'beginGrace(draft, userId, false)',
      'beginGrace(draft, userId, true)',
    ],
  ]),
  ...inFile('src/calls/changes.ts', [
    ['C2', 'nobody hears the warning', "facts.some((fact) => fact.kind === 'EXPIRING')", 'false'],
    [
      'M1',
      'the others hear of the last leave alone',
      "events.push({ __typename: 'ParticipantChanged'",
      "if (ended) events.push({ __typename: 'ParticipantChanged'",
    ],
    [
      'duration',
      'it counts the ringing',
      '(call.endedAt - call.answeredAt)',
      '(call.endedAt - (call as Call).createdAt)',
    ],
    [
      'seats',
      'a user called __proto__ has none',
      'Object.fromEntries(changes)',
      'changes.reduce((all, [id, seat]) => { all[id] = seat; return all; }, {} as any)',
    ],
    [
      'rings',
      'a ring that stops is told to nobody',
      'heard.has(userId) !== hear.has(userId)',
      '!heard.has(userId) && hear.has(userId)',
    ],
    [
      'block',
      'a device that is told of the call for another reason rings',
      'call.participants.filter((p) => p.silence !== null).map(({ userId }) => userId)',
      '[] as string[]',
    ],
  ]),
  ...inFile('src/notifications/notice.ts', [
    ['block', 'a silent ring is told', ' && is.silence === null;', ';'],
    ['block', 'the end of a silent ring is told', ' && was.silence === null;', ';'],
  ]),
  ...inFile('src/incoming/incoming-stream.ts', [
    ['rings', 'a late view rings again', 'if (known && known.version >= call.version) return;', ''],
    [
      'rings',
      'the other devices do not hear of the answer',
      "if (me?.sessionId != null) return 'ANSWERED_ELSEWHERE';",
      '',
    ],
    ['rings', 'a view that came before the snapshot is lost', 'this.#early.push({ call, at });', ''],
  ]),
  ...inFile('src/signals/ice-candidate.ts', [
    [
      'M6',
      'the candidate is not looked at',
      "candidate === '' ? null : checkCandidateLine(candidate)",
      'null',
    ],
    [
      'M6',
      'end-of-candidates is refused',
      "candidate === '' ? null : checkCandidateLine(candidate)",
      'checkCandidateLine(candidate)',
    ],
    [
      'M6',
      'line breaks pass',
      "if (!isPrintableAscii(text)) return 'a control character, or one that is not ASCII';",
      '',
    ],
    [
      'M6',
      'neither sdpMid nor sdpMLineIndex is needed',
      "sdpMid === null && sdpMLineIndex === null && candidate !== ''",
      'false',
    ],
    ['M6', 'component 257 passes', 'component > 256', 'component > 999'],
    ['M6', 'address 999.1.1.1 passes', 'return labels >= 2 && !numeric;', 'return labels >= 2;'],
    ['M6', 'port 65536 passes', "if (port > 65535) return 'port out of range';", ''],
    [
      'M6',
      'the type is anything',
      "if (!isCandidateType(text, start, end)) return 'type is none of host, srflx, prflx and relay';",
      '',
    ],
  ]),
  ...inFile('src/signals/session-description.ts', [
    [
      'M6',
      'a description needs no fingerprint',
      "if (!section.fingerprint && !session.fingerprint) return 'a=fingerprint';",
      '',
    ],
    [
      'M6',
      'the candidates of a description are not looked at',
      'return checkCandidateLine(attribute);',
      'return null;',
    ],
    ['M6', 'control characters pass', "return 'a control character, or a CR without LF';", ''],
  ]),
  ...inFile('src/signals/validate-signal.ts', [
    [
      'M6',
      'one bad candidate is let through with the others',
      'if (problem !== null) return { problem, valid, invalid };',
      '',
    ],
    [
      'M6',
      'there is no most of candidates',
      'items.length < 1 || items.length > MAX_CANDIDATES',
      'items.length < 1',
    ],
  ]),
];
