import { AbortedTransactionError, CompiledQuery } from 'kysely';
import { expect, it } from 'vitest';
import { Lease, type Session } from '../../../src/database/lease.ts';

/** A session whose queries end when the test says so. */
function session() {
  const queries: PromiseWithResolvers<never>[] = [];
  const releases: boolean[] = [];
  const session: Session = {
    run() {
      const query = Promise.withResolvers<never>();
      queries.push(query);
      return query.promise;
    },
    release: (dirty) => void releases.push(dirty),
  };
  return { session, queries, releases };
}
const QUERY = CompiledQuery.raw('select 1');

it('lets nothing through once it is cut, and gives the session back once, as dirty', async () => {
  const { session: inner, queries, releases } = session();
  const lease = new Lease(inner);
  const underWay = lease.executeQuery(QUERY);
  const reason = new Error('time is up');
  lease.cut(reason);
  queries[0]?.reject(new Error('Connection terminated'));
  await expect(underWay).rejects.toBe(reason);
  await expect(lease.executeQuery(QUERY)).rejects.toBe(reason);
  await lease.rollback();
  await lease.release();
  expect(queries).toHaveLength(1);
  expect(releases).toEqual([true]);
});

it('sends no further statement of several once it is cut', async () => {
  const { session: inner, queries } = session();
  const lease = new Lease(inner);
  lease.begin(CompiledQuery.raw('begin'));
  lease.commitWithNext();
  const underWay = lease.runAll([QUERY]);
  const reason = new Error('time is up');
  lease.cut(reason);
  // It was done all the same.
  queries[0]?.resolve({ command: 'BEGIN', rowCount: null, rows: [] } as never);
  await expect(underWay).rejects.toBe(reason);
  expect(queries).toHaveLength(1);
});

it('lets nothing through once it is given back', async () => {
  const { session: inner, queries, releases } = session();
  const lease = new Lease(inner);
  await lease.release();
  await expect(lease.executeQuery(QUERY)).rejects.toThrow(/given back/);
  expect(queries).toHaveLength(0);
  expect(releases).toEqual([false]);
});

it('throws a session away that could not be rolled back', async () => {
  const { session: inner, queries, releases } = session();
  const lease = new Lease(inner);
  const rollback = lease.rollback();
  queries[0]?.reject(new Error('Connection terminated'));
  await rollback;
  await lease.release();
  expect(releases).toEqual([true]);
});

/** A session that takes several statements at once, and remembers what was sent in each round trip. */
function trips(answer: (sql: string) => string = () => 'SELECT') {
  const sent: string[][] = [];
  const runAll = async (queries: readonly CompiledQuery[]) => {
    sent.push(queries.map(({ sql }) => sql));
    return queries.map(({ sql }) => ({ command: answer(sql), rowCount: null, rows: [sql] }));
  };
  const session: Session = {
    runAll,
    run: async (query) => (await runAll([query]))[0]!,
    release: () => {},
  };
  return { lease: new Lease(session), sent };
}
const raw = (text: string) => CompiledQuery.raw(text);

it('begins with the first statements and commits with the last one', async () => {
  const { lease, sent } = trips();
  lease.begin(raw('begin'));
  const results = await lease.runAll([raw('lock'), raw('read')]);
  expect(results.map(({ rows }) => rows)).toEqual([['lock'], ['read']]);
  lease.commitWithNext();
  expect((await lease.run(raw('save'))).rows).toEqual(['save']);
  await expect(lease.run(raw('more'))).rejects.toThrow(/committed already/);
  await lease.commit();
  expect(sent).toEqual([
    ['begin', 'lock', 'read'],
    ['save', 'commit'],
  ]);
});

it('sends nothing for a transaction in which nothing was done', async () => {
  const { lease, sent } = trips();
  lease.begin(raw('begin'));
  await lease.commit();
  lease.begin(raw('begin'));
  await lease.rollback();
  expect(sent).toEqual([]);
});

it('takes no commit for done that the server answered with a rollback', async () => {
  const { lease, sent } = trips((sql) => (sql === 'commit' ? 'ROLLBACK' : 'INSERT'));
  lease.begin(raw('begin'));
  lease.commitWithNext();
  await expect(lease.run(raw('save'))).rejects.toThrow(AbortedTransactionError);
  await lease.rollback();
  expect(sent).toEqual([['begin', 'save', 'commit'], ['rollback']]);
});
