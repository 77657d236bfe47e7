import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * Kinds of tests, each a folder under test/: how long one may take (milliseconds), and in which round it
 * runs. Those that mostly wait run two at a time; those that load the machine or run browsers want it to themselves.
 */
const KINDS = [
  { name: 'unit', timeout: 10_000, round: 1, workers: 3 },
  { name: 'contract', timeout: 30_000, round: 1, workers: 3 },
  { name: 'integration', timeout: 30_000, round: 1, workers: 3 },
  { name: 'protocol', timeout: 30_000, round: 1, workers: 3 },
  { name: 'client', timeout: 30_000, round: 1, workers: 3 },
  { name: 'simulation', timeout: 900_000, round: 1, workers: 3 },
  { name: 'faults', timeout: 60_000, round: 2, workers: 2 },
  { name: 'webrtc', timeout: 60_000, round: 2, workers: 2 },
  { name: 'faults/alone', timeout: 60_000, round: 3, workers: 1 },
  { name: 'browser', timeout: 90_000, round: 3, workers: 1 },
];

/** The one file that takes longer than all others of its round begins first, or a worker would be idle at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLongest = ({ moduleId }: TestSpecification) => moduleId.includes('/test/simulation/');
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    globalSetup: 'test/support/global-setup.ts',
    // A test that leaves something running is named instead of holding up the run.
    teardownTimeout: 10_000,
    projects: KINDS.map(({ name, timeout, round, workers }) => ({
      // As Node resolves it: vite prefers graphql's `module` field, and would load a second copy beside the
      // one that the libraries use.
      resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
      test: {
        name,
        include: [`test/${name}/**/*.test.ts`],
        exclude: KINDS.filter((kind) => kind.name.startsWith(`${name}/`)).map(
          (kind) => `test/${kind.name}/**`,
        ),
        testTimeout: timeout,
        hookTimeout: 60_000,
        maxWorkers: workers,
        // A new process for each file would load the server again and again. The later rounds have few files.
        isolate: round > 1,
        sequence: { groupOrder: round },
      },
    })),
  },
});
