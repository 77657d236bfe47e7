/**
 * The rules of the house about who may import whom; `import type` counts only where a rule says so. It runs
 * in `npm run check`. TypeScript 7 has no compiler API that dependency-cruiser could use, so swc parses.
 */

/** Decide, and do nothing else: no SQL, no socket, no clock. */
const PURE = [
  '^src/calls/(call|call-rules|call-view|changes|deadlines)\\.ts$',
  '^src/seats/seat-rules\\.ts$',
  '^src/signals/(ice-candidate|session-description|signal|validate-signal)\\.ts$',
  '^src/ice-servers/ice-server-url\\.ts$',
  '^src/call-log/cursor\\.ts$',
  '^src/(errors|ids)\\.ts$',
];
/** Pure by way of a library that is pure itself, or random bytes. */
const PURE_LIBRARIES = ['^(node:)?(buffer|crypto|net|url|util)$'];

/** Touch what is outside the process; the rest knows them by the ports that they implement. */
const ADAPTERS = [
  '^src/call-log/(redis|memory)[^/]*\\.ts$',
  '^src/rate-limits/flexible-[^/]*\\.ts$',
  '^src/database/(open|pg-session)\\.ts$',
];

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other at run time are one file, or three.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'schema-is-thin',
      comment: 'A *.schema.ts maps arguments and results. It knows services, not what they are made of.',
      severity: 'error',
      from: { path: '\\.schema\\.ts$' },
      to: { path: ['\\.repository\\.ts$', '^src/database/', ...ADAPTERS] },
    },
    {
      name: 'pure-imports-pure',
      comment: 'What decides can be tested without a database, a socket or a clock. Types it may take.',
      severity: 'error',
      from: { path: PURE },
      to: { pathNot: [...PURE, ...PURE_LIBRARIES], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'adapters-in-app-only',
      comment: 'Only the composition root builds concrete things. Their types anyone may name.',
      severity: 'error',
      from: { path: '^(src|client)/', pathNot: ['^src/(app|migrate)\\.ts$', ...ADAPTERS] },
      to: { path: ADAPTERS, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'src-stands-alone',
      comment: 'Tests, benchmarks and scripts use the server, not the other way round.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts|client|demo)/' },
    },
    {
      name: 'client-stands-alone',
      comment: 'The SDK is a package of its own: nothing of the server in it, not even a type.',
      severity: 'error',
      from: { path: '^client/' },
      to: { path: '^(src|migrations|test|bench|scripts|demo)/' },
    },
    {
      name: 'demo-uses-the-public-surface',
      comment: 'What the demo needs, an app needs: it must be in the SDK.',
      severity: 'error',
      from: { path: '^demo/' },
      to: { path: '^(src|client/src/(?!index\\.ts$))' },
    },
    {
      name: 'no-dev-dependency-at-run-time',
      comment: 'The image has no devDependencies.',
      severity: 'error',
      from: { path: '^(src|migrations)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage|\\.cache)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
      extensions: ['.ts', '.js'],
    },
  },
};
