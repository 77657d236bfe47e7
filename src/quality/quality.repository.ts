import { sql } from 'kysely';
import type { Tx } from '../calls/call.repository.ts';
import type { QualityReport } from './quality-report.ts';

/** The SQL of reports on a call's quality. */

/** Null where the participant has told as much as is kept. Two at once may make it one more. */
export async function saveReport(
  tx: Tx,
  userId: string,
  { callId, reportId, links, rating }: QualityReport,
  most: number,
): Promise<{ readonly at: number; readonly duplicate: boolean } | null> {
  const { rows } = await sql<{ at: Date }>`
    insert into call_quality_reports (call_id, user_id, report_id, at, links, rating)
    select ${callId}::uuid, ${userId}::text, ${reportId}::text,
      date_trunc('milliseconds', clock_timestamp()), ${JSON.stringify(links)}::jsonb, ${rating}::int2
    where (select count(*) from call_quality_reports where call_id = ${callId} and user_id = ${userId}) < ${most}
    on conflict (call_id, user_id, report_id) do nothing
    returning at`.execute(tx);
  if (rows[0]) return { at: rows[0].at.getTime(), duplicate: false };
  const known = await tx
    .selectFrom('call_quality_reports')
    .select('at')
    .where('call_id', '=', callId)
    .where('user_id', '=', userId)
    .where('report_id', '=', reportId)
    .executeTakeFirst();
  return known ? { at: known.at.getTime(), duplicate: true } : null;
}
