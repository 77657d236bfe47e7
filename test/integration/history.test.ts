import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writeCounts } from '../../src/timeline/signal-counts.repository.ts';
import { SignalTally } from '../../src/timeline/signal-tally.ts';
import { Callers, numbered, RENEGOTIATE } from '../support/callers.ts';
import type { Client } from '../support/client.ts';
import type { LinkQualityInput, ReportCallQualityInput } from '../support/generated/graphql.ts';
import * as operations from '../support/operations.ts';
import {
  codeOf,
  createWorld,
  eventually,
  initiate,
  join,
  metricOf,
  success,
  type World,
} from '../support/world.ts';

/** What is left of calls: each one's history, what they missed, the timeline and what participants measured. */

let world: World;
let callers: Callers;
beforeAll(async () => {
  world = await createWorld({ instances: 2, env: { REPORT_RATE: '25' } });
  callers = new Callers(world);
});
afterAll(() => world?.close());
afterEach(() => callers.goAway());

const leave = async (client: Client, callId: string, sessionId: string) =>
  success((await client.mutate(operations.LeaveCall, { callId, sessionId })).leaveCall);
const record = async (client: Client, id: string) =>
  (await client.query(operations.GetRecord, { id })).call?.timeline.edges.map(({ node }) => node) ?? [];
const missedCount = async (client: Client) =>
  (await client.query(operations.GetMissedCallCount, {})).viewer.missedCallCount;
const report = async (client: Client, input: ReportCallQualityInput) =>
  (await client.mutate(operations.ReportCallQuality, { input })).reportCallQuality;

describe('A history', () => {
  it('says of each call how it went for whoever asks', async () => {
    const [ada, ben, cleo] = callers.names(3) as [string, string, string];
    const conversationId = await world.conversation([ada, ben, cleo]);
    const [asAda, asBen, asCleo] = [
      await callers.client(ada),
      await callers.client(ben, 1),
      await callers.client(cleo, 1),
    ];
    const call = async (calleeIds: string[]) =>
      success(await initiate(asAda, { conversationId, calleeIds, sessionId: 'a' })).call.id;
    const talked = await call([ben]);
    success(await join(asBen, talked, 'b'));
    await leave(asBen, talked, 'b');
    const declined = await call([ben]);
    await asBen.mutate(operations.DeclineCall, { callId: declined, busy: true });
    const missed = await call([ben, cleo]);
    await leave(asAda, missed, 'a');
    const rings = await call([ben]);

    const history = async (client: Client) =>
      (await client.query(operations.GetCalls, {})).calls.edges.map((edge) => [
        edge.node.id,
        edge.outcome,
        edge.outgoing,
        edge.seen,
      ]);
    expect(await history(asAda)).toEqual([
      [rings, 'ONGOING', true, true],
      [missed, 'UNANSWERED', true, true],
      [declined, 'UNANSWERED', true, true],
      [talked, 'ANSWERED', true, true],
    ]);
    expect(await history(asBen)).toEqual([
      [rings, 'RINGING', false, true],
      [missed, 'MISSED', false, false],
      [declined, 'DECLINED', false, true],
      [talked, 'ANSWERED', false, true],
    ]);
    expect(await history(asCleo)).toEqual([[missed, 'MISSED', false, false]]);

    const filtered = async (filter: object) =>
      (await asBen.query(operations.GetCalls, { filter })).calls.edges.map(({ node }) => node.id);
    const { node } = (await asBen.query(operations.GetCalls, { filter: { missed: true } })).calls.edges[0]!;
    expect(await filtered({ missed: false })).toEqual([rings, declined, talked]);
    expect(await filtered({ statuses: ['RINGING', 'ACTIVE'] })).toEqual([rings]);
    expect(await filtered({ createdFrom: node.createdAt })).toEqual([rings, missed]);
    expect(await filtered({ createdBefore: node.createdAt })).toEqual([declined, talked]);
    expect(await filtered({ conversationId: 'elsewhere' })).toEqual([]);
    expect(await filtered({ outgoing: true })).toEqual([]);
    await leave(asAda, rings, 'a');
  });

  it('counts what was missed until it is marked as seen, on all devices, and never forgets what came later', async () => {
    const [ada, ben] = callers.names(2) as [string, string];
    const conversationId = await world.conversation([ada, ben]);
    const asAda = await callers.client(ada);
    const phone = await callers.client(ben, 0);
    const laptop = await callers.client(ben, 1);
    const miss = async () => {
      const input = { conversationId, calleeIds: [ben], sessionId: 'a' };
      const { call } = success(await initiate(asAda, input));
      await leave(asAda, call.id, 'a');
      return call.id;
    };
    expect(await missedCount(phone)).toBe(0);
    await miss();
    const shown = await phone.query(operations.GetCalls, { filter: { missed: true } });
    await miss();
    expect(await missedCount(laptop)).toBe(2);
    const through = shown.calls.edges[0]!.missedAt;
    const marked = await phone.mutate(operations.MarkMissedCallsSeen, { through });
    expect(marked.markMissedCallsSeen.missedCallCount).toBe(1);
    expect(await missedCount(laptop)).toBe(1);
    const seen = await laptop.query(operations.GetCalls, { filter: { missed: true } });
    expect(seen.calls.edges.map((edge) => edge.seen)).toEqual([false, true]);
    await laptop.mutate(operations.MarkMissedCallsSeen, {});
    expect(await missedCount(phone)).toBe(0);
    // Back in time, and far ahead of it: what is missed from now on counts all the same.
    await phone.mutate(operations.MarkMissedCallsSeen, { through: '2001-01-01T00:00:00Z' });
    expect(await missedCount(phone)).toBe(0);
    await phone.mutate(operations.MarkMissedCallsSeen, { through: '2201-01-01T00:00:00Z' });
    const late = await miss();
    expect(await missedCount(phone)).toBe(1);
    // Who comes back to a call that goes on has not missed it.
    await phone.mutate(operations.MarkMissedCallsSeen, {});
    const again = await laptop.query(operations.GetCalls, { first: 1 });
    expect(again.calls.edges.map((edge) => [edge.node.id, edge.seen])).toEqual([[late, true]]);
  });

  it('does not count a ring that ran out for somebody who joined the call after all', async () => {
    const { callId, conversationId, peers } = await callers.call(2);
    const [late] = callers.names(1) as [string];
    const service = await callers.client('back-end', 0, 'service');
    await service.mutate(operations.AddMembers, { conversationId, userIds: [late] });
    await peers[0]!.client.mutate(operations.InviteToCall, { callId, userIds: [late] });
    await sql`update call_participants set ring_deadline = now() where user_id = ${late}`.execute(
      world.database.db,
    );
    await sql`update calls set due_at = now() where id = ${callId}`.execute(world.database.db);
    const client = await callers.client(late, 1);
    await eventually(async () => (await missedCount(client)) === 1);
    success(await join(client, callId, 'late'));
    expect(await missedCount(client)).toBe(0);
  });
});

describe('A timeline', () => {
  it('has counts of the signals of each way and kind, whichever instance took them, and nothing of what they said', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    for (let n = 1; n <= 3; n++) success(await ada.send(numbered(n), { to: ben.userId }));
    success(await ben.send(numbered(4), { to: ada.userId }));
    success(await ben.send(RENEGOTIATE));
    // A repeat is no other one.
    success(await ben.send(RENEGOTIATE, { clientSeq: 2 }));
    const stretches = async () => {
      const { rows } = await sql<{ n: number }>`select count(*)::int4 as n from call_signal_counts
        where call_id = ${callId}`.execute(world.database.db);
      return rows[0]!.n;
    };
    expect(await stretches()).toBe(0);
    await leave(ada.client, callId, ada.sessionId);
    // The one that ended it writes at once, the other within some seconds.
    await eventually(async () => (await stretches()) === 2, 8_000);
    const entries = await record(ben.client, callId);
    const signals = entries.filter(({ count }) => count !== null);
    const ways = signals.map(({ kind, actorId, subjectId, count }) => [kind, actorId, subjectId, count]);
    expect(new Set(ways.map(String))).toEqual(
      new Set([
        `CANDIDATES,${ada.userId},${ben.userId},3`,
        `CANDIDATES,${ben.userId},${ada.userId},1`,
        `RENEGOTIATIONS,${ben.userId},,1`,
      ]),
    );
    // In their place: after both were in the call, and before it was over.
    const kinds = entries.map(({ kind }) => kind);
    expect(kinds.indexOf('CANDIDATES')).toBeGreaterThan(kinds.indexOf('ANSWERED'));
    expect(kinds.at(-1)).toBe('ENDED');
    expect(entries.map(({ at }) => at)).toEqual(entries.map(({ at }) => at).sort());
  });

  it('has the signals of a call before its end, however late their counts come to the database', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    await leave(ada.client, callId, ada.sessionId);
    // Their clock stands: all the time since is the way to the database.
    const tally = new SignalTally(() => 0, randomUUID);
    for (const at of [0, 40]) tally.count(callId, 'Renegotiate', ada.userId, null, at);
    tally.callEnded(callId);
    await writeCounts(world.database.db, tally);
    const entries = await record(ben.client, callId);
    const of = (wanted: string) => entries.find(({ kind }) => kind === wanted);
    expect(entries.at(-1)?.kind).toBe('ENDED');
    expect(Date.parse(of('RENEGOTIATIONS')!.until as string)).toBeLessThan(
      Date.parse(of('ENDED')!.at as string),
    );
  });

  it('is read in pages that have each entry once', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    success(await ada.send(numbered(1), { to: ben.userId }));
    success(await report(ben.client, { callId, reportId: 'r', rating: 2, links: [linkTo(ada.userId)] }));
    await leave(ada.client, callId, ada.sessionId);
    await eventually(async () => (await record(ben.client, callId)).some(({ count }) => count !== null));
    const all = await record(ben.client, callId);
    const paged: string[] = [];
    const pageAfter = async (after: string | null) =>
      (await ben.client.query(operations.GetTimeline, { id: callId, first: 3, after })).call!.timeline;
    for (let page = await pageAfter(null); ; page = await pageAfter(page.pageInfo.endCursor ?? null)) {
      paged.push(...page.edges.map(({ node }) => `${node.at} ${node.kind} ${node.subjectId}`));
      if (!page.pageInfo.hasNextPage) break;
    }
    expect(paged).toEqual(all.map(({ at, kind, subjectId }) => `${at} ${kind} ${subjectId}`));
    expect(new Set(paged).size).toBe(paged.length);
  });

  it('gets the counts of other calls while somebody holds up one of them, and that one’s afterwards', async () => {
    const [held, free] = [await callers.call(2), await callers.call(2)];
    for (const { peers } of [held, free]) {
      success(await peers[0]!.send(numbered(1), { to: peers[1]!.userId }));
    }
    const written = async (callId: string) => {
      const { rows } = await sql`select from call_signal_counts where call_id = ${callId}`.execute(
        world.database.db,
      );
      return rows.length === 1;
    };
    await world.database.db.transaction().execute(async (tx) => {
      await sql`select from calls where id = ${held.callId} for update`.execute(tx);
      await eventually(() => written(free.callId), 8_000);
      expect(await written(held.callId)).toBe(false);
    });
    await eventually(() => written(held.callId), 8_000);
  });
});

function linkTo(userId: string, over: Partial<LinkQualityInput> = {}): LinkQualityInput {
  return {
    userId,
    outcome: 'CONNECTED',
    connectedAfterMs: 420,
    localCandidate: 'HOST',
    remoteCandidate: 'RELAY',
    lossPercent: 1.5,
    jitterMs: 7.25,
    roundTripMs: 80,
    reconnects: 2,
    ...over,
  };
}

describe('A report on a call’s quality', () => {
  it('stands in the timeline of all, its rating in that of whoever gave it, and in histograms that name nobody', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    const before = await metricOf(world.apps[0]!, 'ringdown_link_packet_loss_ratio_count');
    const input = { callId, reportId: 'end', rating: 4, links: [linkTo(ben.userId)] };
    expect(success(await report(ada.client, input)).duplicate).toBe(false);
    // A lost answer: the same report again, and it is counted once.
    expect(success(await report(ada.client, input)).duplicate).toBe(true);
    const failed = {
      outcome: 'FAILED',
      connectedAfterMs: null,
      localCandidate: null,
      remoteCandidate: null,
    } as const;
    const links = [linkTo(ada.userId, failed)];
    success(await report(ben.client, { callId, reportId: 'end', links }));
    const seenBy = async (client: Client) =>
      (await record(client, callId))
        .filter(({ kind }) => kind === 'QUALITY' || kind === 'RATED')
        .map(({ kind, actorId, subjectId, detail, quality }) => [
          kind,
          actorId,
          subjectId,
          detail,
          quality?.relayed,
        ]);
    const ofAll = [
      ['QUALITY', ada.userId, ben.userId, 'CONNECTED', true],
      ['QUALITY', ben.userId, ada.userId, 'FAILED', null],
    ];
    expect(await seenBy(ben.client)).toEqual(ofAll);
    const rated = ['RATED', ada.userId, ada.userId, '4 of 5', undefined];
    expect(await seenBy(ada.client)).toEqual([ofAll[0], rated, ofAll[1]]);

    const text = await (await fetch(`${world.apps[0]!.metricsUrl}/metrics`)).text();
    expect(text).toContain('ringdown_links_reported_total{outcome="connected",relayed="yes"} 1');
    expect(text).toContain('ringdown_link_candidates_total{local="host",remote="relay"} 1');
    expect(text).toContain('ringdown_call_rating_sum 4');
    expect(await metricOf(world.apps[0]!, 'ringdown_link_packet_loss_ratio_count')).toBe(before + 1);
    expect(text).not.toContain(ada.userId);
  });

  it('is refused where it says what cannot be, and leaves nothing', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    const refused: [ReportCallQualityInput, RegExp][] = [
      [{ callId, reportId: 'r', links: [] }, /^input: /],
      [{ callId, reportId: 'r', rating: 9 }, /^input\.rating: /],
      [{ callId, reportId: 'r', links: [linkTo('a-stranger')] }, /^input\.links\.0\.userId: /],
      [{ callId, reportId: 'r', links: [linkTo(ada.userId)] }, /^input\.links\.0\.userId: /],
      [{ callId, reportId: 'r', links: [linkTo(ben.userId, { lossPercent: 101 })] }, /lossPercent/],
    ];
    for (const [input, message] of refused) {
      const answer = await report(ada.client, input);
      expect(codeOf(answer)).toBe('INVALID_INPUT');
      expect('message' in answer && answer.message).toMatch(message);
    }
    expect((await record(ada.client, callId)).some(({ kind }) => kind === 'QUALITY')).toBe(false);
  });

  it('is taken as often as makes sense, and an hour after the call at most', async () => {
    const { callId, peers } = await callers.call(2);
    const [ada, ben] = peers as [(typeof peers)[0], (typeof peers)[0]];
    const rate = (client: Client, n: number) => report(client, { callId, reportId: `r${n}`, rating: 3 });
    for (let n = 0; n < 20; n++) success(await rate(ada.client, n));
    const more = await rate(ada.client, 20);
    expect(codeOf(more)).toBe('RATE_LIMITED');
    expect('retryAfterMs' in more && more.retryAfterMs).toBeNull();
    // Those that were taken may be repeated. Then the rate of all calls together says no, and for how long.
    expect(success(await rate(ada.client, 0)).duplicate).toBe(true);
    for (let n = 21; n <= 24; n++) expect(codeOf(await rate(ada.client, n))).toBe('RATE_LIMITED');
    const tooMany = await rate(ada.client, 25);
    expect('retryAfterMs' in tooMany && tooMany.retryAfterMs).toBeGreaterThan(0);

    await leave(ada.client, callId, ada.sessionId);
    success(await rate(ben.client, 1));
    await sql`update calls set ended_at = now() - interval '61 minutes' where id = ${callId}`.execute(
      world.database.db,
    );
    expect(codeOf(await rate(ben.client, 2))).toBe('CALL_ENDED');
  });
});
