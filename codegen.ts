import type { CodegenConfig } from '@graphql-codegen/cli';

/** Documents -> typed operations: of the SDK, and of the tests' client (test/support/operations.ts). */
const typed = {
  importExtension: '.ts' as const,
  useTypeImports: true,
  strictScalars: true,
  scalars: { ID: 'string', DateTime: 'string', Cursor: 'string' },
};

const config: CodegenConfig = {
  schema: 'schema.graphql',
  generates: {
    'client/src/generated/': {
      documents: ['client/src/operations.graphql'],
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      // Documents are texts: no GraphQL parser or printer in the browser.
      config: { ...typed, documentMode: 'string' },
    },
    'test/support/generated/': {
      documents: ['test/support/operations.ts'],
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: typed,
    },
  },
};

export default config;
