import type { CallInfo, TimelineEntry } from '@ringdown/client';
import { type CSSProperties, useEffect, useState } from 'react';
import { ladderOf, type Rung, verdictOf } from './ladder.ts';
import { list, type Names } from './people.ts';
import type { Session } from './session.ts';
import { errorText } from './words.ts';

/** What happened in a call: why it went as it did, and the ladder of everything between its participants. */
export function Record({
  call,
  session,
  names,
  goBack,
}: {
  readonly call: CallInfo;
  readonly session: Session;
  readonly names: Names;
  readonly goBack: () => void;
}) {
  const [entries, setEntries] = useState<readonly TimelineEntry[] | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const { ringdown } = session;
  useEffect(() => {
    let current = true;
    ringdown.timeline(call.id).then(
      (read) => current && setEntries(read ?? []),
      (error: unknown) => current && setTrouble(errorText(error)),
    );
    return () => {
      current = false;
    };
  }, [ringdown, call.id]);
  const people = list(call.participants.map(({ userId }) => names(userId)));
  return (
    <main className="page record" tabIndex={-1} aria-label="What happened in a call">
      <button type="button" className="quiet" onClick={goBack}>
        Back to recent calls
      </button>
      <h2>{people}</h2>
      <p className="fine">{new Date(call.createdAt).toLocaleString()}</p>
      {trouble !== null && <p role="alert">{trouble}</p>}
      {entries === null && trouble === null && <p role="status">Looking it up…</p>}
      {entries?.length === 0 && <p>What happened in this call is not kept any more.</p>}
      {entries !== null && entries.length > 0 && <Story call={call} entries={entries} names={names} />}
    </main>
  );
}

function Story({
  call,
  entries,
  names,
}: {
  readonly call: CallInfo;
  readonly entries: readonly TimelineEntry[];
  readonly names: Names;
}) {
  const { title, because, tone } = verdictOf(call, entries, names);
  const { lanes, rungs } = ladderOf(call, entries);
  const nameOf = (lane: number) => {
    const id = lanes[lane];
    return id == null ? 'Server' : names(id);
  };
  return (
    <>
      <section className={`verdict ${tone}`} data-testid="verdict">
        <p>
          <strong>{title}.</strong>
        </p>
        <p>{because}</p>
      </section>
      <div className="ladder" style={{ '--lanes': lanes.length } as CSSProperties}>
        <div className="heads" aria-hidden="true">
          <span />
          {lanes.map((id, lane) => (
            <strong key={id ?? 'server'} className={id === null ? 'server' : ''}>
              {nameOf(lane)}
            </strong>
          ))}
        </div>
        <ol aria-label="What happened, in order">
          {rungs.map((rung) => (
            <Step key={rung.key} rung={rung} lanes={lanes} nameOf={nameOf} />
          ))}
        </ol>
      </div>
    </>
  );
}

function Step({
  rung,
  lanes,
  nameOf,
}: {
  readonly rung: Rung;
  readonly lanes: readonly (string | null)[];
  readonly nameOf: (lane: number) => string;
}) {
  const { from, to, time, label, tone } = rung;
  const all = from < 0 || to < 0;
  const [first, last] = all ? [0, lanes.length - 1] : [Math.min(from, to), Math.max(from, to)];
  const shape = from < 0 ? 'phase' : from === to ? 'dot' : to < from ? 'arrow left' : 'arrow right';
  const who =
    from < 0 ? '' : from === to ? `${nameOf(from)}: ` : `${nameOf(from)} to ${to < 0 ? 'all' : nameOf(to)}: `;
  return (
    <li className={`rung ${tone}`}>
      <time>{time}</time>
      {lanes.map((id, lane) => (
        <i
          key={id ?? 'server'}
          className={id === null ? 'life server' : 'life'}
          style={{ gridColumn: lane + 2 }}
          aria-hidden="true"
        />
      ))}
      <span
        className={shape}
        style={{ gridColumn: `${first + 2} / ${last + 3}`, '--span': last - first + 1 } as CSSProperties}
      >
        <span className="unseen">{who}</span>
        <span className="label">{label}</span>
      </span>
    </li>
  );
}
