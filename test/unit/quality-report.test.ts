import { describe, expect, it } from 'vitest';
import { isRelayed, type LinkQuality, reportProblem } from '../../src/quality/quality-report.ts';

const LINK: LinkQuality = {
  userId: 'ben',
  outcome: 'CONNECTED',
  connectedAfterMs: 300,
  localCandidate: 'HOST',
  remoteCandidate: 'SRFLX',
  lossPercent: 0.4,
  jitterMs: 3.5,
  roundTripMs: 20,
  reconnects: 0,
};
const problemOf = (link: Partial<LinkQuality>, rating: number | null = null) =>
  reportProblem({ callId: 'c', reportId: 'r', links: [{ ...LINK, ...link }], rating });

describe('a report', () => {
  it('is taken with links, with a rating, or with both', () => {
    expect(problemOf({})).toBeNull();
    expect(problemOf({}, 5)).toBeNull();
    expect(reportProblem({ callId: 'c', reportId: 'r', links: [], rating: 1 })).toBeNull();
    expect(reportProblem({ callId: 'c', reportId: 'r', links: [], rating: null })).toMatch(/^input: /);
  });

  it.each<[Partial<LinkQuality>, string]>([
    [{ lossPercent: 100.1 }, 'lossPercent'],
    [{ lossPercent: -1 }, 'lossPercent'],
    [{ jitterMs: Number.POSITIVE_INFINITY }, 'jitterMs'],
    [{ roundTripMs: Number.NaN }, 'roundTripMs'],
    [{ connectedAfterMs: 600_001 }, 'connectedAfterMs'],
    [{ reconnects: 10_001 }, 'reconnects'],
    [{ outcome: 'FAILED' }, 'connectedAfterMs'],
    [{ connectedAfterMs: null }, 'connectedAfterMs'],
  ])('with %o is refused, and the field is named', (link, field) => {
    expect(problemOf(link)).toMatch(new RegExp(`^input\\.links\\.0\\.${field}: `));
  });

  it.each([0, 6, 2.5])('with a rating of %s is refused', (rating) => {
    expect(problemOf({}, rating)).toMatch(/^input\.rating: /);
  });

  it('with more links than a call has, or two to one participant, is refused', () => {
    const links = (count: number, userId: (n: number) => string) =>
      Array.from({ length: count }, (_, n) => ({ ...LINK, userId: userId(n) }));
    const report = { callId: 'c', reportId: 'r', rating: null };
    expect(reportProblem({ ...report, links: links(33, String) })).toMatch(/^input\.links: /);
    expect(reportProblem({ ...report, links: links(2, () => 'ben') })).toMatch(/^input\.links\.1\.userId: /);
  });
});

it('a link is relayed where either end is, and nobody can say where no pair was chosen', () => {
  expect(isRelayed(LINK)).toBe(false);
  expect(isRelayed({ ...LINK, remoteCandidate: 'RELAY' })).toBe(true);
  expect(isRelayed({ ...LINK, localCandidate: null, remoteCandidate: null })).toBeNull();
});
