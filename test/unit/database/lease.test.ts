import { CompiledQuery } from 'kysely';
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
