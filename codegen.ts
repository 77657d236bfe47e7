import type { CodegenConfig } from '@graphql-codegen/cli';

/** The documents of the tests' client -> typed operations; see test/support/operations.ts. */
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: ['test/support/operations.ts'],
  generates: {
    'test/support/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        importExtension: '.ts',
        useTypeImports: true,
        strictScalars: true,
        scalars: { ID: 'string', DateTime: 'string', Cursor: 'string' },
      },
    },
  },
};

export default config;
