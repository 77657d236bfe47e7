/**
 * The rules of the house about who may import whom; `import type` counts only where a rule says so. It runs
 * in `npm run check`. TypeScript 7 has no compiler API that dependency-cruiser could use, so swc parses.
 */

/** Decide, and do nothing else: no SQL, no socket, no clock. */
const PURE = [
  '^src/calls/(call|call-rules|call-view|changes|deadlines)\\.ts$',
  '^src/seats/seat-rules\\.ts$',
  '^src/notifications/(notice|outside-address)\\.ts$',
  '^src/devices/(subscription|push-message)\\.ts$',
  '^src/signals/(ice-candidate|session-description|signal|validate-signal)\\.ts$',
  '^src/ice-servers/(ice-server-url|stun-message|turn-credential)\\.ts$',
  '^src/history/history-rules\\.ts$',
  '^src/timeline/signal-tally\\.ts$',
  '^src/quality/quality-report\\.ts$',
  '^src/call-log/cursor\\.ts$',
  '^src/(errors|ids)\\.ts$',
];
/** Pure by way of a library that is pure itself, or random bytes. */
const PURE_LIBRARIES = ['^(node:)?(buffer|crypto|net|url|util|zlib)$'];

/** Touch what is outside the process; the rest knows them by the ports that they implement. */
const ADAPTERS = [
  '^src/call-log/(redis|memory)[^/]*\\.ts$',
  '^src/rate-limits/flexible-[^/]*\\.ts$',
  '^src/ice-servers/stun-socket\\.ts$',
  '^src/database/(connections|open|pg-session)\\.ts$',
  '^src/notifications/(outside-post|pg-boss-queue)\\.ts$',
  '^src/observability/(otel-tracing|traced-log)\\.ts$',
];

/** Put the parts of the SDK together. */
const CLIENT_COMPOSES = [
  '^client/src/(call|client|history|incoming|index)\\.ts$',
  '^client/src/react/',
  '^client/src/generated/',
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
      comment: 'Only the composition root builds them. Their types anyone may name.',
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
      name: 'client-parts-know-no-other',
      comment: 'A part of the SDK takes what it needs as options and callbacks. Types it may take.',
      severity: 'error',
      from: { path: '^client/src/([^/]+/|[^/]+\\.ts$)', pathNot: CLIENT_COMPOSES },
      to: {
        path: '^client/src/',
        pathNot: ['^client/src/$1', '^client/src/(events|errors|uuid)\\.ts$', '^client/src/generated/'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'client-has-one-dependency',
      comment: 'What the SDK brings into an app is small. React is for the hooks alone.',
      severity: 'error',
      from: { path: '^client/src/', pathNot: ['^client/src/react/', '^client/src/generated/'] },
      to: { pathNot: ['^client/src/', '^node_modules/graphql-ws/'] },
    },
    {
      name: 'hooks-use-the-public-surface',
      comment: 'The hooks are what an app could write itself.',
      severity: 'error',
      from: { path: '^client/src/react/' },
      to: { path: '^client/src/', pathNot: ['^client/src/react/', '^client/src/index\\.ts$'] },
    },
    {
      name: 'core-knows-no-hooks',
      comment: 'Who does not use React does not get it.',
      severity: 'error',
      from: { path: '^client/src/', pathNot: '^client/src/react/' },
      to: { path: '^client/src/react/' },
    },
    {
      name: 'demo-uses-the-public-surface',
      comment: 'What the demo needs, an app needs: it must be in the SDK.',
      severity: 'error',
      from: { path: '^demo/' },
      to: {
        path: '^(src|client|migrations|test|bench|scripts)/',
        pathNot: '^client/src/(index|react/index|worker)\\.ts$',
      },
    },
    {
      name: 'demo-imports-by-name',
      comment: 'As an app does: `@ringdown/client`, and no path out of the folder.',
      severity: 'error',
      from: { path: '^demo/' },
      to: { pathNot: ['^demo/', '^node_modules/'], dependencyTypes: ['local'] },
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
    exclude: { path: '^((client|demo)/)?(dist|coverage|\\.cache)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      // The first: the SDK's sources instead of what is built from them.
      conditionNames: ['ringdown-source', 'import', 'node', 'types'],
      extensions: ['.ts', '.tsx', '.js'],
    },
  },
};
