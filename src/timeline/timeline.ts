import { sql } from 'kysely';
import type { Db } from '../calls/call.repository.ts';
import type { Fact } from '../calls/call.ts';
import { connection, pageOf, TIMELINE_PAGE } from '../calls/pages.ts';
import type { TimelineEntry, TimelineService } from '../graphql/services.ts';
import type { LinkQuality } from '../quality/quality-report.ts';
import type { SignalCount } from './signal-tally.ts';

/**
 * What happened in a call, in order: its changes of state, how many signals went from whom to whom, and what its
 * participants measured. One statement over one call's rows.
 */

/** An entry's place: its instant, from which of the three it is, and its place there. */
interface Place {
  readonly ms: number;
  readonly source: number;
  readonly part: string;
  readonly index: number;
}

type Row = { readonly at: Date; readonly part: string; readonly index: number } & (
  | { readonly source: 0; readonly entry: Fact }
  | { readonly source: 1; readonly entry: SignalCount & { readonly until: number } }
  | { readonly source: 2; readonly entry: { readonly by: string; readonly link: LinkQuality } }
  | { readonly source: 3; readonly entry: { readonly by: string; readonly rating: number } }
);

const KINDS: Readonly<Record<SignalCount['kind'], string>> = {
  Offer: 'OFFERS',
  Answer: 'ANSWERS',
  IceCandidates: 'CANDIDATES',
  Renegotiate: 'RENEGOTIATIONS',
};

export function createTimelineService(db: Db): TimelineService {
  return {
    async timeline(viewer, callId, args) {
      const page = pageOf({ ...args, last: null, before: null }, parsePlace, TIMELINE_PAGE);
      const rows = await readRows(db, callId, viewer.userId, page.from, page.size + 1);
      const found = rows.map((row) => ({ node: { ...entryOf(row), place: placeOf(row) } }));
      return connection<TimelineEntry & { place: string }>(page, found, ({ place }) => place);
    },
  };
}

/** Names a report in a cursor. No id has a line break in it. */
const REPORT = sql`encode(sha256(convert_to(r.user_id || chr(10) || r.report_id, 'UTF8')), 'hex')`;

/** A rating is shown to whoever gave it alone: it is about the service, and not for the others to take as theirs. */
async function readRows(db: Db, callId: string, viewerId: string, from: Place | null, limit: number) {
  const beyond =
    from === null
      ? sql``
      : sql`where (at, source, part, index) > (
          ${new Date(from.ms)}::timestamptz, ${from.source}::int4, ${from.part}::text, ${from.index}::int4)`;
  const { rows } = await sql<Row>`
    select * from (
      select e.at, 0 as source, lpad(e.version::text, 10, '0') as part,
        f.place::int4 as index, f.fact as entry
      from call_events e, jsonb_array_elements(e.facts) with ordinality as f (fact, place)
      where e.call_id = ${callId}
      union all
      select s.started_at + (c.line ->> 'firstMs')::int8 * interval '1 millisecond', 1, s.stretch::text,
        c.place::int4, c.line
      from call_signal_counts s, jsonb_array_elements(s.counts) with ordinality as c (line, place)
      where s.call_id = ${callId}
      union all
      select r.at, 2, ${REPORT}, l.place::int4,
        jsonb_build_object('by', r.user_id, 'link', l.link)
      from call_quality_reports r, jsonb_array_elements(r.links) with ordinality as l (link, place)
      where r.call_id = ${callId}
      union all
      select r.at, 3, ${REPORT}, 1,
        jsonb_build_object('by', r.user_id, 'rating', r.rating)
      from call_quality_reports r
      where r.call_id = ${callId} and r.user_id = ${viewerId} and r.rating is not null
    ) as entries ${beyond}
    order by at, source, part, index limit ${limit}`.execute(db);
  return rows;
}

const NOTHING_MORE = { count: null, until: null, quality: null };

function entryOf(row: Row): TimelineEntry {
  const at = row.at.getTime();
  if (row.source === 0) return { ...NOTHING_MORE, at, ...row.entry };
  if (row.source === 1) {
    const { kind, from, to, count, firstMs, lastMs } = row.entry;
    const until = at + lastMs - firstMs;
    return {
      ...NOTHING_MORE,
      at,
      kind: KINDS[kind],
      actorId: from,
      subjectId: to,
      detail: `${count} in ${((lastMs - firstMs) / 1_000).toFixed(1)} s`,
      count,
      until,
    };
  }
  if (row.source === 2) {
    const { by, link } = row.entry;
    const { userId, ...quality } = link;
    return {
      ...NOTHING_MORE,
      at,
      kind: 'QUALITY',
      actorId: by,
      subjectId: userId,
      detail: quality.outcome,
      quality,
    };
  }
  const { by, rating } = row.entry;
  return { ...NOTHING_MORE, at, kind: 'RATED', actorId: by, subjectId: by, detail: `${rating} of 5` };
}

function placeOf({ at, source, part, index }: Row): string {
  return `${at.getTime()}.${source}.${part}.${index}`;
}

function parsePlace(cursor: string): Place | null {
  const match = /^(\d{1,15})\.([0-3])\.([0-9a-f-]{1,64})\.(\d{1,6})$/.exec(cursor);
  if (match === null) return null;
  const [, ms, source, part, index] = match as unknown as [string, string, string, string, string];
  return { ms: Number(ms), source: Number(source), part, index: Number(index) };
}
