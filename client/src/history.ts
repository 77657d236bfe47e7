import type { Connection } from './connection.ts';
import {
  type CallFilter,
  type CallOutcome,
  type CallPartsFragment,
  GetHistoryDocument,
  GetTimelineDocument,
  type GetTimelineQuery,
} from './generated/graphql.ts';

/** What is left of calls: the user's history, and what happened in one of them. */

export interface HistoryEntry {
  readonly call: CallPartsFragment;
  /** How it went for this user. */
  readonly outcome: CallOutcome;
  /** This user started it. */
  readonly outgoing: boolean;
  /** When it stopped ringing, RFC 3339; null where it was not missed. */
  readonly missedAt: string | null;
  /** False: missed, and not marked as seen. */
  readonly seen: boolean;
}

export interface HistoryPage {
  /** Newest first. */
  readonly entries: readonly HistoryEntry[];
  /** Give it back as `after` for the page of what is older; null where nothing is. */
  readonly next: string | null;
}

export interface HistoryOptions {
  /** 1 to 100; 20 where it is left out. */
  readonly first?: number;
  /** The `next` of the page before. */
  readonly after?: string | null;
  readonly filter?: CallFilter;
}

type Node = NonNullable<GetTimelineQuery['call']>['timeline']['edges'][number]['node'];

/** Something that happened in a call; see TimelineEntry in the server's schema. */
export type TimelineEntry = Readonly<Node>;

/** Entries of a timeline that are read at most, so that a page does not read for ever. */
const MOST_ENTRIES = 2_000;

export async function readHistory(
  connection: Connection,
  { first = 20, after = null, filter = {} }: HistoryOptions,
): Promise<HistoryPage> {
  const { calls } = await connection.request(GetHistoryDocument, { first, after, filter });
  const { hasNextPage, endCursor } = calls.pageInfo;
  return {
    entries: calls.edges.map(({ node, outcome, outgoing, missedAt, seen }) => ({
      ...{ call: node, outcome, outgoing, seen },
      missedAt: missedAt ?? null,
    })),
    next: hasNextPage ? (endCursor ?? null) : null,
  };
}

/** Null for no such call, or none of the user's. */
export async function readTimeline(connection: Connection, id: string): Promise<TimelineEntry[] | null> {
  const entries: TimelineEntry[] = [];
  for (let after: string | null = null; ; ) {
    const read: GetTimelineQuery = await connection.request(GetTimelineDocument, { id, after });
    if (!read.call) return null;
    const { edges, pageInfo } = read.call.timeline;
    entries.push(...edges.map(({ node }) => node));
    if (!pageInfo.hasNextPage || entries.length >= MOST_ENTRIES) return entries;
    after = pageInfo.endCursor ?? null;
  }
}
