import { readFileSync, writeFileSync } from 'node:fs';
import { printSchema } from 'graphql';
import { schema } from '../src/graphql/schema.ts';

/** Writes schema.graphql; with `--check` only says whether it is what the code has, and exits 1 where not. */

const file = new URL('../schema.graphql', import.meta.url);
const printed = `${printSchema(schema)}\n`;

if (process.argv.includes('--check')) {
  const stored = readFileSync(file, 'utf8');
  if (stored !== printed) {
    process.stderr.write('schema.graphql is not what the code has: run `npm run schema` and commit it.\n');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, printed);
}
